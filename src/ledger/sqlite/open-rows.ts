import type { AttemptIntent, AttemptSettlement, Outcome, RequestIntent } from '../../domain/ledger.js';
import type { NanoUsd } from '../../domain/money.js';
import type { CostComponent } from '../../domain/pricing.js';
import type { Cell } from './chain.js';
import type { AttemptFact } from './cuts.js';
import type { AnyRequestSettlement } from './entries.js';

/** What is known of a request in flight, as its row has it, so that settling need not read it again. */
export interface OpenRequest {
  id: number;
  inference_id: string;
  received_at: number;
  process_id: number;
  config_generation: number;
  client: string;
  tags: string | null;
  endpoint: string;
  task: string;
  model: string;
  region: string | null;
  stream: number;
  attempts: number;
  /** `in_flight` until it is settled. */
  outcome: Outcome;
  sent: Map<number, OpenAttempt>;
}

export interface OpenAttempt {
  sent_at: number;
  provider: string;
  provider_model: string;
  key: string | null;
  region: string | null;
  held: string | null;
  /** Absent until it is settled. */
  fact?: AttemptFact;
}

export function toOpenRequest(request: RequestIntent, processId: number, attempts: number): OpenRequest {
  return {
    id: 0,
    inference_id: request.inferenceId,
    received_at: Math.floor(request.receivedAt),
    process_id: processId,
    config_generation: request.configGeneration,
    client: wellFormed(request.client),
    tags: tagsText(request.tags),
    endpoint: request.endpoint,
    task: request.task,
    model: wellFormed(request.model),
    region: wellFormed(request.region),
    stream: request.stream ? 1 : 0,
    attempts,
    outcome: 'in_flight',
    sent: new Map(),
  };
}

export function toOpenAttempt(intent: AttemptIntent): OpenAttempt {
  const held = amount(intent.heldNanoUsd);
  return {
    sent_at: Math.floor(intent.sentAt),
    provider: intent.provider,
    provider_model: wellFormed(intent.providerModel),
    key: intent.key,
    region: wellFormed(intent.region),
    held: amountText(held),
  };
}

/** What settling writes into a row of `attempts`, in the order of the statement, and what reports read of it. */
export function toSettlement(open: OpenAttempt, end: AttemptSettlement): { values: Cell[]; fact: AttemptFact } {
  const cost = amount(end.costNanoUsd);
  return { values: settlementValues(end, cost), fact: attemptFact(open, end, cost) };
}

/** An attempt of which all is known at once. */
export function toSettledAttempt(intent: AttemptIntent, end: AttemptSettlement) {
  const open = toOpenAttempt(intent);
  return { open, reservedTokens: intent.reservedTokens, ...toSettlement(open, end) };
}

/** Amounts are text, which SQLite takes for the integers they are. */
function settlementValues(end: AttemptSettlement, cost: NanoUsd | null): Cell[] {
  const isTooLarge = cost === null && end.costNanoUsd !== null;
  const counts = end.usage?.counts;
  return [
    end.firstByteAt === null ? null : Math.floor(end.firstByteAt),
    Math.floor(end.endedAt),
    end.outcome,
    end.status,
    wellFormed(end.errorCode),
    amountText(cost),
    isTooLarge ? 'too-large' : end.unpricedReason,
    end.priceId,
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
    wellFormed(end.providerCostUsd),
    componentsText(end.components),
  ];
}

/** What an attempt that has just been settled says in reports. */
function attemptFact(open: OpenAttempt, end: AttemptSettlement, cost: NanoUsd | null): AttemptFact {
  const counts = end.usage?.counts;
  return {
    provider: open.provider,
    provider_model: open.provider_model,
    key: open.key,
    region: open.region,
    outcome: end.outcome,
    usage_source: end.usage?.source ?? null,
    input: counts?.input ?? null,
    cached_input: counts?.cachedInput ?? null,
    cache_write: counts?.cacheWrite ?? null,
    output: counts?.output ?? null,
    reasoning: counts?.reasoning ?? null,
    audio_input: counts?.audioInput ?? null,
    audio_output: counts?.audioOutput ?? null,
    cost,
    error_code: wellFormed(end.errorCode),
    price: end.priceId,
  };
}

/** A settled row of `attempts` as `ATTEMPT_CELLS` reads it. */
export function attemptCells(
  requestId: number,
  attempt: number,
  open: OpenAttempt,
  settlement: readonly Cell[],
): Cell[] {
  const [firstByteAt, endedAt, outcome, status, errorCode, cost] = settlement as [Cell, Cell, Cell, Cell, Cell, Cell];
  return [
    requestId,
    attempt,
    open.sent_at,
    firstByteAt,
    endedAt,
    open.provider,
    open.provider_model,
    open.key,
    open.region,
    outcome,
    status,
    errorCode,
    open.held,
    cost,
    ...settlement.slice(6),
  ];
}

/** A settled row of `requests` as `REQUEST_CELLS` reads it; `sum`: what its attempts cost together. */
export function requestCells(request: OpenRequest, end: AnyRequestSettlement, sum: NanoUsd | null): Cell[] {
  return [
    request.inference_id,
    request.received_at,
    Math.floor(end.endedAt),
    request.process_id,
    request.config_generation,
    request.client,
    request.tags,
    request.endpoint,
    request.task,
    request.model,
    request.region,
    request.stream,
    end.outcome,
    end.status,
    wellFormed(end.errorCode),
    request.attempts,
    amountText(amount(sum)),
    end.decision == null ? null : JSON.stringify(end.decision),
  ];
}

/** Of the cells of a row of `requests` those that settling writes, in the order of the statement. */
export function endedCells(cells: readonly Cell[]): Cell[] {
  return END_PLACES.map((place) => cells[place] as Cell);
}

/** Where `requestCells` has when it ended, its outcome, status, error code, cost and decision. */
const END_PLACES = [2, 12, 13, 14, 16, 17];

/** What the attempts cost together; null when one of them is unknown, 0 when nothing was sent. */
export function sumOf(attempts: readonly AttemptFact[]): NanoUsd | null {
  let sum = 0n;
  for (const { cost } of attempts) {
    if (cost === null) return null;
    sum += cost;
  }
  return sum;
}

/** The largest amount SQLite's integers hold: nine billion dollars. */
const MAX_AMOUNT = 2n ** 63n - 1n;

/** An amount the column can hold; what is beyond it is unknown rather than wrong. */
export function amount(nanoUsd: NanoUsd | null): NanoUsd | null {
  return nanoUsd === null || nanoUsd > MAX_AMOUNT || nanoUsd < -MAX_AMOUNT ? null : nanoUsd;
}

function amountText(nanoUsd: NanoUsd | null): string | null {
  return nanoUsd === null ? null : nanoUsd.toString();
}

/**
 * Half a surrogate pair is no character: it becomes U+FFFD here, before SQLite makes of it what it may. Names and error
 * codes come from outside.
 */
function wellFormed<T extends string | null>(text: T): T {
  return typeof text === 'string' && /[\ud800-\udfff]/.test(text) ? (Buffer.from(text).toString() as T) : text;
}

function tagsText(tags: Readonly<Record<string, string>>): string | null {
  for (const _ in tags) return JSON.stringify(tags);
  return null;
}

/** `[["input",12,"150000000"]]`: class, units, nano-USD per million units. */
export function componentsText(components: readonly CostComponent[]): string | null {
  if (components.length === 0) return null;
  const lines = components.map((line) => `["${line.class}",${line.units},"${line.ratePerMillion}"]`);
  return `[${lines.join(',')}]`;
}
