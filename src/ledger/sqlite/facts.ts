import { type CostQuery, GROUP_NAMES, type GroupBy } from '../../domain/ledger.js';
import { QUARTER_HOUR_MS, type TimeBucket } from '../../domain/time-zone.js';

/**
 * A report counts facts: each attempt is one, and so is each request without any. What an attempt did (provider, key,
 * usage, cost) is counted where it happened; the request itself once, at its last attempt. So every cut covers the same
 * facts, and every total is the same.
 */
export const FACTS = 'requests r LEFT JOIN attempts a ON a.request_id = r.id';

const IS_LAST = '(a.attempt IS NULL OR a.attempt = r.attempts)';
const IS_UNPRICED = "(a.cost_nano_usd IS NULL AND a.outcome <> 'in_flight')";

/** SQL of each figure. Money is summed in halves, for the sum of many may pass what an SQLite integer holds. */
export const FIGURES = `
  sum(${IS_LAST}) AS requests,
  count(a.attempt) AS attempts,
  sum(${IS_LAST} AND r.outcome IN ('failed', 'refused', 'interrupted')) AS errors,
  total(a.input) AS input,
  total(a.cached_input) AS cached_input,
  total(a.cache_write) AS cache_write,
  total(a.output) AS output,
  total(a.reasoning) AS reasoning,
  total(a.audio_input) AS audio_input,
  total(a.audio_output) AS audio_output,
  CAST(sum(a.cost_nano_usd >> 32) AS TEXT) AS cost_high,
  CAST(sum(a.cost_nano_usd & 4294967295) AS TEXT) AS cost_low,
  CAST(sum(CASE WHEN a.usage_source <> 'reported' THEN a.cost_nano_usd >> 32 END) AS TEXT) AS estimated_high,
  CAST(sum(CASE WHEN a.usage_source <> 'reported' THEN a.cost_nano_usd & 4294967295 END) AS TEXT) AS estimated_low,
  sum(CASE WHEN ${IS_UNPRICED} AND NOT (a.attempt < r.attempts AND EXISTS (
    SELECT 1 FROM attempts later WHERE later.request_id = a.request_id AND later.attempt > a.attempt
      AND later.cost_nano_usd IS NULL AND later.outcome <> 'in_flight')) THEN 1 ELSE 0 END) AS unpriced`;

export interface FigureRow {
  requests: number;
  attempts: number;
  errors: number;
  input: number;
  cached_input: number;
  cache_write: number;
  output: number;
  reasoning: number;
  audio_input: number;
  audio_output: number;
  cost_high: string | null;
  cost_low: string | null;
  estimated_high: string | null;
  estimated_low: string | null;
  unpriced: number;
}

const COLUMNS: Record<Exclude<GroupBy, TimeBucket | `tag:${string}`>, string> = {
  client: 'r.client',
  model: 'r.model',
  provider_model: 'a.provider_model',
  provider: 'a.provider',
  key: 'a.key',
  endpoint: 'r.endpoint',
  task: 'r.task',
  region: 'coalesce(a.region, r.region)',
  outcome: 'r.outcome',
  usage_source: 'a.usage_source',
};

export function isTimeBucket(name: string): name is TimeBucket {
  return name === 'hour' || name === 'day' || name === 'week' || name === 'month';
}

export interface FactsSql {
  sql: string;
  params: Array<string | number>;
}

/**
 * The statement that answers a query up to its time buckets: columns `g0`, `g1`, … for the groups that SQL can name, and
 * `quarter`, the quarter hour, where one of the names is a part of the calendar.
 * @throws Error for a name that is no group
 */
export function buildFactsSql(query: CostQuery): FactsSql {
  const columns: string[] = [];
  const selectParams: Array<string | number> = [];
  for (const [index, name] of query.groupBy.entries()) {
    if (isTimeBucket(name)) continue;
    const { sql, params } = columnOf(name);
    columns.push(`${sql} AS g${index}`);
    selectParams.push(...params);
  }
  if ([...query.groupBy, ...Object.keys(query.filters)].some(isTimeBucket)) {
    // Rounds down for instants before 1970 too: none is.
    columns.push(`r.received_at / ${QUARTER_HOUR_MS} AS quarter`);
  }
  const where = buildWhere(query);
  const groups = columns.map((_, index) => index + 1).join(', ');
  const sql = `SELECT ${[...columns, FIGURES].join(', ')} FROM ${FACTS} ${where.sql} ${groups === '' ? '' : `GROUP BY ${groups}`}`;
  return { sql, params: [...selectParams, ...where.params] };
}

function buildWhere(query: CostQuery): FactsSql {
  const conditions: string[] = [];
  const params: Array<string | number> = [];
  if (query.from !== null) {
    conditions.push('r.received_at >= ?');
    params.push(query.from);
  }
  if (query.to !== null) {
    conditions.push('r.received_at < ?');
    params.push(query.to);
  }
  for (const [name, values] of Object.entries(query.filters)) {
    if (isTimeBucket(name)) continue;
    const column = columnOf(name);
    const marks = values.map(() => '?').join(', ');
    // An empty value stands for what has none.
    conditions.push(`coalesce(${column.sql}, '') IN (${marks})`);
    params.push(...column.params, ...values);
  }
  return { sql: conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`, params };
}

function columnOf(name: string): FactsSql {
  if (name.startsWith('tag:')) {
    return { sql: '(SELECT value FROM json_each(r.tags) WHERE key = ?)', params: [name.slice('tag:'.length)] };
  }
  if (!Object.hasOwn(COLUMNS, name))
    throw new Error(`"${name}" is no group; known: ${GROUP_NAMES.join(', ')}, tag:NAME`);
  return { sql: COLUMNS[name as keyof typeof COLUMNS], params: [] };
}
