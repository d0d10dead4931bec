import type {
  AttemptIntent,
  AttemptSettlement,
  Outcome,
  RequestIntent,
  RequestSettlement,
} from '../../domain/ledger.js';
import type { NanoUsd } from '../../domain/money.js';
import type { CostComponent } from '../../domain/pricing.js';
import { USAGE_CLASSES, type UsageCounts, type UsageSource } from '../../domain/usage.js';

/** A column's value as it enters a row, a hash and a journal. Amounts of money are text. */
export type Cell = string | number | null;

/** What a row of `requests` says from the request's beginning on, in the order of `REQUEST_COLUMNS`. */
export type RequestCells = [
  inferenceId: string,
  receivedAt: number,
  configGeneration: number,
  client: string,
  tags: string | null,
  endpoint: string,
  task: string,
  model: string,
  region: string | null,
  stream: number,
];

export const REQUEST_COLUMNS = [
  'inference_id',
  'received_at',
  'config_generation',
  'client',
  'tags',
  'endpoint',
  'task',
  'model',
  'region',
  'stream',
] as const;

/** What a row of `attempts` says before the call is made, in the order of `ATTEMPT_COLUMNS`. */
export type AttemptCells = [
  attempt: number,
  sentAt: number,
  provider: string,
  providerModel: string,
  key: string | null,
  region: string | null,
  held: string | null,
  reservedTokens: number | null,
];

export const ATTEMPT_COLUMNS = [
  'attempt',
  'sent_at',
  'provider',
  'provider_model',
  'key',
  'region',
  'held_nano_usd',
  'reserved_tokens',
] as const;

/** What settling adds to a row of `attempts`, in the order of `ATTEMPT_END_COLUMNS`. */
export type AttemptEndCells = [
  priceId: string | null,
  firstByteAt: number | null,
  endedAt: number,
  outcome: Exclude<Outcome, 'in_flight' | 'refused'>,
  status: number | null,
  errorCode: string | null,
  cost: string | null,
  unpricedReason: string | null,
  components: string | null,
  providerCostUsd: string | null,
  usageSource: UsageSource | null,
  /** In the order of `USAGE_CLASSES`. */
  ...counts: Array<number | null>,
];

/** The columns of the counts, in the order of `USAGE_CLASSES`. */
export const ATTEMPT_COUNT_COLUMNS = [
  'input',
  'cached_input',
  'cache_write',
  'output',
  'reasoning',
  'audio_input',
  'audio_output',
  'images',
  'characters',
  'audio_ms',
  'search_units',
] as const;

export const ATTEMPT_END_COLUMNS = [
  'price_id',
  'first_byte_at',
  'ended_at',
  'outcome',
  'status',
  'error_code',
  'cost_nano_usd',
  'unpriced_reason',
  'components',
  'provider_cost_usd',
  'usage_source',
  ...ATTEMPT_COUNT_COLUMNS,
] as const;

/** What settling adds to a row of `requests`, in the order of `REQUEST_END_COLUMNS`. */
export type RequestEndCells = [
  endedAt: number,
  outcome: Exclude<Outcome, 'in_flight'>,
  status: number | null,
  errorCode: string | null,
  decision: string | null,
];

export const REQUEST_END_COLUMNS = ['ended_at', 'outcome', 'status', 'error_code', 'decision'] as const;

export function requestCells(request: RequestIntent): RequestCells {
  return [
    request.inferenceId,
    Math.floor(request.receivedAt),
    request.configGeneration,
    wellFormed(request.client),
    tagsText(request.tags),
    request.endpoint,
    request.task,
    wellFormed(request.model),
    wellFormed(request.region),
    request.stream ? 1 : 0,
  ];
}

/** @throws TypeError for an amount that is none */
export function attemptCells(intent: AttemptIntent): AttemptCells {
  return [
    intent.attempt,
    Math.floor(intent.sentAt),
    intent.provider,
    wellFormed(intent.providerModel),
    intent.key,
    wellFormed(intent.region),
    amountText(amount(intent.heldNanoUsd)),
    intent.reservedTokens,
  ];
}

/** @throws TypeError for an amount that is none */
export function attemptEndCells(end: AttemptSettlement): AttemptEndCells {
  const cost = amount(end.costNanoUsd);
  const isTooLarge = cost === null && end.costNanoUsd !== null;
  const counts = end.usage?.counts;
  return [
    end.priceId,
    end.firstByteAt === null ? null : Math.floor(end.firstByteAt),
    Math.floor(end.endedAt),
    end.outcome,
    end.status,
    wellFormed(end.errorCode),
    amountText(cost),
    isTooLarge ? 'too-large' : end.unpricedReason,
    componentsText(end.components),
    wellFormed(end.providerCostUsd),
    end.usage?.source ?? null,
    counts?.input ?? null,
    counts?.cachedInput ?? null,
    counts?.cacheWrite ?? null,
    counts?.output ?? null,
    counts?.reasoning ?? null,
    counts?.audioInput ?? null,
    counts?.audioOutput ?? null,
    counts?.images ?? null,
    counts?.characters ?? null,
    counts?.audioMs ?? null,
    counts?.searchUnits ?? null,
  ];
}

/** Where `attemptEndCells` has the first of the counts. */
const FIRST_COUNT = 11;

/** The counts among the cells of an attempt's end, by their names. */
export function countsIn(end: AttemptEndCells): UsageCounts {
  const named = USAGE_CLASSES.map((name, at) => [name, end[FIRST_COUNT + at] ?? null]);
  return Object.fromEntries(named) as UsageCounts;
}

/** A request's end as the ledger takes it: one whose process died has no status. */
export type AnyRequestSettlement = Omit<RequestSettlement, 'status'> & { status: number | null };

/** `decision`: as JSON. */
export function requestEndCells(end: AnyRequestSettlement, decision: string | null): RequestEndCells {
  return [Math.floor(end.endedAt), end.outcome, end.status, wellFormed(end.errorCode), decision];
}

/** The largest amount SQLite's integers hold: nine billion dollars. */
const MAX_AMOUNT = 2n ** 63n - 1n;

/** An amount the column can hold; what is beyond it is unknown rather than wrong. */
export function amount(nanoUsd: NanoUsd | null): NanoUsd | null {
  return nanoUsd === null || nanoUsd > MAX_AMOUNT || nanoUsd < -MAX_AMOUNT ? null : nanoUsd;
}

/** @throws TypeError for what is no bigint */
export function amountText(nanoUsd: NanoUsd | null): string | null {
  if (nanoUsd === null) return null;
  if (typeof nanoUsd !== 'bigint') throw new TypeError('an amount of money is a bigint');
  return nanoUsd.toString();
}

/** `[["input",12,"150000000"]]`: class, units, nano-USD per million units. */
export function componentsText(components: readonly CostComponent[]): string | null {
  if (components.length === 0) return null;
  const lines = components.map((line) => `["${line.class}",${line.units},"${line.ratePerMillion}"]`);
  return `[${lines.join(',')}]`;
}

function tagsText(tags: Readonly<Record<string, string>>): string | null {
  for (const _ in tags) return JSON.stringify(tags);
  return null;
}

/**
 * Half a surrogate pair is no character: it becomes U+FFFD here, before SQLite makes of it what it may. Names and error
 * codes come from outside.
 */
function wellFormed<T extends string | null>(text: T): T {
  return typeof text === 'string' ? (text.toWellFormed() as T) : text;
}
