import {
  COMMA,
  eachItem,
  endOfString,
  membersAt,
  OPEN_BRACE,
  OPEN_BRACKET,
  PER_MEMBER,
  QUOTE,
  type Span,
  scanObject,
  scanOffsets,
  skipSpace,
  skipValue,
  unescaped,
} from './json-scan.js';

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
  const found = scanOffsets(text, Number.POSITIVE_INFINITY, name);
  if (found.length === 0) return withMember(text, name, fn(null));
  let result = '';
  let copied = 0;
  for (let at = 0; at < found.length; at += PER_MEMBER) {
    const valueStart = found[at + 2] as number;
    const valueEnd = found[at + 3] as number;
    result += text.slice(copied, valueStart) + fn(text.slice(valueStart, valueEnd));
    copied = valueEnd;
  }
  return result + text.slice(copied);
}

/** With one member more, at the end. */
function withMember(text: string, name: string, raw: string): string {
  const last = scanOffsets(text, Number.POSITIVE_INFINITY).at(-1);
  const tail = last === undefined ? text.indexOf('{') + 1 : last;
  const comma = last === undefined ? '' : ',';
  return `${text.slice(0, tail)}${comma}${JSON.stringify(name)}:${raw}${text.slice(tail)}`;
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
