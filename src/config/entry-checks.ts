import { nearest, suggestion } from './nearest.js';
import { checkPrices } from './pricing.js';
import { isModulePath, type ProviderModule, type ProviderModules } from './provider-modules.js';
import { errorAt, type Finding, warningAt, type YamlPath } from './yaml-path.js';
import { isMapping, type YamlMapping } from './yaml-source.js';

/** What the config must know of an adapter; a `ProviderAdapter` is one. */
export interface KnownType {
  id: string;
  aliases?: readonly string[];
  needsKey: boolean;
  baseUrl: string | null;
  inline?: boolean;
  baseUrlFor?(entry: { region: string | null }): string | null;
  checkEntry?(entry: { baseUrl: string | null; region?: string | null }): string[];
}

export interface EntryReport {
  findings: Finding[];
  /** Why an entry takes no part, by its position. */
  disabled: Map<number, string>;
}

/** Checks each provider entry against its type. Reads the tree as it is, so that it works on a file with other mistakes. */
export function checkEntries(
  tree: YamlMapping,
  knownTypes: readonly KnownType[],
  modules: ProviderModules | 'unread',
): EntryReport {
  const findings: Finding[] = [];
  const disabled = new Map<number, string>();
  const entries = Array.isArray(tree['llm_providers']) ? tree['llm_providers'] : [];
  entries.forEach((entry, index) => {
    if (!isMapping(entry)) return;
    const at: YamlPath = ['llm_providers', index];
    findings.push(...priceFindings(entry, at), ...repeatedKeys(entry, at), ...headerNames(entry, at));
    const { type } = entry;
    if (typeof type !== 'string' || type.trim() === '') return;
    const loaded = modules === 'unread' ? undefined : modules.get(type);
    const known = findType(type, knownTypes) ?? (loaded?.kind === 'adapter' ? loaded.adapter : undefined);
    if (known === undefined) {
      const unknown = unknownType({ type, path: [...at, 'type'], knownTypes, loaded, areUnread: modules === 'unread' });
      findings.push(...unknown.findings);
      if (unknown.disabled !== null) disabled.set(index, unknown.disabled);
      return;
    }
    findings.push(...baseUrlFindings(entry, at, known));
    if ((known.needsKey || wantsKeys(entry)) && !hasKey(entry) && !takesClientKeys(entry)) {
      disabled.set(index, 'no API key');
      findings.push(...noKeyFindings(entry, at));
    }
  });
  return { findings, disabled };
}

export function findType(type: string, knownTypes: readonly KnownType[]): KnownType | undefined {
  return knownTypes.find((known) => known.id === type || known.aliases?.includes(type) === true);
}

/** Requests bring theirs; the schema says what is no flag. */
function takesClientKeys(entry: YamlMapping): boolean {
  return String(entry['allow_client_keys']).trim().toLowerCase() === 'true';
}

/** Keys were listed, so the entry is not meant to run without one, even where its type could. */
function wantsKeys(entry: YamlMapping): boolean {
  return Array.isArray(entry['api_keys']) && entry['api_keys'].length > 0;
}

interface UnknownType {
  type: string;
  path: YamlPath;
  knownTypes: readonly KnownType[];
  loaded: ProviderModule | undefined;
  areUnread: boolean;
}

function unknownType({ type, path, knownTypes, loaded, areUnread }: UnknownType): {
  findings: Finding[];
  /** Why the entry takes no part; null where that is an error. */
  disabled: string | null;
} {
  if (loaded?.kind === 'broken') {
    return { findings: loaded.problems.map((problem) => errorAt(path, `\`${type}\`: ${problem}`)), disabled: null };
  }
  if (areUnread || (loaded === undefined && isModulePath(type))) {
    const message = `the module \`${type}\` is not loaded here; \`waybill check\` loads and checks it`;
    return { findings: [warningAt(path, message)], disabled: `its module ${type} was not loaded` };
  }
  const names = knownTypes.flatMap((known) => [known.id, ...(known.aliases ?? [])]);
  const isSought = loaded?.kind === 'nothing' && nearest(type, names) === null;
  const where = isSought ? ', and no package of this name is installed where the config file lies' : '';
  const hint = isSought && loaded.hint !== null ? `; ${loaded.hint}` : suggestion(type, names);
  return { findings: [errorAt(path, `unknown type \`${type}\`${where}${hint}`)], disabled: null };
}

function baseUrlFindings(entry: YamlMapping, at: YamlPath, known: KnownType): Finding[] {
  const baseUrl = typeof entry['base_url'] === 'string' ? entry['base_url'].trim().replace(/\/+$/, '') : null;
  const region = typeof entry['region'] === 'string' ? entry['region'].trim() : null;
  const regional = known.baseUrlFor?.({ region }) ?? null;
  const hasDefault = known.baseUrl !== null || known.inline === true || regional !== null;
  if (baseUrl === null && !hasDefault && entry['base_url'] === undefined) {
    const instead = known.baseUrlFor === undefined ? '' : ', or a `region` such as us-east-1';
    const message = `missing; the type \`${known.id}\` needs it, such as https://host/v1${instead}`;
    return [errorAt([...at, 'base_url'], message)];
  }
  return (known.checkEntry?.({ baseUrl, region }) ?? []).map((message) => warningAt([...at, 'base_url'], message));
}

function hasKey(entry: YamlMapping): boolean {
  const keys = Array.isArray(entry['api_keys']) ? entry['api_keys'] : [];
  return keys.some((key) => keyText(key) !== null);
}

/** The text of an `api_keys` entry in either form; null when it is empty. */
export function keyText(key: unknown): string | null {
  const text = isMapping(key) ? key['key'] : key;
  return typeof text === 'string' && text.trim() !== '' ? text : null;
}

/** Keys that resolved to nothing have their own warning already. */
function noKeyFindings(entry: YamlMapping, at: YamlPath): Finding[] {
  const keys = entry['api_keys'];
  if (keys !== undefined && !(Array.isArray(keys) && keys.length === 0)) return [];
  return [warningAt([...at, 'api_keys'], `no key is given, so provider \`${String(entry['id'])}\` is disabled`)];
}

function repeatedKeys(entry: YamlMapping, at: YamlPath): Finding[] {
  const seen = new Map<string, number>();
  const keys = Array.isArray(entry['api_keys']) ? entry['api_keys'] : [];
  return keys.flatMap((key, index) => {
    const text = keyText(key);
    const first = text === null ? undefined : seen.get(text);
    if (text !== null && first === undefined) seen.set(text, index);
    return first === undefined
      ? []
      : [errorAt([...at, 'api_keys', index], `the same key as api_keys[${first}]; give it once`)];
  });
}

/** Headers that carry a key. Those of the entry are written over the adapter's. */
const KEY_HEADERS = new Set(['authorization', 'api-key', 'x-api-key', 'x-goog-api-key']);

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

function headerNames(entry: YamlMapping, at: YamlPath): Finding[] {
  const names = isMapping(entry['headers']) ? Object.keys(entry['headers']) : [];
  return names.flatMap((name) => {
    const path = [...at, 'headers', name];
    if (!HEADER_NAME.test(name)) return [errorAt(path, 'a header name has no spaces and no `:`')];
    if (!takesClientKeys(entry) || !KEY_HEADERS.has(name.toLowerCase())) return [];
    return [warningAt(path, 'goes over a key that a request brings (`allow_client_keys`); put it into `api_keys`')];
  });
}

function priceFindings(entry: YamlMapping, at: YamlPath): Finding[] {
  const models = Array.isArray(entry['models']) ? entry['models'] : [];
  return [
    ...checkPrices(entry['pricing'], [...at, 'pricing']),
    ...models.flatMap((model, index) =>
      isMapping(model) ? checkPrices(model['pricing'], [...at, 'models', index, 'pricing']) : [],
    ),
  ];
}
