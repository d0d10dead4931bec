import { addRows, emptyRow, toFigures } from '../../domain/cost-row.js';
import { WaybillError } from '../../domain/errors.js';
import type { CostRow, LedgerReader } from '../../domain/ledger.js';
import { QueryError } from '../../domain/report.js';
import type { LatencyFigures, SeriesQuery } from '../../domain/series.js';
import { isoOrNull, onlyParameters, parseRange } from './range.js';
import { type AdminAnswer, orInvalidRequest } from './reports.js';

const JSON_TYPE = 'application/json; charset=utf-8';
const NAMES = ['requests', 'tokens', 'cost', 'latency'] as const;
type Name = (typeof NAMES)[number];

const DAY_MS = 86_400_000;
/** So many points draw any chart; more of them are asked for by mistake. */
const MAX_POINTS = 2_000;
/** What a range is cut into where nothing is asked for: the shortest of these that makes no more points than this. */
const NICE_STEPS_MS = [60_000, 300_000, 900_000, 3_600_000, 21_600_000, DAY_MS, 7 * DAY_MS, 30 * DAY_MS, 365 * DAY_MS];
const NICE_POINTS = 60;

/** Whose figures these are. */
export type MetricsScope = { kind: 'global' } | { kind: 'client'; id: string } | { kind: 'provider'; id: string };

export interface MetricsAsk {
  reader: LedgerReader;
  query: URLSearchParams;
  scope: MetricsScope;
  /** Whether the configuration knows this client or provider; one that it does not know may still have a history. */
  isKnown: (scope: MetricsScope) => boolean;
  /** Epoch milliseconds. */
  now: number;
}

/**
 * `GET /metrics`, `/metrics/global`, `/metrics/clients/{id}`, `/metrics/providers/{id}`, each with `name=latency|tokens|
 * cost|requests` (several with commas; all without), `start`, `end` (the last 24 hours) and `step` (seconds, or `5m`,
 * `1h`, `1d`): a point for every step, empty ones too, and the total.
 * @throws WaybillError invalid_request with the parameter's name; not_found for an id that nobody ever had
 */
export function metricsAnswer({ reader, query, scope, isKnown, now }: MetricsAsk): AdminAnswer {
  return orInvalidRequest(() => {
    onlyParameters(query, ['name', 'start', 'end', 'step']);
    const names = parseNames(query.getAll('name'));
    const series = parseSeries(query, scope, now);
    if (!isKnown(scope) && !hasHistory(reader, series)) {
      const { kind, id } = scope as Exclude<MetricsScope, { kind: 'global' }>;
      throw new WaybillError('not_found', { message: `no ${kind} \`${id}\`, neither configured nor in the ledger` });
    }
    const body = JSON.stringify({
      scope: scope.kind,
      ...(scope.kind === 'global' ? {} : { id: scope.id }),
      names,
      start: isoOrNull(series.from),
      end: isoOrNull(series.to),
      step_seconds: series.stepMs / 1_000,
      ...figuresOf(reader, series, names),
    });
    return { status: 200, contentType: JSON_TYPE, body };
  });
}

function figuresOf(reader: LedgerReader, series: SeriesQuery, names: readonly Name[]) {
  const rows = new Map<number, CostRow>();
  let total = emptyRow({});
  if (names.some((name) => name !== 'latency')) {
    for (const { at, row } of reader.series(series)) {
      rows.set(at, addRows(rows.get(at) ?? emptyRow({}), row));
      total = addRows(total, row);
    }
  }
  const latencies = names.includes('latency') ? reader.latencies(series) : null;
  const latencyAt = new Map((latencies?.points ?? []).map((point) => [point.at, point]));
  const fieldsOf = (row: CostRow, latency: LatencyFigures | undefined) =>
    Object.assign({}, ...names.map((name) => fields(name, row, latency)));
  const points = steps(series).map((at) => ({
    time: new Date(Math.max(at, series.from)).toISOString(),
    ...fieldsOf(rows.get(at) ?? emptyRow({}), latencyAt.get(at)),
  }));
  return { points, total: fieldsOf(total, latencies?.total) };
}

function fields(name: Name, row: CostRow, latency: LatencyFigures | undefined): Record<string, unknown> {
  switch (name) {
    case 'requests':
      return pick(row, ['requests', 'attempts', 'errors']);
    case 'tokens':
      return pick(row, [
        ...['input_tokens', 'cached_input_tokens', 'cache_write_tokens', 'output_tokens', 'reasoning_tokens'],
        ...['audio_input_tokens', 'audio_output_tokens'],
      ]);
    case 'cost':
      return pick(row, ['cost_nano_usd', 'cost_usd', 'estimated_cost_nano_usd', 'unpriced_requests']);
    case 'latency':
      return {
        latency_ms: {
          requests: latency?.requests ?? 0,
          average: latency?.averageMs ?? null,
          p50: latency?.p50Ms ?? null,
          p95: latency?.p95Ms ?? null,
          p99: latency?.p99Ms ?? null,
          max: latency?.maxMs ?? null,
          first_byte_p50: latency?.firstByteP50Ms ?? null,
          first_byte_p95: latency?.firstByteP95Ms ?? null,
        },
      };
  }
}

function pick(row: CostRow, names: readonly string[]): Record<string, unknown> {
  const figures = toFigures(row);
  return Object.fromEntries(names.map((name) => [name, figures[name]]));
}

function parseNames(texts: readonly string[]): readonly Name[] {
  const given = texts.flatMap((text) => text.split(',')).map((name) => name.trim());
  const names = given
    .filter((name) => name !== '')
    .map((text) => {
      const name = NAMES.find((known) => known === text);
      if (name === undefined) throw new QueryError('name', `unknown metric "${text}"; known: ${NAMES.join(', ')}`);
      return name;
    });
  return names.length === 0 ? NAMES : [...new Set(names)];
}

function parseSeries(query: URLSearchParams, scope: MetricsScope, now: number): SeriesQuery {
  const range = parseRange(query);
  const to = range.end ?? Math.max(now, (range.start ?? now) + 1);
  const from = range.start ?? to - DAY_MS;
  const stepMs = parseStep(query.get('step'), to - from);
  const filters: SeriesQuery['filters'] = scope.kind === 'global' ? {} : { [scope.kind]: [scope.id] };
  return { from, to, stepMs, filters };
}

const STEP = /^(\d{1,9})(s|m|h|d)?$/;
const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: DAY_MS };

function parseStep(text: string | null, spanMs: number): number {
  if (text === null || text.trim() === '') {
    return (
      NICE_STEPS_MS.find((step) => spanMs / step <= NICE_POINTS) ?? Math.ceil(spanMs / NICE_POINTS / DAY_MS) * DAY_MS
    );
  }
  const match = STEP.exec(text.trim());
  const stepMs = match === null ? 0 : Number(match[1]) * (UNIT_MS[match[2] ?? 's'] ?? 0);
  if (stepMs <= 0) throw new QueryError('step', `"${text}" is no step; write whole seconds, or 5m, 1h, 1d`);
  const points = Math.ceil(spanMs / stepMs);
  if (points > MAX_POINTS) {
    throw new QueryError('step', `a step of "${text}" makes ${points} points of this range; at most ${MAX_POINTS}`);
  }
  return stepMs;
}

/** Where each step begins, from the one that `from` lies in. */
function steps({ from, to, stepMs }: SeriesQuery): number[] {
  const begins: number[] = [];
  for (let at = Math.floor(from / stepMs) * stepMs; at < to; at += stepMs) begins.push(at);
  return begins;
}

function hasHistory(reader: LedgerReader, { filters }: SeriesQuery): boolean {
  const { total } = reader.summarise({ from: null, to: null, groupBy: [], filters, timeZone: 'UTC' });
  return total.requests > 0 || total.attempts > 0;
}
