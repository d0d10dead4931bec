import type { Database, Statement } from 'better-sqlite3';
import type { PriceRecord } from '../../domain/ledger.js';
import { type AttemptCells, amount, amountText, type RequestCells } from '../journal/cells.js';
import { type AnyEntry, type Part, partOf, type RowEntry, toRowEntry } from '../journal/row-entry.js';
import { attemptText, ChainWriter, requestText } from './chain.js';
import type { AttemptFact } from './cuts.js';
import { inOrder, isOneEntrysFault, type JournaledBatch, UnknownRowError } from './entries.js';
import { type AttemptFactSql, toAttemptFact } from './facts.js';
import { attemptFact, type OpenAttempt, type OpenRequest, requestFact, sumOf } from './open-rows.js';
import { RollupWriter } from './rollup-writer.js';
import { byRequest, toWhole } from './whole-requests.js';
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
    this.#statements.findRequest.raw();
    this.#statements.findAttempt.raw();
  }

  /**
   * Writes all entries in one transaction; an entry that is wrong in itself is turned down alone, and its error returned.
   * @throws what SQLite throws when nothing could be written; nothing is then
   */
  commit(entries: readonly AnyEntry[]): Array<Error | null> {
    const made = entries.map(rowEntryOrFault);
    const rows = made.filter((one) => !(one instanceof Error)) as RowEntry[];
    const probe = () => this.#statements.probe.run(this.#processId);
    // Nothing to write: a write all the same, to learn whether one works.
    const results = this.#commit(
      () => rows,
      () => rows.length > 0 || probe(),
    ).values();
    return made.map((one) => (one instanceof Error ? one : (results.next().value ?? null)));
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

  #commit(pending: () => readonly RowEntry[], note: () => unknown): Array<Error | null> {
    let entries: readonly RowEntry[] = [];
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
        for (const index of inOrder(entries)) results[index] = this.#writeAlone(entries[index] as RowEntry);
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
  #writeAll(entries: readonly RowEntry[]): void {
    const others: RowEntry[] = [];
    for (const ofOne of byRequest(entries).values()) {
      const whole = toWhole(ofOne);
      if (whole !== null && this.#whole.insert(whole)) continue;
      for (const entry of ofOne) {
        this.#writeIntents(entry);
        others.push(entry);
      }
    }
    for (const entry of others) this.#writeAttemptEnd(entry);
    for (const entry of others) this.#writeRequestEnd(entry);
  }

  #writeAlone(entry: RowEntry): Error | null {
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

  #writeIntents({ inferenceId, request, attempt, priceId }: RowEntry): void {
    if (request !== null) this.#insertRequest(request, attempt?.cells[0] ?? 0);
    if (attempt !== null) this.#insertAttempt(inferenceId, attempt, priceId);
  }

  #insertRequest(begin: Part<RequestCells>, attempts: number): void {
    const processId = this.#processId;
    const result = this.#statements.insertRequest.run(begin.cells, processId, attempts, 'in_flight');
    // Written before: the first one stands.
    if (result.changes === 0) return;
    const [inferenceId] = begin.cells;
    const id = Number(result.lastInsertRowid);
    this.#open.set(inferenceId, { id, processId, begin, attempts, outcome: 'in_flight', sent: new Map() });
  }

  #insertAttempt(inferenceId: string, begin: Part<AttemptCells>, priceId: string | null): void {
    const request = this.#requestOf(inferenceId);
    const { changes } = this.#statements.insertAttempt.run(request.id, begin.cells, priceId, 'in_flight');
    const [attempt] = begin.cells;
    if (changes === 1) {
      // Its end has been told and added up: a call that came after it would be seen by nobody.
      if (request.outcome !== 'in_flight') throw new UnknownRowError(`request ${inferenceId} has ended`);
      request.sent.set(attempt, { begin });
    }
    if (attempt <= request.attempts) return;
    this.#statements.countAttempt.run(attempt, request.id);
    request.attempts = attempt;
  }

  #writeAttemptEnd({ inferenceId, endedAttempt: attempt, attemptEnd: end }: RowEntry): void {
    if (end === null) return;
    const request = this.#requestOf(inferenceId);
    const open = this.#attemptOf(request, attempt);
    const isLate = request.outcome !== 'in_flight';
    const before = isLate ? this.#readFacts(request) : [];
    const { changes } = this.#statements.settleAttempt.run(end.cells, request.id, attempt);
    // Settled before: the first settlement stands.
    if (changes === 0) return;
    open.fact = attemptFact(open.begin.cells, end.cells);
    if (isLate) {
      // Its request was added up without it.
      const fact = requestFact(request.begin.cells, request.outcome);
      this.#rollups.add(fact, before, -1);
      this.#rollups.add(fact, this.#readFacts(request));
    }
    const row = { requestId: request.id, attempt, adjustment: 0 };
    this.#chain.add(receivedAt(request), row, attemptText(request.id, { begin: open.begin, end }));
  }

  #writeRequestEnd({ inferenceId, requestEnd: end }: RowEntry): void {
    if (end === null) return;
    const request = this.#requestOf(inferenceId);
    const facts = this.#factsOf(request);
    const cost = amountText(amount(sumOf(facts)));
    const { changes } = this.#statements.settleRequest.run(end.cells, cost, request.id);
    if (changes === 0) return;
    request.outcome = end.cells[1];
    this.#rollups.add(requestFact(request.begin.cells, request.outcome), facts);
    const { id, processId, attempts, begin } = request;
    const text = requestText({ processId, attempts, cost, begin, end });
    this.#chain.add(receivedAt(request), { requestId: id, attempt: 0, adjustment: 0 }, text);
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
    const row = this.#statements.findRequest.get(inferenceId) as
      | [number, number, number, OpenRequest['outcome'], ...RequestCells]
      | undefined;
    if (row === undefined) throw new UnknownRowError(`request ${inferenceId} has no intent`);
    const [id, processId, attempts, outcome, ...cells] = row;
    return { id, processId, attempts, outcome, begin: partOf(cells), sent: new Map() };
  }

  #attemptOf(request: OpenRequest, attempt: number): OpenAttempt {
    const known = request.sent.get(attempt);
    if (known !== undefined) return known;
    const cells = this.#statements.findAttempt.get(request.id, attempt) as AttemptCells | undefined;
    if (cells === undefined) throw new UnknownRowError(`attempt ${attempt} of ${request.begin.cells[0]} has no intent`);
    return { begin: partOf(cells) };
  }

  /** What a transaction that failed said of these is not so: they are read again when they are needed. */
  #forget(entries: readonly RowEntry[]): void {
    for (const { inferenceId } of entries) this.#open.delete(inferenceId);
  }

  #forgetSettled(entries: readonly RowEntry[]): void {
    for (const { inferenceId, requestEnd } of entries) {
      if (requestEnd !== null) this.#open.delete(inferenceId);
    }
  }
}

function rowEntryOrFault(entry: AnyEntry): RowEntry | Error {
  try {
    return toRowEntry(entry);
  } catch (error) {
    if (!isOneEntrysFault(error)) throw error;
    return error as Error;
  }
}

function receivedAt({ begin }: OpenRequest): number {
  return begin.cells[1];
}
