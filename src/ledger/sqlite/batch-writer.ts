import type { Database, Statement } from 'better-sqlite3';
import type {
  AttemptIntent,
  AttemptSettlement,
  LedgerEntry,
  PriceRecord,
  RequestIntent,
  RequestSettlement,
} from '../../domain/ledger.js';
import type { NanoUsd } from '../../domain/money.js';
import type { CostComponent } from '../../domain/pricing.js';
import { WRITE_SQL } from './write-sql.js';

/** A request's end as the ledger takes it: one whose process died has no status. */
export type AnyRequestSettlement = Omit<RequestSettlement, 'status'> & { status: number | null };
export type AnyEntry = Omit<LedgerEntry, 'requestSettlement'> & { requestSettlement?: AnyRequestSettlement };

/** The largest amount SQLite's integers hold: nine billion dollars. */
const MAX_AMOUNT = 2n ** 63n - 1n;

type Statements = { [K in keyof typeof WRITE_SQL]: Statement<unknown[]> };

/** Writes batches of entries with prepared statements, each batch in one transaction. */
export class BatchWriter {
  readonly #db: Database;
  readonly #processId: number;
  readonly #statements: Statements;
  /** Rowids of requests in flight, so that settling need not search. */
  readonly #open = new Map<string, number>();

  constructor(db: Database, processId: number) {
    this.#db = db;
    this.#processId = processId;
    this.#statements = Object.fromEntries(
      Object.entries(WRITE_SQL).map(([name, sql]) => [name, db.prepare<unknown[]>(sql)]),
    ) as Statements;
    this.#statements.attemptCosts.pluck().safeIntegers();
  }

  /**
   * Writes all entries in one transaction; an entry that is wrong in itself is turned down alone, and its error returned.
   * @throws what SQLite throws when nothing could be written; nothing is then
   */
  commit(entries: readonly AnyEntry[]): Array<Error | null> {
    try {
      this.#transaction(() => this.#writeAll(entries));
      this.#forgetSettled(entries);
      return entries.map(() => null);
    } catch (error) {
      this.#forgetNew(entries);
      if (!isOneEntrysFault(error)) throw error;
    }
    // One of them is wrong: again, each by itself.
    const results = entries.map((): Error | null => null);
    try {
      this.#transaction(() => {
        for (const index of inOrder(entries)) results[index] = this.#writeAlone(entries[index] as AnyEntry);
      });
    } catch (error) {
      this.#forgetNew(entries);
      throw error;
    }
    this.#forgetSettled(entries);
    return results;
  }

  recordPrices(prices: readonly PriceRecord[]): void {
    this.#transaction(() => {
      for (const price of prices) {
        const { id, origin, effectiveFrom, configGeneration, content } = price;
        this.#statements.insertPrice.run(id, origin, effectiveFrom, configGeneration, content);
      }
    });
  }

  #transaction(body: () => void): void {
    this.#statements.begin.run();
    try {
      body();
      this.#statements.commit.run();
    } catch (error) {
      // A full disk makes SQLite roll back by itself.
      if (this.#db.inTransaction) this.#statements.rollback.run();
      throw error;
    }
  }

  /** Intents first, then what ended: a batch may hold a settlement before the intent it settles. */
  #writeAll(entries: readonly AnyEntry[]): void {
    // Nothing to write: a write all the same, to learn whether one works.
    if (entries.length === 0) this.#statements.probe.run(this.#processId);
    for (const entry of entries) this.#writeIntents(entry);
    for (const entry of entries) this.#writeAttemptEnd(entry);
    for (const entry of entries) this.#writeRequestEnd(entry);
  }

  #writeAlone(entry: AnyEntry): Error | null {
    this.#statements.savepoint.run();
    try {
      this.#writeIntents(entry);
      this.#writeAttemptEnd(entry);
      this.#writeRequestEnd(entry);
      this.#statements.release.run();
      return null;
    } catch (error) {
      if (!isOneEntrysFault(error)) throw error;
      this.#statements.rollbackTo.run();
      this.#statements.release.run();
      this.#forgetNew([entry]);
      return error as Error;
    }
  }

  #writeIntents(entry: AnyEntry): void {
    const { request, attemptIntent } = entry;
    if (request !== undefined) {
      const first = attemptIntent?.inferenceId === request.inferenceId ? attemptIntent.attempt : 0;
      this.#insertRequest(request, first);
    }
    if (attemptIntent !== undefined) this.#insertAttempt(attemptIntent, request?.inferenceId);
  }

  #insertRequest(request: RequestIntent, attempts: number): void {
    const result = this.#statements.insertRequest.run(
      request.inferenceId,
      Math.floor(request.receivedAt),
      this.#processId,
      request.configGeneration,
      request.client,
      tagsText(request.tags),
      request.endpoint,
      request.task,
      request.model,
      request.region,
      request.stream ? 1 : 0,
      attempts,
    );
    // Written before: the first one stands.
    if (result.changes === 1) this.#open.set(request.inferenceId, Number(result.lastInsertRowid));
  }

  #insertAttempt(intent: AttemptIntent, countedFor: string | undefined): void {
    const requestId = this.#idOf(intent.inferenceId);
    this.#statements.insertAttempt.run(
      requestId,
      intent.attempt,
      Math.floor(intent.sentAt),
      intent.provider,
      intent.providerModel,
      intent.key,
      intent.region,
      amount(intent.heldNanoUsd),
      intent.priceId,
    );
    if (countedFor !== intent.inferenceId) this.#statements.countAttempt.run(intent.attempt, requestId);
  }

  #writeAttemptEnd(entry: AnyEntry): void {
    if (entry.attemptSettlement !== undefined) this.#settleAttempt(entry.attemptSettlement);
  }

  #settleAttempt(end: AttemptSettlement): void {
    const requestId = this.#idOf(end.inferenceId);
    const counts = end.usage?.counts;
    const cost = amount(end.costNanoUsd);
    const isTooLarge = cost === null && end.costNanoUsd !== null;
    const { changes } = this.#statements.settleAttempt.run(
      Math.floor(end.endedAt),
      end.firstByteAt === null ? null : Math.floor(end.firstByteAt),
      end.outcome,
      end.status,
      end.errorCode,
      cost,
      isTooLarge ? 'too-large' : end.unpricedReason,
      end.priceId,
      end.usage?.source ?? null,
      counts?.input ?? null,
      counts?.cachedInput ?? null,
      counts?.cacheWrite ?? null,
      counts?.output ?? null,
      counts?.reasoning ?? null,
      counts?.audioInput ?? null,
      counts?.audioOutput ?? null,
      counts?.images ?? null,
      counts?.characters ?? null,
      counts?.audioMs ?? null,
      counts?.searchUnits ?? null,
      end.providerCostUsd,
      componentsText(end.components),
      requestId,
      end.attempt,
    );
    if (changes === 1) return;
    if (this.#statements.hasAttempt.get(requestId, end.attempt) === undefined) {
      throw new UnknownRowError(`attempt ${end.attempt} of ${end.inferenceId} has no intent`);
    }
  }

  #writeRequestEnd(entry: AnyEntry): void {
    const end = entry.requestSettlement;
    if (end === undefined) return;
    const requestId = this.#idOf(end.inferenceId);
    this.#statements.settleRequest.run(
      Math.floor(end.endedAt),
      end.outcome,
      end.status,
      end.errorCode,
      amount(this.#costOf(requestId)),
      end.decision == null ? null : JSON.stringify(end.decision),
      requestId,
    );
  }

  /** The sum over the attempts as they were written; null when one of them is unknown, 0 when nothing was sent. */
  #costOf(requestId: number): NanoUsd | null {
    let sum = 0n;
    for (const row of this.#statements.attemptCosts.iterate(requestId)) {
      const cost = row as bigint | null;
      if (cost === null) return null;
      sum += cost;
    }
    return sum;
  }

  #idOf(inferenceId: string): number {
    const known = this.#open.get(inferenceId);
    if (known !== undefined) return known;
    const row = this.#statements.findRequest.get(inferenceId) as { id: number } | undefined;
    if (row === undefined) throw new UnknownRowError(`request ${inferenceId} has no intent`);
    return row.id;
  }

  #forgetNew(entries: readonly AnyEntry[]): void {
    for (const { request } of entries) if (request !== undefined) this.#open.delete(request.inferenceId);
  }

  #forgetSettled(entries: readonly AnyEntry[]): void {
    for (const { requestSettlement } of entries) {
      if (requestSettlement !== undefined) this.#open.delete(requestSettlement.inferenceId);
    }
  }
}

/** A settlement of what was never intended. */
class UnknownRowError extends Error {}

/** Places of the entries, those that begin something first. */
function inOrder(entries: readonly AnyEntry[]): number[] {
  const places = [...entries.keys()];
  const begins = (place: number) =>
    entries[place]?.request !== undefined || entries[place]?.attemptIntent !== undefined;
  return [...places.filter(begins), ...places.filter((place) => !begins(place))];
}

/** A wrong type, a constraint, an unknown row: not the disk's doing, and so not the other entries' either. */
function isOneEntrysFault(error: unknown): boolean {
  if (error instanceof UnknownRowError || error instanceof TypeError || error instanceof RangeError) return true;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^SQLITE_(CONSTRAINT|MISMATCH|TOOBIG|RANGE)/.test(code);
}

/** An amount the column can hold; what is beyond it is unknown rather than wrong. */
function amount(nanoUsd: NanoUsd | null): NanoUsd | null {
  return nanoUsd === null || nanoUsd > MAX_AMOUNT || nanoUsd < -MAX_AMOUNT ? null : nanoUsd;
}

function tagsText(tags: Readonly<Record<string, string>>): string | null {
  for (const _ in tags) return JSON.stringify(tags);
  return null;
}

/** `[["input",12,"150000000"]]`: class, units, nano-USD per million units. */
function componentsText(components: readonly CostComponent[]): string | null {
  if (components.length === 0) return null;
  const lines = components.map((line) => `["${line.class}",${line.units},"${line.ratePerMillion}"]`);
  return `[${lines.join(',')}]`;
}
