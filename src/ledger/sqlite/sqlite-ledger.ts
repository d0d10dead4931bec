import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import type { Database } from 'better-sqlite3';
import { UserError, WaybillError } from '../../domain/errors.js';
import type {
  Ledger,
  LedgerEntry,
  LedgerReader,
  LedgerVerification,
  PriceRecord,
  RecoveredRow,
} from '../../domain/ledger.js';
import type { Clock, Logger } from '../../domain/ports.js';
import { GroupCommit } from '../group-commit.js';
import { Journal } from '../journal/journal.js';
import { BatchWriter } from './batch-writer.js';
import { Checkpoints } from './checkpoints.js';
import { JournaledWriter } from './journaled-writer.js';
import { catchUp, journalFile } from './journals.js';
import { verifyInTurns } from './maintenance.js';
import { type Durability, openForWriting, orExplain } from './open.js';
import { type ProcessLock, takeProcessLock } from './process-lock.js';
import { openSqliteReader } from './reader.js';
import { recover } from './recovery.js';
import { keepRetention } from './retention.js';

export interface SqliteLedgerOptions {
  /** The file; its directory is made where it is missing. */
  path: string;
  /** `process`: a row survives the death of the process; `power`: that of the machine. */
  durability: Durability;
  clock: Clock;
  logger: Logger;
  /** Names this process among those that share the file; by default a new name each time. */
  processId?: string;
  /** Rows of requests older than so many days are deleted, their hourly totals kept; null keeps everything. */
  retentionDays?: number | null;
  /** Told how long each commit took, in milliseconds. */
  onCommit?: (ms: number) => void;
}

/** SQLite itself waits without letting anything else run, so it waits briefly; the group commit tries again. */
const BUSY_TIMEOUT_MS = 20;

/**
 * Opens the ledger, brings its schema up to date and ends what dead processes left in flight.
 * @throws UserError when the file cannot be used
 */
export function openSqliteLedger(options: SqliteLedgerOptions): Ledger {
  return orExplain(options.path, () => openAndRecover(options));
}

function openAndRecover(options: SqliteLedgerOptions): Ledger {
  const { path, durability, clock, logger, processId: name = randomUUID() } = options;
  const db = openForWriting(path, durability);
  let lock: ProcessLock | null = null;
  try {
    lock = takeProcessLock(path, name);
    if (lock === null) throw new UserError(`another process named ${name} has the ledger ${path} open`);
    const processId = register(db, name, clock.now());
    const writer = new BatchWriter(db, processId);
    const recovered = recover({ db, path, writer, processId, now: clock.now(), logger });
    const journal = new Journal({
      path: journalFile(path, name),
      mode: statSync(path).mode & 0o777,
      lastSeq: writer.lastMoved(),
      isSynced: durability === 'power',
    });
    // A start may wait until another has recovered what there is.
    db.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
    return new SqliteLedger({ ...options, db, lock, name, processId, writer, recovered, journal });
  } catch (error) {
    lock?.release();
    db.close();
    throw error;
  }
}

function register(db: Database, name: string, now: number): number {
  const row = db
    .prepare(
      `INSERT INTO processes (name, pid, started_at) VALUES (?, ?, ?)
       ON CONFLICT (name) DO UPDATE SET pid = excluded.pid, started_at = excluded.started_at, ended_at = NULL
       RETURNING id`,
    )
    .get(name, process.pid, now) as { id: number };
  return row.id;
}

interface Parts extends Omit<SqliteLedgerOptions, 'processId'> {
  db: Database;
  lock: ProcessLock;
  name: string;
  processId: number;
  journal: Journal;
  writer: BatchWriter;
  recovered: readonly RecoveredRow[];
}

class SqliteLedger implements Ledger {
  readonly #parts: Parts;
  readonly #commits: GroupCommit;
  readonly #journaled: JournaledWriter;
  readonly #checkpoints: Checkpoints;
  readonly #closing = new AbortController();
  #retention: Promise<void> = Promise.resolve();
  #verification: Promise<LedgerVerification> | null = null;
  #reader: LedgerReader | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#checkpoints = new Checkpoints(parts);
    const { db, clock, logger, retentionDays: days = null } = parts;
    this.#journaled = new JournaledWriter({ ...parts, onMoved: (entries) => this.#checkpoints.committed(entries) });
    this.#commits = new GroupCommit({ clock, logger, commit: (entries) => this.#commit(entries) });
    if (days !== null) this.#retention = keepRetention({ db, days, clock, logger, signal: this.#closing.signal });
  }

  write(entry: LedgerEntry): Promise<void> {
    return this.#commits.write(entry);
  }

  async recordPrices(prices: readonly PriceRecord[]): Promise<void> {
    try {
      this.#parts.writer.recordPrices(prices);
    } catch (error) {
      throw new WaybillError('ledger_unavailable', { message: 'the price book cannot be written', cause: error });
    }
  }

  isWritable(): boolean {
    return this.#commits.isWritable && !this.#journaled.isBlocked;
  }

  reader(): LedgerReader {
    // A connection of its own, so that no read ever stands inside a write's transaction.
    const { path, name } = this.#parts;
    this.#reader ??= openSqliteReader(path, (db) => {
      this.#journaled.moveIfPossible();
      catchUp(path, db, { self: name, patienceMs: BUSY_TIMEOUT_MS });
    });
    return this.#reader;
  }

  recovered(): readonly RecoveredRow[] {
    return this.#parts.recovered;
  }

  verify(): Promise<LedgerVerification> {
    const { path, name } = this.#parts;
    this.#journaled.moveIfPossible();
    this.#verification ??= verifyInTurns(path, name, this.#closing.signal).finally(() => {
      this.#verification = null;
    });
    return this.#verification;
  }

  async close(): Promise<void> {
    const { db, lock, clock, logger, processId } = this.#parts;
    if (!db.open) return;
    await this.#commits.close();
    const isAllMoved = await this.#journaled.close();
    this.#closing.abort();
    await Promise.allSettled([this.#retention, this.#verification, this.#checkpoints.close()]);
    if (!db.open) return;
    this.#reader?.close();
    try {
      if (!isAllMoved) throw new Error('a part of it is in the journal, which the next start moves into the tables');
      db.prepare('UPDATE processes SET ended_at = ? WHERE id = ?').run(clock.now(), processId);
    } catch (error) {
      logger.warn({ err: error }, 'ledger closed without noting so');
    }
    db.close();
    lock.release();
  }

  #commit(entries: readonly LedgerEntry[]): ReadonlyArray<Error | null> {
    const start = performance.now();
    const results = this.#journaled.commit(entries);
    this.#parts.onCommit?.(performance.now() - start);
    return results;
  }
}
