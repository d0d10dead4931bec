import type { Database } from 'better-sqlite3';
import { type CostQuery, GROUP_NAMES, type GroupBy } from '../../domain/ledger.js';
import type { TimeBucket } from '../../domain/time-zone.js';
import type { AttemptFact } from './cuts.js';

/**
 * A report counts facts: each attempt is one, and so is each request without any. What an attempt did (provider, key,
 * usage, cost) is counted where it happened; the request itself once, at its last attempt. So every cut covers the same
 * facts, and every total is the same.
 */
export const FACTS = 'requests r LEFT JOIN attempts a ON a.request_id = r.id';

const IS_LAST = '(a.attempt IS NULL OR a.attempt = r.attempts)';

/** SQL of the cost that holds for the attempt `alias` now: that of its last adjustment, else its own. */
export function costSql(alias: string, isAdjusted: boolean): string {
  return adjustedSql(alias, 'cost_nano_usd', isAdjusted);
}

function adjustedSql(alias: string, column: 'cost_nano_usd' | 'price_id', isAdjusted: boolean): string {
  if (!isAdjusted) return `${alias}.${column}`;
  return `coalesce((SELECT d.${column} FROM adjustments d WHERE d.request_id = ${alias}.request_id
    AND d.attempt = ${alias}.attempt ORDER BY d.number DESC LIMIT 1), ${alias}.${column})`;
}

/** Few ledgers have adjustments; those without one are not asked for them row by row. */
export function hasAdjustments(db: Database): boolean {
  return db.prepare('SELECT EXISTS (SELECT 1 FROM adjustments)').pluck().get() === 1;
}

/** SQL of each figure. Money is summed in halves, for the sum of many may pass what an SQLite integer holds. */
export function rawFigures(isAdjusted: boolean): string {
  const cost = costSql('a', isAdjusted);
  const isUnpriced = (alias: string) => `${costSql(alias, isAdjusted)} IS NULL AND ${alias}.outcome <> 'in_flight'`;
  return `
  count(*) AS facts,
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
  CAST(sum(${cost} >> 32) AS TEXT) AS cost_high,
  CAST(sum(${cost} & 4294967295) AS TEXT) AS cost_low,
  CAST(sum(CASE WHEN a.usage_source <> 'reported' THEN ${cost} >> 32 END) AS TEXT) AS estimated_high,
  CAST(sum(CASE WHEN a.usage_source <> 'reported' THEN ${cost} & 4294967295 END) AS TEXT) AS estimated_low,
  sum(CASE WHEN ${isUnpriced('a')} AND NOT (a.attempt < r.attempts AND EXISTS (
    SELECT 1 FROM attempts later WHERE later.request_id = a.request_id AND later.attempt > a.attempt
      AND ${isUnpriced('later')})) THEN 1 ELSE 0 END) AS unpriced`;
}

/** The same figures, added up from the hourly totals. */
export const ROLLUP_FIGURES = `
  count(*) AS facts,
  sum(t.requests) AS requests,
  sum(t.attempts) AS attempts,
  sum(t.errors) AS errors,
  total(t.input) AS input,
  total(t.cached_input) AS cached_input,
  total(t.cache_write) AS cache_write,
  total(t.output) AS output,
  total(t.reasoning) AS reasoning,
  total(t.audio_input) AS audio_input,
  total(t.audio_output) AS audio_output,
  CAST(sum(t.cost_high) AS TEXT) AS cost_high,
  CAST(sum(t.cost_low) AS TEXT) AS cost_low,
  CAST(sum(t.estimated_high) AS TEXT) AS estimated_high,
  CAST(sum(t.estimated_low) AS TEXT) AS estimated_low,
  sum(t.unpriced) AS unpriced`;

export interface FigureRow {
  facts: number;
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

const ROW_COLUMNS: Record<Exclude<GroupBy, TimeBucket | `tag:${string}`>, string> = {
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
  attempt_outcome: 'a.outcome',
  error_code: 'a.error_code',
  price: adjustedSql('a', 'price_id', true),
  tags: 'r.tags',
};

export function isTimeBucket(name: string): name is TimeBucket {
  return name === 'hour' || name === 'day' || name === 'week' || name === 'month';
}

function isTag(name: string): boolean {
  return name.startsWith('tag:');
}

/** True for a group that only the rows know. */
export function isOnlyInRows(name: string): boolean {
  return isTag(name) || name === 'tags';
}

export interface SqlPart {
  sql: string;
  params: Array<string | number>;
}

/** Where a group stands: in the rows, or in the cuts of the hourly totals, which know no tags. */
export type Place = 'rows' | 'cuts';

/**
 * The columns `g0`, `g1`, … of the groups that SQL can name; parts of the calendar are left out.
 * @throws Error for a name that is no group
 */
export function groupColumns(query: CostQuery, place: Place): { columns: string[]; params: SqlPart['params'] } {
  const columns: string[] = [];
  const params: SqlPart['params'] = [];
  for (const [index, name] of query.groupBy.entries()) {
    if (isTimeBucket(name)) continue;
    const column = columnOf(name, place);
    columns.push(`${column.sql} AS g${index}`);
    params.push(...column.params);
  }
  return { columns, params };
}

/**
 * Conditions of the filters that SQL can name, each beginning with AND.
 * @throws Error for a name that is no group
 */
export function filterConditions(query: CostQuery, place: Place): SqlPart {
  const conditions: string[] = [];
  const params: SqlPart['params'] = [];
  for (const [name, values] of Object.entries(query.filters)) {
    if (isTimeBucket(name)) continue;
    const column = columnOf(name, place);
    // An empty value stands for what has none.
    const isNamed = `coalesce(${column.sql}, '') IN (${values.map(() => '?').join(', ')})`;
    conditions.push(` AND ${isNamed}`);
    params.push(...column.params, ...values);
  }
  return { sql: conditions.join(''), params };
}

function columnOf(name: string, place: Place): SqlPart {
  // Tags go with the rows they stood in.
  if (isOnlyInRows(name) && place === 'cuts') return { sql: 'NULL', params: [] };
  if (isTag(name)) {
    return { sql: '(SELECT value FROM json_each(r.tags) WHERE key = ?)', params: [name.slice('tag:'.length)] };
  }
  if (!Object.hasOwn(ROW_COLUMNS, name))
    throw new Error(`"${name}" is no group; known: ${GROUP_NAMES.join(', ')}, tag:NAME`);
  return { sql: place === 'cuts' ? `c.${name}` : ROW_COLUMNS[name as keyof typeof ROW_COLUMNS], params: [] };
}

/** An attempt as the hourly totals need it, its cost as text. */
export type AttemptFactSql = Omit<AttemptFact, 'cost'> & { cost: string | null };

/** Columns of `AttemptFactSql` of the attempt `a`. */
export const ATTEMPT_FACT_COLUMNS = `a.provider, a.provider_model, a.key, a.region, a.outcome, a.usage_source, a.input,
  a.cached_input, a.cache_write, a.output, a.reasoning, a.audio_input, a.audio_output,
  a.error_code, ${adjustedSql('a', 'price_id', true)} AS price, CAST(${costSql('a', true)} AS TEXT) AS cost`;

export function toAttemptFact(row: AttemptFactSql): AttemptFact {
  return { ...row, cost: row.cost === null ? null : BigInt(row.cost) };
}
