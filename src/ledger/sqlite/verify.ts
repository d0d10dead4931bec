import type { Database, Statement } from 'better-sqlite3';
import type { LedgerDifference, LedgerVerification } from '../../domain/ledger.js';
import { type ChainLink, isKnownVersion, linkHash, linksOfHour } from './chain.js';
import { CutSums, HOUR_MS } from './cuts.js';
import { hasAdjustments } from './facts.js';
import { LinkedRows } from './linked-rows.js';
import { PriceBook } from './price-book.js';
import { rollupsHash } from './rollup-writer.js';
import { costProblem } from './verify-cost.js';
import { costProblemOf, requestsOfHour, totalsProblems } from './verify-rows.js';

export type OnHour = (hour: string, done: number, of: number) => void;

/** More than this many are not listed: a ledger so damaged needs its backup. */
const MAX_DIFFERENCES = 1_000;

/**
 * Checks every settled row against the chain of its hour; every cost against usage, price and components; every request
 * against its attempts, and every hourly total against the rows. Yields often, so that the caller may let others go
 * first; expects one state of the ledger throughout. Hours that retention has pruned are checked against their seal.
 */
export function* verifySteps(db: Database, onHour: OnHour): Generator<void, LedgerVerification> {
  return yield* new Verifier(db).run(onHour);
}

class Verifier {
  readonly #db: Database;
  readonly #book: PriceBook;
  readonly #rows: LinkedRows;
  readonly #readName: Statement<unknown[]>;
  readonly #isAdjusted: boolean;
  /** Requests up to this one may be older than the chain. */
  readonly #unchainedUntil: number;
  readonly #differences: LedgerDifference[] = [];
  #checked = 0;

  constructor(db: Database) {
    this.#db = db;
    this.#book = new PriceBook(db);
    this.#rows = new LinkedRows(db);
    this.#readName = db.prepare('SELECT inference_id FROM requests WHERE id = ?').pluck();
    this.#isAdjusted = hasAdjustments(db);
    const mark = db.prepare("SELECT value FROM marks WHERE name = 'unchained_until'").pluck().get();
    this.#unchainedUntil = (mark as number | undefined) ?? 0;
  }

  *run(onHour: OnHour): Generator<void, LedgerVerification> {
    const sealed = new Map(
      this.#db.prepare('SELECT hour, rollups_hash FROM pruned_hours').raw().all() as Array<[number, string]>,
    );
    const hours = this.#hours();
    for (const [index, hour] of hours.entries()) {
      const seal = sealed.get(hour);
      if (seal === undefined) yield* this.#verifyHour(hour);
      else this.#verifySeal(hour, seal);
      onHour(isoHour(hour), index + 1, hours.length);
      yield;
    }
    return { ok: this.#differences.length === 0, checked: this.#checked, differences: this.#differences };
  }

  /** Found by leaping from hour to hour, for there may be many rows in each. */
  #hours(): number[] {
    const leaps = (name: string, first: string, next: string) => `${name}(hour) AS (
      SELECT (${first}) UNION ALL SELECT (${next}) FROM ${name} WHERE hour IS NOT NULL)`;
    const leap = (table: string) =>
      leaps(
        `hours_of_${table}`,
        `SELECT min(hour) FROM ${table}`,
        `SELECT min(hour) FROM ${table} WHERE hour > hours_of_${table}.hour`,
      );
    const sql = `WITH RECURSIVE ${leap('chain_blocks')}, ${leap('rollups')}, ${leaps(
      'hours_of_requests',
      `SELECT min(received_at) / ${HOUR_MS} FROM requests`,
      `SELECT min(received_at) / ${HOUR_MS} FROM requests WHERE received_at >= (hours_of_requests.hour + 1) * ${HOUR_MS}`,
    )}
      SELECT hour FROM chain_heads UNION SELECT hour FROM hours_of_chain_blocks UNION SELECT hour FROM hours_of_rollups
      UNION SELECT hour FROM hours_of_requests ORDER BY 1`;
    return (this.#db.prepare(sql).pluck().all() as Array<number | null>).filter((hour) => hour !== null);
  }

  *#verifyHour(hour: number): Generator<void> {
    const before = this.#differences.length;
    const linked = new Set<string>();
    let previous: string | null = '';
    let expectedSeq = 1;
    for (const { seq, link } of linksOfHour(this.#db, hour)) {
      if (seq !== expectedSeq) previous = null;
      if (seq > expectedSeq)
        this.#note(hour, null, null, `links ${expectedSeq} to ${seq - 1} of the chain are missing`);
      if (seq < expectedSeq) this.#note(hour, null, null, `link ${seq} of the chain is there twice`);
      expectedSeq = seq + 1;
      if (link === null) {
        this.#note(hour, null, null, `link ${seq} of the chain is none`);
        previous = null;
        continue;
      }
      linked.add(`${link.requestId}/${link.attempt}/${link.adjustment}`);
      this.#checked += 1;
      this.#verifyLink(hour, link, previous);
      previous = link.hash;
      if (seq % 64 === 0) yield;
    }
    this.#verifyHead(hour, { links: expectedSeq - 1, hash: previous });
    const sums = new CutSums();
    yield* this.#verifyRows(hour, linked, sums);
    // Rows that are not as they were written make other totals: naming them is enough.
    if (this.#differences.length > before) return;
    for (const problem of totalsProblems(this.#db, hour, sums)) this.#note(hour, null, null, problem);
  }

  /** `previous` is null where links are missing before this one: its hash cannot be told then. */
  #verifyLink(hour: number, link: ChainLink, previous: string | null): void {
    const { requestId, attempt, adjustment, seq, version } = link;
    const what = adjustment === 0 ? 'the row' : `adjustment ${adjustment}`;
    const place = `(row ${requestId}, link ${seq})`;
    if (!isKnownVersion(version)) {
      const problem = `${what} cannot be checked: its link is of version ${version}, which nobody knows ${place}`;
      this.#note(hour, this.#nameOf(requestId), attempt, problem);
      return;
    }
    const row = this.#rows.read(link);
    if (row === undefined) {
      this.#note(hour, this.#nameOf(requestId), attempt, `${what} was deleted ${place}`);
    } else if (previous !== null && linkHash(previous, row.text) !== link.hash) {
      this.#note(hour, this.#nameOf(requestId), attempt, `${what} is not as it was written ${place}`);
    } else if (row.costed !== null) {
      const problem = costProblem(row.costed, this.#book);
      if (problem !== null) this.#note(hour, this.#nameOf(requestId), attempt, problem);
    }
  }

  /** Links cut off at the end leave no gap: the head says how many there were. */
  #verifyHead(hour: number, found: { links: number; hash: string | null }): void {
    const head = this.#db.prepare('SELECT links, hash FROM chain_heads WHERE hour = ?').get(hour) as
      | { links: number; hash: string }
      | undefined;
    if (head === undefined) {
      if (found.links > 0) this.#note(hour, null, null, 'the head of the chain is missing');
    } else if (head.links !== found.links || head.hash !== found.hash) {
      this.#note(hour, null, null, `the chain ends at link ${found.links}, its head says ${head.links}`);
    }
  }

  /** Settled rows that no link knows, and requests that do not cost what their attempts do. */
  *#verifyRows(hour: number, linked: ReadonlySet<string>, sums: CutSums): Generator<void> {
    let count = 0;
    for (const request of requestsOfHour(this.#db, hour)) {
      const { id, inferenceId: name, attempts } = request;
      sums.add(
        request.fact,
        attempts.map(({ fact }) => fact),
        1,
      );
      const problem = costProblemOf(request);
      if (problem !== null) this.#note(hour, name, null, problem);
      const added = 'the row was added by something else';
      const isChained = id > this.#unchainedUntil;
      if (isChained && !linked.has(`${id}/0/0`)) this.#note(hour, name, null, added);
      for (const { attempt, fact } of attempts) {
        if (!isChained || fact.outcome === 'in_flight' || linked.has(`${id}/${attempt}/0`)) continue;
        this.#note(hour, name, attempt, added);
      }
      count += 1;
      if (count % 64 === 0) yield;
    }
    this.#verifyUnended(hour, linked);
    if (this.#isAdjusted) this.#verifyAdjustments(hour, linked);
  }

  /** Attempts that have ended, of requests that are still under way. */
  #verifyUnended(hour: number, linked: ReadonlySet<string>): void {
    const rows = this.#db
      .prepare(
        `SELECT r.id, r.inference_id AS name, a.attempt FROM requests r INDEXED BY requests_in_flight
         JOIN attempts a ON a.request_id = r.id
         WHERE r.outcome = 'in_flight' AND a.outcome <> 'in_flight' AND r.received_at >= ? AND r.received_at < ?`,
      )
      .all(hour * HOUR_MS, (hour + 1) * HOUR_MS) as Array<{ id: number; name: string; attempt: number }>;
    for (const { id, name, attempt } of rows) {
      if (id <= this.#unchainedUntil || linked.has(`${id}/${attempt}/0`)) continue;
      this.#note(hour, name, attempt, 'the row was added by something else');
    }
  }

  #verifyAdjustments(hour: number, linked: ReadonlySet<string>): void {
    const rows = this.#db
      .prepare(
        `SELECT r.id, r.inference_id AS name, d.attempt, d.number FROM requests r JOIN adjustments d ON d.request_id = r.id
         WHERE r.received_at >= ? AND r.received_at < ?`,
      )
      .all(hour * HOUR_MS, (hour + 1) * HOUR_MS) as Array<{
      id: number;
      name: string;
      attempt: number;
      number: number;
    }>;
    for (const { id, name, attempt, number } of rows) {
      if (linked.has(`${id}/${attempt}/${number}`)) continue;
      this.#note(hour, name, attempt, `adjustment ${number} was added by something else`);
    }
  }

  /** The rows are gone; their totals are not to change. */
  #verifySeal(hour: number, seal: string): void {
    if (rollupsHash(this.#db, hour) === seal) return;
    this.#note(hour, null, null, 'the totals of this pruned hour are not as they were when its rows were deleted');
  }

  #nameOf(requestId: number): string | null {
    return (this.#readName.get(requestId) as string | undefined) ?? null;
  }

  #note(hour: number, inferenceId: string | null, attempt: number | null, problem: string): void {
    if (this.#differences.length >= MAX_DIFFERENCES) return;
    this.#differences.push({ inferenceId, attempt: attempt === 0 ? null : attempt, hour: isoHour(hour), problem });
  }
}

function isoHour(hour: number): string {
  return new Date(hour * HOUR_MS).toISOString();
}
