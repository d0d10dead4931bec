import { readdirSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Database } from 'better-sqlite3';
import { UserError } from '../../domain/errors.js';
import { splitFormerEntries } from '../journal/former-entries.js';
import { readJournal } from '../journal/journal.js';
import { joinEntries, splitEntries } from '../journal/row-entry.js';
import { BatchWriter } from './batch-writer.js';
import { besideLedger } from './beside.js';
import type { JournaledBatch } from './entries.js';
import { openForReading, openForWriting, orExplain } from './open.js';

/** A process as the ledger knows it. */
export interface Owner {
  id: number;
  name: string;
}

/** A process that lives moves what it has journaled within some 50 ms, unless something is in its way. */
const PATIENCE_MS = 1_000;
const LOOK_EVERY_MS = 5;
/** So long an owner may take that waits for company, and for a lock. */
const OWNER_MS = 80;
/** Who only reads may not be allowed to write, or there is no room, or somebody else writes for long. */
const IN_THE_WAY = /^(SQLITE_(READONLY|CANTOPEN|PERM|BUSY|LOCKED|FULL|IOERR)|EACCES|EPERM|EROFS|ENOSPC)/;

/** Written to learn whether one can write, and never moved. The same in every version. */
const NO_ENTRIES = joinEntries([]);

/** The journal of a process, beside the ledger. */
export function journalFile(ledgerPath: string, processName: string): string {
  return besideLedger(ledgerPath, 'entries', processName);
}

/**
 * Moves what a process has journaled into the tables, whether or not it lives: the ledger's write lock and the number of
 * the last record moved see to it that nothing is moved twice. Returns an error for each entry that was turned down.
 * @throws what SQLite throws when nothing could be written
 */
export function moveJournal(db: Database, ledgerPath: string, { id, name }: Owner): Error[] {
  const file = journalFile(ledgerPath, name);
  return new BatchWriter(db, id).move(() => readBatches(file));
}

export function removeJournal(ledgerPath: string, processName: string): void {
  rmSync(journalFile(ledgerPath, processName), { force: true });
}

/**
 * Sees to it that the tables have everything that was acknowledged before, by any process but `self`. `db` is a connection
 * that reads. Where writing is not allowed or not possible, whose journal it is is waited for.
 * @throws UserError when that has been for `patienceMs` and no less than an owner may take, or a journal cannot be read
 */
export function catchUp(
  ledgerPath: string,
  db: Database,
  { self, patienceMs = PATIENCE_MS }: { self?: string; patienceMs?: number } = {},
): void {
  const behind = orExplain(ledgerPath, () => ownersBehind(ledgerPath, db, self));
  if (behind.length === 0) return;
  try {
    const writing = openForWriting(ledgerPath, 'process', { migrates: false, timeoutMs: patienceMs });
    try {
      for (const owner of behind) moveJournal(writing, ledgerPath, owner);
    } finally {
      writing.close();
    }
  } catch (error) {
    const cause = error instanceof UserError ? error.cause : error;
    const { code } = cause as { code?: unknown };
    if (typeof code !== 'string' || !IN_THE_WAY.test(code)) throw error;
    if (isSoonMoved(db, behind, patienceMs)) return;
    const why = (cause as Error).message;
    throw new UserError(
      `${ledgerPath} lacks what is in a journal beside it, which cannot be moved there now (${why}): start the daemon, ` +
        'or read it as a user who may write there, when there is room and nobody has it locked',
      { cause: error },
    );
  }
}

/**
 * Opens a ledger for reading, with everything in its tables that was acknowledged before, by any process but `self`.
 * @throws UserError as `openForReading` and `catchUp`
 */
export function openUpToDate(ledgerPath: string, self?: string): Database {
  const db = openForReading(ledgerPath);
  try {
    catchUp(ledgerPath, db, self === undefined ? {} : { self });
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

interface OwnerBehind extends Owner {
  /** The last record there was when it was looked at. */
  last: number;
}

function ownersBehind(ledgerPath: string, db: Database, self: string | undefined): OwnerBehind[] {
  const first = journalFile(ledgerPath, '');
  const prefix = basename(first);
  const names = readdirSync(dirname(first))
    .filter((file) => file.startsWith(prefix))
    .map((file) => file.slice(prefix.length));
  return names.flatMap((name) => {
    if (name === self) return [];
    const last = readJournal(journalFile(ledgerPath, name)).findLast(({ text }) => text !== NO_ENTRIES)?.seq;
    if (last === undefined) return [];
    const owner = findOwner(db, name);
    return owner === undefined || owner.moved >= last ? [] : [{ id: owner.id, name, last }];
  });
}

function findOwner(db: Database, name: string): { id: number; moved: number } | undefined {
  return db
    .prepare(
      'SELECT p.id, coalesce(m.seq, 0) AS moved FROM processes p LEFT JOIN moved m ON m.process_id = p.id WHERE p.name = ?',
    )
    .get(name) as { id: number; moved: number } | undefined;
}

function isSoonMoved(db: Database, behind: readonly OwnerBehind[], patienceMs: number): boolean {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const end = performance.now() + Math.max(patienceMs, OWNER_MS);
  const isMoved = ({ name, last }: OwnerBehind) => (findOwner(db, name)?.moved ?? 0) >= last;
  while (!behind.every(isMoved)) {
    if (performance.now() > end) return false;
    Atomics.wait(pause, 0, 0, LOOK_EVERY_MS);
  }
  return true;
}

function readBatches(file: string): JournaledBatch[] {
  return readJournal(file).map(({ seq, version, text }) => {
    return { seq, entries: version === 1 ? splitFormerEntries(text) : splitEntries(text) };
  });
}
