import type { Config } from '../config/config.js';
import { scopesOf } from '../dispatch/lease.js';
import type { Limiter } from '../domain/limit.js';
import type { Clock, Random } from '../domain/ports.js';
import type { Router, TargetHealth } from '../domain/route.js';
import type { KeyMemory } from '../keys/memory.js';
import { findAdapter } from '../providers/registry.js';
import { NameResolver } from '../routing/resolve.js';
import { createRouter, type RouterParts } from '../routing/router.js';
import { type BuiltProviders, buildProviders } from './providers.js';

export interface RoutingParts {
  limiter: Limiter;
  health: TargetHealth;
  keyMemory: KeyMemory;
  clock: Clock;
  random: Random;
}

/** Where requests of one configuration may go. */
export interface Routing {
  providers: BuiltProviders;
  router: Router;
  /** The same, with turns of its own: a question moves no request to another target. */
  dryRouter: Router;
}

/** @throws UserError when an entry cannot be built */
export function buildRouting(config: Config, parts: RoutingParts, sandboxUrl: string | null): Routing {
  const { limiter, health, keyMemory, clock, random } = parts;
  const { policy } = config;
  const providers = buildProviders(config, {
    findAdapter,
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
  const routerParts: RouterParts = {
    resolver,
    health,
    settings: { algorithm: policy.algorithm, fallback: policy.fallback },
    offered: providers.offered,
    hasRoom: (target, tokens) =>
      target.keys.candidates(new Set()).some((key) => limiter.hasRoom(scopesOf(target, key), tokens)),
    random,
  };
  return { providers, router: createRouter(routerParts), dryRouter: createRouter(routerParts) };
}
