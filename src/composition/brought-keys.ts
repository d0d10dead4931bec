import { type BroughtKey, broughtKeyId } from '../domain/keys.js';
import type { Clock, Random } from '../domain/ports.js';
import type { Secret } from '../domain/secret.js';
import { createKeyPool } from '../keys/pool.js';
import { broughtKeyPrice } from './prices.js';
import type { BuiltProvider } from './targets.js';

export interface BringingOptions {
  providers: readonly Pick<BuiltProvider, 'config'>[];
  clock: Clock;
  random: Random;
  backoff: { intervalMs: number; maxIntervalMs: number };
}

/**
 * Makes the key of a request one that its attempts can use: alone in a pool of its own, which ends with the request, so
 * that what becomes of it touches no other key.
 */
export function createBringing({ providers, clock, random, backoff }: BringingOptions) {
  const entries = new Map(
    providers.map(({ config }) => [config.id, config.allowClientKeys && config.disabledReason === null]),
  );
  const price = broughtKeyPrice();
  return (providerId: string, secret: Secret): BroughtKey | 'unknown' | 'refused' => {
    const isTaken = entries.get(providerId);
    if (isTaken === undefined) return 'unknown';
    if (!isTaken) return 'refused';
    const keys = createKeyPool({
      keys: [{ id: broughtKeyId(providerId), secret, weight: 1, limits: {} }],
      clock,
      random,
      baseCooldownMs: backoff.intervalMs,
      maxCooldownMs: backoff.maxIntervalMs,
    });
    return { providerId, keys, price };
  };
}
