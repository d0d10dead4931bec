import type { Database } from 'better-sqlite3';
import type { CostQuery, SeriesPoint } from '../../domain/ledger.js';
import { QueryError } from '../../domain/report.js';
import type { LatencyFigures, LatencyPoint, SeriesQuery } from '../../domain/series.js';
import { FACTS, type FigureRow, filterConditions, hasAdjustments, rawFigures } from './facts.js';
import { summarise, toCostRow } from './summarise.js';

const HOUR_MS = 3_600_000;

/** So many requests are looked at for their times. */
const MAX_SAMPLES = 50_000;
/** So many are added up for steps that are no whole hours: a second or so in which nothing else is done. */
const MAX_ADDED = 500_000;

/**
 * Figures by steps of time, each step named by its begin; steps without any are left out. Steps of whole hours come from
 * the hourly totals, shorter ones from the rows.
 * @throws QueryError where too many rows would have to be read
 */
export function readSeries(db: Database, query: SeriesQuery): SeriesPoint[] {
  return query.stepMs % HOUR_MS === 0 ? fromHours(db, query) : fromRows(db, query);
}

function fromHours(db: Database, query: SeriesQuery): SeriesPoint[] {
  const { rows } = summarise(db, { ...costQuery(query), groupBy: ['hour'] });
  return rows.map((row) => {
    const hour = Date.parse(row.group['hour'] ?? '');
    return { at: Math.floor(hour / query.stepMs) * query.stepMs, row: { ...row, group: {} } };
  });
}

type BucketRow = FigureRow & { bucket: number } & { [group: `g${number}`]: string | null };

function fromRows(db: Database, query: SeriesQuery): SeriesPoint[] {
  if (requestsWithin(db, query) > MAX_ADDED) {
    throw new QueryError(
      'step',
      `more than ${MAX_ADDED} requests, too many for such steps; take whole hours, such as 1h`,
    );
  }
  const filters = filterConditions(costQuery(query), 'rows');
  const sql = `SELECT r.received_at / ? AS bucket, ${rawFigures(hasAdjustments(db))} FROM ${FACTS}
    WHERE r.received_at >= ? AND r.received_at < ? ${filters.sql} GROUP BY 1 ORDER BY 1`;
  const params = [query.stepMs, query.from, query.to, ...filters.params];
  return (db.prepare(sql).all(...integers(params)) as BucketRow[]).map((row) => {
    return { at: row.bucket * query.stepMs, row: toCostRow({}, row) };
  });
}

interface LatencySql {
  bucket: number;
  ms: number;
  first_byte: number | null;
}

/**
 * Times of requests that ended, from their rows: whole, and to the first byte. Of more requests than can be looked at in
 * a moment every n-th is looked at.
 */
export function readLatencies(db: Database, query: SeriesQuery): { points: LatencyPoint[]; total: LatencyFigures } {
  const filters = filterConditions(costQuery(query), 'rows');
  const everyNth = Math.ceil(requestsWithin(db, query) / MAX_SAMPLES);
  const sampled = everyNth > 1 ? `AND r.id % ${everyNth} = 0` : '';
  const sql = `SELECT r.received_at / ? AS bucket, max(0, r.ended_at - r.received_at) AS ms,
      max(0, a.first_byte_at - r.received_at) AS first_byte
    FROM requests r LEFT JOIN attempts a ON a.request_id = r.id AND a.attempt = r.attempts
    WHERE r.received_at >= ? AND r.received_at < ? ${sampled} AND r.ended_at IS NOT NULL
      AND r.outcome <> 'interrupted' ${filters.sql}`;
  const params = [query.stepMs, query.from, query.to, ...filters.params];
  const total = new Times();
  const byBucket = new Map<number, Times>();
  for (const row of db.prepare(sql).iterate(...integers(params)) as IterableIterator<LatencySql>) {
    let times = byBucket.get(row.bucket);
    if (times === undefined) {
      times = new Times();
      byBucket.set(row.bucket, times);
    }
    times.add(row);
    total.add(row);
  }
  const points = [...byBucket].map(([bucket, times]) => ({ at: bucket * query.stepMs, ...times.figures() }));
  return { points, total: total.figures() };
}

/** Requests received in the range, more or less: ids grow with time. */
function requestsWithin(db: Database, { from, to }: SeriesQuery): number {
  const idAt = (order: 'ASC' | 'DESC') =>
    db
      .prepare<[bigint, bigint]>(
        `SELECT id FROM requests WHERE received_at >= ? AND received_at < ? ORDER BY received_at ${order} LIMIT 1`,
      )
      .pluck()
      .get(...(integers([from, to]) as [bigint, bigint])) as number | undefined;
  const first = idAt('ASC');
  const last = idAt('DESC');
  return first === undefined || last === undefined ? 0 : Math.abs(last - first) + 1;
}

/** 1234 → 1200, 56 → 56: a million times are then a few hundred counts. */
function twoDigits(ms: number): number {
  if (ms < 100) return ms;
  const unit = 10 ** (Math.floor(Math.log10(ms)) - 1);
  return Math.floor(ms / unit) * unit;
}

/** Counts by time. */
class Times {
  readonly #whole = new Map<number, number>();
  readonly #firstByte = new Map<number, number>();

  add({ ms, first_byte: firstByte }: LatencySql): void {
    count(this.#whole, twoDigits(ms));
    if (firstByte !== null) count(this.#firstByte, twoDigits(firstByte));
  }

  figures(): LatencyFigures {
    const whole = [...this.#whole].sort(([a], [b]) => a - b);
    const firstByte = [...this.#firstByte].sort(([a], [b]) => a - b);
    return {
      requests: whole.reduce((sum, [, calls]) => sum + calls, 0),
      averageMs: averageOf(whole),
      p50Ms: quantile(whole, 0.5),
      p95Ms: quantile(whole, 0.95),
      p99Ms: quantile(whole, 0.99),
      maxMs: whole.at(-1)?.[0] ?? null,
      firstByteP50Ms: quantile(firstByte, 0.5),
      firstByteP95Ms: quantile(firstByte, 0.95),
    };
  }
}

function count(counts: Map<number, number>, ms: number): void {
  counts.set(ms, (counts.get(ms) ?? 0) + 1);
}

type Counts = ReadonlyArray<readonly [ms: number, calls: number]>;

function averageOf(counts: Counts): number | null {
  const calls = counts.reduce((sum, [, count]) => sum + count, 0);
  return calls === 0 ? null : Math.round(counts.reduce((sum, [ms, count]) => sum + ms * count, 0) / calls);
}

function quantile(counts: Counts, share: number): number | null {
  const rank = counts.reduce((sum, [, calls]) => sum + calls, 0) * share;
  let seen = 0;
  for (const [ms, calls] of counts) {
    seen += calls;
    if (seen >= rank) return ms;
  }
  return null;
}

function costQuery({ from, to, filters }: SeriesQuery): CostQuery {
  return { from, to, groupBy: [], filters, timeZone: 'UTC' };
}

/** Whole numbers as such: a bound double would make SQLite divide with a remainder. */
function integers(params: ReadonlyArray<string | number>): Array<string | bigint> {
  return params.map((param) => (typeof param === 'number' ? BigInt(param) : param));
}
