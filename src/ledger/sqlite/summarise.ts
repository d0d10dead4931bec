import type { Database } from 'better-sqlite3';
import { emptyRow } from '../../domain/cost-row.js';
import type { CostQuery, CostRow, CostSummary } from '../../domain/ledger.js';
import { createZonedCalendar, type TimeBucket, type ZonedCalendar } from '../../domain/time-zone.js';
import { type FigureRow, isTimeBucket } from './facts.js';
import { readFacts } from './read-facts.js';

/**
 * Answers a cost query: whole hours from the hourly totals, the rest from the rows, all of one state of the ledger. Rows
 * come in order of their groups where one of them is a part of the calendar, else dearest first.
 */
export function summarise(db: Database, query: CostQuery): CostSummary {
  return db.transaction(() => addUp(db, query)).deferred();
}

function addUp(db: Database, query: CostQuery): CostSummary {
  const calendar = createZonedCalendar(query.timeZone);
  const label = cachedLabels(calendar);
  const timeFilters = Object.entries(query.filters).filter(([name]) => isTimeBucket(name));
  const rows = new Map<string, CostRow>();
  for (const { row, at } of readFacts(db, query, calendar)) {
    // Without groups SQL answers one row even where there is nothing; totals may have been taken back to nothing.
    if (row.facts === 0 || (row.requests === 0 && row.attempts === 0)) continue;
    const isWanted = timeFilters.every(([name, values]) => values.includes(label(name as TimeBucket, at)));
    if (!isWanted) continue;
    const group: Record<string, string | null> = {};
    for (const [index, name] of query.groupBy.entries()) {
      group[name] = isTimeBucket(name) ? label(name, at) : (row[`g${index}`] ?? null);
    }
    const key = JSON.stringify(Object.values(group));
    const sum = rows.get(key);
    if (sum === undefined) rows.set(key, toCostRow(group, row));
    else addTo(sum, toCostRow(group, row));
  }
  const total = emptyRow({});
  for (const row of rows.values()) addTo(total, row);
  return { rows: inOrder([...rows.values()], query), total };
}

function cachedLabels(calendar: ZonedCalendar): (bucket: TimeBucket, instant: number) => string {
  const labels = new Map<string, string>();
  return (bucket, instant) => {
    const key = `${bucket}${instant}`;
    const known = labels.get(key);
    if (known !== undefined) return known;
    const label = calendar.label(bucket, instant);
    labels.set(key, label);
    return label;
  };
}

function inOrder(rows: CostRow[], query: CostQuery): CostRow[] {
  const byGroup = (a: CostRow, b: CostRow): number => {
    for (const name of query.groupBy) {
      const order = compareNames(a.group[name] ?? null, b.group[name] ?? null);
      if (order !== 0) return order;
    }
    return 0;
  };
  if (query.groupBy.some(isTimeBucket)) return rows.sort(byGroup);
  return rows.sort((a, b) => {
    if (a.costNanoUsd !== b.costNanoUsd) return a.costNanoUsd > b.costNanoUsd ? -1 : 1;
    return b.requests - a.requests || byGroup(a, b);
  });
}

/** What has no name comes last. */
function compareNames(a: string | null, b: string | null): number {
  if (a === b) return 0;
  if (a === null) return 1;
  if (b === null) return -1;
  return a < b ? -1 : 1;
}

/** `group` names the row. */
export function toCostRow(group: Record<string, string | null>, row: FigureRow): CostRow {
  return {
    group,
    requests: row.requests,
    attempts: row.attempts,
    errors: row.errors,
    inputTokens: row.input,
    cachedInputTokens: row.cached_input,
    cacheWriteTokens: row.cache_write,
    outputTokens: row.output,
    reasoningTokens: row.reasoning,
    audioInputTokens: row.audio_input,
    audioOutputTokens: row.audio_output,
    costNanoUsd: joinHalves(row.cost_high, row.cost_low),
    estimatedCostNanoUsd: joinHalves(row.estimated_high, row.estimated_low),
    unpricedRequests: row.unpriced,
  };
}

/** SQL's sum over no known figure is NULL: a report's sum of known costs is then zero. */
function joinHalves(high: string | null, low: string | null): bigint {
  return (BigInt(high ?? '0') << 32n) + BigInt(low ?? '0');
}

function addTo(sum: CostRow, row: CostRow): void {
  sum.requests += row.requests;
  sum.attempts += row.attempts;
  sum.errors += row.errors;
  sum.inputTokens += row.inputTokens;
  sum.cachedInputTokens += row.cachedInputTokens;
  sum.cacheWriteTokens += row.cacheWriteTokens;
  sum.outputTokens += row.outputTokens;
  sum.reasoningTokens += row.reasoningTokens;
  sum.audioInputTokens += row.audioInputTokens;
  sum.audioOutputTokens += row.audioOutputTokens;
  sum.costNanoUsd += row.costNanoUsd;
  sum.estimatedCostNanoUsd += row.estimatedCostNanoUsd;
  sum.unpricedRequests += row.unpricedRequests;
}
