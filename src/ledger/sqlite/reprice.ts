import type { Database, Statement } from 'better-sqlite3';
import { isBroughtKeyId } from '../../domain/keys.js';
import type { PriceRecord, RepriceOrder, RepriceResult } from '../../domain/ledger.js';
import type { NanoUsd } from '../../domain/money.js';
import { costOf, type Price } from '../../domain/pricing.js';
import { noCounts, USAGE_CLASSES } from '../../domain/usage.js';
import { amount, componentsText } from '../journal/cells.js';
import { ChainWriter } from './chain.js';
import { type AttemptFact, HOUR_MS, type RequestFact } from './cuts.js';
import { ATTEMPT_FACT_COLUMNS, type AttemptFactSql, toAttemptFact } from './facts.js';
import { RollupWriter } from './rollup-writer.js';
import { countsOf } from './rows.js';

/** Requests that one transaction looks at. */
const AT_ONCE = 500;

const SQL = {
  page: `SELECT id, received_at, client, model, endpoint, task, region, outcome FROM requests
    WHERE (received_at, id) > (?, ?) AND received_at < ? AND outcome <> 'in_flight' ORDER BY received_at, id LIMIT ${AT_ONCE}`,
  attempts: `SELECT a.attempt, a.images, a.characters, a.audio_ms, a.search_units, ${ATTEMPT_FACT_COLUMNS},
      (SELECT max(number) FROM adjustments d WHERE d.request_id = a.request_id AND d.attempt = a.attempt) AS number
    FROM attempts a WHERE a.request_id = ? ORDER BY a.attempt`,
  insert: `INSERT INTO adjustments (request_id, attempt, number, made_at, price_id, cost_nano_usd, components)
    VALUES (?, ?, ?, ?, ?, ?, ?)`,
  recordPrice: `INSERT INTO prices (id, origin, effective_from, config_generation, content)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
  isPruned: 'SELECT 1 FROM pruned_hours WHERE hour = ?',
  prunedHours: 'SELECT count(*) FROM pruned_hours WHERE hour >= ? AND hour < ?',
} as const;

type Statements = { [K in keyof typeof SQL]: Statement<unknown[]> };

interface RequestSql extends RequestFact {
  id: number;
}

interface AttemptSql extends AttemptFactSql {
  attempt: number;
  images: number | null;
  characters: number | null;
  audio_ms: number | null;
  search_units: number | null;
  number: number | null;
}

/**
 * Works out anew, at another price, what settled attempts cost, and records where it differs: a new row beside the old,
 * a link in the chain, and the difference in the hourly totals. What has this price already is left alone, so that a
 * second run changes nothing. Attempts whose use is not known, or that the price does not cover, keep their cost.
 */
export class Repricer {
  readonly #db: Database;
  readonly #order: RepriceOrder;
  readonly #price: Price;
  readonly #now: number;
  readonly #chain: ChainWriter;
  readonly #rollups: RollupWriter;
  readonly #sql: Statements;
  readonly #result: RepriceResult;
  #place: [number, number];

  constructor(db: Database, order: RepriceOrder, now: number) {
    this.#db = db;
    this.#order = order;
    this.#price = order.price;
    this.#now = now;
    this.#chain = new ChainWriter(db);
    this.#rollups = new RollupWriter(db);
    this.#sql = Object.fromEntries(
      Object.entries(SQL).map(([name, sql]) => [name, db.prepare<unknown[]>(sql)]),
    ) as Statements;
    this.#sql.isPruned.pluck();
    this.#sql.prunedHours.pluck();
    this.#place = [order.from, 0];
    const hours = [Math.floor(order.from / HOUR_MS), Math.ceil(order.to / HOUR_MS)];
    const prunedHours = this.#sql.prunedHours.get(...hours) as number;
    this.#result = { looked: 0, adjusted: 0, uncovered: 0, beforeNanoUsd: 0n, afterNanoUsd: 0n, prunedHours };
  }

  get result(): Readonly<RepriceResult> {
    return this.#result;
  }

  /** One transaction; false when there is nothing left. */
  step(): boolean {
    const before = { ...this.#result };
    try {
      return this.#order.dryRun ? this.#step() : this.#db.transaction(() => this.#stepAndWrite()).immediate();
    } catch (error) {
      Object.assign(this.#result, before);
      this.#chain.drop(0);
      this.#rollups.drop(0);
      throw error;
    }
  }

  #stepAndWrite(): boolean {
    this.#recordPrice(this.#order.record);
    const isMore = this.#step();
    this.#chain.write();
    this.#rollups.write();
    this.#rollups.written();
    return isMore;
  }

  #recordPrice({ id, origin, effectiveFrom, configGeneration, content }: PriceRecord): void {
    this.#sql.recordPrice.run(id, origin, Math.floor(effectiveFrom), configGeneration, content);
  }

  #step(): boolean {
    const page = this.#sql.page.all(...this.#place, this.#order.to) as RequestSql[];
    for (const request of page) {
      this.#place = [request.received_at, request.id];
      // Its totals are sealed, and its rows about to go.
      if (this.#sql.isPruned.get(Math.floor(request.received_at / HOUR_MS)) !== undefined) continue;
      if (this.#order.model === null || this.#order.model === request.model) this.#reprice(request, null);
      else this.#reprice(request, this.#order.model);
    }
    return page.length === AT_ONCE;
  }

  /** `providerModel` null: attempts at any. */
  #reprice(request: RequestSql, providerModel: string | null): void {
    const rows = this.#sql.attempts.all(request.id) as AttemptSql[];
    const facts = rows.map(toAttemptFact);
    const adjusted: AttemptFact[] = [...facts];
    for (const [index, row] of rows.entries()) {
      const fact = facts[index] as AttemptFact;
      if (providerModel !== null && row.provider_model !== providerModel) continue;
      if (this.#order.provider !== null && row.provider !== this.#order.provider) continue;
      // Its owner paid, at whatever price.
      if (row.key !== null && isBroughtKeyId(row.key)) continue;
      const cost = this.#newCost(row);
      if (cost === null || cost.nanoUsd === fact.cost) continue;
      adjusted[index] = { ...fact, cost: cost.nanoUsd, price: this.#order.price.id };
      this.#result.adjusted += 1;
      this.#result.beforeNanoUsd += fact.cost ?? 0n;
      this.#result.afterNanoUsd += cost.nanoUsd;
      if (!this.#order.dryRun) this.#insert(request, row, cost);
    }
    if (this.#order.dryRun || adjusted.every((fact, index) => fact === facts[index])) return;
    this.#rollups.add(request, facts, -1);
    this.#rollups.add(request, adjusted);
  }

  #newCost(row: AttemptSql): { nanoUsd: NanoUsd; components: string | null } | null {
    const { price } = this.#order;
    const counts = countsOf(row);
    const isKnownUse = row.outcome !== 'in_flight' && USAGE_CLASSES.some((name) => counts[name] !== null);
    if (!isKnownUse) return null;
    this.#result.looked += 1;
    if (row.price === price.id) return null;
    const cost = costOf({ ...noCounts(), ...counts }, this.#price);
    const nanoUsd = cost.known ? amount(cost.nanoUsd) : null;
    if (!cost.known || nanoUsd === null) {
      this.#result.uncovered += 1;
      return null;
    }
    return { nanoUsd, components: componentsText(cost.components) };
  }

  #insert(request: RequestSql, row: AttemptSql, cost: { nanoUsd: NanoUsd; components: string | null }): void {
    const number = (row.number ?? 0) + 1;
    const { id } = this.#price;
    this.#sql.insert.run(request.id, row.attempt, number, this.#now, id, cost.nanoUsd, cost.components);
    const cells = [request.id, row.attempt, number, this.#now, id, cost.nanoUsd.toString(), cost.components];
    const adjusted = { requestId: request.id, attempt: row.attempt, adjustment: number };
    this.#chain.add(request.received_at, adjusted, JSON.stringify(cells));
  }
}
