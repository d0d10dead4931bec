import { arrayItems } from './json-text.js';

/** How a client wants its vectors. */
export type EmbeddingFormat = 'float' | 'base64';

/**
 * A vector's JSON text in the format that was asked for: numbers, or base64 of 32-bit little-endian floats, which is
 * what OpenAI's clients decode. Undefined when it is in that format already, or is neither.
 */
export function toEmbeddingFormat(raw: string, format: EmbeddingFormat): string | undefined {
  if (format === 'base64' && raw.startsWith('[')) return JSON.stringify(toBase64(arrayItems(raw).map(Number)));
  if (format === 'float' && raw.startsWith('"')) {
    const floats = fromBase64(JSON.parse(raw) as string);
    return floats === null ? undefined : `[${floats.join(',')}]`;
  }
  return undefined;
}

/** 32-bit little-endian floats in base64. */
export function toBase64(vector: readonly number[]): string {
  const bytes = Buffer.allocUnsafe(vector.length * 4);
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4);
  return bytes.toString('base64');
}

/** The floats of such a text; null when it is none. */
export function fromBase64(text: string): number[] | null {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length === 0 || bytes.length % 4 !== 0) return null;
  const vector = new Array<number>(bytes.length / 4);
  for (let index = 0; index < vector.length; index += 1) vector[index] = bytes.readFloatLE(index * 4);
  return vector.every(Number.isFinite) ? vector : null;
}
