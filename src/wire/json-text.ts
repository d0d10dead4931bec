import type { JsonBody, JsonObject } from '../domain/task.js';

/** How deep a request may nest; providers refuse less. */
export const DEFAULT_MAX_DEPTH = 128;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const UNDERSCORE = 0x5f;
/** Of more members than this nobody looks whether two are the same. */
const MOST_COMPARED = 32;

/** Text that is not the JSON it should be. The message is fit for whoever sent the text. */
export class JsonTextError extends Error {
  /** Offset in the text; null when it is not known. */
  readonly position: number | null;

  constructor(message: string, position: number | null, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'JsonTextError';
    this.position = position;
  }
}

/** Where a member of an object stands in its text. */
interface Span {
  key: string;
  keyStart: number;
  valueStart: number;
  /** One past the value's last character. */
  valueEnd: number;
}

/** Where all of them stand, four offsets each: the key's quotes, the value's first character and the one past its last. */
type Offsets = readonly number[];
const PER_MEMBER = 4;

/**
 * Reads a JSON object once, and keeps the text of each top-level value beside it. Of a key that comes twice the last
 * value counts, as for `JSON.parse`.
 * @throws JsonTextError when the text is no JSON object, or nests deeper than `maxDepth`
 */
export function parseJsonBody(text: string, options: { maxDepth?: number } = {}): JsonBody {
  // The depth is looked at first: the scan never recurses, whatever it is given.
  const offsets = scanOffsets(text, options.maxDepth ?? DEFAULT_MAX_DEPTH);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new JsonTextError(`not valid JSON: ${message}`, positionIn(message), { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new JsonTextError('must be a JSON object', 0);
  }
  return new ParsedBody(text, value as JsonObject, offsets);
}

/** The texts of the members are cut out for the first who asks: the most usual request is forwarded without. */
class ParsedBody implements JsonBody {
  readonly text: string;
  readonly value: JsonObject;
  readonly #offsets: Offsets;
  #members: ReadonlyMap<string, string> | null = null;

  constructor(text: string, value: JsonObject, offsets: Offsets) {
    this.text = text;
    this.value = value;
    this.#offsets = offsets;
  }

  get members(): ReadonlyMap<string, string> {
    this.#members ??= membersAt(this.text, this.#offsets);
    return this.#members;
  }

  /** See `JsonBody`. Joined anew, the members would be this very text. */
  restAfterFirst(name: string): string | null {
    const { text } = this;
    const offsets = this.#offsets;
    const count = offsets.length;
    if (count < 2 * PER_MEMBER || !isKey(text, offsets, 0, name) || offsets[0] !== 1) return null;
    for (let at = 0; at < count; at += PER_MEMBER) {
      const keyStart = offsets[at] as number;
      const keyEnd = offsets[at + 1] as number;
      const before = at === 0 ? keyStart : (offsets[at - 1] as number) + 1;
      if (keyStart !== before || offsets[at + 2] !== keyEnd + 2 || !isPlainKey(text, keyStart, keyEnd)) return null;
    }
    if (text.length !== (offsets[count - 1] as number) + 1 || hasTwins(text, offsets)) return null;
    return text.slice(offsets[PER_MEMBER] as number);
  }
}

function membersAt(text: string, offsets: Offsets): Map<string, string> {
  const members = new Map<string, string>();
  for (let at = 0; at < offsets.length; at += PER_MEMBER) {
    members.set(keyAt(text, offsets, at), text.slice(offsets[at + 2], offsets[at + 3]));
  }
  return members;
}

function keyAt(text: string, offsets: Offsets, at: number): string {
  return unescaped(text, offsets[at] as number, offsets[at + 1] as number);
}

/** True when the key of the member at `at` is this name, however it is written. */
function isKey(text: string, offsets: Offsets, at: number, name: string): boolean {
  const start = (offsets[at] as number) + 1;
  const length = (offsets[at + 1] as number) - start;
  if (length === name.length && text.startsWith(name, start)) return true;
  // One that is written with escapes is longer than what it stands for.
  return length > name.length && keyAt(text, offsets, at) === name;
}

/** True for a key of letters, digits and underscores, which is written in one way alone. */
function isPlainKey(text: string, start: number, end: number): boolean {
  for (let at = start + 1; at < end; at += 1) {
    const code = text.charCodeAt(at);
    const isLetter = (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a);
    if (!isLetter && code !== UNDERSCORE && (code < 0x30 || code > 0x39)) return false;
  }
  return true;
}

/** True when two of the keys are the same. `offsets` of plain keys. */
function hasTwins(text: string, offsets: Offsets): boolean {
  // Of so many keys comparing each with each would take long.
  if (offsets.length > MOST_COMPARED * PER_MEMBER) return true;
  for (let at = PER_MEMBER; at < offsets.length; at += PER_MEMBER) {
    const name = keyAt(text, offsets, at);
    for (let before = 0; before < at; before += PER_MEMBER) if (isKey(text, offsets, before, name)) return true;
  }
  return false;
}

/** The text of each member's value. `text` must be the valid JSON of an object. */
export function scanMembers(text: string): Map<string, string> {
  return membersAt(text, scanOffsets(text, Number.POSITIVE_INFINITY));
}

/** The text of each item. `text` must be the valid JSON of an array. */
export function arrayItems(text: string): string[] {
  const items: string[] = [];
  eachItem(text, skipSpace(text, 0), (start, end) => items.push(text.slice(start, end)));
  return items;
}

/** `[key, JSON text of its value]` pairs as an object's text, in their order. */
export function writeObject(members: Iterable<readonly [string, string]>): string {
  let text = '{';
  for (const [key, raw] of members) {
    if (text.length > 1) text += ',';
    text += `${JSON.stringify(key)}:${raw}`;
  }
  return `${text}}`;
}

/** What becomes of a member: undefined keeps it, null removes it, otherwise a new name, a new value or both. */
export type MemberEdit = undefined | null | { key?: string; raw?: string };

/**
 * Changes members of an object's text, and leaves every other byte as it is. `append` adds members at the end.
 * `text` must be the valid JSON of an object.
 */
export function editMembers(
  text: string,
  edit: (key: string, raw: string) => MemberEdit,
  append: Iterable<readonly [string, string]> = [],
): string {
  const spans = scanObject(text);
  let result = '';
  let copied = 0;
  let kept = 0;
  for (const [index, span] of spans.entries()) {
    const change = edit(span.key, text.slice(span.valueStart, span.valueEnd));
    if (change === null) {
      // With the comma before it; the first one kept loses its own.
      result += text.slice(copied, separatorBefore(spans, index, text));
      copied = span.valueEnd;
      continue;
    }
    if (kept === 0 && index > 0) {
      result += text.slice(copied, separatorBefore(spans, index, text));
      copied = span.keyStart;
    }
    kept += 1;
    if (change === undefined) continue;
    if (change.key !== undefined) {
      result += text.slice(copied, span.keyStart) + JSON.stringify(change.key);
      copied = endOfString(text, span.keyStart) + 1;
    }
    if (change.raw !== undefined) {
      result += text.slice(copied, span.valueStart) + change.raw;
      copied = span.valueEnd;
    }
  }
  const close = text.lastIndexOf('}');
  const last = spans.at(-1);
  const tail = last === undefined ? text.indexOf('{') + 1 : Math.max(copied, last.valueEnd);
  result += text.slice(copied, tail);
  for (const [key, raw] of append) {
    result += `${kept === 0 ? '' : ','}${JSON.stringify(key)}:${raw}`;
    kept += 1;
  }
  return result + text.slice(tail, close) + text.slice(close);
}

/**
 * Replaces the value of a member by what `fn` makes of its text, or adds the member at the end, where `fn` gets null.
 * `text` must be the valid JSON of an object.
 */
export function replaceMember(text: string, name: string, fn: (raw: string | null) => string): string {
  const offsets = scanOffsets(text, Number.POSITIVE_INFINITY);
  let result = '';
  let copied = 0;
  for (let at = 0; at < offsets.length; at += PER_MEMBER) {
    if (!isKey(text, offsets, at, name)) continue;
    const valueStart = offsets[at + 2] as number;
    const valueEnd = offsets[at + 3] as number;
    result += text.slice(copied, valueStart) + fn(text.slice(valueStart, valueEnd));
    copied = valueEnd;
  }
  if (copied > 0) return result + text.slice(copied);
  const last = offsets.at(-1);
  const tail = last === undefined ? text.indexOf('{') + 1 : last;
  const comma = last === undefined ? '' : ',';
  return `${text.slice(0, tail)}${comma}${JSON.stringify(name)}:${fn(null)}${text.slice(tail)}`;
}

/** Where the text before a member ends, its comma not included; for the first, where its own key starts. */
function separatorBefore(spans: readonly Span[], index: number, text: string): number {
  const before = spans[index - 1];
  return before === undefined ? skipSpace(text, text.indexOf('{') + 1) : before.valueEnd;
}

/**
 * Replaces the values at `path` (`*` stands for every item of an array or member of an object) by what `fn` makes of
 * their text; undefined keeps one. Everything else stays byte for byte. `text` must be valid JSON.
 */
export function rewriteAt(text: string, path: readonly string[], fn: (raw: string) => string | undefined): string {
  const edits: Array<{ start: number; end: number; raw: string }> = [];
  visit(text, skipSpace(text, 0), path, 0, (start, end) => {
    const raw = fn(text.slice(start, end));
    if (raw !== undefined) edits.push({ start, end, raw });
  });
  if (edits.length === 0) return text;
  let result = '';
  let copied = 0;
  for (const { start, end, raw } of edits) {
    result += text.slice(copied, start) + raw;
    copied = end;
  }
  return result + text.slice(copied);
}

function visit(
  text: string,
  start: number,
  path: readonly string[],
  level: number,
  found: (start: number, end: number) => void,
): number {
  const step = path[level];
  if (step === undefined) {
    const end = skipValue(text, start);
    found(start, end);
    return end;
  }
  const code = text.charCodeAt(start);
  if (code === OPEN_BRACKET && step === '*') {
    return eachItem(text, start, undefined, (at) => visit(text, at, path, level + 1, found));
  }
  if (code !== OPEN_BRACE) return skipValue(text, start);
  let at = skipSpace(text, start + 1);
  while (text.charCodeAt(at) === QUOTE) {
    const keyEnd = endOfString(text, at);
    const key = unescaped(text, at, keyEnd);
    const valueStart = skipSpace(text, skipSpace(text, keyEnd + 1) + 1);
    const matches = step === '*' || key === step;
    at = skipSpace(text, matches ? visit(text, valueStart, path, level + 1, found) : skipValue(text, valueStart));
    if (text.charCodeAt(at) !== COMMA) break;
    at = skipSpace(text, at + 1);
  }
  return at + 1;
}

/** Walks an array's items; `walk` may find an item's end on its own. Returns the offset after the array. */
function eachItem(
  text: string,
  start: number,
  found?: (start: number, end: number) => void,
  walk: (start: number) => number = (at) => skipValue(text, at),
): number {
  let at = skipSpace(text, start + 1);
  while (at < text.length && text.charCodeAt(at) !== CLOSE_BRACKET) {
    const end = walk(at);
    found?.(at, end);
    at = skipSpace(text, end);
    if (text.charCodeAt(at) !== COMMA) break;
    at = skipSpace(text, at + 1);
  }
  return at + 1;
}

/** The offset after the value that starts at `start`. */
function skipValue(text: string, start: number): number {
  const first = text.charCodeAt(start);
  if (first === QUOTE) return endOfString(text, start) + 1;
  let at = start;
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) {
    while (at < text.length && !isDelimiter(text.charCodeAt(at))) at += 1;
    return at;
  }
  let depth = 0;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) depth += 1;
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return at;
}

function scanObject(text: string): Span[] {
  const offsets = scanOffsets(text, Number.POSITIVE_INFINITY);
  const spans: Span[] = [];
  for (let at = 0; at < offsets.length; at += PER_MEMBER) {
    spans.push({
      key: keyAt(text, offsets, at),
      keyStart: offsets[at] as number,
      valueStart: offsets[at + 2] as number,
      valueEnd: offsets[at + 3] as number,
    });
  }
  return spans;
}

/** Finds the top-level members in one pass. Of text that is no JSON it gives anything, but it ends. */
function scanOffsets(text: string, maxDepth: number): Offsets {
  const offsets: number[] = [];
  const { length } = text;
  let depth = 0;
  let keyStart = -1;
  let keyEnd = -1;
  let valueStart = -1;
  for (let at = 0; at < length; at += 1) {
    const code = text.charCodeAt(at);
    // Numbers, the bulk of a list of tokens.
    if (code >= 0x2d && code <= 0x39) continue;
    if (code === QUOTE) {
      const end = endOfString(text, at);
      if (depth === 1 && valueStart === -1) {
        keyStart = at;
        keyEnd = end;
      }
      at = end;
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth += 1;
      if (depth > maxDepth) throw new JsonTextError(`nested deeper than ${maxDepth} levels`, at);
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET || code === COMMA) {
      if (depth === 1 && valueStart !== -1) {
        const start = skipSpace(text, valueStart);
        offsets.push(keyStart, keyEnd, start, endOfValue(text, start, at));
        valueStart = -1;
      }
      if (code !== COMMA) depth -= 1;
    } else if (code === COLON && depth === 1) {
      valueStart = at + 1;
    }
  }
  return offsets;
}

/** The offset of the quote that closes the string opened at `start`, or the text's end. */
export function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end !== -1 && text.charCodeAt(end - 1) === BACKSLASH) {
    let slashes = 1;
    while (text.charCodeAt(end - slashes - 1) === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return end;
    end = text.indexOf('"', end + 1);
  }
  return end === -1 ? text.length : end;
}

function unescaped(text: string, start: number, end: number): string {
  const plain = text.slice(start + 1, end);
  if (!plain.includes('\\')) return plain;
  try {
    return JSON.parse(text.slice(start, end + 1)) as string;
  } catch {
    // Not JSON: the parse that follows the scan says so.
    return plain;
  }
}

/** One past the last character of a value that ends before `limit`. */
function endOfValue(text: string, start: number, limit: number): number {
  let end = limit;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end -= 1;
  return end;
}

function skipSpace(text: string, start: number): number {
  let at = start;
  while (isSpace(text.charCodeAt(at))) at += 1;
  return at;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function isDelimiter(code: number): boolean {
  return code === COMMA || code === CLOSE_BRACE || code === CLOSE_BRACKET || isSpace(code);
}

/** V8 names the offset in most of its messages. */
function positionIn(message: string): number | null {
  const match = /position (\d+)/.exec(message);
  return match === null ? null : Number(match[1]);
}
