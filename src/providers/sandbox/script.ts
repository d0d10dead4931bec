/**
 * Scripts: what the sandbox is told to do to a request. `[[status=429 retry-after=1]] [[delay=50]]` are two groups;
 * a group may be bound to a number of requests (`times=2`) or to one key (`key=sk-1`).
 */
export interface Directives {
  /** Answer with this error status. */
  status: number | null;
  /** `retry-after` header, as written. */
  retryAfter: string | null;
  /** `code` and, where the code is one of a kind, `type` of the error. */
  code: string | null;
  /** 503 with this `estimated_time` in seconds. */
  loading: number | null;
  /** Break the connection after so many stream events, or bytes of a whole answer; 0 breaks it unanswered. */
  cutAfter: number | null;
  /** Milliseconds before the first byte. */
  delay: number | null;
  /** Milliseconds between two stream events; 0 sends each by itself without waiting. */
  chunkDelay: number | null;
  /** Words to answer, one a chunk. */
  chunks: number | null;
  /** Cached prompt tokens, on top of the words. */
  cached: number | null;
  /** Reasoning tokens, on top of the words. */
  reasoning: number | null;
  /** Content chunks before an error event; for a whole answer, the error in a 200. */
  errorInStream: number | null;
  /** How many tools to call. */
  toolCall: number | null;
  noUsage: boolean;
  malformed: boolean;
  noDone: boolean;
  crlf: boolean;
  /** Feature extraction answers one vector per word instead of one per input. */
  tokenVectors: boolean;
}

export interface ScriptGroup {
  /** Applies to the first so many requests; null for all. */
  times: number | null;
  /** Applies to requests with this key; null for all. */
  key: string | null;
  words: Partial<Directives>;
}

export interface ScriptResult {
  groups: ScriptGroup[];
  /** The text after the script. */
  rest: string;
  /** Words that mean nothing, as written. */
  unknown: string[];
}

type NumberWord = { [K in keyof Directives]: Directives[K] extends number | null ? K : never }[keyof Directives];
type FlagWord = { [K in keyof Directives]: Directives[K] extends boolean ? K : never }[keyof Directives];

/** Words with a number: where it goes, its bounds, and what the bare word stands for (null: a number is needed). */
const NUMBERS: Record<string, { name: NumberWord; min: number; max: number; bare: number | null }> = {
  status: { name: 'status', min: 400, max: 599, bare: null },
  loading: { name: 'loading', min: 0, max: 86_400, bare: 20 },
  'cut-after': { name: 'cutAfter', min: 0, max: 1e9, bare: null },
  delay: { name: 'delay', min: 0, max: 3_600_000, bare: null },
  'chunk-delay': { name: 'chunkDelay', min: 0, max: 3_600_000, bare: null },
  chunks: { name: 'chunks', min: 0, max: 100_000, bare: null },
  cached: { name: 'cached', min: 0, max: 1e9, bare: null },
  reasoning: { name: 'reasoning', min: 0, max: 1e9, bare: null },
  'error-in-stream': { name: 'errorInStream', min: 0, max: 1e9, bare: 0 },
  'tool-call': { name: 'toolCall', min: 1, max: 100, bare: 1 },
};

const FLAGS: Record<string, FlagWord> = {
  'no-usage': 'noUsage',
  malformed: 'malformed',
  'no-done': 'noDone',
  crlf: 'crlf',
  'token-vectors': 'tokenVectors',
};

const GROUP = /^\s*\[\[([^\]\n]*)\]\]/;

export const NO_DIRECTIVES: Readonly<Directives> = {
  status: null,
  retryAfter: null,
  code: null,
  loading: null,
  cutAfter: null,
  delay: null,
  chunkDelay: null,
  chunks: null,
  cached: null,
  reasoning: null,
  errorInStream: null,
  toolCall: null,
  noUsage: false,
  malformed: false,
  noDone: false,
  crlf: false,
  tokenVectors: false,
};

/** Takes the groups off the start of a text. A text without any comes back as it is. */
export function parseScript(text: string): ScriptResult {
  const groups: ScriptGroup[] = [];
  const unknown: string[] = [];
  let rest = text;
  for (let match = GROUP.exec(rest); match !== null; match = GROUP.exec(rest)) {
    groups.push(parseGroup(match[1] ?? '', unknown));
    rest = rest.slice(match[0].length);
    // A script is one line: a group on the next one is part of the prompt.
    if (/^[ \t]*\r?\n/.test(rest)) break;
  }
  return { groups, rest: groups.length === 0 ? text : rest.trimStart(), unknown };
}

/**
 * What holds for one request. `take(i)` is asked whether group `i` (one with `times`) still has a turn, and uses it up.
 * Only the first group that ends the request (`status`, `loading`) takes part; the later ones keep their turns.
 */
export function resolveDirectives(
  groups: readonly ScriptGroup[],
  key: string | null,
  take: (index: number) => boolean,
): Directives {
  const merged: Directives = { ...NO_DIRECTIVES };
  for (const [index, group] of groups.entries()) {
    if (group.key !== null && group.key !== key) continue;
    const endsRequest = group.words.status !== undefined || group.words.loading !== undefined;
    if (endsRequest && (merged.status !== null || merged.loading !== null)) continue;
    if (group.times !== null && !take(index)) continue;
    Object.assign(merged, group.words);
  }
  return merged;
}

/** True when every request with these groups gets the same answer. */
export function isConstant(groups: readonly ScriptGroup[]): boolean {
  return groups.every((group) => group.times === null && group.key === null);
}

function parseGroup(text: string, unknown: string[]): ScriptGroup {
  const group: ScriptGroup = { times: null, key: null, words: {} };
  for (const written of text.split(/\s+/)) {
    if (written !== '' && !readWord(written, group)) unknown.push(written);
  }
  return group;
}

function readWord(written: string, group: ScriptGroup): boolean {
  const cut = written.indexOf('=');
  const word = cut < 0 ? written : written.slice(0, cut);
  const value = cut < 0 ? null : written.slice(cut + 1);
  const flag = Object.hasOwn(FLAGS, word) ? FLAGS[word] : undefined;
  if (flag !== undefined) {
    group.words[flag] = true;
    return value === null;
  }
  const spec = Object.hasOwn(NUMBERS, word) ? NUMBERS[word] : undefined;
  if (spec !== undefined) {
    const number = value === null ? spec.bare : toNumber(value, spec.name === 'loading');
    if (number === null || number < spec.min || number > spec.max) return false;
    group.words[spec.name] = number;
    return true;
  }
  if (value === null || value === '') return false;
  if (word === 'times') {
    group.times = toNumber(value, false);
    return group.times !== null;
  }
  if (word === 'key') group.key = value;
  else if (word === 'retry-after') group.words.retryAfter = value;
  else if (word === 'code') group.words.code = value;
  else return false;
  return true;
}

function toNumber(text: string, fraction: boolean): number | null {
  return (fraction ? /^\d+(\.\d+)?$/ : /^\d+$/).test(text) ? Number(text) : null;
}
