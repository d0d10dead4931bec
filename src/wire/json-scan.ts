export const QUOTE = 0x22;
export const BACKSLASH = 0x5c;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const OPEN_BRACKET = 0x5b;
export const CLOSE_BRACKET = 0x5d;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;

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
export interface Span {
  key: string;
  keyStart: number;
  valueStart: number;
  /** One past the value's last character. */
  valueEnd: number;
}

/** Where all of them stand, four offsets each: the key's quotes, the value's first character and the one past its last. */
export type Offsets = readonly number[];
export const PER_MEMBER = 4;

export function membersAt(text: string, offsets: Offsets): Map<string, string> {
  const members = new Map<string, string>();
  for (let at = 0; at < offsets.length; at += PER_MEMBER) {
    members.set(keyAt(text, offsets, at), text.slice(offsets[at + 2], offsets[at + 3]));
  }
  return members;
}

/** True when the key of the member at `at` is this name, however it is written. */
export function isKey(text: string, offsets: Offsets, at: number, name: string): boolean {
  return isName(text, offsets[at] as number, offsets[at + 1] as number, name);
}

function isName(text: string, keyStart: number, keyEnd: number, name: string): boolean {
  const start = keyStart + 1;
  const length = keyEnd - start;
  if (length === name.length && text.startsWith(name, start)) return true;
  // One that is written with escapes is longer than what it stands for.
  return length > name.length && unescaped(text, keyStart, keyEnd) === name;
}

export function keyAt(text: string, offsets: Offsets, at: number): string {
  return unescaped(text, offsets[at] as number, offsets[at + 1] as number);
}

/** Walks an array's items; `walk` may find an item's end on its own. Returns the offset after the array. */
export function eachItem(
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
export function skipValue(text: string, start: number): number {
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

export function scanObject(text: string): Span[] {
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

/**
 * Finds the top-level members in one pass, or those of one name. Of text that is no JSON it gives anything, but it ends.
 */
export function scanOffsets(text: string, maxDepth: number, name: string | null = null): Offsets {
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
        if (name === null || isName(text, keyStart, keyEnd, name)) {
          const start = skipSpace(text, valueStart);
          offsets.push(keyStart, keyEnd, start, endOfValue(text, start, at));
        }
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

export function unescaped(text: string, start: number, end: number): string {
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

export function skipSpace(text: string, start: number): number {
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
