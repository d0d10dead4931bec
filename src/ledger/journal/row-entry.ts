import type { LedgerEntry } from '../../domain/ledger.js';
import {
  type AnyRequestSettlement,
  type AttemptCells,
  type AttemptEndCells,
  attemptCells,
  attemptEndCells,
  type Cell,
  type RequestCells,
  type RequestEndCells,
  requestCells,
  requestEndCells,
} from './cells.js';

/** Cells of a row, and their JSON: what a journal and the hashes of the chain have of them. */
export interface Part<T extends Cell[]> {
  readonly cells: T;
  readonly text: string;
}

export type AnyEntry = Omit<LedgerEntry, 'requestSettlement'> & { requestSettlement?: AnyRequestSettlement };

/** An entry as the tables take it: made once, and journaled, hashed and written as it is. */
export interface RowEntry {
  readonly inferenceId: string;
  readonly request: Part<RequestCells> | null;
  readonly attempt: Part<AttemptCells> | null;
  /** The price that the attempt's intent names; its end may name another. */
  readonly priceId: string | null;
  /** The attempt that has ended; 0 for none. */
  readonly endedAttempt: number;
  readonly attemptEnd: Part<AttemptEndCells> | null;
  readonly requestEnd: Part<RequestEndCells> | null;
}

export function partOf<T extends Cell[]>(cells: T): Part<T> {
  return { cells, text: JSON.stringify(cells) };
}

/**
 * @throws TypeError for what has no place in a row: parts about several requests, a decision without JSON, no amount;
 *   RangeError for a decision that is nested too deep
 */
export function toRowEntry({ request, attemptIntent, attemptSettlement, requestSettlement }: AnyEntry): RowEntry {
  const id = (request ?? attemptIntent ?? attemptSettlement ?? requestSettlement)?.inferenceId ?? '';
  for (const part of [attemptIntent, attemptSettlement, requestSettlement]) {
    if (part !== undefined && part.inferenceId !== id) throw new TypeError('an entry is about one request');
  }
  return {
    inferenceId: id,
    request: request === undefined ? null : partOf(requestCells(request)),
    attempt: attemptIntent === undefined ? null : partOf(attemptCells(attemptIntent)),
    priceId: attemptIntent?.priceId ?? null,
    endedAttempt: attemptSettlement?.attempt ?? 0,
    attemptEnd: attemptSettlement === undefined ? null : partOf(attemptEndCells(attemptSettlement)),
    requestEnd: requestSettlement === undefined ? null : partOf(requestEndCells(requestSettlement)),
  };
}

/** What `textOf` writes. */
type EntryJson = [
  inferenceId: string,
  request: RequestCells | null,
  attempt: AttemptCells | null,
  priceId: string | null,
  endedAttempt: number,
  attemptEnd: AttemptEndCells | null,
  requestEnd: RequestEndCells | null,
];

/** An entry as JSON. */
function textOf(entry: RowEntry): string {
  const { request, attempt, attemptEnd, requestEnd } = entry;
  const [id, price] = [JSON.stringify(entry.inferenceId), JSON.stringify(entry.priceId)];
  const begin = `${request?.text ?? null},${attempt?.text ?? null},${price}`;
  return `[${id},${begin},${entry.endedAttempt},${attemptEnd?.text ?? null},${requestEnd?.text ?? null}]`;
}

/** Entries as one text. */
export function joinEntries(entries: readonly RowEntry[]): string {
  return `[${entries.map(textOf).join(',')}]`;
}

/** @throws SyntaxError or TypeError for a text that `joinEntries` did not make */
export function splitEntries(text: string): RowEntry[] {
  return (JSON.parse(text) as EntryJson[]).map((entry) => {
    const [inferenceId, request, attempt, priceId, endedAttempt, attemptEnd, requestEnd] = entry;
    return {
      inferenceId,
      request: request && partOf(request),
      attempt: attempt && partOf(attempt),
      priceId,
      endedAttempt,
      attemptEnd: attemptEnd && partOf(attemptEnd),
      requestEnd: requestEnd && partOf(requestEnd),
    };
  });
}
