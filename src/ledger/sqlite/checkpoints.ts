import { once } from 'node:events';
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { Database } from 'better-sqlite3';
import type { Logger } from '../../domain/ports.js';
import { AUTO_CHECKPOINT_PAGES } from './open.js';

/** So many entries are moved at a time: 10 to 50 MB. */
const ENTRIES_BETWEEN = 10_000;
/** A commit of one entry writes as many pages as one of ten. */
const LEAST_OF_A_COMMIT = 10;
/** 160 MB: as long as the thread works, SQLite itself is not to wait for the disk within a commit. */
const LAST_RESORT_PAGES = 40_000;
/** 48 MB: from here on the file has to begin anew, which it only can when nothing is left to move. */
const LARGE_PAGES = 12_000;
const CLOSE_MS = 5_000;

/** The thread: a connection of its own, which moves what was committed whenever it is asked to. */
const THREAD = `
  const { parentPort, workerData } = require('node:worker_threads');
  const Database = require(workerData.driver);
  const db = new Database(workerData.path, { fileMustExist: true, timeout: 1000 });
  parentPort.on('message', (message) => {
    if (message === 'close') {
      db.close();
      parentPort.close();
      return;
    }
    try {
      const [{ log }] = db.pragma('wal_checkpoint(PASSIVE)');
      parentPort.postMessage({ pages: log, error: null });
    } catch (error) {
      parentPort.postMessage({ pages: 0, error: String(error) });
    }
  });
`;

/**
 * Moves what was committed from the write-ahead log into the database on a thread of its own: a checkpoint waits for the
 * disk, and on the event loop's thread every request would wait with it. The thread begins with the first need. Should it
 * fail, SQLite does the work within commits, as it does by itself.
 */
export class Checkpoints {
  readonly #db: Database;
  readonly #path: string;
  readonly #logger: Logger;
  /** Committed since the last time. */
  #entries = 0;
  #thread: Worker | null = null;
  #isBusy = false;
  /** The last one did not work; said once. */
  #isStuck = false;
  /** The thread is gone, or is not wanted any more. */
  #isOver = false;

  constructor({ db, path, logger }: { db: Database; path: string; logger: Logger }) {
    this.#db = db;
    this.#path = path;
    this.#logger = logger;
  }

  /** To be told after every commit. */
  committed(entries = 1): void {
    this.#entries += Math.max(entries, LEAST_OF_A_COMMIT);
    if (this.#entries < ENTRIES_BETWEEN || this.#isBusy || this.#isOver) return;
    this.#entries = 0;
    this.#isBusy = true;
    this.#thread ??= this.#begin();
    this.#thread.postMessage('checkpoint');
  }

  /** Resolves when none is under way. */
  async idle(): Promise<void> {
    while (this.#isBusy && !this.#isOver) {
      await once(this.#thread as Worker, 'message').catch(() => {
        // The thread is lost, which is logged where that is heard.
      });
    }
  }

  /** Before the database is closed, so that the last to close it tidies the files. */
  async close(): Promise<void> {
    const thread = this.#isOver ? null : this.#thread;
    this.#isOver = true;
    if (thread === null) return;
    const gone = new Promise<void>((resolve) => thread.once('exit', () => resolve()));
    thread.postMessage('close');
    const hasten = setTimeout(() => void thread.terminate(), CLOSE_MS);
    await gone;
    clearTimeout(hasten);
  }

  #begin(): Worker {
    const driver = createRequire(import.meta.url).resolve('better-sqlite3');
    const thread = new Worker(THREAD, { eval: true, workerData: { driver, path: this.#path } });
    thread.unref();
    thread.on('message', ({ pages, error }: { pages: number; error: string | null }) => this.#moved(pages, error));
    thread.on('error', (error) => this.#lost(error));
    this.#db.pragma(`wal_autocheckpoint = ${LAST_RESORT_PAGES}`);
    return thread;
  }

  #moved(pages: number, error: string | null): void {
    this.#isBusy = false;
    if (error !== null && !this.#isStuck) this.#logger.warn({ error }, 'the ledger could not be checkpointed');
    this.#isStuck = error !== null;
    // Commits came meanwhile, as they always do under load: the little that is left is moved here, where none can come.
    if (pages > LARGE_PAGES && this.#db.open) this.#db.pragma('wal_checkpoint(PASSIVE)');
  }

  #lost(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#logger.warn({ err: error }, 'the ledger is checkpointed within commits from now on');
    if (this.#db.open) this.#db.pragma(`wal_autocheckpoint = ${AUTO_CHECKPOINT_PAGES}`);
  }
}
