import { type BudgetMemory, createBudgets } from '../access/budgets.js';
import type { Config } from '../config/config.js';
import { createCachedDispatcher } from '../dispatch/cache.js';
import { Decisions } from '../dispatch/decisions.js';
import { createDispatcher } from '../dispatch/dispatcher.js';
import type { Budgets } from '../domain/budget.js';
import type { ClientDirectory } from '../domain/client.js';
import type { Dispatcher } from '../domain/dispatch.js';
import type { Explainer } from '../domain/explanation.js';
import type { Ledger, LedgerReader } from '../domain/ledger.js';
import type { Limiter } from '../domain/limit.js';
import type { Meter } from '../domain/metering.js';
import type { NanoUsd } from '../domain/money.js';
import type { Clock, Random } from '../domain/ports.js';
import type { Pricer } from '../domain/quote.js';
import type { Router, TargetHealth } from '../domain/route.js';
import type { UpstreamClient } from '../domain/upstream.js';
import type { ProviderStatus } from '../http/admin/providers.js';
import type { KeyMemory } from '../keys/memory.js';
import type { OpenLogger } from '../telemetry/logger.js';
import type { Metrics } from '../telemetry/metrics.js';
import { buildDirectory } from './clients.js';
import { createExplainer } from './explainer.js';
import { createObserver } from './observer.js';
import { createPricer } from './pricer.js';
import type { BuiltProviders } from './providers.js';
import { buildRouting } from './routing.js';

/** What outlives a configuration: connections, counters, the ledger. */
export interface Foundation {
  limiter: Limiter;
  health: TargetHealth;
  client: UpstreamClient;
  meter: Meter;
  ledger: Ledger;
  metrics: Metrics;
  keyMemory: KeyMemory;
  budgetMemory: BudgetMemory;
  clock: Clock;
  random: Random;
  logger: OpenLogger;
}

/** Everything that one configuration makes. Never changed: a reload builds another. */
export interface Generation {
  number: number;
  config: Config;
  /** Unix seconds. */
  createdAt: number;
  providers: BuiltProviders;
  directory: ClientDirectory;
  router: Router;
  dispatcher: Dispatcher;
  budgets: Budgets;
  pricer: Pricer;
  explainer: Explainer;
}

export function buildGeneration(
  config: Config,
  number: number,
  foundation: Foundation,
  sandboxUrl: string | null,
): Generation {
  const { clock, limiter, meter, logger, metrics } = foundation;
  const { policy } = config;
  const { providers, router } = buildRouting(config, foundation, sandboxUrl);
  const reader = foundation.ledger.reader();
  const budgets = createBudgets({
    budgets: (config.clients ?? []).flatMap(({ id, budget }) => (budget === null ? [] : [{ client: id, ...budget }])),
    spentSince: (client, from) => spentSince(reader, client, from),
    clock,
    logger,
    memory: foundation.budgetMemory,
  });
  const dispatchParts = {
    ...foundation,
    router,
    budgets,
    observer: createObserver({ logger, metrics, prompts: config.logging.prompts }),
    decisions: new Decisions(),
    policy: {
      retry: policy.retry,
      queueMaxWaitMs: policy.queue.maxWaitMs,
      unpriced: policy.unpriced,
      configGeneration: number,
    },
  };
  const direct = createDispatcher(dispatchParts);
  const { enabled: isCached, ...cache } = policy.cache;
  const maxWaitMs = Math.max(0, ...config.providers.map(({ timeouts }) => timeouts.totalMs));
  const dry = { router, meter, budgets, limiter, unpriced: policy.unpriced };
  return {
    number,
    config,
    createdAt: Math.floor(clock.now() / 1_000),
    providers,
    directory: buildDirectory(config.clients, clock),
    router,
    dispatcher: isCached ? createCachedDispatcher(dispatchParts, { ...cache, maxWaitMs }, direct) : direct,
    budgets,
    pricer: createPricer(dry),
    explainer: createExplainer({ ...dry, algorithm: policy.algorithm }),
  };
}

/** What a client spent, as every report has it; what was in flight when a process died, and what
 * has no known cost, counts as it was held. */
function spentSince(reader: LedgerReader, client: string, from: number | null): NanoUsd {
  const query = { from, to: null, groupBy: [], filters: { client: [client] }, timeZone: 'UTC' };
  return reader.summarise(query).total.costNanoUsd + reader.heldOfUnpriced(client, from);
}

/** Each provider entry as operators see it. */
export function providerStatus(generation: Generation, foundation: Foundation): ProviderStatus[] {
  return generation.providers.all.map(({ config, keys, pool, offer }) => ({
    id: config.id,
    name: config.name,
    type: config.type,
    disabledReason: config.disabledReason,
    takesClientKeys: config.allowClientKeys,
    keys: pool.snapshot().map((state) => {
      const key = keys.find((candidate) => candidate.id === state.id);
      const scope = { id: `key:${state.id}`, settings: key?.limits ?? {} };
      return { ...state, limits: foundation.limiter.snapshot(scope) };
    }),
    targets: offer.targets.map((target) => {
      const { state, errorRate, firstByteMs, underWay } = foundation.health.snapshot(target.id);
      return { model: target.model, state, errorRate, firstByteMs, inFlight: underWay };
    }),
  }));
}
