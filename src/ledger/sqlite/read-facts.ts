import type { Database } from 'better-sqlite3';
import type { CostQuery } from '../../domain/ledger.js';
import { QUARTER_HOUR_MS, type ZonedCalendar } from '../../domain/time-zone.js';
import { HOUR_MS } from './cuts.js';
import {
  FACTS,
  type FigureRow,
  filterConditions,
  groupColumns,
  hasAdjustments,
  isOnlyInRows,
  isTimeBucket,
  ROLLUP_FIGURES,
  rawFigures,
} from './facts.js';
import { hasWholeHours, hourPieces, hoursOfMidnight, isWithinDaySql, localDaySql, noonOf } from './hour-pieces.js';

/** Figures of one group, and an instant within its part of the calendar; 0 where no such part is asked for. */
export interface FactRow {
  row: FigureRow & { [group: `g${number}`]: string | null };
  at: number;
}

type SqlRow = FactRow['row'] & { bucket?: number };

/** Up to so many hours it is quicker to read all totals of each hour than to look into each cut. */
const FEW_HOURS = 72;

/** Hours of totals: of all hours, of those that lie within one local day, or of those alone whose rows are gone. */
interface HourRange {
  first: number;
  end: number;
  take: 'all' | 'within-day' | 'pruned';
  /** Null: by hour. */
  offsetMinutes: number | null;
}

/**
 * Everything that a query is about, each fact once: whole hours from the hourly totals; from the rows the edges of the
 * range, tags, hours that a time zone's days or hours cut in two, and what is in flight. Of an hour that was pruned there
 * are totals only: it counts as a whole, where it begins.
 */
export function* readFacts(db: Database, query: CostQuery, calendar: ZonedCalendar): Generator<FactRow> {
  const reader = new FactReader(db, query);
  const hours = reader.hours();
  const bounds = { from: query.from ?? Number.NEGATIVE_INFINITY, to: query.to ?? Number.POSITIVE_INFINITY };
  const first = Math.max(Math.ceil(bounds.from / HOUR_MS), hours.first);
  const end = Math.min(Math.floor(bounds.to / HOUR_MS), hours.end);
  yield* reader.inFlight();
  if (reader.needsRows) {
    yield* reader.settled(bounds.from, bounds.to);
    yield* reader.totals({ first, end, take: 'pruned', offsetMinutes: null });
  } else if (first >= end) {
    yield* reader.settled(bounds.from, bounds.to);
  } else {
    yield* reader.settled(bounds.from, first * HOUR_MS);
    yield* wholeHours(reader, calendar, first, end);
    yield* reader.settled(end * HOUR_MS, bounds.to);
  }
  // The last hour, begun within the range and cut by its end.
  const last = Math.floor(bounds.to / HOUR_MS);
  if (last * HOUR_MS < bounds.to && last * HOUR_MS >= bounds.from) {
    yield* reader.totals({ first: last, end: last + 1, take: 'pruned', offsetMinutes: null });
  }
}

function* wholeHours(reader: FactReader, calendar: ZonedCalendar, first: number, end: number): Generator<FactRow> {
  if (reader.calendarParts.length === 0) {
    yield* reader.totals({ first, end, take: 'all', offsetMinutes: null });
    return;
  }
  const byHour = reader.calendarParts.includes('hour');
  for (const piece of hourPieces(calendar, first, end)) {
    const { offsetMinutes } = piece;
    if (hasWholeHours(piece)) {
      yield* reader.totals({ ...piece, take: 'all', offsetMinutes: byHour ? null : offsetMinutes });
    } else if (byHour || offsetMinutes === null) {
      yield* reader.settled(piece.first * HOUR_MS, piece.end * HOUR_MS);
      yield* reader.totals({ ...piece, take: 'pruned', offsetMinutes: null });
    } else {
      yield* reader.totals({ ...piece, take: 'within-day', offsetMinutes });
      for (const hour of hoursOfMidnight(piece)) yield* reader.settled(hour * HOUR_MS, (hour + 1) * HOUR_MS);
    }
  }
}

class FactReader {
  /** Names of the query that are parts of the calendar. */
  readonly calendarParts: readonly string[];
  /** Whether the hourly totals cannot answer: they know no tags, error codes and prices. */
  readonly needsRows: boolean;
  readonly #db: Database;
  readonly #query: CostQuery;
  readonly #isAdjusted: boolean;
  readonly #isPruned: boolean;

  constructor(db: Database, query: CostQuery) {
    this.#db = db;
    this.#query = query;
    const names = [...query.groupBy, ...Object.keys(query.filters)];
    this.calendarParts = names.filter(isTimeBucket);
    this.needsRows = names.some(isOnlyInRows);
    this.#isAdjusted = hasAdjustments(db);
    this.#isPruned = db.prepare('SELECT EXISTS (SELECT 1 FROM pruned_hours)').pluck().get() === 1;
  }

  /** The hours there are totals of. */
  hours(): { first: number; end: number } {
    const row = this.#db
      .prepare('SELECT (SELECT min(hour) FROM rollups) AS first, (SELECT max(hour) + 1 FROM rollups) AS "end"')
      .get() as { first: number | null; end: number | null };
    return { first: row.first ?? 0, end: row.end ?? 0 };
  }

  inFlight(): Generator<FactRow> {
    const from = 'requests r INDEXED BY requests_in_flight LEFT JOIN attempts a ON a.request_id = r.id';
    const { from: first, to } = this.#query;
    return this.#rows(from, "r.outcome = 'in_flight'", first, to);
  }

  /** From the rows of requests that have ended, received from one instant up to another. */
  *settled(from: number, to: number): Generator<FactRow> {
    if (from >= to) return;
    const kept = this.#isPruned ? ` AND r.received_at / ${HOUR_MS} NOT IN (SELECT hour FROM pruned_hours)` : '';
    const bound = (instant: number) => (Number.isFinite(instant) ? instant : null);
    yield* this.#rows(FACTS, `r.outcome <> 'in_flight'${kept}`, bound(from), bound(to));
  }

  *#rows(tables: string, condition: string, from: number | null, to: number | null): Generator<FactRow> {
    const { columns, params } = groupColumns(this.#query, 'rows');
    // Every instant there is lies after 1970, where dividing rounds down.
    if (this.calendarParts.length > 0) columns.push(`r.received_at / ${QUARTER_HOUR_MS} AS bucket`);
    const filters = filterConditions(this.#query, 'rows');
    const range = `${from === null ? '' : ' AND r.received_at >= ?'}${to === null ? '' : ' AND r.received_at < ?'}`;
    const bounds = [from, to].filter((instant) => instant !== null);
    const sql = `SELECT ${[...columns, rawFigures(this.#isAdjusted)].join(', ')} FROM ${tables}
      WHERE ${condition}${range}${filters.sql}${groupBy(columns.length)}`;
    for (const row of this.#iterate(sql, [...params, ...bounds, ...filters.params])) {
      yield { row, at: (row.bucket ?? 0) * QUARTER_HOUR_MS };
    }
  }

  /** From the hourly totals. */
  *totals(range: HourRange): Generator<FactRow> {
    const { first, end, take, offsetMinutes } = range;
    if (first >= end || (take === 'pruned' && !this.#isPruned)) return;
    const { columns, params } = groupColumns(this.#query, 'cuts');
    if (this.calendarParts.length > 0) {
      columns.push(`${offsetMinutes === null ? 't.hour' : localDaySql(offsetMinutes)} AS bucket`);
    }
    const conditions = ['t.hour >= ?', 't.hour < ?'];
    params.push(first, end);
    if (take === 'pruned') conditions.push('t.hour IN (SELECT hour FROM pruned_hours)');
    if (take === 'within-day') {
      conditions.push(`(${isWithinDaySql(offsetMinutes ?? 0)} OR t.hour IN (SELECT hour FROM pruned_hours))`);
    }
    const filters = filterConditions(this.#query, 'cuts');
    const tables =
      end - first <= FEW_HOURS
        ? 'rollups t INDEXED BY rollups_by_hour CROSS JOIN cuts c ON c.id = t.cut_id'
        : 'cuts c CROSS JOIN rollups t ON t.cut_id = c.id';
    // Added up cut by cut, which is how they lie, and by name here: quicker than by names there. But not hour by hour.
    const byCut = offsetMinutes === null ? 'c.id' : 'c.id, bucket';
    const groups =
      this.calendarParts.length > 0 && offsetMinutes === null ? groupBy(columns.length) : ` GROUP BY ${byCut}`;
    const sql = `SELECT ${[...columns, ROLLUP_FIGURES].join(', ')} FROM ${tables}
      WHERE ${conditions.join(' AND ')}${filters.sql}${groups}`;
    for (const row of this.#iterate(sql, [...params, ...filters.params])) {
      const bucket = row.bucket ?? 0;
      yield { row, at: offsetMinutes === null ? bucket * HOUR_MS : noonOf(bucket, offsetMinutes) };
    }
  }

  #iterate(sql: string, params: ReadonlyArray<string | number>): IterableIterator<SqlRow> {
    return this.#db.prepare(sql).iterate(...params) as IterableIterator<SqlRow>;
  }
}

function groupBy(columns: number): string {
  if (columns === 0) return '';
  return ` GROUP BY ${Array.from({ length: columns }, (_, index) => index + 1).join(', ')}`;
}
