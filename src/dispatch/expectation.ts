import type { Budgets } from '../domain/budget.js';
import type { RoutedRequest } from '../domain/dispatch.js';
import type { Limiter, LimitScope } from '../domain/limit.js';
import type { CountedInput, Meter, MeterSubject } from '../domain/metering.js';
import type { NanoUsd } from '../domain/money.js';
import { worstCaseOf } from '../domain/pricing.js';
import type { UpstreamTarget } from '../domain/provider.js';
import type { Target } from '../domain/route.js';
import { isTokenTask, writesText } from '../domain/task.js';
import { choiceCount, countedInput, outputBound } from '../wire/openai-request.js';
import { mostOutput } from '../wire/output-bound.js';
import type { DispatchParts } from './parts.js';
import { worstCaseInUnits } from './units.js';

/** What a request without any output bound is expected to write, until its model's own average is learned. */
export const UNBOUNDED_OUTPUT_TOKENS = 1_000;

/** A rough token stands for four bytes, and no tokenizer makes more tokens than bytes. */
const MOST_TOKENS_PER_ROUGH = 4;
/** With room for so many requests at their worst, an estimate that is off overruns nothing before it is settled. */
const FAR_FROM_LIMIT = 8;

/**
 * What a request is expected to use: roughly by its length, and exactly counted only where a limit on tokens has to
 * be kept.
 */
export class Expectation {
  readonly input: () => CountedInput;
  readonly outputBound: number | null;
  readonly roughInput: number;
  readonly #request: RoutedRequest;
  readonly #meter: Meter;
  readonly #budgets: Budgets;
  readonly #limiter: Limiter;
  readonly #hasBudget: boolean;
  /** True where the answer is text that a bound of output tokens can cut. */
  readonly #writes: boolean;
  #counted: CountedInput | null = null;
  /** By target; most requests need neither. */
  #precise: Map<string, number> | null = null;
  #affordable: Map<string, number> | null = null;
  /** The worst case that was last worked out: it is asked for more than once. */
  #held: { target: Target; input: number; output: number | null; nanoUsd: NanoUsd | null } | null = null;

  constructor(
    request: RoutedRequest,
    { meter, budgets, limiter }: Pick<DispatchParts, 'meter' | 'budgets' | 'limiter'>,
  ) {
    this.#request = request;
    this.#meter = meter;
    this.#hasBudget = budgets.has(request.client.id);
    this.#budgets = budgets;
    this.#limiter = limiter;
    this.input = () => {
      this.#counted ??= countedInput(request.ask);
      return this.#counted;
    };
    this.#writes = writesText(request.ask.task);
    this.outputBound = outputBound(request.ask);
    this.roughInput = meter.roughInput(this.input());
  }

  /**
   * Tokens to reserve in these scopes: input estimate and output bound. Rough while there is room for many such
   * requests, since usage corrects it soon; exactly counted where the limit is near.
   */
  tokensFor(target: Target, scopes: readonly LimitScope[]): number {
    const limited = scopes.every(limitsTokens) ? scopes : scopes.filter(limitsTokens);
    const output = Math.min(this.#outputOf(target), this.#mostGuessed(target, limited));
    if (limited.length === 0) return this.roughInput + output;
    const worstCase = this.roughInput * MOST_TOKENS_PER_ROUGH + output;
    const isFar = this.#limiter.hasRoom(limited, worstCase * FAR_FROM_LIMIT);
    return (isFar ? this.roughInput : this.#preciseInput(target)) + output;
  }

  /**
   * The worst case in nano-USD; null when the price does not say. Exactly counted where a budget has to be kept.
   */
  heldFor(target: Target): NanoUsd | null {
    if (target.isBrought === true) return 0n;
    const input = this.#hasBudget ? this.#preciseInput(target) : (this.countedFor(target) ?? this.roughInput);
    const { ask } = this.#request;
    if (!isTokenTask(ask.task)) {
      return worstCaseInUnits(ask, { input, output: this.#writes ? this.#outputOf(target) : 0 }, target.price);
    }
    const output = this.#writes ? this.#outputOf(target) : null;
    const known = this.#held;
    if (known !== null && known.target === target && known.input === input && known.output === output) {
      return known.nanoUsd;
    }
    const nanoUsd = this.#costOf(target, input, output);
    this.#held = { target, input, output, nanoUsd };
    return nanoUsd;
  }

  /**
   * The target with an output bound for this request, where its client has a budget and nothing else bounds it: as
   * many tokens as the budget can pay for, and no more than an unbounded request is expected to write.
   */
  bounded(target: Target): UpstreamTarget {
    const { upstream } = target;
    const isBounded = this.outputBound !== null || upstream.maxOutputTokens !== null;
    if (!this.#hasBudget || !this.#writes || isBounded || target.isBrought === true) return upstream;
    // The provider bounds each choice by itself.
    const each = Math.floor(this.#outputOf(target) / choiceCount(this.#request.ask));
    return { ...upstream, maxOutputTokens: Math.max(1, each) };
  }

  /** The input as it was counted; null where its length was enough. */
  countedFor(target: Target): number | null {
    return this.#precise?.get(target.id) ?? null;
  }

  #costOf(target: Target, input: number, output: number | null): NanoUsd | null {
    return worstCaseOf({ input, output }, target.price);
  }

  #outputOf(target: Target): number {
    if (!this.#writes) return 0;
    const bound = this.#boundAt(target);
    if (bound !== null) return bound;
    const isKept = this.#hasBudget && target.isBrought !== true;
    return isKept ? this.#affordableOutput(target) : this.#usualOutput(target);
  }

  /** The most output tokens of the request at this target; null where neither of them bounds it. */
  #boundAt({ upstream }: Target): number | null {
    return upstream.maxOutputTokens === null
      ? this.outputBound
      : mostOutput(this.#request.ask, upstream.maxOutputTokens);
  }

  /** What the target's model writes on average, as far as that is known. */
  #usualOutput(target: Target): number {
    return Math.ceil(this.#meter.averageOutput(this.#subjectOf(target)) ?? UNBOUNDED_OUTPUT_TOKENS);
  }

  /** A guess may not make a request too large for a limit: only its input and a bound of its own can. */
  #mostGuessed(target: Target, limited: readonly LimitScope[]): number {
    if (this.#boundAt(target) !== null) return Number.POSITIVE_INFINITY;
    const capacities = limited.flatMap(({ settings }) => [settings.tokensPerMin, settings.sessionTokens]);
    const most = Math.min(...capacities.filter((limit): limit is number => limit != null));
    return Math.max(0, most - this.#preciseOrRough(target, most));
  }

  /** Exact where the limit is so small that it matters. */
  #preciseOrRough(target: Target, most: number): number {
    return this.roughInput * MOST_TOKENS_PER_ROUGH > most ? this.#preciseInput(target) : this.roughInput;
  }

  #subjectOf(target: Target): MeterSubject {
    const { providerModel } = target.upstream;
    return { providerId: target.providerId, providerModel, task: this.#request.ask.task };
  }

  /** Decided once a request, so that what is held, asked for and written down is one figure. */
  #affordableOutput(target: Target): number {
    this.#affordable ??= new Map();
    let tokens = this.#affordable.get(target.id);
    if (tokens === undefined) {
      tokens = this.#mostWithin(target, this.#budgets.left(this.#request.client.id) ?? 0n);
      this.#affordable.set(target.id, tokens);
    }
    return tokens;
  }

  /** The most output tokens whose worst case is within the amount; at least one. */
  #mostWithin(target: Target, amount: NanoUsd): number {
    const input = this.#preciseInput(target);
    const fits = (output: number) => (this.#costOf(target, input, output) ?? 0n) <= amount;
    if (fits(UNBOUNDED_OUTPUT_TOKENS)) return UNBOUNDED_OUTPUT_TOKENS;
    let low = 1;
    let high = UNBOUNDED_OUTPUT_TOKENS;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (fits(middle)) low = middle;
      else high = middle;
    }
    return low;
  }

  #preciseInput(target: Target): number {
    this.#precise ??= new Map();
    let tokens = this.#precise.get(target.id);
    if (tokens === undefined) {
      tokens = this.#meter.countInput(this.input(), this.#subjectOf(target));
      this.#precise.set(target.id, tokens);
    }
    return tokens;
  }
}

function limitsTokens({ settings }: LimitScope): boolean {
  return settings.tokensPerMin != null || settings.sessionTokens != null;
}
