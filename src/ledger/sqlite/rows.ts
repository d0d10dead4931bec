import { isCacheHit } from '../../domain/cache-hit.js';
import type { AdjustmentRow, AttemptRow, Outcome, PriceRecord, RequestRow } from '../../domain/ledger.js';
import type { NanoUsd } from '../../domain/money.js';
import type { CostComponent, RateClass } from '../../domain/pricing.js';
import { noCounts, USAGE_CLASSES, type Usage, type UsageCounts, type UsageSource } from '../../domain/usage.js';

/** A row of `requests` as `REQUEST_COLUMNS` selects it; amounts as text, exact whatever their size. */
export interface RequestSql {
  id: number;
  inference_id: string;
  received_at: number;
  ended_at: number | null;
  config_generation: number;
  client: string;
  tags: string | null;
  endpoint: string;
  task: string;
  model: string;
  region: string | null;
  stream: number;
  outcome: Outcome;
  status: number | null;
  error_code: string | null;
  attempts: number;
  cost: string | null;
  decision: string | null;
}

export const REQUEST_COLUMNS = `r.id, r.inference_id, r.received_at, r.ended_at, r.config_generation, r.client, r.tags,
  r.endpoint, r.task, r.model, r.region, r.stream, r.outcome, r.status, r.error_code, r.attempts,
  CAST(r.cost_nano_usd AS TEXT) AS cost, r.decision`;

export interface AttemptSql {
  request_id: number;
  attempt: number;
  sent_at: number;
  first_byte_at: number | null;
  ended_at: number | null;
  provider: string;
  provider_model: string;
  key: string | null;
  region: string | null;
  outcome: Outcome;
  status: number | null;
  error_code: string | null;
  held: string | null;
  cost: string | null;
  unpriced_reason: string | null;
  price_id: string | null;
  usage_source: UsageSource | null;
  input: number | null;
  cached_input: number | null;
  cache_write: number | null;
  output: number | null;
  reasoning: number | null;
  audio_input: number | null;
  audio_output: number | null;
  images: number | null;
  characters: number | null;
  audio_ms: number | null;
  search_units: number | null;
  provider_cost_usd: string | null;
  components: string | null;
}

export const ATTEMPT_COLUMNS = `a.*, CAST(a.held_nano_usd AS TEXT) AS held, CAST(a.cost_nano_usd AS TEXT) AS cost`;

export interface AdjustmentSql {
  attempt: number;
  number: number;
  made_at: number;
  price_id: string;
  cost: string;
  components: string | null;
}

export const ADJUSTMENT_COLUMNS = `attempt, number, made_at, price_id, CAST(cost_nano_usd AS TEXT) AS cost, components`;

/** Each with the cost that held before it. */
export function toAdjustmentRows(rows: readonly AdjustmentSql[], attempts: readonly AttemptRow[]): AdjustmentRow[] {
  const holding = new Map(attempts.map(({ attempt, costNanoUsd }) => [attempt, costNanoUsd]));
  return rows.map((row) => {
    const beforeNanoUsd = holding.get(row.attempt) ?? null;
    const costNanoUsd = BigInt(row.cost);
    holding.set(row.attempt, costNanoUsd);
    const { attempt, number, made_at: madeAt, price_id: priceId } = row;
    return {
      attempt,
      number,
      madeAt,
      priceId,
      beforeNanoUsd,
      costNanoUsd,
      components: parseComponents(row.components),
    };
  });
}

/** One request of a list, from its row and those of its attempts in order. */
export function toRequestRow(row: RequestSql, attempts: readonly AttemptRow[]): RequestRow {
  const last = attempts.at(-1) ?? null;
  return {
    inferenceId: row.inference_id,
    receivedAt: row.received_at,
    client: row.client,
    tags: row.tags === null ? {} : (JSON.parse(row.tags) as Record<string, string>),
    endpoint: row.endpoint,
    task: row.task,
    model: row.model,
    provider: last?.provider ?? null,
    providerModel: last?.providerModel ?? null,
    region: last?.region ?? row.region,
    stream: row.stream === 1,
    outcome: row.outcome,
    status: row.status,
    errorCode: row.error_code,
    usage: sumUsage(attempts),
    costNanoUsd: toAmount(row.cost),
    priceId: last?.priceId ?? null,
    attempts: attempts.length,
    cacheHit: row.decision?.includes('"cache_hit"') === true && isCacheHit(JSON.parse(row.decision)),
    latencyMs: row.ended_at === null ? null : row.ended_at - row.received_at,
    firstByteMs: last?.firstByteAt == null ? null : last.firstByteAt - row.received_at,
    configGeneration: row.config_generation,
  };
}

export function toAttemptRow(row: AttemptSql): AttemptRow {
  return {
    attempt: row.attempt,
    provider: row.provider,
    providerModel: row.provider_model,
    key: row.key,
    region: row.region,
    outcome: row.outcome,
    status: row.status,
    errorCode: row.error_code,
    sentAt: row.sent_at,
    firstByteAt: row.first_byte_at,
    endedAt: row.ended_at,
    usage: row.usage_source === null ? null : { counts: countsOf(row), source: row.usage_source },
    heldNanoUsd: toAmount(row.held),
    costNanoUsd: toAmount(row.cost),
    unpricedReason: row.unpriced_reason,
    priceId: row.price_id,
    providerCostUsd: row.provider_cost_usd,
    components: parseComponents(row.components),
  };
}

export function toPriceRecord(row: {
  id: string;
  origin: string;
  effective_from: number;
  config_generation: number;
  content: string;
}): PriceRecord {
  return {
    id: row.id,
    origin: row.origin,
    effectiveFrom: row.effective_from,
    configGeneration: row.config_generation,
    content: row.content,
  };
}

/** The columns of the usage classes. */
type UsageColumns = Pick<
  AttemptSql,
  | 'input'
  | 'cached_input'
  | 'cache_write'
  | 'output'
  | 'reasoning'
  | 'audio_input'
  | 'audio_output'
  | 'images'
  | 'characters'
  | 'audio_ms'
  | 'search_units'
>;

/** An attempt's usage classes, as its columns hold them. */
export function countsOf(row: UsageColumns): UsageCounts {
  return {
    input: row.input,
    cachedInput: row.cached_input,
    cacheWrite: row.cache_write,
    output: row.output,
    reasoning: row.reasoning,
    audioInput: row.audio_input,
    audioOutput: row.audio_output,
    images: row.images,
    characters: row.characters,
    audioMs: row.audio_ms,
    searchUnits: row.search_units,
  };
}

const LEAST_SURE_FIRST: readonly UsageSource[] = ['lower-bound', 'estimated', 'reported'];

/** Class by class over all attempts; only as sure as the least sure of them. Null when none used anything. */
function sumUsage(attempts: readonly AttemptRow[]): Usage | null {
  const usages = attempts.flatMap(({ usage }) => (usage === null ? [] : [usage]));
  if (usages.length === 0) return null;
  const counts = noCounts();
  for (const usage of usages) {
    for (const name of USAGE_CLASSES) {
      const count = usage.counts[name];
      if (count !== null) counts[name] = (counts[name] ?? 0) + count;
    }
  }
  const source = LEAST_SURE_FIRST.find((candidate) => usages.some((usage) => usage.source === candidate));
  return { counts, source: source ?? 'reported' };
}

function toAmount(text: string | null): NanoUsd | null {
  return text === null ? null : BigInt(text);
}

function parseComponents(text: string | null): CostComponent[] {
  if (text === null) return [];
  const lines = JSON.parse(text) as Array<[RateClass, number, string]>;
  return lines.map(([rateClass, units, rate]) => ({ class: rateClass, units, ratePerMillion: BigInt(rate) }));
}
