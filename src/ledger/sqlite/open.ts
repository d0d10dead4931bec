import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { UserError } from '../../domain/errors.js';
import { APPLICATION_ID, checkSchema, migrate, SCHEMA_VERSION } from '../migrations/migrate.js';
import { isProcessDead } from './process-lock.js';

export type Durability = 'process' | 'power';

/** How long an open waits for another process that holds the write lock. */
const OPEN_TIMEOUT_MS = 5_000;
/** 16 MB: a checkpoint waits for the disk, so it comes seldom. */
export const AUTO_CHECKPOINT_PAGES = 4_000;

/**
 * Opens a ledger for writing, makes it where it is missing, and brings it to the present schema.
 * @throws UserError with one clear line: no permission, not a database, locked, from a newer version, from an older one
 *   that a daemon still has open
 */
export function openForWriting(
  path: string,
  durability: Durability,
  { migrates = true, timeoutMs = OPEN_TIMEOUT_MS }: { migrates?: boolean; timeoutMs?: number } = {},
): Database.Database {
  return orExplain(path, () => {
    makeDirectory(dirname(path));
    const db = new Database(path, { timeout: timeoutMs });
    return orClose(db, () => {
      db.pragma('journal_mode = WAL');
      // In WAL mode NORMAL survives the death of the process, FULL that of the machine.
      db.pragma(`synchronous = ${durability === 'power' ? 'FULL' : 'NORMAL'}`);
      db.pragma('foreign_keys = OFF');
      db.pragma('temp_store = MEMORY');
      db.pragma(`wal_autocheckpoint = ${AUTO_CHECKPOINT_PAGES}`);
      if (migrates) migrate(db, path, () => refuseLiveOnes(db, path));
    });
  });
}

/** An older daemon goes on writing as it knows: what it writes then would be missing in newer tables. */
function refuseLiveOnes(db: Database.Database, path: string): void {
  const rows = db.prepare('SELECT name, pid FROM processes WHERE ended_at IS NULL').all() as Array<{
    name: string;
    pid: number;
  }>;
  const live = rows.filter(({ name }) => !isProcessDead(path, name));
  if (live.length === 0) return;
  const pids = live.map(({ pid }) => pid).join(', ');
  throw new UserError(
    `a daemon has ${path} open (process ${pids}); stop it first, for its schema is older and is to be brought to ${SCHEMA_VERSION}`,
  );
}

/**
 * Opens a ledger for reading, whether or not a process writes to it.
 * @throws UserError with one clear line: missing, not a ledger, of another schema
 */
export function openForReading(path: string): Database.Database {
  return orExplain(path, () => {
    const db = new Database(path, { readonly: true, fileMustExist: true, timeout: OPEN_TIMEOUT_MS });
    return orClose(db, () => {
      const version = checkSchema(db, path);
      const application = db.pragma('application_id', { simple: true });
      if (application !== APPLICATION_ID) throw new UserError(`${path} is not a Waybill ledger: it is empty`);
      if (version < SCHEMA_VERSION) {
        throw new UserError(
          `${path} has schema ${version}, this Waybill reads ${SCHEMA_VERSION}; \`waybill ledger migrate\` brings it up to date, and so does a start of the daemon`,
        );
      }
    });
  });
}

/**
 * The schema of a ledger file; 0 for an empty file.
 * @throws UserError with one clear line: missing, not a ledger, of a newer schema
 */
export function schemaOf(path: string): number {
  return orExplain(path, () => {
    const db = new Database(path, { readonly: true, fileMustExist: true, timeout: OPEN_TIMEOUT_MS });
    try {
      return checkSchema(db, path);
    } finally {
      db.close();
    }
  });
}

/** Step by step: `mkdirSync` with `recursive` never returns in places such as /proc, where a mkdir says ENOENT. */
function makeDirectory(path: string): void {
  if (existsSync(path)) {
    if (statSync(path).isDirectory()) return;
    throw new UserError(`cannot make a ledger below ${path}: it is not a directory`);
  }
  makeDirectory(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    const isThere = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    if (!isThere) throw error;
  }
}

function orClose(db: Database.Database, use: () => void): Database.Database {
  try {
    use();
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Runs what may meet an obstacle that a person can remove, and says which: UserError with one clear line. */
export function orExplain<T>(path: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === null) throw error;
    throw new UserError(`cannot open the ledger ${path}: ${reason}`, { cause: error });
  }
}

const REASONS: Record<string, string> = {
  SQLITE_CANTOPEN: 'it does not exist or may not be read and written here',
  SQLITE_NOTADB: 'it is not a SQLite database',
  SQLITE_CORRUPT: 'the file is damaged; restore a backup, or move it away to begin a new one',
  SQLITE_BUSY: 'another process has it locked',
  SQLITE_LOCKED: 'another process has it locked',
  SQLITE_READONLY: 'the file or its directory is read-only',
  SQLITE_PERM: 'no permission',
  SQLITE_AUTH: 'no permission',
  SQLITE_FULL: 'the disk is full',
  SQLITE_IOERR: 'the disk reports an error',
  ENOENT: 'its directory does not exist and cannot be made',
  EACCES: 'no permission',
  EPERM: 'no permission',
  EROFS: 'the file system is read-only',
  ENOTDIR: 'a part of its path is not a directory',
  EEXIST: 'a part of its path is not a directory',
  EISDIR: 'it is a directory',
  ENOSPC: 'the disk is full',
  ENAMETOOLONG: 'the path is too long',
};

/** What stands in the way, in words; null for what no person at the keyboard can have caused. */
function reasonOf(error: unknown): string | null {
  if (!(error instanceof Error) || error instanceof UserError) return null;
  // better-sqlite3 says this with a plain TypeError.
  if (/directory does not exist/.test(error.message)) return 'its directory does not exist';
  const code = 'code' in error ? String(error.code) : '';
  const base = code.startsWith('SQLITE_') ? code.split('_').slice(0, 2).join('_') : code;
  return REASONS[base] ?? null;
}
