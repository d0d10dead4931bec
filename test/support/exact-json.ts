/**
 * JSON whose numbers keep the text they were written with: each becomes a string behind a mark of its own, so that two
 * values are deep-equal only when every number was written alike (integers beyond 2^53, `20.0`, `1e-05`).
 */
const MARK = '\uE000';
const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

export type ExactJson = null | boolean | string | ExactJson[] | { [key: string]: ExactJson };

/** @throws SyntaxError as JSON.parse */
export function parseExact(text: string): ExactJson {
  return JSON.parse(text.replace(STRING_OR_NUMBER, (token) => (token.startsWith('"') ? token : `"${MARK}${token}"`)));
}

export function stringifyExact(value: ExactJson): string {
  return JSON.stringify(value).replace(new RegExp(`"${MARK}([^"]*)"`, 'g'), '$1');
}

/** The number an exact value stands for; null when it is no number. */
export function toNumber(value: ExactJson | undefined): number | null {
  return typeof value === 'string' && value.startsWith(MARK) ? Number(value.slice(1)) : null;
}

/** Without the members that are null, at every depth; nulls in lists stay. */
export function pruneNulls(value: ExactJson): ExactJson {
  if (Array.isArray(value)) return value.map(pruneNulls);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([, inner]) => inner !== null);
  return Object.fromEntries(kept.map(([name, inner]) => [name, pruneNulls(inner)]));
}
