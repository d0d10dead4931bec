/**
 * What the sandbox writes: a function of the prompt alone. One token is one word (a run of characters between white
 * space), so that a usage can be worked out by hand.
 */

/** Words of an answer that nothing limits. */
export const DEFAULT_WORDS = 16;

const WORDS = (
  'river stone lantern harbour paper copper winter garden signal bridge meadow silver thunder candle orchard mirror ' +
  'velvet anchor marble compass falcon ember willow canyon pepper saddle timber violet walnut zephyr barley cobalt ' +
  'drifts follows carries turns holds opens crosses gathers settles rises waits returns answers keeps finds leads ' +
  'over under beyond toward between around against beneath across along through within after before until beside'
).split(' ');

/** Tokens of a text: its words. */
export function countTokens(text: string): number {
  let count = 0;
  let inWord = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const isSpace = code === 32 || (code >= 9 && code <= 13) || (code > 127 && /\s/.test(text.charAt(i)));
    if (!isSpace && !inWord) count++;
    inWord = !isSpace;
  }
  return count;
}

/** FNV-1a over UTF-16 code units: 32 bits, no promise beyond being the same every time. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** The same numbers in [0, 1) for the same seed (mulberry32). */
export function seededNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** What one choice says: the pieces it is streamed in, and why it ended. */
export interface Writing {
  pieces: string[];
  text: string;
  tokens: number;
  finish: 'stop' | 'length';
}

/** `words` words from `seed`, cut at the first of `stops` or at `maxTokens` words. */
export function writeText(ask: { seed: number; words: number; maxTokens: number | null; stops: string[] }): Writing {
  const next = seededNumbers(ask.seed);
  const length = Math.min(ask.words, ask.maxTokens ?? ask.words);
  const isWhole = length === ask.words;
  const pieces: string[] = [];
  for (let i = 0; i < length; i++) {
    const word = WORDS[Math.floor(next() * WORDS.length)] ?? 'word';
    const shown = i === 0 ? word.charAt(0).toUpperCase() + word.slice(1) : ` ${word}`;
    pieces.push(isWhole && i === length - 1 ? `${shown}.` : shown);
  }
  const text = pieces.join('');
  const cut = firstStop(text, ask.stops);
  if (cut === null) return { pieces, text, tokens: length, finish: isWhole ? 'stop' : 'length' };
  const kept = text.slice(0, cut);
  return { pieces: cutPieces(pieces, cut), text: kept, tokens: countTokens(kept), finish: 'stop' };
}

/** A text of our own (JSON) as a writing, streamed in pieces of a few characters. */
export function writeJson(text: string): Writing {
  const pieces: string[] = [];
  for (let i = 0; i < text.length; i += 8) pieces.push(text.slice(i, i + 8));
  return { pieces, text, tokens: countTokens(text), finish: 'stop' };
}

/** `dimensions` numbers that a 32-bit float holds exactly, so that every encoding of them is the same vector. */
export function writeVector(seed: number, dimensions: number): number[] {
  const next = seededNumbers(seed);
  return Array.from({ length: dimensions }, () => (Math.floor(next() * 1023) - 511) / 1024);
}

/** A value that fits a JSON Schema: the smallest one that names every property. */
export function sampleOf(schema: unknown, root: unknown = schema, depth = 0): unknown {
  // A schema may refer to itself, several times over: 16 levels are more than an answer needs.
  if (typeof schema !== 'object' || schema === null || depth > 16) return null;
  const node = schema as Record<string, unknown>;
  if (typeof node['$ref'] === 'string') return sampleOf(resolveRef(node['$ref'], root), root, depth + 1);
  if (node['const'] !== undefined) return node['const'];
  if (Array.isArray(node['enum'])) return node['enum'][0] ?? null;
  for (const union of ['anyOf', 'oneOf', 'allOf']) {
    const branches = node[union];
    if (Array.isArray(branches)) return sampleOf(branches[0], root, depth + 1);
  }
  const type = Array.isArray(node['type']) ? node['type'][0] : node['type'];
  if (type === 'object' || node['properties'] !== undefined) {
    const properties = (node['properties'] ?? {}) as Record<string, unknown>;
    return Object.fromEntries(
      Object.entries(properties).map(([name, inner]) => [name, sampleOf(inner, root, depth + 1)]),
    );
  }
  if (type === 'array') {
    const least = typeof node['minItems'] === 'number' ? Math.min(node['minItems'], 32) : 1;
    return Array.from({ length: Math.max(1, least) }, () => sampleOf(node['items'], root, depth + 1));
  }
  if (type === 'integer' || type === 'number') return typeof node['minimum'] === 'number' ? node['minimum'] : 1;
  if (type === 'boolean') return true;
  return type === 'null' ? null : 'lantern';
}

function resolveRef(ref: string, root: unknown): unknown {
  let node: unknown = root;
  for (const part of ref.replace(/^#\/?/, '').split('/')) {
    if (part === '') continue;
    node = typeof node === 'object' && node !== null ? (node as Record<string, unknown>)[part] : null;
  }
  return node;
}

function firstStop(text: string, stops: string[]): number | null {
  let first: number | null = null;
  for (const stop of stops) {
    const at = stop === '' ? -1 : text.indexOf(stop);
    if (at >= 0 && (first === null || at < first)) first = at;
  }
  return first;
}

function cutPieces(pieces: string[], length: number): string[] {
  const kept: string[] = [];
  let left = length;
  for (const piece of pieces) {
    if (left <= 0) break;
    kept.push(piece.slice(0, left));
    left -= piece.length;
  }
  return kept;
}
