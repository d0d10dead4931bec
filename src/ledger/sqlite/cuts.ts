import type { Outcome } from '../../domain/ledger.js';
import type { NanoUsd } from '../../domain/money.js';
import type { UsageSource } from '../../domain/usage.js';

/** Milliseconds in the hour whose rows form one chain, and one rollup. */
export const HOUR_MS = 3_600_000;

/** What a request says of itself in a report. */
export interface RequestFact {
  received_at: number;
  client: string;
  model: string;
  endpoint: string;
  task: string;
  region: string | null;
  outcome: Outcome;
}

/** What an attempt says of itself in a report. `cost` is the one that holds now, adjustments included. */
export interface AttemptFact {
  provider: string;
  provider_model: string;
  key: string | null;
  region: string | null;
  outcome: Outcome;
  usage_source: UsageSource | null;
  input: number | null;
  cached_input: number | null;
  cache_write: number | null;
  output: number | null;
  reasoning: number | null;
  audio_input: number | null;
  audio_output: number | null;
  cost: NanoUsd | null;
  error_code: string | null;
  /** Id of the price that made the cost. */
  price: string | null;
}

/** Everything that two facts of one hour may differ in, in the order of the columns of `cuts`. */
export const CUT_COLUMNS = [
  'client',
  'model',
  'endpoint',
  'task',
  'outcome',
  'provider',
  'provider_model',
  'key',
  'region',
  'usage_source',
  'attempt_outcome',
  'error_code',
  'price',
] as const;

/** Columns of `rollups` that hold whole numbers of things. */
export const COUNT_COLUMNS = [
  'requests',
  'attempts',
  'errors',
  'input',
  'cached_input',
  'cache_write',
  'output',
  'reasoning',
  'audio_input',
  'audio_output',
  'unpriced',
] as const;

export type CountColumn = (typeof COUNT_COLUMNS)[number];

/** Figures of one cut in one hour. */
export interface CutSum extends Record<CountColumn, number> {
  hour: number;
  /** Its columns as JSON: what `cuts.name` holds. */
  name: string;
  cost: NanoUsd;
  estimated: NanoUsd;
}

const ERRORS: ReadonlySet<Outcome> = new Set(['failed', 'refused', 'interrupted']);

/** Adds up the facts of requests by hour and cut, just as a report counts them. */
export class CutSums {
  readonly #sums = new Map<string, CutSum>();
  /** What was looked for last: most facts of a time are of one cut. */
  #last: { hour: number; request: RequestFact; attempt: AttemptFact | null; sum: CutSum } | null = null;

  values(): IterableIterator<CutSum> {
    return this.#sums.values();
  }

  get(hour: number, name: string): CutSum | undefined {
    return this.#sums.get(`${hour}${name}`);
  }

  get size(): number {
    return this.#sums.size;
  }

  /** A whole request with its attempts in order; `sign` -1 takes one back. */
  add(request: RequestFact, attempts: readonly AttemptFact[], sign: 1 | -1): void {
    let isLastUnpriced = true;
    let isLast = true;
    for (let index = attempts.length - 1; index >= 0; index -= 1) {
      const attempt = attempts[index] as AttemptFact;
      const sum = this.#sumOf(request, attempt);
      if (isLast) countRequest(sum, request, sign);
      isLast = false;
      sum.attempts += sign;
      countTokens(sum, attempt, sign);
      if (attempt.cost !== null) {
        const cost = sign === 1 ? attempt.cost : -attempt.cost;
        sum.cost += cost;
        if (attempt.usage_source !== null && attempt.usage_source !== 'reported') sum.estimated += cost;
      } else if (attempt.outcome !== 'in_flight' && isLastUnpriced) {
        // A request of unknown cost is counted once, at the last attempt that made it so.
        isLastUnpriced = false;
        sum.unpriced += sign;
      }
    }
    if (isLast) countRequest(this.#sumOf(request, null), request, sign);
  }

  #sumOf(request: RequestFact, attempt: AttemptFact | null): CutSum {
    const hour = Math.floor(request.received_at / HOUR_MS);
    const last = this.#last;
    if (last !== null && last.hour === hour && isSameCut(last, request, attempt)) return last.sum;
    const name = cutName(request, attempt);
    const key = `${hour}${name}`;
    const sum = this.#sums.get(key) ?? emptySum(hour, name);
    this.#sums.set(key, sum);
    this.#last = { hour, request, attempt, sum };
    return sum;
  }
}

/** Name by name: a loop over the names costs ten times as much. */
function countTokens(sum: CutSum, attempt: AttemptFact, sign: 1 | -1): void {
  sum.input += sign * (attempt.input ?? 0);
  sum.cached_input += sign * (attempt.cached_input ?? 0);
  sum.cache_write += sign * (attempt.cache_write ?? 0);
  sum.output += sign * (attempt.output ?? 0);
  sum.reasoning += sign * (attempt.reasoning ?? 0);
  sum.audio_input += sign * (attempt.audio_input ?? 0);
  sum.audio_output += sign * (attempt.audio_output ?? 0);
}

function countRequest(sum: CutSum, request: RequestFact, sign: 1 | -1): void {
  sum.requests += sign;
  if (ERRORS.has(request.outcome)) sum.errors += sign;
}

/** Whether two facts have the same `cutName`, without making it. */
function isSameCut(
  one: { request: RequestFact; attempt: AttemptFact | null },
  request: RequestFact,
  attempt: AttemptFact | null,
): boolean {
  const other = one.request;
  return (
    other.client === request.client &&
    other.model === request.model &&
    other.endpoint === request.endpoint &&
    other.task === request.task &&
    other.outcome === request.outcome &&
    other.region === request.region &&
    isSameCall(one.attempt, attempt)
  );
}

function isSameCall(one: AttemptFact | null, other: AttemptFact | null): boolean {
  if (one === null || other === null) return one === other;
  return (
    one.provider === other.provider &&
    one.provider_model === other.provider_model &&
    one.key === other.key &&
    one.region === other.region &&
    one.usage_source === other.usage_source &&
    one.outcome === other.outcome &&
    one.error_code === other.error_code &&
    one.price === other.price
  );
}

function cutName(request: RequestFact, attempt: AttemptFact | null): string {
  return JSON.stringify([
    request.client,
    request.model,
    request.endpoint,
    request.task,
    request.outcome,
    attempt?.provider ?? null,
    attempt?.provider_model ?? null,
    attempt?.key ?? null,
    attempt?.region ?? request.region,
    attempt?.usage_source ?? null,
    attempt?.outcome ?? null,
    attempt?.error_code ?? null,
    attempt?.price ?? null,
  ]);
}

function emptySum(hour: number, name: string): CutSum {
  return {
    hour,
    name,
    requests: 0,
    attempts: 0,
    errors: 0,
    input: 0,
    cached_input: 0,
    cache_write: 0,
    output: 0,
    reasoning: 0,
    audio_input: 0,
    audio_output: 0,
    unpriced: 0,
    cost: 0n,
    estimated: 0n,
  };
}
