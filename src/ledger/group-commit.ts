import { WaybillError } from '../domain/errors.js';
import type { LedgerEntry } from '../domain/ledger.js';
import type { Clock, Logger } from '../domain/ports.js';

/**
 * Makes a batch durable at once. Returns, entry by entry, null or why that entry alone was turned down.
 * @throws when nothing of the batch could be written: disk full, locked, damaged
 */
export type CommitBatch = (entries: readonly LedgerEntry[]) => ReadonlyArray<Error | null>;

export interface GroupCommitOptions {
  commit: CommitBatch;
  clock: Clock;
  logger: Logger;
}

interface Waiting {
  entry: LedgerEntry;
  resolve: () => void;
  reject: (error: Error) => void;
}

/** Bounds how long one commit holds up the event loop. */
const MAX_BATCH = 2_000;
/** Of the requests under way, and no longer than so long. */
const SHARE_TO_WAIT_FOR = 0.5;
const MAX_GATHER_MS = 1;
/** Fewer than so many entries in that time are not worth waiting for. */
const MIN_GATHERED = 2;
/** What the last commit says of how often entries come, against all before it. */
const PACE_DECAY = 0.2;
/** A lock of another process is waited for so long, looked at so often. */
const LOCK_PATIENCE_MS = 2_000;
const LOCK_RETRY_MS = 20;
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2_000;

/**
 * One commit for everything that came since the last: alone, an entry waits for nothing but its own commit; under
 * load, all entries of one turn of the event loop share one. What could not be written because the ledger has no room is
 * told to its writers; settlements among it are kept and tried again, for the money they record has been spent.
 */
export class GroupCommit {
  readonly #options: GroupCommitOptions;
  #queue: Waiting[] = [];
  /** Settlements that are owed: their writers have been told, the rows have not been written. */
  #owed: LedgerEntry[] = [];
  #scheduled = false;
  /** Requests whose intent is written and whose end is not: what may still come to share a commit. */
  #open = 0;
  #gathering: NodeJS.Timeout | null = null;
  /** Entries a millisecond, lately. */
  #pace = 0;
  #lastFlushAt = 0;
  #failing = false;
  #closed = false;
  #isClosing = false;
  /** Since when another process has held the file's write lock. */
  #lockedSince: number | null = null;
  readonly #closing = new AbortController();
  #retrying: Promise<void> = Promise.resolve();

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  /** False from a failed write until one works. */
  get isWritable(): boolean {
    return !this.#failing && !this.#closed;
  }

  /** Settlements kept until they can be written. */
  get owed(): number {
    return this.#owed.length;
  }

  /**
   * Resolves when the entry is durable.
   * @throws WaybillError ledger_unavailable when nothing can be written, internal_error when this entry is wrong
   */
  write(entry: LedgerEntry): Promise<void> {
    if (this.#closed) return Promise.reject(unavailable('the ledger is closed'));
    if (entry.request !== undefined) this.#open += 1;
    if (entry.requestSettlement !== undefined) this.#open -= 1;
    return new Promise((resolve, reject) => {
      this.#queue.push({ entry, resolve, reject });
      if (this.#gathering === null || this.#isShareReached()) this.#schedule();
    });
  }

  /** Writes what is waiting, then takes no more. What cannot be written is logged. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#isClosing = true;
    while (this.#queue.length > 0) this.#flush();
    this.#closed = true;
    this.#closing.abort();
    await this.#retrying;
    if (this.#owed.length > 0) this.#commitOwed();
    if (this.#owed.length > 0) {
      this.#options.logger.error(
        { settlements: this.#owed.length },
        'ledger closed with settlements unwritten; the next start records their requests as interrupted',
      );
    }
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#gathering === null && this.#isWorthMore()) this.#gather();
      else this.#flush();
      if (this.#queue.length > 0 && this.#gathering === null) this.#schedule();
    });
  }

  /** Lets entries come until there are enough of them, or it has been long enough. */
  #gather(): void {
    this.#gathering = setTimeout(() => {
      this.#gathering = null;
      if (this.#scheduled) return;
      this.#flush();
      if (this.#queue.length > 0) this.#schedule();
    }, MAX_GATHER_MS);
  }

  /**
   * A commit costs as much as many rows, so while entries come fast it waits for a share of the requests under way to
   * join; alone, or where most of what is open will not end soon, never.
   */
  #isWorthMore(): boolean {
    return !this.#isShareReached() && this.#pace * MAX_GATHER_MS >= MIN_GATHERED;
  }

  #isShareReached(): boolean {
    return this.#queue.length >= this.#open * SHARE_TO_WAIT_FOR;
  }

  #notePace(entries: number): void {
    const now = performance.now();
    this.#pace += PACE_DECAY * (entries / Math.max(now - this.#lastFlushAt, 0.1) - this.#pace);
    this.#lastFlushAt = now;
  }

  #flush(): void {
    if (this.#gathering !== null) clearTimeout(this.#gathering);
    this.#gathering = null;
    this.#notePace(this.#queue.length);
    const batch = this.#queue.length <= MAX_BATCH ? this.#queue : this.#queue.slice(0, MAX_BATCH);
    this.#queue = this.#queue.length <= MAX_BATCH ? [] : this.#queue.slice(MAX_BATCH);
    if (batch.length === 0) return;
    // What is owed goes first, so that a settlement is never overtaken by what was written after it.
    if (this.#owed.length > 0 && !this.#commitOwed()) {
      this.#turnDown(batch, null);
      return;
    }
    let results: ReadonlyArray<Error | null>;
    try {
      results = this.#options.commit(batch.map((waiting) => waiting.entry));
    } catch (error) {
      if (!this.#mayWaitFor(error, batch)) this.#turnDown(batch, error);
      return;
    }
    this.#lockedSince = null;
    this.#recovered();
    for (const [index, waiting] of batch.entries()) {
      const error = results[index] ?? null;
      if (error === null) waiting.resolve();
      else {
        this.#forget(waiting.entry);
        waiting.reject(this.#wrongEntry(error, waiting.entry));
      }
    }
  }

  /**
   * Another process writes to the file: its transaction ends soon, and everything else of this process goes on until
   * then. False when it has been too long, or nothing else can be waited for.
   */
  #mayWaitFor(error: unknown, batch: readonly Waiting[]): boolean {
    const { code } = error as { code?: unknown };
    if (typeof code !== 'string' || !code.startsWith('SQLITE_BUSY') || this.#failing || this.#isClosing) return false;
    this.#lockedSince ??= performance.now();
    if (performance.now() - this.#lockedSince > LOCK_PATIENCE_MS) {
      this.#lockedSince = null;
      return false;
    }
    this.#queue = [...batch, ...this.#queue];
    this.#scheduled = true;
    setTimeout(() => {
      this.#scheduled = false;
      this.#flush();
      if (this.#queue.length > 0) this.#schedule();
    }, LOCK_RETRY_MS);
    return true;
  }

  /** Nothing of the batch was written: tells every writer, keeps the settlements. */
  #turnDown(batch: readonly Waiting[], cause: unknown): void {
    if (cause !== null) this.#failed(cause);
    for (const { entry, reject } of batch) {
      this.#forget(entry);
      const settlement = settlementOf(entry);
      if (settlement !== null) this.#owed.push(settlement);
      reject(unavailable('the ledger cannot be written at the moment', cause));
    }
  }

  /** A request whose intent was not written is not under way. */
  #forget(entry: LedgerEntry): void {
    if (entry.request !== undefined && entry.requestSettlement === undefined) this.#open -= 1;
  }

  /** True when nothing is owed any more. */
  #commitOwed(): boolean {
    try {
      const results = this.#options.commit(this.#owed);
      for (const [index, error] of results.entries()) {
        const entry = this.#owed[index];
        if (error !== null && entry !== undefined) this.#wrongEntry(error, entry);
      }
      this.#owed = [];
      this.#recovered();
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  #failed(error: unknown): void {
    if (this.#failing) return;
    this.#failing = true;
    this.#options.logger.error({ err: error }, 'ledger cannot be written; requests are refused until it can');
    if (!this.#closed) this.#retrying = this.#retry();
  }

  #recovered(): void {
    if (!this.#failing) return;
    this.#failing = false;
    this.#options.logger.info({}, 'ledger can be written again');
  }

  /** Tries until a write works. Callers that ask `isWritable` first send none, so an empty batch must do as well. */
  async #retry(): Promise<void> {
    let waitMs = FIRST_RETRY_MS;
    while (this.#failing && !this.#closed) {
      try {
        await this.#options.clock.sleep(waitMs, this.#closing.signal);
      } catch {
        return; // closing: close() makes the last try
      }
      if (this.#failing) this.#commitOwed();
      waitMs = Math.min(waitMs * 2, MAX_RETRY_MS);
    }
  }

  #wrongEntry(error: Error, entry: LedgerEntry): WaybillError {
    const inferenceId = (entry.request ?? entry.attemptIntent ?? entry.attemptSettlement ?? entry.requestSettlement)
      ?.inferenceId;
    this.#options.logger.error({ err: error, inferenceId }, 'ledger entry turned down');
    return new WaybillError('internal_error', { message: 'the ledger turned an entry down', cause: error });
  }
}

/** What of an entry records money already spent. A request that was refused, nothing sent, is not: it may go. */
function settlementOf(entry: LedgerEntry): LedgerEntry | null {
  if (entry.request !== undefined) return null;
  const { attemptSettlement, requestSettlement } = entry;
  if (attemptSettlement === undefined && requestSettlement === undefined) return null;
  return {
    ...(attemptSettlement === undefined ? {} : { attemptSettlement }),
    ...(requestSettlement === undefined ? {} : { requestSettlement }),
  };
}

function unavailable(message: string, cause?: unknown): WaybillError {
  return new WaybillError('ledger_unavailable', cause == null ? { message } : { message, cause });
}
