import type { Budgets } from '../domain/budget.js';
import type { RoutedRequest } from '../domain/dispatch.js';
import type { LimitScope } from '../domain/limit.js';
import type { CountedInput, Meter } from '../domain/metering.js';
import type { NanoUsd } from '../domain/money.js';
import { costOf } from '../domain/pricing.js';
import type { UpstreamTarget } from '../domain/provider.js';
import type { Target } from '../domain/route.js';
import { noCounts } from '../domain/usage.js';
import { countedInput, outputBound } from '../wire/openai-request.js';

/** What a request without any output bound is expected to write, until its model's own average is learned. */
const UNBOUNDED_OUTPUT_TOKENS = 1_000;

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
  readonly #hasBudget: boolean;
  #counted: CountedInput | null = null;
  readonly #precise = new Map<string, number>();
  readonly #affordable = new Map<string, number>();

  constructor(request: RoutedRequest, meter: Meter, budgets: Budgets) {
    this.#request = request;
    this.#meter = meter;
    this.#hasBudget = budgets.has(request.client.id);
    this.#budgets = budgets;
    this.input = () => {
      this.#counted ??= countedInput(request.ask);
      return this.#counted;
    };
    this.outputBound = outputBound(request.ask);
    this.roughInput = meter.roughInput(this.input());
  }

  /** Tokens to reserve in these scopes: input estimate and output bound. */
  tokensFor(target: Target, scopes: readonly LimitScope[]): number {
    const input = scopes.some(limitsTokens) ? this.#preciseInput(target) : this.roughInput;
    return input + this.#outputOf(target);
  }

  /**
   * The worst case in nano-USD; null when the price does not say. Exactly counted where a budget has to be kept.
   */
  heldFor(target: Target): NanoUsd | null {
    const input = this.#hasBudget ? this.#preciseInput(target) : (this.#precise.get(target.id) ?? this.roughInput);
    return this.#costOf(target, input, this.#writes ? this.#outputOf(target) : null);
  }

  /**
   * The target with an output bound for this request, where its client has a budget and nothing else bounds it: as
   * many tokens as the budget can pay for, and no more than an unbounded request is expected to write.
   */
  bounded(target: Target): UpstreamTarget {
    const { upstream } = target;
    const isBounded = this.outputBound !== null || upstream.maxOutputTokens !== null;
    if (!this.#hasBudget || !this.#writes || isBounded) return upstream;
    return { ...upstream, maxOutputTokens: this.#outputOf(target) };
  }

  get #writes(): boolean {
    return this.#request.ask.task !== 'embedding';
  }

  #costOf(target: Target, input: number, output: number | null): NanoUsd | null {
    const cost = costOf({ ...noCounts(), input, output }, target.price);
    return cost.known ? cost.nanoUsd : null;
  }

  #outputOf(target: Target): number {
    if (!this.#writes) return 0;
    const cap = target.upstream.maxOutputTokens;
    if (this.outputBound !== null) return cap === null ? this.outputBound : Math.min(this.outputBound, cap);
    return cap ?? (this.#hasBudget ? this.#affordableOutput(target) : UNBOUNDED_OUTPUT_TOKENS);
  }

  /** Decided once a request, so that what is held, asked for and written down is one figure. */
  #affordableOutput(target: Target): number {
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
    let tokens = this.#precise.get(target.id);
    if (tokens === undefined) {
      const subject = {
        providerId: target.providerId,
        providerModel: target.upstream.providerModel,
        task: this.#request.ask.task,
      };
      tokens = this.#meter.countInput(this.input(), subject);
      this.#precise.set(target.id, tokens);
    }
    return tokens;
  }
}

function limitsTokens({ settings }: LimitScope): boolean {
  return settings.tokensPerMin != null || settings.sessionTokens != null;
}
