import { setImmediate as turn } from 'node:timers/promises';
import type { Database } from 'better-sqlite3';
import type { Clock, Logger } from '../../domain/ports.js';
import { HOUR_MS } from './cuts.js';
import { Pruner } from './prune.js';

const DAY_MS = 86_400_000;
/** The start of a daemon has better to do. */
const FIRST_AFTER_MS = 60_000;

/**
 * Deletes rows older than so many days, once an hour, a few at a time and others' turns between. Ends with the signal.
 * What cannot be deleted is logged, and tried again in the next hour.
 */
export async function keepRetention(options: {
  db: Database;
  days: number;
  clock: Clock;
  logger: Logger;
  signal: AbortSignal;
}): Promise<void> {
  const { db, days, clock, logger, signal } = options;
  let waitMs = FIRST_AFTER_MS;
  for (;;) {
    try {
      await clock.sleep(waitMs, signal);
    } catch {
      return; // the ledger is closing
    }
    waitMs = HOUR_MS;
    try {
      const now = clock.now();
      const deleted = await pruneInTurns(new Pruner(db, { before: now - days * DAY_MS, now }), signal);
      if (deleted > 0) logger.info({ deleted, days }, 'ledger rows deleted as retention_days says; their totals stay');
    } catch (error) {
      logger.warn({ err: error }, 'ledger rows could not be deleted; the next try is in an hour');
    }
  }
}

/** Steps until there is nothing left or the signal; returns how many requests were deleted. */
export async function pruneInTurns(pruner: Pruner, signal: AbortSignal): Promise<number> {
  let deleted = 0;
  while (!signal.aborted) {
    const step = pruner.step();
    deleted += step.deleted;
    if (step.isDone) break;
    await turn();
  }
  return deleted;
}
