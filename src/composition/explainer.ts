import { prepare } from '../dispatch/attempt.js';
import { Expectation } from '../dispatch/expectation.js';
import { scopesOf } from '../dispatch/lease.js';
import type { RoutedRequest } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import type { ExplainedCandidate, Explainer } from '../domain/explanation.js';
import type { Exclusion, Forecast, Target } from '../domain/route.js';
import { costIn, type PricerParts, routeAsk, unpriced } from './pricer.js';

export interface ExplainerParts extends PricerParts {
  algorithm: string;
}

type Foreseen = Forecast['candidates'][number];

/** Plans a request as the dispatcher would, and follows it up to where its first call would be made. */
export function createExplainer(parts: ExplainerParts): Explainer {
  return {
    explain(request) {
      const look = new Look(parts, request);
      const { candidates, refusal } = look.run();
      const { client, endpoint, model } = request;
      const { algorithm } = parts;
      return { client: client.id, endpoint, model, algorithm, candidates, excluded: look.excluded, refusal };
    },
  };
}

/** One look ahead. What the journey would pass over is excluded, with the journey's reason. */
class Look {
  readonly excluded: Exclusion[] = [];
  readonly #parts: ExplainerParts;
  readonly #request: RoutedRequest;
  readonly #expectation: Expectation;

  constructor(parts: ExplainerParts, request: RoutedRequest) {
    this.#parts = parts;
    this.#request = request;
    this.#expectation = new Expectation(request, parts);
  }

  run(): { candidates: ExplainedCandidate[]; refusal: WaybillError | null } {
    const forecast = this.#parts.router.forecast(routeAsk(this.#request, this.#expectation));
    this.excluded.push(...forecast.excluded);
    if (forecast.refusal !== null) return { candidates: [], refusal: forecast.refusal };
    const priced = this.#without(forecast.candidates, (target) => this.#whyUnpriced(target));
    if (priced.length === 0) return { candidates: [], refusal: unpriced(this.#request.model) };
    let refused: WaybillError | null = null;
    const able = this.#without(priced, (target) => {
      const error = this.#refusalOf(target);
      refused ??= error;
      return error === null ? null : error.message;
    });
    if (able.length === 0) return { candidates: [], refusal: refused };
    return { candidates: this.#fromFirstTried(able).map((candidate) => this.#explained(candidate)), refusal: null };
  }

  #without(candidates: readonly Foreseen[], why: (target: Target) => string | null): Foreseen[] {
    return candidates.filter(({ target }) => {
      const reason = why(target);
      if (reason !== null) this.#exclude(target, reason);
      return reason === null;
    });
  }

  #exclude({ providerId, model }: Target, reason: string): void {
    this.excluded.push({ provider: providerId, model, reason });
  }

  #whyUnpriced(target: Target): string | null {
    const { unpriced: policy, budgets } = this.#parts;
    if (policy === 'allow' && !budgets.has(this.#request.client.id)) return null;
    return this.#expectation.heldFor(target) === null ? 'its cost would be unknown' : null;
  }

  /** What the target's adapter cannot do. */
  #refusalOf(target: Target): WaybillError | null {
    try {
      prepare(this.#request, target, this.#expectation.bounded(target));
      return null;
    } catch (error) {
      if (error instanceof WaybillError) return error;
      throw error;
    }
  }

  /** A target that would have to wait is passed over while another comes after it. */
  #fromFirstTried(candidates: readonly Foreseen[]): readonly Foreseen[] {
    for (const [index, { target }] of candidates.entries()) {
      const why = index === candidates.length - 1 ? null : this.#whyWaits(target);
      if (why === null) return candidates.slice(index);
      this.#exclude(target, why);
    }
    return candidates;
  }

  #whyWaits(target: Target): string | null {
    const readyInMs = target.keys.readyInMs();
    if (readyInMs === null) return 'every key is disabled';
    if (readyInMs > 0) return `every key cools down, the first for ${readyInMs} ms`;
    return this.#hasRoom(target) ? null : 'its limits leave no room now';
  }

  #hasRoom(target: Target): boolean {
    const keys = target.keys.usable();
    const tokens = this.#expectation.tokensFor(
      target,
      keys.flatMap((key) => scopesOf(target, key)),
    );
    return keys.some((key) => this.#parts.limiter.hasRoom(scopesOf(target, key), tokens));
  }

  #explained({ target, score, reason, signals, parts }: Foreseen): ExplainedCandidate {
    const states = target.keys.snapshot().map(({ state }) => state);
    const count = (wanted: string) => states.filter((state) => state === wanted).length;
    return {
      provider: target.providerId,
      model: target.model,
      providerModel: target.upstream.providerModel,
      region: target.region,
      score,
      reason,
      signals,
      parts,
      estimatedCostNanoUsd: costIn(target, this.#expectation.roughInput, this.#expectation.outputBound ?? 0),
      priceId: target.price?.id ?? null,
      keys: { ready: count('ready'), waiting: count('cooling'), disabled: count('disabled') },
      hasRoom: this.#hasRoom(target),
      keyReadyInMs: target.keys.readyInMs(),
    };
  }
}
