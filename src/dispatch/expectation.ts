import type { RoutedRequest } from '../domain/dispatch.js';
import type { LimitScope } from '../domain/limit.js';
import type { CountedInput, Meter } from '../domain/metering.js';
import type { NanoUsd } from '../domain/money.js';
import { costOf } from '../domain/pricing.js';
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
  #counted: CountedInput | null = null;
  readonly #precise = new Map<string, number>();

  constructor(request: RoutedRequest, meter: Meter) {
    this.#request = request;
    this.#meter = meter;
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

  /** The worst case in nano-USD; null when the price does not say. */
  heldFor(target: Target): NanoUsd | null {
    const input = this.#precise.get(target.id) ?? this.roughInput;
    const isEmbedding = this.#request.ask.task === 'embedding';
    const cost = costOf({ ...noCounts(), input, output: isEmbedding ? null : this.#outputOf(target) }, target.price);
    return cost.known ? cost.nanoUsd : null;
  }

  #outputOf(target: Target): number {
    if (this.#request.ask.task === 'embedding') return 0;
    const cap = target.upstream.maxOutputTokens;
    if (this.outputBound === null) return cap ?? UNBOUNDED_OUTPUT_TOKENS;
    return cap === null ? this.outputBound : Math.min(this.outputBound, cap);
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
