import type { Database } from 'better-sqlite3';
import type {
  AttemptRow,
  CostQuery,
  CostSummary,
  CostsFilter,
  LedgerReader,
  RequestDetail,
  RequestQuery,
  RequestRow,
  SeriesPoint,
} from '../../domain/ledger.js';
import type { EstimateError } from '../../domain/metering.js';
import type { NanoUsd } from '../../domain/money.js';
import { QueryError } from '../../domain/report.js';
import type { LatencyFigures, LatencyPoint, SeriesQuery } from '../../domain/series.js';
import { readEstimateError } from './calibration.js';
import { CostLookup } from './costs.js';
import { catchUp } from './journals.js';
import { openForReading } from './open.js';
import {
  ADJUSTMENT_COLUMNS,
  type AdjustmentSql,
  ATTEMPT_COLUMNS,
  type AttemptSql,
  REQUEST_COLUMNS,
  type RequestSql,
  toAdjustmentRows,
  toAttemptRow,
  toPriceRecord,
  toRequestRow,
} from './rows.js';
import { readLatencies, readSeries } from './series.js';
import { summarise } from './summarise.js';

/**
 * Reads a ledger file, whether or not a daemon writes to it. `before` each question those who write are asked to say in
 * the tables what they have acknowledged.
 * @throws UserError when the file is missing, no ledger, damaged, or of another schema
 */
export function openSqliteReader(path: string, before?: (db: Database) => void): LedgerReader {
  const db = openForReading(path);
  return new SqliteReader(db, before ?? (() => catchUp(path, db)));
}

class SqliteReader implements LedgerReader {
  readonly #db: Database;
  readonly #before: (db: Database) => void;
  #costs: CostLookup | null = null;

  constructor(db: Database, before: (db: Database) => void) {
    this.#db = db;
    this.#before = before;
  }

  /** The database, with everything that was acknowledged until now. */
  #upToDate(): Database {
    this.#before(this.#db);
    return this.#db;
  }

  summarise(query: CostQuery): CostSummary {
    return summarise(this.#upToDate(), query);
  }

  series(query: SeriesQuery): SeriesPoint[] {
    return readSeries(this.#upToDate(), query);
  }

  latencies(query: SeriesQuery): { points: LatencyPoint[]; total: LatencyFigures } {
    return readLatencies(this.#upToDate(), query);
  }

  estimateError(query: CostQuery): EstimateError | null {
    return readEstimateError(this.#upToDate(), query);
  }

  /**
   * Newest first. The cursor holds the place of the last row given, so that rows which arrive meanwhile shift nothing.
   * @throws QueryError for a cursor that is none
   */
  listRequests(query: RequestQuery): { requests: RequestRow[]; nextCursor: string | null } {
    const { where, params } = buildWhere(query);
    const sql = `SELECT ${REQUEST_COLUMNS} FROM requests r
      LEFT JOIN attempts a ON a.request_id = r.id AND a.attempt = r.attempts
      ${where} ORDER BY r.received_at DESC, r.id DESC LIMIT ?`;
    const rows = this.#upToDate()
      .prepare(sql)
      .all(...params, query.limit + 1) as RequestSql[];
    const page = rows.slice(0, query.limit);
    const last = page.at(-1);
    return {
      requests: page.map((row) => toRequestRow(row, this.#attemptsOf(row.id))),
      nextCursor: rows.length > page.length && last !== undefined ? toCursor(last) : null,
    };
  }

  getRequest(inferenceId: string): RequestDetail | null {
    const row = this.#upToDate()
      .prepare(`SELECT ${REQUEST_COLUMNS} FROM requests r WHERE r.inference_id = ?`)
      .get(inferenceId) as RequestSql | undefined;
    if (row === undefined) return null;
    const attemptRows = this.#attemptsOf(row.id);
    const adjustments = toAdjustmentRows(
      this.#db
        .prepare(`SELECT ${ADJUSTMENT_COLUMNS} FROM adjustments WHERE request_id = ? ORDER BY made_at, attempt, number`)
        .all(row.id) as AdjustmentSql[],
      attemptRows,
    );
    const named = [...attemptRows, ...adjustments].map(({ priceId }) => priceId);
    const priceIds = [...new Set(named.filter((id) => id !== null))];
    const readPrice = this.#db.prepare('SELECT * FROM prices WHERE id = ?');
    const prices = priceIds.flatMap((id) => {
      const price = readPrice.get(id) as Parameters<typeof toPriceRecord>[0] | undefined;
      return price === undefined ? [] : [toPriceRecord(price)];
    });
    return {
      ...toRequestRow(row, attemptRows),
      attemptRows,
      adjustments,
      decision: row.decision === null ? null : JSON.parse(row.decision),
      prices,
    };
  }

  costsOf(ids: readonly string[], filter: CostsFilter): Map<string, NanoUsd> {
    return this.#costLookup().costsOf(ids, filter);
  }

  heldOfUnpriced(client: string, from: number | null): NanoUsd {
    return this.#costLookup().heldOfUnpriced(client, from);
  }

  close(): void {
    this.#db.close();
  }

  #costLookup(): CostLookup {
    const db = this.#upToDate();
    this.#costs ??= new CostLookup(db);
    return this.#costs;
  }

  #attemptsOf(requestId: number): AttemptRow[] {
    const sql = `SELECT ${ATTEMPT_COLUMNS} FROM attempts a WHERE a.request_id = ? ORDER BY a.attempt`;
    return (this.#db.prepare(sql).all(requestId) as AttemptSql[]).map(toAttemptRow);
  }
}

function buildWhere(query: RequestQuery): { where: string; params: Array<string | number | bigint> } {
  const conditions: string[] = [];
  const params: Array<string | number | bigint> = [];
  const add = (condition: string, ...values: Array<string | number | bigint>) => {
    conditions.push(condition);
    params.push(...values);
  };
  if (query.from !== null) add('r.received_at >= ?', query.from);
  if (query.to !== null) add('r.received_at < ?', query.to);
  if (query.client !== undefined) add('r.client = ?', query.client);
  if (query.provider !== undefined) add('a.provider = ?', query.provider);
  if (query.model !== undefined) add('r.model = ?', query.model);
  if (query.outcome !== undefined) add('r.outcome = ?', query.outcome);
  if (query.minCostNanoUsd !== undefined) add('r.cost_nano_usd >= ?', query.minCostNanoUsd);
  if (query.cursor !== undefined) add('(r.received_at, r.id) < (?, ?)', ...fromCursor(query.cursor));
  return { where: conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`, params };
}

function toCursor(row: RequestSql): string {
  return Buffer.from(`${row.received_at}:${row.id}`).toString('base64url');
}

function fromCursor(cursor: string): [number, number] {
  const match = /^(\d{1,15}):(\d{1,15})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'));
  if (match === null) throw new QueryError('cursor', 'unknown cursor; take next_cursor of an answer as it is');
  return [Number(match[1]), Number(match[2])];
}
