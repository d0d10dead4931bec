import type { Config } from '../config/config.js';
import { UNBOUNDED_OUTPUT_TOKENS } from '../dispatch/expectation.js';
import { scopesOf } from '../dispatch/lease.js';
import type { Limiter, LimitSnapshot } from '../domain/limit.js';
import type { Meter } from '../domain/metering.js';
import type { Clock, Random } from '../domain/ports.js';
import type { RouteAsk, Router, Target, TargetHealth } from '../domain/route.js';
import type { KeyMemory } from '../keys/memory.js';
import { findAdapter } from '../providers/registry.js';
import { NameResolver } from '../routing/resolve.js';
import { createRouter } from '../routing/router.js';
import { type BuiltProviders, buildProviders } from './providers.js';

export interface RoutingParts {
  limiter: Limiter;
  health: TargetHealth;
  keyMemory: KeyMemory;
  meter: Meter;
  clock: Clock;
  random: Random;
}

/** Where requests of one configuration may go. */
export interface Routing {
  providers: BuiltProviders;
  router: Router;
}

/** @throws UserError when an entry cannot be built */
export function buildRouting(config: Config, parts: RoutingParts, sandboxUrl: string | null): Routing {
  const { limiter, health, keyMemory, clock, random } = parts;
  const { policy } = config;
  const providers = buildProviders(config, {
    findAdapter: (type) => config.modules.get(type) ?? findAdapter(type),
    keyMemory,
    clock,
    random,
    backoff: policy.retry,
    sandboxUrl,
  });
  const resolver = new NameResolver(
    providers.all.map((provider) => provider.offer),
    new Map(Object.entries(config.aliases)),
  );
  const router = createRouter({
    resolver,
    health,
    settings: { algorithm: policy.algorithm, hybridWeights: policy.hybridWeights, fallback: policy.fallback },
    offered: providers.offered,
    hasRoom: (target, tokens) => target.keys.usable().some((key) => limiter.hasRoom(scopesOf(target, key), tokens)),
    expectedOutput: (target, ask) => expectedOutput(target, ask, parts.meter),
    capacity,
    used: (target) => usedShare(target, limiter),
    random,
  });
  return { providers, router };
}

/** As limits expect it: the bound of request, model or entry; without one, what the model writes on average. */
function expectedOutput(target: Target, { task, outputTokens }: RouteAsk, meter: Meter): number {
  if (task === 'embedding') return 0;
  const { providerId, upstream } = target;
  const most = upstream.maxOutputTokens ?? Number.POSITIVE_INFINITY;
  const own = outputTokens ?? upstream.maxOutputTokens;
  if (own !== null) return Math.min(own, most);
  return meter.averageOutput({ providerId, providerModel: upstream.providerModel, task }) ?? UNBOUNDED_OUTPUT_TOKENS;
}

/** Calls that may be under way at once: over the keys that can be used, and within the model's own limit. */
function capacity(target: Target): number | null {
  const ofModel = target.modelScope?.settings.concurrency ?? null;
  let ofKeys: number | null = 0;
  for (const { limits } of target.keys.usable()) {
    ofKeys = ofKeys === null || limits.concurrency == null ? null : ofKeys + limits.concurrency;
  }
  if (ofKeys === 0) return null;
  return ofKeys === null ? ofModel : Math.min(ofKeys, ofModel ?? ofKeys);
}

/** What is used of a target's limits, at the key that has most left. */
function usedShare(target: Target, limiter: Limiter): { reqRatio: number | null; tokenRatio: number | null } {
  let reqRatio: number | null = null;
  let tokenRatio: number | null = null;
  for (const key of target.keys.usable()) {
    const limits = scopesOf(target, key).flatMap((scope) => limiter.snapshot(scope));
    reqRatio = least(reqRatio, fullest(limits, 'requests'));
    tokenRatio = least(tokenRatio, fullest(limits, 'tokens'));
  }
  return { reqRatio, tokenRatio };
}

/** The share of the limit that is nearest to its end; null without one of the kind. */
function fullest(limits: readonly LimitSnapshot[], kind: LimitSnapshot['kind']): number | null {
  const shares = limits.filter((limit) => limit.kind === kind).map(({ limit, remaining }) => 1 - remaining / limit);
  return shares.length === 0 ? null : Math.min(1, Math.max(0, ...shares));
}

function least(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}
