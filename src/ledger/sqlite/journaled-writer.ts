import type { LedgerEntry } from '../../domain/ledger.js';
import type { Clock, Logger } from '../../domain/ports.js';
import type { Journal } from '../journal/journal.js';
import { joinEntries, RowEntries, type RowEntry } from '../journal/row-entry.js';
import { isSound } from '../journal/sound-entry.js';
import type { BatchWriter } from './batch-writer.js';
import { isOneEntrysFault, type JournaledBatch } from './entries.js';
import { OpenRequests } from './open-requests.js';

export interface JournaledWriterOptions {
  journal: Journal;
  writer: BatchWriter;
  clock: Clock;
  logger: Logger;
  /** Told how many entries a transaction held. */
  onMoved: (entries: number) => void;
}

/** From the first entry that waits until all are moved: what the tables are behind by, under load. */
const MOVE_AFTER_MS = 10;
/** Fewer than so many wait so much longer for others: a transaction costs as much as ten requests. */
const FEW_ENTRIES = 20;
const FEW_WAIT_MS = 40;
/** Bounds how long one transaction holds up the event loop. */
const MOST_AT_ONCE = 2_000;
/** Another process' transaction ends soon: looked at so often, for so long, before nothing more is taken. */
const LOCK_RETRY_MS = 20;
const LOCK_PATIENCE_MS = 2_000;
const NO_ERRORS: readonly null[] = [];
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2_000;

/**
 * Makes entries durable by one write into a journal, and moves them into the tables a moment later, many in one
 * transaction: most requests have ended by then and cost two rows written once, instead of four changes of rows in two
 * transactions. What the tables have to judge (the end of a request nobody knows, a wrong type) goes to them at once.
 */
export class JournaledWriter {
  readonly #options: JournaledWriterOptions;
  readonly #open = new OpenRequests();
  readonly #rows = new RowEntries();
  #waiting: JournaledBatch[] = [];
  #waitingEntries = 0;
  #timer: NodeJS.Timeout | null = null;
  /** Why the last move failed; nothing is taken until one works. */
  #obstacle: Error | null = null;
  /** Since when another process has held the file's write lock. */
  #lockedSince: number | null = null;
  readonly #closing = new AbortController();
  #retrying: Promise<void> = Promise.resolve();

  constructor(options: JournaledWriterOptions) {
    this.#options = options;
  }

  /** True while what waits cannot be moved. */
  get isBlocked(): boolean {
    return this.#obstacle !== null;
  }

  /**
   * Entries are durable when this returns; at the place of one that was turned down there is its error.
   * @throws when nothing of the batch could be written: disk full, locked, damaged
   */
  commit(entries: readonly LedgerEntry[]): ReadonlyArray<Error | null> {
    if (this.#obstacle !== null) this.move();
    const rows = entries.map((entry) => this.#usualRowEntry(entry));
    const usual = this.#open.take(rows.filter((row) => row !== null));
    const others = usual.length === entries.length ? [] : entriesBut(usual, entries, rows);
    try {
      const results = others.length === 0 ? null : this.#commitAtOnce(others);
      if (usual.length > 0 || entries.length === 0) this.#append(usual);
      this.#open.taken(usual);
      if (results === null) return NO_ERRORS;
      return entries.map((entry) => results[others.indexOf(entry)] ?? null);
    } catch (error) {
      this.#open.giveBack(usual);
      throw error;
    }
  }

  /**
   * Moves everything that waits. Afterwards the tables say all that was acknowledged.
   * @throws what SQLite throws when it cannot be moved; it then waits on
   */
  move(): void {
    this.#stopTimer();
    while (this.#waiting.length > 0) this.#moveSome();
  }

  /** The same where somebody is about to read: what cannot be moved is known, and has been logged. */
  moveIfPossible(): void {
    try {
      this.move();
    } catch {
      // `#failed` has it: tried again until it works, and logged where that takes long.
    }
  }

  /** True when nothing is left in the journal, which is then removed. Otherwise the next start moves it. */
  async close(): Promise<boolean> {
    this.#closing.abort();
    this.moveIfPossible();
    this.#stopTimer();
    await this.#retrying;
    const isEmpty = this.#waiting.length === 0;
    if (isEmpty) this.#options.journal.remove();
    else this.#options.journal.close();
    return isEmpty;
  }

  /** Null for what only the tables can judge: a value of a wrong type, a decision with a cycle. */
  #usualRowEntry(entry: LedgerEntry): RowEntry | null {
    try {
      return isSound(entry) ? this.#rows.make(entry) : null;
    } catch (error) {
      if (isOneEntrysFault(error)) return null;
      throw error;
    }
  }

  #append(entries: readonly RowEntry[]): void {
    const seq = this.#options.journal.append(joinEntries(entries));
    if (entries.length === 0) return;
    this.#waiting.push({ seq, entries });
    this.#waitingEntries += entries.length;
    if (this.#waitingEntries > MOST_AT_ONCE && !this.isBlocked && this.#lockedSince === null) this.moveIfPossible();
    else this.#moveIn(MOVE_AFTER_MS, FEW_WAIT_MS);
  }

  /** Behind everything that was said before, and answered by the tables themselves. */
  #commitAtOnce(entries: readonly LedgerEntry[]): ReadonlyArray<Error | null> {
    this.move();
    const results = this.#options.writer.commit(entries);
    this.#options.onMoved(entries.length);
    return results;
  }

  /** In so long; in `fewMs` more where there are few by then. */
  #moveIn(ms: number, fewMs = 0): void {
    if (this.#timer !== null || this.#obstacle !== null || this.#closing.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (fewMs > 0 && this.#waitingEntries < FEW_ENTRIES) {
        this.#moveIn(fewMs);
        return;
      }
      try {
        this.#moveSome();
      } catch {
        return; // `#failed` has it
      }
      // Others' turns between: after a lock of two seconds there is much.
      if (this.#waiting.length > 0) this.#moveIn(0);
    }, ms);
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** The first of what waits, in one transaction. @throws as `move` */
  #moveSome(): void {
    const { journal, logger, onMoved, writer } = this.#options;
    const batches = this.#first();
    if (batches.length === 0) return;
    try {
      const turnedDown = writer.move(() => batches);
      for (const error of turnedDown) logger.error({ err: error }, 'ledger entry turned down');
    } catch (error) {
      this.#failed(error as Error);
      throw error;
    }
    const entries = batches.reduce((sum, batch) => sum + batch.entries.length, 0);
    this.#waiting.splice(0, batches.length);
    this.#waitingEntries -= entries;
    if (this.#waiting.length === 0) journal.clear();
    this.#lockedSince = null;
    if (this.#obstacle !== null) logger.info({}, 'the journal of the ledger can be moved into its tables again');
    this.#obstacle = null;
    onMoved(entries);
  }

  #first(): JournaledBatch[] {
    if (this.#waitingEntries <= MOST_AT_ONCE) return this.#waiting.slice();
    let entries = 0;
    const end = this.#waiting.findIndex((batch) => {
      entries += batch.entries.length;
      return entries > MOST_AT_ONCE;
    });
    return this.#waiting.slice(0, Math.max(end, 1));
  }

  #failed(error: Error): void {
    if (this.#obstacle !== null) return;
    if (this.#mayWait(error)) {
      this.#moveIn(LOCK_RETRY_MS);
      return;
    }
    this.#obstacle = error;
    const message = 'the journal of the ledger cannot be moved into its tables; requests are refused until it can';
    this.#options.logger.error({ err: error }, message);
    if (!this.#closing.signal.aborted) this.#retrying = this.#retrying.then(() => this.#retry());
  }

  #mayWait(error: Error): boolean {
    const { code } = error as { code?: unknown };
    if (typeof code !== 'string' || !code.startsWith('SQLITE_BUSY')) return false;
    this.#lockedSince ??= performance.now();
    if (performance.now() - this.#lockedSince <= LOCK_PATIENCE_MS) return true;
    this.#lockedSince = null;
    return false;
  }

  /** Tries until it works. */
  async #retry(): Promise<void> {
    let waitMs = FIRST_RETRY_MS;
    while (this.#obstacle !== null) {
      try {
        await this.#options.clock.sleep(waitMs, this.#closing.signal);
      } catch {
        return; // closing, which makes the last try
      }
      this.moveIfPossible();
      waitMs = Math.min(waitMs * 2, MAX_RETRY_MS);
    }
  }
}

/** The entries whose rows, at the same places, are not `usual`. */
function entriesBut(
  usual: readonly RowEntry[],
  entries: readonly LedgerEntry[],
  rows: ReadonlyArray<RowEntry | null>,
): LedgerEntry[] {
  const taken = new Set<RowEntry | null>(usual);
  return entries.filter((_, at) => !taken.has(rows[at] ?? null));
}
