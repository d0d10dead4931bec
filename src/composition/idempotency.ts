import { createIdempotency } from '../access/idempotency.js';
import type { Config } from '../config/config.js';
import { UserError } from '../domain/errors.js';
import { type Idempotency, KEPT_MS } from '../domain/idempotency.js';
import type { Logger } from '../domain/ports.js';
import { openSqliteIdempotency } from '../ledger/sqlite/idempotency.js';
import { systemClock } from './clock.js';

const PRUNE_EVERY_MS = 10 * 60_000;

export interface OpenIdempotency {
  idempotency: Idempotency;
  close(): void;
}

/**
 * Opens the kept answers of a ledger file, and deletes those that are a day old from time to time.
 * @throws UserError when the file cannot be used
 */
export function openIdempotency(config: () => Config, logger: Logger): OpenIdempotency {
  const { ledger } = config().storage;
  if (ledger.type !== 'sqlite') throw new UserError('answers are kept for idempotency keys in a SQLite ledger only');
  const store = openSqliteIdempotency(ledger);
  const prune = async () => {
    try {
      await store.prune(systemClock.now() - KEPT_MS);
    } catch (err) {
      logger.warn({ err }, 'answers kept for idempotency keys could not be pruned');
    }
  };
  void prune();
  const timer = setInterval(prune, PRUNE_EVERY_MS).unref();
  const longest = () => Math.max(0, ...config().providers.map(({ timeouts }) => timeouts.totalMs));
  return {
    idempotency: createIdempotency({ store, clock: systemClock, logger, waitMs: longest }),
    close() {
      clearInterval(timer);
      store.close();
    },
  };
}
