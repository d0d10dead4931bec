import { createBudgets } from '../access/budgets.js';
import type { Config } from '../config/config.js';
import type { Logger } from '../domain/ports.js';
import { createKeyMemory } from '../keys/memory.js';
import { createLimiter } from '../limits/limiter.js';
import { createMeter } from '../metering/meter.js';
import { createTargetHealth } from '../routing/health.js';
import { systemClock } from './clock.js';
import type { PricerParts } from './pricer.js';
import { buildRouting, type Routing } from './routing.js';

export interface OfflineParts extends PricerParts {
  routing: Routing;
  /** Epoch milliseconds. */
  now: number;
}

const silent: Logger = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, fatal() {} };

/** Nothing is ever sent there. */
const NOWHERE = 'http://127.0.0.1';

/**
 * Lends the routing of a configuration as a daemon has it that has just started: nothing measured, nothing used, and of
 * no budget anything spent.
 * @throws UserError when an entry cannot be built
 */
export async function withOfflineRouting<T>(config: Config, use: (parts: OfflineParts) => T): Promise<T> {
  const clock = systemClock;
  const limiter = createLimiter({ clock, queueMaxLength: () => config.policy.queue.maxLength, logger: silent });
  try {
    const health = createTargetHealth({ clock, settings: () => config.policy.cooldown });
    const keyMemory = createKeyMemory();
    const meter = createMeter({});
    const routing = buildRouting(config, { limiter, health, keyMemory, meter, clock, random: Math.random }, NOWHERE);
    const budgets = createBudgets({
      budgets: (config.clients ?? []).flatMap(({ id, budget }) => (budget === null ? [] : [{ client: id, ...budget }])),
      spentSince: () => 0n,
      clock,
      logger: silent,
      memory: new Map(),
    });
    const { unpriced } = config.policy;
    return use({
      routing,
      router: routing.router,
      meter,
      budgets,
      limiter,
      unpriced,
      now: clock.now(),
    });
  } finally {
    await limiter.close();
  }
}
