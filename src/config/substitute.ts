import { errorAt, type Finding, warningAt, type YamlPath } from './yaml-path.js';
import { isMapping, type YamlMapping, type YamlSource } from './yaml-source.js';

export interface Surroundings {
  env: Readonly<Record<string, string | undefined>>;
  /** @throws when the file cannot be read */
  readFile: (path: string) => string;
}

export interface Substituted {
  /** References replaced, keys that were set to null left out. */
  tree: YamlMapping;
  findings: Finding[];
  /** Values whose reference could not be resolved: nothing else is said about them. */
  unresolved: YamlPath[];
}

/** More values than any real file has: what a chain of YAML aliases that double each other would reach. */
const MAX_VALUES = 200_000;

class UnresolvedReference extends Error {}

/**
 * Replaces `${NAME}`, `${NAME:-default}`, `${env.NAME:=default}` and `${file:/path}` in every string; `$${` stands for
 * a literal `${`. A provider key that resolves to nothing becomes '' with a warning; any other is an error.
 */
export function substitute(source: Pick<YamlSource, 'tree' | 'typed'>, around: Surroundings): Substituted {
  const findings: Finding[] = [];
  const unresolved: YamlPath[] = [];
  let values = 0;

  function visit(value: unknown, typed: unknown, path: YamlPath): unknown {
    values += 1;
    if (values > MAX_VALUES) return null;
    if (typeof value === 'string') return resolve(value, path);
    if (Array.isArray(value)) {
      const items = Array.isArray(typed) ? typed : [];
      return value.map((item, index) => visit(item, items[index], [...path, index]));
    }
    if (!isMapping(value)) return value;
    const result: YamlMapping = {};
    for (const [key, item] of Object.entries(value)) {
      const typedItem = isMapping(typed) ? typed[key] : undefined;
      const at = [...path, key];
      // A key without a value counts as left out, so that every `x: null` means the default.
      if (item === null) continue;
      define(result, key, isForwardedJson(at) ? visitJson(typedItem, at) : visit(item, typedItem, at));
    }
    return result;
  }

  function visitJson(value: unknown, path: YamlPath): unknown {
    values += 1;
    if (values > MAX_VALUES) return null;
    if (typeof value === 'string') return resolve(value, path);
    if (typeof value === 'number' && !isExactNumber(value)) {
      findings.push(errorAt(path, 'a number that JSON cannot carry exactly; write it as a string'));
    }
    if (Array.isArray(value)) return value.map((item, index) => visitJson(item, [...path, index]));
    if (!isMapping(value)) return value;
    const result: YamlMapping = {};
    for (const [key, item] of Object.entries(value)) define(result, key, visitJson(item, [...path, key]));
    return result;
  }

  function resolve(text: string, path: YamlPath): string {
    const isKey = isProviderKey(path);
    try {
      const resolved = text.includes('${') ? expand(text, around) : text;
      if (isKey && resolved.trim() === '') throw new UnresolvedReference(`${shown(text)} is empty`);
      return resolved;
    } catch (error) {
      if (!(error instanceof UnresolvedReference)) throw error;
      if (isKey && !error.message.startsWith(NOT_A_REFERENCE)) {
        findings.push(warningAt(path, `${error.message}; this key is left out`));
        return '';
      }
      findings.push(errorAt(path, error.message));
      unresolved.push(path);
      return text;
    }
  }

  const tree = visit(source.tree, source.typed, []) as YamlMapping;
  if (values > MAX_VALUES) {
    findings.push(errorAt([], `the file holds more than ${MAX_VALUES} values once its aliases are written out`));
  }
  return { tree, findings, unresolved };
}

const NOT_A_REFERENCE = 'cannot read ';

function shown(text: string): string {
  return text === '' ? 'the key' : `\`${text}\``;
}

function isProviderKey(path: YamlPath): boolean {
  if (path[0] !== 'llm_providers' || path[2] !== 'api_keys' || typeof path[3] !== 'number') return false;
  return path.length === 4 || (path.length === 5 && path[4] === 'key');
}

function isForwardedJson(path: YamlPath): boolean {
  return path.length === 3 && path[0] === 'llm_providers' && path[2] === 'extra_body';
}

function isExactNumber(value: number): boolean {
  return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
}

/** Sets a key as data, `__proto__` too. */
function define(target: YamlMapping, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

/** Replaces every reference of one string. */
function expand(text: string, around: Surroundings): string {
  let result = '';
  let at = 0;
  while (at < text.length) {
    const start = text.indexOf('${', at);
    if (start === -1) return result + text.slice(at);
    if (text[start - 1] === '$' && start > at) {
      result += `${text.slice(at, start - 1)}\${`;
      at = start + 2;
      continue;
    }
    const end = closingBrace(text, start + 2);
    if (end === -1)
      throw new UnresolvedReference(
        `${NOT_A_REFERENCE}\`${text}\`: \`\${\` without \`}\`; a literal one is written \`$\${\``,
      );
    result += text.slice(at, start) + referenced(text.slice(start + 2, end), around);
    at = end + 1;
  }
  return result;
}

function closingBrace(text: string, from: number): number {
  let depth = 1;
  for (let at = from; at < text.length; at += 1) {
    if (text.startsWith('${', at)) depth += 1;
    else if (text[at] === '}') depth -= 1;
    if (depth === 0) return at;
  }
  return -1;
}

const REFERENCE = /^(env\.)?([A-Za-z_]\w*)(?:(:-|:=)([\s\S]*))?$/;

function referenced(reference: string, around: Surroundings): string {
  if (reference.startsWith('file:')) return fileText(reference.slice('file:'.length), around);
  if (reference.startsWith('vault:')) {
    throw new UnresolvedReference(
      `${NOT_A_REFERENCE}\`\${${reference}}\`: Vault references are not active yet; use a variable or \`\${file:/path}\``,
    );
  }
  const match = REFERENCE.exec(reference);
  if (match === null) {
    const forms = ['NAME', 'NAME:-default', 'env.NAME:=default', 'file:/path']
      .map((form) => `\`\${${form}}\``)
      .join(', ');
    throw new UnresolvedReference(
      `${NOT_A_REFERENCE}\`\${${reference}}\`: expected one of ${forms}; a literal \`\${\` is written \`$\${\``,
    );
  }
  const [, , name = '', operator, fallback = ''] = match;
  const value = Object.hasOwn(around.env, name) ? around.env[name] : undefined;
  if (operator !== undefined) return value === undefined || value === '' ? expand(fallback, around) : value;
  if (value === undefined) {
    throw new UnresolvedReference(
      `environment variable ${name} is not set; set it, or give a default: \`\${${name}:-default}\``,
    );
  }
  return value;
}

function fileText(path: string, around: Surroundings): string {
  try {
    return around.readFile(path).replace(/\r?\n$/, '');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? (error instanceof Error ? error.message : String(error));
    throw new UnresolvedReference(`file ${path} cannot be read (${code})`, { cause: error });
  }
}
