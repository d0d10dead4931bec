import { existsSync, rmSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import type { Database } from 'better-sqlite3';
import { UserError } from '../../domain/errors.js';
import type { LedgerVerification, RepriceOrder, RepriceResult } from '../../domain/ledger.js';
import { SCHEMA_VERSION } from '../migrations/migrate.js';
import { openUpToDate } from './journals.js';
import { openForWriting, orExplain, schemaOf } from './open.js';
import { Pruner } from './prune.js';
import { Repricer } from './reprice.js';
import { type OnHour, verifySteps } from './verify.js';

/** How long a verification keeps the event loop to itself. */
const TURN_MS = 5;

/**
 * Verifies a ledger file, whether or not a daemon writes to it.
 * @throws UserError when it cannot be read
 */
export function verifyLedgerFile(path: string, onHour: OnHour = () => {}): LedgerVerification {
  return withLedger(openUpToDate(path), path, (db) =>
    db.transaction(() => {
      const steps = verifySteps(db, onHour);
      for (;;) {
        const step = steps.next();
        if (step.done === true) return step.value;
      }
    })(),
  );
}

/**
 * The same, others' turns of the event loop between; `self` is the process that asks, which has moved its own journal.
 * @throws the signal's reason; UserError when it cannot be read
 */
export async function verifyInTurns(path: string, self: string, signal: AbortSignal): Promise<LedgerVerification> {
  const db = openUpToDate(path, self);
  try {
    // One state of the ledger, whatever is written meanwhile.
    db.exec('BEGIN');
    const steps = verifySteps(db, () => {});
    let since = performance.now();
    for (;;) {
      const step = orExplain(path, () => steps.next());
      if (step.done === true) return step.value;
      if (performance.now() - since < TURN_MS) continue;
      await turn();
      signal.throwIfAborted();
      since = performance.now();
    }
  } finally {
    db.close();
  }
}

/**
 * Copies a ledger into a new file, as it is at one instant, while a daemon may be writing to it. The copy is compact.
 * @throws UserError when the target exists or cannot be written
 */
export async function backUpLedgerFile(path: string, target: string): Promise<void> {
  if (existsSync(target)) throw new UserError(`${target} exists already; a backup overwrites nothing`);
  const db = openUpToDate(path);
  try {
    // SQLite's page by page backup begins anew at each write of another connection: beside a busy daemon it never ends.
    db.prepare('VACUUM INTO ?').run(target);
  } catch (error) {
    if (existsSync(target)) rmSync(target);
    throw new UserError(`cannot write the backup ${target}: ${(error as Error).message}`, { cause: error });
  } finally {
    db.close();
  }
}

export interface PruneOptions {
  /** Rows of whole hours before this instant go, in epoch milliseconds. */
  before: number;
  now: number;
  onStep?: (deleted: number) => void;
}

/**
 * Deletes old rows of a ledger file, whether or not a daemon writes to it; returns how many requests.
 * @throws UserError when it cannot be written
 */
export function pruneLedgerFile(path: string, { before, now, onStep = () => {} }: PruneOptions): number {
  return withLedger(openCurrent(path), path, (db) => {
    const pruner = new Pruner(db, { before, now });
    let deleted = 0;
    for (;;) {
      const step = pruner.step();
      if (step.isDone) return deleted;
      deleted += step.deleted;
      onStep(deleted);
    }
  });
}

/** How many requests `pruneLedgerFile` would delete, those in flight included. @throws UserError when it cannot be read */
export function countPrunable(path: string, before: number): number {
  return withLedger(openUpToDate(path), path, (db) => {
    const endOfHours = Math.floor(before / 3_600_000) * 3_600_000;
    return db.prepare('SELECT count(*) FROM requests WHERE received_at < ?').pluck().get(endOfHours) as number;
  });
}

/**
 * Brings a ledger file to this program's schema; returns the schema before and after.
 * @throws UserError when a daemon has it open, or it cannot be written
 */
export function migrateLedgerFile(path: string): { from: number; to: number } {
  const from = schemaOf(path);
  if (from === SCHEMA_VERSION) return { from, to: from };
  openForWriting(path, 'power').close();
  return { from, to: SCHEMA_VERSION };
}

/**
 * Records what settled attempts cost at another price, whether or not a daemon writes to the file.
 * @throws UserError when it cannot be written
 */
export function repriceLedgerFile(
  path: string,
  order: RepriceOrder,
  options: { now: number; onStep?: (result: Readonly<RepriceResult>) => void },
): RepriceResult {
  const open = order.dryRun ? openUpToDate(path) : openCurrent(path);
  return withLedger(open, path, (db) => {
    const repricer = new Repricer(db, order, options.now);
    while (repricer.step()) options.onStep?.(repricer.result);
    return { ...repricer.result };
  });
}

/** For writing, in this program's schema already: no command but `migrate` changes that. */
function openCurrent(path: string): Database {
  openUpToDate(path).close();
  return openForWriting(path, 'process');
}

function withLedger<T>(db: Database, path: string, use: (db: Database) => T): T {
  try {
    return orExplain(path, () => use(db));
  } finally {
    db.close();
  }
}
