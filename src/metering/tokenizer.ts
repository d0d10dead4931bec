import { createRequire } from 'node:module';
import type { Tiktoken } from 'tiktoken';
import { cutLongWords } from './cuts.js';
import type { Encoding } from './encodings.js';

/**
 * So much text is counted whole; of more, as much is counted in samples from all over it. In bytes of ASCII, which take
 * 0.3 µs each; the bytes of other characters count for more, as they take longer (`npm run bench -- tokenizer`).
 */
export const MAX_EFFORT = 128 * 1024;
/** What a text costs beside its length, so that many tiny texts are bounded too. */
const TEXT_EFFORT = 16;
const SAMPLES = 48;
/** A sample begins behind a space, where one is this near. */
const SNAP = 48;

/** Counts tokens by tiktoken. */
export interface Tokenizer {
  /**
   * Tokens of all texts together, each by itself. Special tokens count as the text they are written in, half surrogates
   * as the replacement character. Exact up to 128 KB of ASCII without very long words; beyond that, extrapolated from
   * samples.
   */
  count(texts: readonly string[], encoding: Encoding): number;
}

/** Nothing is loaded before the first count; loading an encoding takes about 0.2 s, once. */
export function createTokenizer(): Tokenizer {
  const loaded = new Map<Encoding, Tiktoken>();
  const encoderOf = (encoding: Encoding): Tiktoken => {
    const known = loaded.get(encoding);
    if (known !== undefined) return known;
    const encoder = load(encoding);
    loaded.set(encoding, encoder);
    return encoder;
  };
  return {
    count(texts, encoding) {
      let effort = 0;
      let units = 0;
      for (const text of texts) {
        effort += 2 * Buffer.byteLength(text) - text.length + TEXT_EFFORT;
        units += text.length;
      }
      if (units === 0) return 0;
      const encoder = encoderOf(encoding);
      if (effort <= MAX_EFFORT) {
        let tokens = 0;
        for (const text of texts) tokens += countText(text, encoder);
        return tokens;
      }
      return countSamples(texts, { units, sampleUnits: Math.ceil((units * MAX_EFFORT) / effort / SAMPLES) }, encoder);
    },
  };
}

/** `encode` would refuse special tokens that stand in the text; `encode_ordinary` takes them as text. */
function countText(text: string, encoder: Tiktoken): number {
  if (text === '') return 0;
  let tokens = 0;
  for (const part of cutLongWords(text)) tokens += encoder.encode_ordinary(part).length;
  return tokens;
}

/** Samples at even distances over all texts, as if they stood one after the other. */
function countSamples(
  texts: readonly string[],
  size: { units: number; sampleUnits: number },
  encoder: Tiktoken,
): number {
  const strideUnits = size.units / SAMPLES;
  let tokens = 0;
  let counted = 0;
  let offset = 0;
  let nth = 0;
  for (const text of texts) {
    const end = offset + text.length;
    while (nth < SAMPLES) {
      const sampleStart = Math.floor(nth * strideUnits);
      const sampleEnd = sampleStart + size.sampleUnits;
      if (sampleStart >= end) break;
      const from = snapped(text, Math.max(0, sampleStart - offset));
      const to = snapped(text, Math.min(text.length, sampleEnd - offset));
      tokens += countText(text.slice(from, to), encoder);
      counted += Math.max(0, to - from);
      // The rest of this sample lies in the next texts.
      if (sampleEnd > end) break;
      nth += 1;
    }
    offset = end;
  }
  return counted === 0 ? 0 : Math.round((tokens * size.units) / counted);
}

function snapped(text: string, at: number): number {
  if (at === 0 || at >= text.length) return at;
  const space = text.slice(at, at + SNAP).indexOf(' ');
  return space === -1 ? at : at + space;
}

/** Required only now: the module compiles 5 MB of WebAssembly. Its `lite` build is no faster to load, nor smaller in memory. */
function load(encoding: Encoding): Tiktoken {
  const require = createRequire(import.meta.url);
  const { get_encoding: getEncoding } = require('tiktoken') as typeof import('tiktoken');
  return getEncoding(encoding);
}
