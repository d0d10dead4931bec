import { checkAccess, checkExpiry } from './access-checks.js';
import { buildConfig } from './build.js';
import type { Config, ConfigProblem } from './config.js';
import { adoptCooLlm } from './coo-llm.js';
import { checkEntries, type KnownType } from './entry-checks.js';
import { toFindings } from './issues.js';
import { notActiveYet } from './not-active.js';
import type { ProviderModules } from './provider-modules.js';
import { checkReferences, mappingAt } from './references.js';
import { fileSchema } from './schema.js';
import { checkStorage } from './storage-checks.js';
import { type Surroundings, substitute } from './substitute.js';
import { type ListenAddress, parseListen } from './units.js';
import { errorAt, type Finding, formatPath, LineMap, type YamlPath } from './yaml-path.js';
import { readYaml, type YamlMapping, type YamlSource } from './yaml-source.js';

export interface ParseOptions extends Surroundings {
  /** YAML, and so JSON too. */
  text: string;
  /** The types of providers that are built in. */
  knownTypes: readonly KnownType[];
  /** What became of types that are not; `unread`: nobody looked, and such an entry is left aside. Default: there are none. */
  modules?: ProviderModules | 'unread';
  /** Epoch milliseconds; to tell which clients have expired. */
  now?: number;
}

export interface ParseResult {
  /** Null when there is an error among the problems. */
  config: Config | null;
  /** Every problem of the file, in the order of its lines. */
  problems: ConfigProblem[];
  /** Where each key is written. */
  lines: LineMap;
}

/** A file that is YAML, its variables filled in. */
export interface ConfigDraft {
  source: YamlSource;
  resolved: ReturnType<typeof substitute>;
  adopted: ReturnType<typeof adoptCooLlm>;
}

/** Reads the text as far as it can be read without knowing what it is about; for what is no YAML the result. */
export function draftConfig({ text, ...surroundings }: Surroundings & { text: string }): ConfigDraft | ParseResult {
  const yaml = readYaml(text);
  if (!yaml.ok) {
    const problem = { severity: 'error', path: '', line: yaml.line, message: yaml.message } as const;
    return { config: null, problems: [problem], lines: new LineMap() };
  }
  const { source } = yaml;
  const resolved = substitute(source, surroundings);
  return { source, resolved, adopted: adoptCooLlm(resolved.tree) };
}

/** Checks a whole config file and builds the config. Never throws for what is in the text. */
export function parseConfigText(options: ParseOptions): ParseResult {
  const draft = draftConfig(options);
  return 'problems' in draft ? draft : checkDraft(draft, options);
}

/** The same of a text that was read already. */
export function checkDraft(draft: ConfigDraft, options: Omit<ParseOptions, 'text' | 'readFile'>): ParseResult {
  const { source, resolved, adopted } = draft;
  const { knownTypes, modules = new Map() } = options;
  const { lines } = source;
  const { tree } = adopted;
  const port = readPort(options.env);
  const entries = checkEntries(tree, knownTypes, modules);
  const findings: Finding[] = [
    ...source.findings,
    ...sayDisabled(resolved.findings, entries.disabled, tree),
    ...adopted.findings,
    ...port.findings,
    ...notActiveYet(tree),
  ];
  const checked: Finding[] = [
    ...entries.findings,
    ...checkReferences(tree),
    ...checkStorage(tree),
    ...checkAccess(tree, listenOf(tree)),
  ];
  const parsed = fileSchema.safeParse(tree);
  if (parsed.success) {
    checked.push(...checkExpiry(parsed.data.api_keys ?? [], options.now ?? Date.now()));
  } else {
    checked.unshift(...toFindings(parsed.error.issues, { tree, written: source.tree }));
  }
  findings.push(...checked.filter(({ path }) => !resolved.unresolved.some((other) => isPrefix(other, path))));
  if (!parsed.success || hasError(findings)) return { config: null, problems: toProblems(findings, lines), lines };
  const { disabled } = entries;
  const built = buildConfig({ file: parsed.data, knownTypes, modules, disabled, port: port.value });
  findings.push(...built.findings);
  return { config: hasError(findings) ? null : built.config, problems: toProblems(findings, lines), lines };
}

/** The address to listen on as far as it can be read; the default when none is given. */
function listenOf(tree: YamlMapping): ListenAddress | null {
  const listen = mappingAt(tree, 'server')['listen'];
  return listen === undefined ? { host: '127.0.0.1', port: 2906 } : (parseListen(listen) ?? null);
}

function readPort(env: Surroundings['env']): { value: number | null; findings: Finding[] } {
  const written = env['PORT'];
  if (written === undefined || written === '') return { value: null, findings: [] };
  const value = /^\d{1,5}$/.test(written) ? Number(written) : Number.NaN;
  if (value <= 65_535) return { value, findings: [] };
  const message = `the environment variable PORT is \`${written}\`; expected a port from 0 to 65535`;
  return { value: null, findings: [errorAt(['server', 'listen'], message)] };
}

/** One warning rather than two: the key that was left out says that its entry is disabled. */
function sayDisabled(
  findings: readonly Finding[],
  disabled: ReadonlyMap<number, string>,
  tree: YamlMapping,
): Finding[] {
  const entries = Array.isArray(tree['llm_providers']) ? tree['llm_providers'] : [];
  return findings.map((finding) => {
    const [root, index, key] = finding.path;
    if (finding.severity !== 'warning' || root !== 'llm_providers' || key !== 'api_keys') return finding;
    if (typeof index !== 'number' || disabled.get(index) !== 'no API key') return finding;
    const id = mappingAt({ entry: entries[index] }, 'entry')['id'];
    return {
      ...finding,
      message: `${finding.message}, and provider \`${String(id)}\`, which has no other, is disabled`,
    };
  });
}

function isPrefix(prefix: YamlPath, path: YamlPath): boolean {
  return prefix.length <= path.length && prefix.every((step, index) => step === path[index]);
}

function hasError(findings: readonly Finding[]): boolean {
  return findings.some(({ severity }) => severity === 'error');
}

/** With lines, in their order, nothing said twice. */
function toProblems(findings: readonly Finding[], lines: LineMap): ConfigProblem[] {
  const problems = new Map<string, ConfigProblem>();
  for (const { severity, path, message, line } of findings) {
    const problem = { severity, path: formatPath(path), line: line ?? lines.lineOf(path), message };
    problems.set(`${problem.path}\n${problem.line}\n${message}`, problem);
  }
  return [...problems.values()].sort((a, b) => a.line - b.line);
}
