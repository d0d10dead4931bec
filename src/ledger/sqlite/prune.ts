import type { Database, Statement } from 'better-sqlite3';
import { HOUR_MS } from './cuts.js';
import { rollupsHash } from './rollup-writer.js';

/** Requests that one transaction deletes: a few milliseconds of the event loop. */
const DELETED_AT_ONCE = 250;
const LINKS_AT_ONCE = 2_000;

const IN_HOUR = 'received_at >= ? AND received_at < ?';

const SQL = {
  nextRow: 'SELECT received_at FROM requests WHERE received_at >= ? AND received_at < ? ORDER BY received_at LIMIT 1',
  nextLink: 'SELECT min(c.hour) FROM pruned_hours p JOIN chain_blocks c ON c.hour = p.hour WHERE p.hour >= ?',
  inFlight: `SELECT EXISTS (SELECT 1 FROM requests INDEXED BY requests_in_flight WHERE outcome = 'in_flight' AND ${IN_HOUR})
    OR EXISTS (SELECT 1 FROM attempts a INDEXED BY attempts_in_flight JOIN requests r ON r.id = a.request_id
      WHERE a.outcome = 'in_flight' AND r.received_at >= ? AND r.received_at < ?)`,
  isPruned: 'SELECT 1 FROM pruned_hours WHERE hour = ?',
  seal: 'INSERT INTO pruned_hours (hour, pruned_at, rollups_hash) VALUES (?, ?, ?)',
  rows: `SELECT id FROM requests WHERE ${IN_HOUR} LIMIT ${DELETED_AT_ONCE}`,
  deleteAttempts: 'DELETE FROM attempts WHERE request_id = ?',
  deleteAdjustments: 'DELETE FROM adjustments WHERE request_id = ?',
  deleteRequest: 'DELETE FROM requests WHERE id = ?',
  deleteLinks: `DELETE FROM chain_blocks WHERE hour = ? AND seq < ? + ${LINKS_AT_ONCE}`,
  firstLink: 'SELECT min(seq) FROM chain_blocks WHERE hour = ?',
} as const;

type Statements = { [K in keyof typeof SQL]: Statement<unknown[]> };

export interface PruneStep {
  /** Requests deleted by this step. */
  deleted: number;
  /** True when nothing is left that may be deleted. */
  isDone: boolean;
}

/**
 * Deletes the rows of whole hours before an instant, a few at a time. The hourly totals stay and are sealed with a hash;
 * the head of the chain stays; its links go with the rows. An hour in which anything is in flight is passed over.
 */
export class Pruner {
  readonly #db: Database;
  readonly #endHour: number;
  readonly #now: number;
  readonly #sql: Statements;
  /** Hours before this one are done with. */
  #hour = 0;

  /** `before` and `now` are epoch milliseconds; the hour that `before` falls into is kept. */
  constructor(db: Database, { before, now }: { before: number; now: number }) {
    this.#db = db;
    this.#endHour = Math.floor(before / HOUR_MS);
    this.#now = now;
    this.#sql = Object.fromEntries(
      Object.entries(SQL).map(([name, sql]) => [name, db.prepare<unknown[]>(sql)]),
    ) as Statements;
    for (const name of ['nextRow', 'nextLink', 'inFlight', 'isPruned', 'rows', 'firstLink'] as const) {
      this.#sql[name].pluck();
    }
  }

  /**
   * One transaction.
   * @throws what SQLite throws when it cannot be written; nothing of the step is then
   */
  step(): PruneStep {
    return this.#db.transaction(() => this.#step()).immediate();
  }

  #step(): PruneStep {
    const hour = this.#nextHour();
    if (hour === null) return { deleted: 0, isDone: true };
    this.#hour = hour;
    const bounds = [hour * HOUR_MS, (hour + 1) * HOUR_MS];
    if (this.#sql.inFlight.get(...bounds, ...bounds) === 1) {
      this.#hour += 1;
      return { deleted: 0, isDone: false };
    }
    // From here on reports read this hour's totals and none of its rows.
    if (this.#sql.isPruned.get(hour) === undefined) this.#sql.seal.run(hour, this.#now, rollupsHash(this.#db, hour));
    const ids = this.#sql.rows.all(...bounds) as number[];
    for (const id of ids) {
      this.#sql.deleteAttempts.run(id);
      this.#sql.deleteAdjustments.run(id);
      this.#sql.deleteRequest.run(id);
    }
    if (ids.length === 0) this.#deleteLinks(hour);
    return { deleted: ids.length, isDone: false };
  }

  #deleteLinks(hour: number): void {
    const first = this.#sql.firstLink.get(hour) as number | null;
    if (first === null) this.#hour += 1;
    else this.#sql.deleteLinks.run(hour, first);
  }

  /** The first hour with rows that are old enough, or with links whose rows are gone. */
  #nextHour(): number | null {
    const row = this.#sql.nextRow.get(this.#hour * HOUR_MS, this.#endHour * HOUR_MS) as number | undefined;
    const link = this.#sql.nextLink.get(this.#hour) as number | null;
    const hours = [row === undefined ? null : Math.floor(row / HOUR_MS), link].filter((hour) => hour !== null);
    return hours.length === 0 ? null : Math.min(...hours);
  }
}
