import type { Outcome } from '../../domain/ledger.js';
import type { NanoUsd } from '../../domain/money.js';
import { type AttemptCut, CutNames, type RequestCut } from './cut-names.js';

/** Milliseconds in the hour whose rows form one chain, and one rollup. */
export const HOUR_MS = 3_600_000;

/** What a request says of itself in a report. */
export interface RequestFact extends RequestCut {
  received_at: number;
}

/** What an attempt says of itself in a report. `cost` is the one that holds now, adjustments included. */
export interface AttemptFact extends AttemptCut {
  input: number | null;
  cached_input: number | null;
  cache_write: number | null;
  output: number | null;
  reasoning: number | null;
  audio_input: number | null;
  audio_output: number | null;
  cost: NanoUsd | null;
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
  readonly #names: CutNames;
  readonly #hours = new Map<number, Map<string, CutSum>>();
  /** What was looked for last: most facts of a time are of one cut. */
  #last: CutSum | null = null;

  /** `names`: where those of others' sums are kept too. */
  constructor(names = new CutNames()) {
    this.#names = names;
  }

  *values(): IterableIterator<CutSum> {
    for (const sums of this.#hours.values()) yield* sums.values();
  }

  get(hour: number, name: string): CutSum | undefined {
    return this.#hours.get(hour)?.get(name);
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
    const name = this.#names.of(request, attempt);
    const last = this.#last;
    if (last !== null && last.hour === hour && last.name === name) return last;
    const sums = this.#hours.get(hour) ?? new Map<string, CutSum>();
    this.#hours.set(hour, sums);
    const sum = sums.get(name) ?? emptySum(hour, name);
    sums.set(name, sum);
    this.#last = sum;
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
