import { rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { besideLedger } from './beside.js';

/** Says that a process lives, in a way that the kernel takes back when it dies. */
export interface ProcessLock {
  release(): void;
}

/**
 * Takes the lock of a process on a ledger: an exclusive lock on a file of its own beside the ledger. Pids and heartbeats
 * would do for one host and a patient start; a lock is free the instant its holder is gone, in containers too.
 * Null when another live process holds it.
 */
export function takeProcessLock(ledgerPath: string, processName: string): ProcessLock | null {
  const file = besideLedger(ledgerPath, 'live', processName);
  const db = lock(file, false);
  if (db === null) return null;
  return {
    release() {
      if (!db.open) return;
      rmSync(file, { force: true });
      db.close();
    },
  };
}

/** True when no process holds the lock. Clears away what the dead one left. */
export function isProcessDead(ledgerPath: string, processName: string): boolean {
  const file = besideLedger(ledgerPath, 'live', processName);
  let db: Database.Database | null;
  try {
    db = lock(file, true);
  } catch (error) {
    // No file: it was closed in order.
    if (isCode(error, 'SQLITE_CANTOPEN')) return true;
    throw error;
  }
  if (db === null) return false;
  rmSync(file, { force: true });
  db.close();
  return true;
}

function lock(file: string, mustExist: boolean): Database.Database | null {
  const db = new Database(file, { timeout: 0, fileMustExist: mustExist });
  try {
    // Nothing is ever written to it: no journal beside it.
    db.pragma('journal_mode = MEMORY');
    db.exec('BEGIN EXCLUSIVE');
    return db;
  } catch (error) {
    db.close();
    if (isCode(error, 'SQLITE_BUSY')) return null;
    throw error;
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Database.SqliteError && (error.code === code || error.code.startsWith(`${code}_`));
}
