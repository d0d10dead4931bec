import type { Database } from 'better-sqlite3';
import { UserError } from '../../domain/errors.js';
import { requestsAndAttempts } from './0001-requests-and-attempts.js';
import { chain } from './0002-chain.js';
import { idempotentAnswers } from './0003-idempotent-answers.js';
import { rollups } from './0004-rollups.js';
import { calibration } from './0005-calibration.js';
import { unpriced } from './0006-unpriced.js';
import { reservedTokens } from './0007-reserved-tokens.js';
import { moved } from './0008-moved.js';
import { chainBlocks } from './0009-chain-blocks.js';

/** In order; a migration's number is its place, from 1. What was released is never changed, only followed. */
const MIGRATIONS: readonly string[] = [
  requestsAndAttempts,
  chain,
  idempotentAnswers,
  rollups,
  calibration,
  unpriced,
  reservedTokens,
  moved,
  chainBlocks,
];

/** The schema this program writes, as `PRAGMA user_version` keeps it. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/** `PRAGMA application_id` of a ledger: "WYBL". */
export const APPLICATION_ID = 0x5759424c;

/**
 * Says whether a file is a ledger this program understands; returns its schema version, 0 for an empty file.
 * @throws UserError for another program's database, or a schema from the future
 */
export function checkSchema(db: Database, path: string): number {
  const version = db.pragma('user_version', { simple: true }) as number;
  const application = db.pragma('application_id', { simple: true }) as number;
  if (application !== APPLICATION_ID) {
    const { tables } = db.prepare('SELECT count(*) AS tables FROM sqlite_schema').get() as { tables: number };
    if (application !== 0 || version !== 0 || tables !== 0) {
      throw new UserError(`${path} is a SQLite database, but not a Waybill ledger`);
    }
    return 0;
  }
  if (version > SCHEMA_VERSION) {
    throw new UserError(
      `${path} was written by a newer Waybill (schema ${version}; this one knows up to ${SCHEMA_VERSION}); use that version`,
    );
  }
  return version;
}

/**
 * Brings a ledger to this program's schema, each migration in one transaction of its own. `mayChange` is asked within it
 * before anything that is there is changed, and throws where it may not be: whoever opens the ledger with this program's
 * schema does so after the last migration, and is not met there.
 * @throws UserError as `checkSchema`, and what `mayChange` throws
 */
export function migrate(db: Database, path: string, mayChange: () => void): void {
  while (checkSchema(db, path) < SCHEMA_VERSION) {
    db.transaction(() => {
      // Asked again under the lock: another process may have been quicker.
      const version = checkSchema(db, path);
      const sql = MIGRATIONS[version];
      if (sql === undefined) return;
      if (version > 0) mayChange();
      db.exec(sql);
      db.pragma(`application_id = ${APPLICATION_ID}`);
      db.pragma(`user_version = ${version + 1}`);
    }).immediate();
  }
}
