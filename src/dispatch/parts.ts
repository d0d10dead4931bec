import type { Budgets } from '../domain/budget.js';
import type { Observer } from '../domain/dispatch.js';
import type { Ledger } from '../domain/ledger.js';
import type { Limiter } from '../domain/limit.js';
import type { Meter } from '../domain/metering.js';
import type { Clock, Logger, Random } from '../domain/ports.js';
import type { Router, TargetHealth } from '../domain/route.js';
import type { UpstreamClient } from '../domain/upstream.js';
import type { Decisions } from './decisions.js';

export interface DispatchPolicy {
  retry: { maxAttempts: number; timeoutMs: number; intervalMs: number; maxIntervalMs: number; maxWaitMs: number };
  queueMaxWaitMs: number;
  /** `refuse`: a request whose cost would be unknown is not sent. */
  unpriced: 'allow' | 'refuse';
  configGeneration: number;
}

export interface DispatchParts {
  router: Router;
  limiter: Limiter;
  budgets: Budgets;
  health: TargetHealth;
  client: UpstreamClient;
  meter: Meter;
  ledger: Ledger;
  observer: Observer;
  decisions: Decisions;
  policy: DispatchPolicy;
  clock: Clock;
  random: Random;
  logger: Logger;
}
