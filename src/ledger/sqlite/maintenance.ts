import { existsSync, rmSync } from 'node:fs';
import { UserError } from '../../domain/errors.js';
import type { LedgerVerification } from '../../domain/ledger.js';
import { openForReading, orExplain } from './open.js';
import { verifySqlite } from './verify.js';

/**
 * Verifies a ledger file, whether or not a daemon writes to it.
 * @throws UserError when it cannot be read
 */
export function verifyLedgerFile(
  path: string,
  onHour: (hour: string, done: number, of: number) => void = () => {},
): LedgerVerification {
  const db = openForReading(path);
  try {
    return orExplain(path, () => verifySqlite(db, onHour));
  } finally {
    db.close();
  }
}

/**
 * Copies a ledger into a new file, as it is at one instant, while a daemon may be writing to it.
 * @throws UserError when the target exists or cannot be written
 */
export async function backUpLedgerFile(path: string, target: string): Promise<void> {
  if (existsSync(target)) throw new UserError(`${target} exists already; a backup overwrites nothing`);
  const db = openForReading(path);
  try {
    await db.backup(target);
  } catch (error) {
    if (existsSync(target)) rmSync(target);
    throw new UserError(`cannot write the backup ${target}: ${(error as Error).message}`, { cause: error });
  } finally {
    db.close();
  }
}
