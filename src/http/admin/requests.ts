import { WaybillError } from '../../domain/errors.js';
import type {
  AdjustmentRow,
  AttemptRow,
  LedgerReader,
  PriceRecord,
  RequestDetail,
  RequestQuery,
  RequestRow,
} from '../../domain/ledger.js';
import { formatRatePerMillion } from '../../domain/money.js';
import { checkRange, parseInstant, QueryError } from '../../domain/report.js';
import { createZonedCalendar } from '../../domain/time-zone.js';
import type { Usage } from '../../domain/usage.js';
import { type AdminAnswer, orInvalidRequest } from './reports.js';

const JSON_TYPE = 'application/json; charset=utf-8';
const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 1_000;
const OUTCOMES = ['in_flight', 'ok', 'failed', 'cancelled', 'interrupted', 'refused'];
const PARAMETERS = new Set(['from', 'to', 'client', 'provider', 'model', 'status', 'min_cost', 'cursor', 'limit']);

/**
 * `GET /requests?from&to&client&provider&model&status&min_cost&cursor&limit`: newest first; `provider` is the last
 * attempt's, `status` an outcome, `min_cost` nano-USD.
 * @throws WaybillError invalid_request with the parameter's name
 */
export function requestListAnswer(reader: LedgerReader, query: URLSearchParams): AdminAnswer {
  return orInvalidRequest(() => {
    const { requests, nextCursor } = reader.listRequests(parseQuery(query));
    return {
      status: 200,
      contentType: JSON_TYPE,
      body: toJson({ requests: requests.map(toFields), next_cursor: nextCursor }),
    };
  });
}

/**
 * `GET /requests/{inference_id}`: the request, its attempts, each component of the cost, and the prices they name.
 * @throws WaybillError not_found
 */
export function requestDetailAnswer(reader: LedgerReader, inferenceId: string): AdminAnswer {
  const detail = reader.getRequest(inferenceId);
  if (detail === null) throw new WaybillError('not_found', { message: `no request ${inferenceId} in the ledger` });
  return { status: 200, contentType: JSON_TYPE, body: toJson(toDetailFields(detail)) };
}

function parseQuery(query: URLSearchParams): RequestQuery {
  for (const name of query.keys()) {
    if (!PARAMETERS.has(name)) throw new QueryError(name, `unknown parameter "${name}"`);
  }
  const calendar = createZonedCalendar('UTC');
  const from = parseInstant(query.get('from') ?? undefined, 'from', calendar);
  const to = parseInstant(query.get('to') ?? undefined, 'to', calendar);
  checkRange(from, to);
  const outcome = given(query, 'status');
  if (outcome !== undefined && !OUTCOMES.includes(outcome)) {
    throw new QueryError('status', `unknown status "${outcome}"; known: ${OUTCOMES.join(', ')}`);
  }
  const [client, provider, model, cursor] = ['client', 'provider', 'model', 'cursor'].map((name) => given(query, name));
  const minCost = given(query, 'min_cost');
  return {
    from,
    to,
    limit: parseLimit(given(query, 'limit')),
    ...(client === undefined ? {} : { client }),
    ...(provider === undefined ? {} : { provider }),
    ...(model === undefined ? {} : { model }),
    ...(cursor === undefined ? {} : { cursor }),
    ...(outcome === undefined ? {} : { outcome }),
    ...(minCost === undefined ? {} : { minCostNanoUsd: parseAmount(minCost) }),
  };
}

/** An empty value asks for nothing. */
function given(query: URLSearchParams, name: string): string | undefined {
  const value = query.get(name);
  return value === null || value === '' ? undefined : value;
}

function parseLimit(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT;
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit < 1) throw new QueryError('limit', `"${text}" is no limit; write a whole number from 1 to ${MAX_LIMIT}`);
  return Math.min(limit, MAX_LIMIT);
}

function parseAmount(text: string): bigint {
  const amount = /^\d{1,19}$/.test(text) ? BigInt(text) : null;
  if (amount !== null && amount < 2n ** 63n) return amount;
  throw new QueryError('min_cost', `"${text}" is no amount; write whole nano-USD (1 USD is 1000000000)`);
}

function toFields(row: RequestRow): Record<string, unknown> {
  return {
    inference_id: row.inferenceId,
    received_at: new Date(row.receivedAt).toISOString(),
    client: row.client,
    tags: row.tags,
    endpoint: row.endpoint,
    task: row.task,
    model: row.model,
    provider: row.provider,
    provider_model: row.providerModel,
    region: row.region,
    stream: row.stream,
    outcome: row.outcome,
    status: row.status,
    error_code: row.errorCode,
    usage: toUsageFields(row.usage),
    cost_nano_usd: row.costNanoUsd,
    price_id: row.priceId,
    attempts: row.attempts,
    cache_hit: row.cacheHit,
    latency_ms: row.latencyMs,
    first_byte_ms: row.firstByteMs,
    config_generation: row.configGeneration,
  };
}

function toDetailFields(detail: RequestDetail): Record<string, unknown> {
  return {
    ...toFields(detail),
    attempts: detail.attemptRows.map(toAttemptFields),
    cost_components: detail.attemptRows.flatMap(toComponentFields),
    adjustments: detail.adjustments.map(toAdjustmentFields),
    prices: detail.prices.map(toPriceFields),
    decision: detail.decision,
  };
}

function toAttemptFields(row: AttemptRow): Record<string, unknown> {
  return {
    attempt: row.attempt,
    provider: row.provider,
    provider_model: row.providerModel,
    key: row.key,
    region: row.region,
    outcome: row.outcome,
    status: row.status,
    error_code: row.errorCode,
    sent_at: toTime(row.sentAt),
    first_byte_at: toTime(row.firstByteAt),
    ended_at: toTime(row.endedAt),
    usage: toUsageFields(row.usage),
    held_nano_usd: row.heldNanoUsd,
    cost_nano_usd: row.costNanoUsd,
    unpriced_reason: row.unpricedReason,
    price_id: row.priceId,
    provider_cost_usd: row.providerCostUsd,
  };
}

/** A cost at a price that was set later; reports count the last one of an attempt. */
function toAdjustmentFields(row: AdjustmentRow): Record<string, unknown> {
  return {
    attempt: row.attempt,
    made_at: toTime(row.madeAt),
    price_id: row.priceId,
    before_nano_usd: row.beforeNanoUsd,
    cost_nano_usd: row.costNanoUsd,
    cost_components: row.components.map((line) => ({
      class: line.class,
      units: line.units,
      usd_per_million: formatRatePerMillion(line.ratePerMillion),
    })),
  };
}

function toComponentFields(row: AttemptRow): Array<Record<string, unknown>> {
  return row.components.map((line) => ({
    attempt: row.attempt,
    class: line.class,
    units: line.units,
    usd_per_million: formatRatePerMillion(line.ratePerMillion),
    price_id: row.priceId,
  }));
}

function toPriceFields(price: PriceRecord): Record<string, unknown> {
  return {
    id: price.id,
    origin: price.origin,
    effective_from: toTime(price.effectiveFrom),
    config_generation: price.configGeneration,
    content: JSON.parse(price.content),
  };
}

function toUsageFields(usage: Usage | null): Record<string, unknown> | null {
  if (usage === null) return null;
  const { counts, source } = usage;
  return {
    input: counts.input,
    cached_input: counts.cachedInput,
    cache_write: counts.cacheWrite,
    output: counts.output,
    reasoning: counts.reasoning,
    audio_input: counts.audioInput,
    audio_output: counts.audioOutput,
    images: counts.images,
    characters: counts.characters,
    audio_ms: counts.audioMs,
    search_units: counts.searchUnits,
    source,
  };
}

function toTime(instant: number | null): string | null {
  return instant === null ? null : new Date(instant).toISOString();
}

/** JSON in which a bigint is a number with all its digits: `JSON.stringify` takes none. */
function toJson(value: unknown): string {
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return `[${value.map(toJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).filter(([, member]) => member !== undefined);
    return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${toJson(member)}`).join(',')}}`;
  }
  return JSON.stringify(value ?? null);
}
