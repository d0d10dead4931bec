import { bodyLength, joined } from '../domain/body.js';
import type { SplitBody, UpstreamAnswer } from '../domain/provider.js';
import type { JsonObject } from '../domain/task.js';

/** Below this, parsing costs less than being clever. */
const MIN_BYTES = 32 * 1024;
/** Everything beside the vectors is expected within so many bytes of the ends. */
const EDGE_BYTES = 2 * 1024;

/** A large embeddings answer whose vectors are left alone. */
export interface EmbeddingBytes {
  body: SplitBody;
  usage: unknown;
}

/**
 * Reads a large embeddings answer without its vectors: megabytes of numbers need no parsing where they are in the format
 * that was asked for. Null where anything is not as usual; the answer is then read as any other.
 */
export function splitEmbeddingAnswer(answer: UpstreamAnswer, format: 'float' | 'base64'): EmbeddingBytes | null {
  const parts = answer.parts ?? [answer.body];
  if (bodyLength(parts) < MIN_BYTES) return null;
  const head = headOf(parts).toString('latin1');
  const { others, last } = tailOf(parts);
  const tail = last.subarray(last.length - EDGE_BYTES).toString('latin1');
  if (!/^\s*\{/.test(head) || !/"data"\s*:\s*\[\s*\{/.test(head) || !hasFormat(head, format)) return null;
  const usage = /,\s*"usage"\s*:\s*(\{[^{}]*\}|null)/.exec(tail);
  if (usage === null) return null;
  // After the vectors and their list, only plain members and the end may stand: then the usage is the answer's own.
  const around = tail.slice(tail.lastIndexOf(']', usage.index) + 1);
  const rest = parsed(`{"vectors":[]${around}`);
  if (rest === null || rest['usage'] === undefined) return null;
  const text = usage[1] as string;
  const start = last.length - tail.length + usage.index;
  const key = usage[0].indexOf('"');
  return {
    usage: rest['usage'],
    body: {
      before: [...others, last.subarray(0, start + key)],
      usage: text === 'null' ? '{}' : text,
      after: [last.subarray(start + usage[0].length)],
    },
  };
}

function headOf(parts: readonly Buffer[]): Buffer {
  let count = 1;
  while (bodyLength(parts.slice(0, count)) < EDGE_BYTES) count += 1;
  return (joined(parts.slice(0, count)) as Buffer).subarray(0, EDGE_BYTES);
}

/** As many parts as hold what stands at the end, joined, and those before them. */
function tailOf(parts: readonly Buffer[]): { others: readonly Buffer[]; last: Buffer } {
  let start = parts.length - 1;
  while (bodyLength(parts.slice(start)) < EDGE_BYTES) start -= 1;
  return { others: parts.slice(0, start), last: joined(parts.slice(start)) as Buffer };
}

function hasFormat(head: string, format: 'float' | 'base64'): boolean {
  return (format === 'float' ? /"embedding"\s*:\s*\[/ : /"embedding"\s*:\s*"/).test(head);
}

function parsed(text: string): JsonObject | null {
  try {
    return JSON.parse(text) as JsonObject;
  } catch {
    // Not as usual: the caller reads the whole answer.
    return null;
  }
}
