import type { JsonBody, JsonObject } from '../domain/task.js';
import { isKey, JsonTextError, membersAt, type Offsets, PER_MEMBER, scanOffsets } from './json-scan.js';

/** How deep a request may nest; providers refuse less. */
export const DEFAULT_MAX_DEPTH = 128;

const UNDERSCORE = 0x5f;

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
    if (text.length !== (offsets[count - 1] as number) + 1) return null;
    // Of keys that are the same the value has one.
    if (Object.keys(this.value).length * PER_MEMBER !== count) return null;
    return text.slice(offsets[PER_MEMBER] as number);
  }
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

/** V8 names the offset in most of its messages. */
function positionIn(message: string): number | null {
  const match = /position (\d+)/.exec(message);
  return match === null ? null : Number(match[1]);
}
