import type { AttemptCells, AttemptEndCells, RequestCells, RequestEndCells } from '../journal/cells.js';
import type { Part, RowEntry } from '../journal/row-entry.js';

/** A request that began and ended within a batch: its rows are written once, and never changed. */
export interface WholeRequest {
  request: Part<RequestCells>;
  /** In order, from 1 on. */
  attempts: ReadonlyArray<{ begin: Part<AttemptCells>; end: Part<AttemptEndCells> }>;
  end: Part<RequestEndCells>;
}

/** What a batch says of each request, by its id; requests in the order in which they are first spoken of. */
export function byRequest(entries: readonly RowEntry[]): Map<string, RowEntry[]> {
  const all = new Map<string, RowEntry[]>();
  for (const entry of entries) {
    const known = all.get(entry.inferenceId);
    if (known === undefined) all.set(entry.inferenceId, [entry]);
    else known.push(entry);
  }
  return all;
}

/**
 * The whole request that entries about it tell of; null where something is missing, told twice, or in no order: such a
 * request is written step by step.
 */
export function toWhole(entries: readonly RowEntry[]): WholeRequest | null {
  const [first] = entries;
  const end = entries.at(-1)?.requestEnd ?? null;
  if (first === undefined || first.request === null || end === null) return null;
  const begins: Array<Part<AttemptCells>> = [];
  const attempts: Array<{ begin: Part<AttemptCells>; end: Part<AttemptEndCells> }> = [];
  for (const entry of entries) {
    const { request, attempt, endedAttempt, attemptEnd, requestEnd } = entry;
    if ((request !== null && entry !== first) || (requestEnd !== null && requestEnd !== end)) return null;
    if (attemptEnd !== null) {
      const begin = begins[attempts.length];
      if (begin === undefined || begin.cells[0] !== endedAttempt) return null;
      attempts.push({ begin, end: attemptEnd });
    }
    if (attempt !== null && begins.push(attempt) !== attempt.cells[0]) return null;
  }
  return attempts.length === begins.length ? { request: first.request, attempts, end } : null;
}
