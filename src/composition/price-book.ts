import { WaybillError } from '../domain/errors.js';
import type { Foundation, Generation } from './generation.js';
import { priceRecord } from './prices.js';

/** The ledger may be locked for a moment by whoever backs it up. */
const TRIES = 30;
const BETWEEN_TRIES_MS = 100;

/**
 * Writes the prices of a generation into the book, before a request can name one; those of the one before it are there.
 * @throws WaybillError ledger_unavailable when they cannot be written
 */
export async function recordPrices(
  { providers, number }: Generation,
  before: Generation | null,
  { ledger, clock }: Pick<Foundation, 'ledger' | 'clock'>,
): Promise<void> {
  const known = new Set(before?.providers.prices.map(({ id }) => id));
  const fresh = providers.prices.filter(({ id }) => !known.has(id));
  if (fresh.length === 0) return;
  const records = fresh.map((price) => priceRecord(price, clock.now(), number));
  for (let left = before === null ? 0 : TRIES; ; left -= 1) {
    try {
      await ledger.recordPrices(records);
      return;
    } catch (error) {
      if (left === 0 || !(error instanceof WaybillError)) throw error;
      await clock.sleep(BETWEEN_TRIES_MS);
    }
  }
}
