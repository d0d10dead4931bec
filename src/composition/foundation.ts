import type { Config } from '../config/config.js';
import { UserError } from '../domain/errors.js';
import type { Ledger } from '../domain/ledger.js';
import type { Meter } from '../domain/metering.js';
import { createKeyMemory } from '../keys/memory.js';
import { openSqliteLedger } from '../ledger/sqlite/sqlite-ledger.js';
import { createLimiter } from '../limits/limiter.js';
import { createTargetHealth } from '../routing/health.js';
import type { OpenLogger } from '../telemetry/logger.js';
import type { Metrics } from '../telemetry/metrics.js';
import { createUpstreamClient } from '../upstream/client.js';
import { systemClock } from './clock.js';
import type { Foundation } from './generation.js';

/** @throws UserError when the ledger cannot be opened */
export function openLedger(parts: { config: Config; logger: OpenLogger; metrics: Metrics }): Ledger {
  const { config, logger, metrics } = parts;
  const { ledger } = config.storage;
  if (ledger.type !== 'sqlite') throw new UserError('storage.ledger.type: postgres is not active yet; use sqlite');
  return openSqliteLedger({
    path: ledger.path,
    durability: ledger.durability,
    retentionDays: ledger.retentionDays,
    onCommit: (ms) => metrics.recordCommit(ms),
    clock: systemClock,
    logger,
  });
}

/** `current` is the configuration in use: what outlives one asks each time. */
export function createFoundation(parts: {
  current: () => Config;
  ledger: Ledger;
  meter: Meter;
  logger: OpenLogger;
  metrics: Metrics;
}): Foundation {
  const { current, ledger, meter, logger, metrics } = parts;
  return {
    limiter: createLimiter({ clock: systemClock, queueMaxLength: () => current().policy.queue.maxLength, logger }),
    health: createTargetHealth({ clock: systemClock, settings: () => current().policy.cooldown }),
    client: createUpstreamClient({ clock: systemClock }),
    meter,
    ledger,
    metrics,
    keyMemory: createKeyMemory(),
    budgetMemory: new Map(),
    clock: systemClock,
    random: Math.random,
    logger,
  };
}
