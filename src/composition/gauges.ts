import type { Limiter } from '../domain/limit.js';
import type { Metrics } from '../telemetry/metrics.js';
import { keyScopes } from './providers.js';
import type { Running } from './running.js';

/** What a scrape reads of the configuration that is in use then. */
export function observeGauges(metrics: Metrics, running: Running, limiter: Limiter): void {
  const current = () => running.serving.generation;
  metrics.observe({
    keyStates: () =>
      current().providers.all.flatMap(({ config: { id }, pool }) =>
        pool.snapshot().map(({ id: key, state }) => ({ provider: id, key, state })),
      ),
    limits: () =>
      keyScopes(current().providers).flatMap((scope) =>
        limiter.snapshot(scope).map((limit) => ({ scope: scope.id, limit })),
      ),
    queueDepth: () => limiter.queueDepth(),
    budgets: () =>
      current()
        .budgets.snapshot()
        .map(({ client, leftNanoUsd }) => ({ client, remainingNanoUsd: leftNanoUsd })),
    configGeneration: () => current().number,
  });
}
