import type { Database, Statement } from 'better-sqlite3';
import type { AttemptIntent, PriceRecord, RequestIntent } from '../../domain/ledger.js';
import { ChainWriter } from './chain.js';
import type { AttemptFact } from './cuts.js';
import { type AnyEntry, inOrder, isOneEntrysFault, type JournaledBatch, UnknownRowError } from './entries.js';
import { type AttemptFactSql, toAttemptFact } from './facts.js';
import {
  attemptCells,
  endedCells,
  type OpenAttempt,
  type OpenRequest,
  requestCells,
  sumOf,
  toOpenAttempt,
  toOpenRequest,
  toSettlement,
} from './open-rows.js';
import { RollupWriter } from './rollup-writer.js';
import { idOf, wholeRequests } from './whole-requests.js';
import { WholeWriter } from './whole-writer.js';
import { WRITE_SQL } from './write-sql.js';

type Statements = { [K in keyof typeof WRITE_SQL]: Statement<unknown[]> };

/** Writes batches of entries with prepared statements, each batch in one transaction. */
export class BatchWriter {
  readonly #db: Database;
  readonly #processId: number;
  readonly #statements: Statements;
  readonly #chain: ChainWriter;
  readonly #rollups: RollupWriter;
  readonly #whole: WholeWriter;
  readonly #open = new Map<string, OpenRequest>();

  constructor(db: Database, processId: number) {
    this.#db = db;
    this.#processId = processId;
    this.#chain = new ChainWriter(db);
    this.#rollups = new RollupWriter(db);
    this.#whole = new WholeWriter(db, { processId, chain: this.#chain, rollups: this.#rollups });
    this.#statements = Object.fromEntries(
      Object.entries(WRITE_SQL).map(([name, sql]) => [name, db.prepare<unknown[]>(sql)]),
    ) as Statements;
  }

  /**
   * Writes all entries in one transaction; an entry that is wrong in itself is turned down alone, and its error returned.
   * @throws what SQLite throws when nothing could be written; nothing is then
   */
  commit(entries: readonly AnyEntry[]): Array<Error | null> {
    const probe = () => this.#statements.probe.run(this.#processId);
    // Nothing to write: a write all the same, to learn whether one works.
    return this.#commit(
      () => entries,
      () => entries.length > 0 || probe(),
    );
  }

  /**
   * Moves what a journal of this process holds into the tables, in one transaction; what has been moved before, by
   * whomever, is passed over. `batches` is called within the transaction, so that nobody else moves the same meanwhile.
   * Returns an error for each entry that was turned down.
   * @throws as `commit`
   */
  move(batches: () => readonly JournaledBatch[]): Error[] {
    let last = 0;
    const pending = () => {
      last = this.lastMoved();
      const all = batches();
      const news = all.filter(({ seq }) => seq > last);
      // Somebody else has moved these: what is remembered of their requests is out of date.
      for (const { seq, entries } of all) if (seq <= last) this.#forget(entries);
      last = news.at(-1)?.seq ?? last;
      return news.flatMap(({ entries }) => entries);
    };
    const note = () => this.#statements.noteMoved.run(this.#processId, last);
    return this.#commit(pending, note).filter((error) => error !== null);
  }

  /** The number of the last record of this process' journal that was moved; 0 where none was. */
  lastMoved(): number {
    const row = this.#statements.readMoved.get(this.#processId) as { seq: number } | undefined;
    return row?.seq ?? 0;
  }

  #commit(pending: () => readonly AnyEntry[], note: () => unknown): Array<Error | null> {
    let entries: readonly AnyEntry[] = [];
    try {
      this.#transaction(() => {
        entries = pending();
        this.#writeAll(entries);
        note();
      });
      this.#forgetSettled(entries);
      return entries.map(() => null);
    } catch (error) {
      this.#forget(entries);
      if (!isOneEntrysFault(error)) throw error;
    }
    // One of them is wrong: again, each by itself.
    let results: Array<Error | null> = [];
    try {
      this.#transaction(() => {
        entries = pending();
        results = entries.map(() => null);
        for (const index of inOrder(entries)) results[index] = this.#writeAlone(entries[index] as AnyEntry);
        note();
      });
    } catch (error) {
      this.#forget(entries);
      throw error;
    }
    this.#forgetSettled(entries);
    return results;
  }

  recordPrices(prices: readonly PriceRecord[]): void {
    this.#transaction(() => {
      for (const price of prices) {
        const { id, origin, effectiveFrom, configGeneration, content } = price;
        this.#statements.insertPrice.run(id, origin, Math.floor(effectiveFrom), configGeneration, content);
      }
    });
  }

  #transaction(body: () => void): void {
    this.#statements.begin.run();
    try {
      body();
      this.#chain.write();
      this.#rollups.write();
      this.#statements.commit.run();
      this.#rollups.written();
    } catch (error) {
      this.#chain.drop(0);
      this.#rollups.drop(0);
      // A full disk makes SQLite roll back by itself.
      if (this.#db.inTransaction) this.#statements.rollback.run();
      throw error;
    }
  }

  /**
   * Intents first, then what ended: a batch may hold a settlement before the intent it settles. Requests get their rows in
   * the order in which they began, whole or not: what reads the newest rows goes by their ids.
   */
  #writeAll(entries: readonly AnyEntry[]): void {
    const { whole, others } = wholeRequests(entries);
    for (const entry of entries) {
      const id = idOf(entry);
      const request = whole.get(id);
      if (request === undefined) this.#writeIntents(entry);
      else if (entry.request !== undefined && !this.#whole.insert(request)) {
        for (const part of request.entries) this.#writeIntents(part);
        others.push(...request.entries);
      }
    }
    for (const entry of others) this.#writeAttemptEnd(entry);
    for (const entry of others) this.#writeRequestEnd(entry);
  }

  #writeAlone(entry: AnyEntry): Error | null {
    const links = this.#chain.pending;
    const changes = this.#rollups.pending;
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
      this.#chain.drop(links);
      this.#rollups.drop(changes);
      this.#forget([entry]);
      return error as Error;
    }
  }

  #writeIntents({ request, attemptIntent }: AnyEntry): void {
    if (request !== undefined) {
      const first = attemptIntent?.inferenceId === request.inferenceId ? attemptIntent.attempt : 0;
      this.#insertRequest(request, first);
    }
    if (attemptIntent !== undefined) this.#insertAttempt(attemptIntent);
  }

  #insertRequest(request: RequestIntent, attempts: number): void {
    const open = toOpenRequest(request, this.#processId, attempts);
    const result = this.#statements.insertRequest.run(
      open.inference_id,
      open.received_at,
      open.process_id,
      open.config_generation,
      open.client,
      open.tags,
      open.endpoint,
      open.task,
      open.model,
      open.region,
      open.stream,
      attempts,
    );
    // Written before: the first one stands.
    if (result.changes === 0) return;
    open.id = Number(result.lastInsertRowid);
    this.#open.set(open.inference_id, open);
  }

  #insertAttempt(intent: AttemptIntent): void {
    const request = this.#requestOf(intent.inferenceId);
    const open = toOpenAttempt(intent);
    const { changes } = this.#statements.insertAttempt.run(
      request.id,
      intent.attempt,
      open.sent_at,
      open.provider,
      open.provider_model,
      open.key,
      open.region,
      open.held,
      intent.priceId,
      intent.reservedTokens,
    );
    if (changes === 1) {
      // Its end has been told and added up: a call that came after it would be seen by nobody.
      if (request.outcome !== 'in_flight') throw new UnknownRowError(`request ${intent.inferenceId} has ended`);
      request.sent.set(intent.attempt, open);
    }
    if (intent.attempt <= request.attempts) return;
    this.#statements.countAttempt.run(intent.attempt, request.id);
    request.attempts = intent.attempt;
  }

  #writeAttemptEnd({ attemptSettlement: end }: AnyEntry): void {
    if (end === undefined) return;
    const request = this.#requestOf(end.inferenceId);
    const open = this.#attemptOf(request, end.attempt);
    const { values, fact } = toSettlement(open, end);
    const isLate = request.outcome !== 'in_flight';
    const before = isLate ? this.#readFacts(request) : [];
    const { changes } = this.#statements.settleAttempt.run(...values, request.id, end.attempt);
    // Settled before: the first settlement stands.
    if (changes === 0) return;
    open.fact = fact;
    if (isLate) {
      // Its request was added up without it.
      this.#rollups.add(request, before, -1);
      this.#rollups.add(request, this.#readFacts(request));
    }
    this.#chain.add({
      receivedAt: request.received_at,
      requestId: request.id,
      attempt: end.attempt,
      cells: attemptCells(request.id, end.attempt, open, values),
    });
  }

  #writeRequestEnd({ requestSettlement: end }: AnyEntry): void {
    if (end === undefined) return;
    const request = this.#requestOf(end.inferenceId);
    const attempts = this.#factsOf(request);
    const cells = requestCells(request, end, sumOf(attempts));
    const { changes } = this.#statements.settleRequest.run(...endedCells(cells), request.id);
    if (changes === 0) return;
    request.outcome = end.outcome;
    this.#rollups.add(request, attempts);
    this.#chain.add({ receivedAt: request.received_at, requestId: request.id, attempt: 0, cells });
  }

  /** The attempts of a request in order, from memory where all of them are known to have ended. */
  #factsOf(request: OpenRequest): AttemptFact[] {
    const facts: AttemptFact[] = [];
    for (let attempt = 1; attempt <= request.attempts; attempt += 1) {
      const fact = request.sent.get(attempt)?.fact;
      if (fact === undefined) return this.#readFacts(request);
      facts.push(fact);
    }
    return facts;
  }

  #readFacts(request: OpenRequest): AttemptFact[] {
    return (this.#statements.attemptFacts.all(request.id) as AttemptFactSql[]).map(toAttemptFact);
  }

  #requestOf(inferenceId: string): OpenRequest {
    const known = this.#open.get(inferenceId);
    if (known !== undefined) return known;
    const row = this.#statements.findRequest.get(inferenceId) as Omit<OpenRequest, 'sent'> | undefined;
    if (row === undefined) throw new UnknownRowError(`request ${inferenceId} has no intent`);
    return { ...row, sent: new Map() };
  }

  #attemptOf(request: OpenRequest, attempt: number): OpenAttempt {
    const known = request.sent.get(attempt);
    if (known !== undefined) return known;
    const row = this.#statements.findAttempt.get(request.id, attempt) as OpenAttempt | undefined;
    if (row === undefined) throw new UnknownRowError(`attempt ${attempt} of ${request.inference_id} has no intent`);
    return row;
  }

  /** What a transaction that failed said of these is not so: they are read again when they are needed. */
  #forget(entries: readonly AnyEntry[]): void {
    for (const { request, attemptIntent, attemptSettlement, requestSettlement } of entries) {
      if (request !== undefined) this.#open.delete(request.inferenceId);
      if (attemptIntent !== undefined) this.#open.delete(attemptIntent.inferenceId);
      if (attemptSettlement !== undefined) this.#open.delete(attemptSettlement.inferenceId);
      if (requestSettlement !== undefined) this.#open.delete(requestSettlement.inferenceId);
    }
  }

  #forgetSettled(entries: readonly AnyEntry[]): void {
    for (const { requestSettlement } of entries) {
      if (requestSettlement !== undefined) this.#open.delete(requestSettlement.inferenceId);
    }
  }
}
