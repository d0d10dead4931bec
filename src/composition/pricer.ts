import { Expectation } from '../dispatch/expectation.js';
import { leastInUnits, worstCaseInUnits } from '../dispatch/units.js';
import type { Budgets } from '../domain/budget.js';
import type { RoutedRequest } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import type { Limiter } from '../domain/limit.js';
import type { Meter } from '../domain/metering.js';
import type { NanoUsd } from '../domain/money.js';
import { costOf } from '../domain/pricing.js';
import type { Pricer, Quote } from '../domain/quote.js';
import type { RouteAsk, Router, Target } from '../domain/route.js';
import { isTokenTask } from '../domain/task.js';
import { type Count, noCounts } from '../domain/usage.js';
import { mostOutput } from '../wire/output-bound.js';

export interface PricerParts {
  router: Router;
  meter: Meter;
  budgets: Budgets;
  limiter: Limiter;
  unpriced: 'allow' | 'refuse';
}

/** Plans and prices a request as the dispatcher would, and stops there. */
export function createPricer(parts: PricerParts): Pricer {
  return {
    quote(request) {
      const expectation = new Expectation(request, parts);
      const { candidates, refusal } = parts.router.forecast(routeAsk(request, expectation));
      if (refusal !== null) throw refusal;
      const targets = candidates.map(({ target }) => target);
      const mayBeUnpriced = parts.unpriced === 'allow' && !parts.budgets.has(request.client.id);
      const usable = mayBeUnpriced ? targets : targets.filter((target) => expectation.heldFor(target) !== null);
      if (usable.length === 0) throw unpriced(request.model);
      return usable.map((target) => quoteFor(target, request, expectation, parts.meter));
    },
  };
}

/** What the router is asked of a request. */
export function routeAsk(request: RoutedRequest, expectation: Expectation): RouteAsk {
  return {
    model: request.model,
    task: request.ask.task,
    access: request.client.access,
    region: request.region,
    inputTokens: expectation.roughInput,
    outputTokens: expectation.outputBound,
    brought: request.brought,
  };
}

function quoteFor(target: Target, request: RoutedRequest, expectation: Expectation, meter: Meter): Quote {
  const { task } = request.ask;
  const { providerId, upstream, model, price } = target;
  const subject = { providerId, providerModel: upstream.providerModel, task };
  const inputTokens = meter.countInput(expectation.input(), subject);
  if (!isTokenTask(task)) {
    const most = { input: inputTokens, output: 0 };
    return {
      provider: providerId,
      model,
      inputTokens,
      maxOutputTokens: 0,
      minCostNanoUsd: leastInUnits(request.ask, inputTokens, price),
      maxCostNanoUsd: worstCaseInUnits(request.ask, most, price),
      priceId: price?.id ?? null,
    };
  }
  const maxOutputTokens = mostOutput(request.ask, expectation.bounded(target).maxOutputTokens);
  return {
    provider: providerId,
    model,
    inputTokens,
    maxOutputTokens,
    minCostNanoUsd: costIn(target, inputTokens, task === 'embedding' ? null : 0),
    maxCostNanoUsd:
      maxOutputTokens === null ? null : costIn(target, inputTokens, task === 'embedding' ? null : maxOutputTokens),
    priceId: price?.id ?? null,
  };
}

/** What so many tokens cost at a target; null when its price does not say. */
export function costIn(target: Target, input: number, output: Count): NanoUsd | null {
  const cost = costOf({ ...noCounts(), input, output }, target.price);
  return cost.known ? cost.nanoUsd : null;
}

/** What a request is told that has no target whose price is known, where one is needed. */
export function unpriced(model: string): WaybillError {
  return new WaybillError('unpriced_model', {
    message: `The model \`${model}\` has no price, so its cost would be unknown; set \`pricing\` for it.`,
    param: 'model',
  });
}
