import type { Database, Statement } from 'better-sqlite3';
import type { PriceRecord } from '../../domain/ledger.js';
import { type AnyEntry, type RowEntry, toRowEntry } from '../journal/row-entry.js';
import { ChainWriter } from './chain.js';
import { entriesOf, inOrder, isOneEntrysFault, type JournaledBatch } from './entries.js';
import { RollupWriter } from './rollup-writer.js';
import { StepWriter } from './step-writer.js';
import { byRequest, toWhole } from './whole-requests.js';
import { type WholeRow, WholeWriter } from './whole-writer.js';
import { BATCH_SQL } from './write-sql.js';

type Statements = { [K in keyof typeof BATCH_SQL]: Statement<unknown[]> };

/** Writes batches of entries with prepared statements, each batch in one transaction. */
export class BatchWriter {
  readonly #db: Database;
  readonly #processId: number;
  readonly #statements: Statements;
  readonly #chain: ChainWriter;
  readonly #rollups: RollupWriter;
  readonly #whole: WholeWriter;
  readonly #steps: StepWriter;
  /** Of all requests', within a transaction. */
  #newestId: number | null = null;

  constructor(db: Database, processId: number) {
    this.#db = db;
    this.#processId = processId;
    this.#chain = new ChainWriter(db);
    this.#rollups = new RollupWriter(db);
    const parts = { processId, chain: this.#chain, rollups: this.#rollups };
    this.#whole = new WholeWriter(db, parts);
    this.#steps = new StepWriter(db, parts);
    this.#statements = Object.fromEntries(
      Object.entries(BATCH_SQL).map(([name, sql]) => [name, db.prepare<unknown[]>(sql)]),
    ) as Statements;
    this.#statements.newestRequest.pluck();
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
      for (const { seq, entries } of all) if (seq <= last) this.#steps.forget(entries);
      last = news.at(-1)?.seq ?? last;
      return entriesOf(news);
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
      this.#steps.forgetSettled(entries);
      return entries.map(() => null);
    } catch (error) {
      this.#steps.forget(entries);
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
      this.#steps.forget(entries);
      throw error;
    }
    this.#steps.forgetSettled(entries);
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

  /** Ids of requests grow with time, and are given out within a transaction: another process may have written since. */
  #newId(): number {
    this.#newestId ??= this.#statements.newestRequest.get() as number;
    this.#newestId += 1;
    return this.#newestId;
  }

  #transaction(body: () => void): void {
    this.#statements.begin.run();
    this.#newestId = null;
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
    const wholes: WholeRow[] = [];
    const others: Array<{ id: number; entries: readonly RowEntry[] }> = [];
    for (const ofOne of byRequest(entries).values()) {
      const whole = toWhole(ofOne);
      const id = ofOne.some(({ request }) => request !== null) ? this.#newId() : 0;
      if (whole === null) others.push({ id, entries: ofOne });
      else wholes.push({ id, whole, entries: ofOne });
    }
    others.push(...this.#whole.insert(wholes));
    for (const { id, entries } of others) for (const entry of entries) this.#steps.begin(entry, id);
    for (const { entries } of others) for (const entry of entries) this.#steps.endAttempt(entry);
    for (const { entries } of others) for (const entry of entries) this.#steps.endRequest(entry);
  }

  #writeAlone(entry: RowEntry): Error | null {
    const links = this.#chain.pending;
    const changes = this.#rollups.pending;
    this.#statements.savepoint.run();
    try {
      this.#steps.begin(entry, entry.request === null ? 0 : this.#newId());
      this.#steps.endAttempt(entry);
      this.#steps.endRequest(entry);
      this.#statements.release.run();
      return null;
    } catch (error) {
      if (!isOneEntrysFault(error)) throw error;
      this.#statements.rollbackTo.run();
      this.#statements.release.run();
      this.#chain.drop(links);
      this.#rollups.drop(changes);
      this.#steps.forget([entry]);
      return error as Error;
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
