import type { RowEntry } from '../journal/row-entry.js';

/** What a process said at once, by the number of its journal's record. */
export interface JournaledBatch {
  seq: number;
  entries: readonly RowEntry[];
}

/** In order. By a loop: flatMap takes three times as long. */
export function entriesOf(batches: readonly JournaledBatch[]): RowEntry[] {
  const all: RowEntry[] = [];
  for (const { entries } of batches) for (const entry of entries) all.push(entry);
  return all;
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
export function inOrder(entries: readonly RowEntry[]): number[] {
  const places = [...entries.keys()];
  const begins = (place: number) => entries[place]?.request !== null || entries[place]?.attempt !== null;
  return [...places.filter(begins), ...places.filter((place) => !begins(place))];
}
