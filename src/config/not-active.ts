import { type Finding, warningAt, type YamlPath } from './yaml-path.js';
import { isMapping } from './yaml-source.js';

/** A key that is read and checked, and whose feature is still to come. */
interface NotActive {
  /** Keys from the root; `*` is any key or position. */
  path: readonly string[];
  /** Whether this value asks for the feature; by default any value does that is not empty, false or null. */
  when?: (value: unknown) => boolean;
  note: string;
}

const is =
  (...wanted: unknown[]) =>
  (value: unknown) =>
    wanted.includes(value);

/** The whole list. A feature that becomes active loses its line here. */
export const NOT_ACTIVE: readonly NotActive[] = [
  { path: ['storage', 'ledger', 'type'], when: is('postgres'), note: 'a ledger in PostgreSQL' },
  {
    path: ['storage', 'shared', 'type'],
    when: is('redis'),
    note: 'shared state in Redis; each process counts for itself',
  },
  { path: ['server', 'webui', 'admin_id'], note: 'the dashboard login' },
  { path: ['catalog', 'sources'], note: 'the catalogue' },
  {
    path: ['llm_providers', '*', 'pricing'],
    when: is('catalog'),
    note: 'prices from the catalogue; the price is unknown',
  },
  {
    path: ['llm_providers', '*', 'models', '*', 'pricing'],
    when: is('catalog'),
    note: 'prices from the catalogue; the price is unknown',
  },
  { path: ['llm_providers', '*', 'pricing_url'], note: 'price feeds' },
  { path: ['llm_providers', '*', 'validate'], note: 'validation' },
  { path: ['llm_providers', '*', 'models', '*', 'validate'], note: 'validation' },
  { path: ['llm_providers', '*', 'staging_clients'], note: 'mappings in staging' },
];

/** A warning for each key of the list that the file sets. */
export function notActiveYet(tree: unknown): Finding[] {
  return NOT_ACTIVE.flatMap(({ path, when = isSet, note }) =>
    matches(tree, path, [])
      .filter(({ value }) => when(value))
      .map((match) => warningAt(match.path, `not active yet: ${note}`)),
  );
}

function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 'false' || value === '') return false;
  return !Array.isArray(value) || value.length > 0;
}

function matches(value: unknown, pattern: readonly string[], at: YamlPath): Array<{ value: unknown; path: YamlPath }> {
  const [step, ...rest] = pattern;
  if (step === undefined) return [{ value, path: at }];
  if (step === '*' && Array.isArray(value)) {
    return value.flatMap((item, index) => matches(item, rest, [...at, index]));
  }
  if (!isMapping(value)) return [];
  if (step === '*') return Object.entries(value).flatMap(([key, item]) => matches(item, rest, [...at, key]));
  return Object.hasOwn(value, step) ? matches(value[step], rest, [...at, step]) : [];
}
