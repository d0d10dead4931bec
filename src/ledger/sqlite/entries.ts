import type { LedgerEntry, RequestSettlement } from '../../domain/ledger.js';

/** A request's end as the ledger takes it: one whose process died has no status. */
export type AnyRequestSettlement = Omit<RequestSettlement, 'status'> & { status: number | null };
export type AnyEntry = Omit<LedgerEntry, 'requestSettlement'> & { requestSettlement?: AnyRequestSettlement };

/** What a process said at once, by the number of its journal's record. */
export interface JournaledBatch {
  seq: number;
  entries: readonly AnyEntry[];
}

/** A settlement of what was never intended, or a call for what has ended. */
export class UnknownRowError extends Error {}

/** A wrong type, a constraint, an unknown row: not the disk's doing, and so not the other entries' either. */
export function isOneEntrysFault(error: unknown): boolean {
  if (error instanceof UnknownRowError || error instanceof TypeError || error instanceof RangeError) return true;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^SQLITE_(CONSTRAINT|MISMATCH|TOOBIG|RANGE)/.test(code);
}

/** Places of the entries, those that begin something first. */
export function inOrder(entries: readonly AnyEntry[]): number[] {
  const places = [...entries.keys()];
  const begins = (place: number) =>
    entries[place]?.request !== undefined || entries[place]?.attemptIntent !== undefined;
  return [...places.filter(begins), ...places.filter((place) => !begins(place))];
}
