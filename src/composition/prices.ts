import { createHash } from 'node:crypto';
import type { PricingConfig } from '../config/config.js';
import type { PriceRecord } from '../domain/ledger.js';
import { type Price, type PriceTier, RATE_CLASSES, type Rates } from '../domain/pricing.js';

/** A price with its id: a hash of what it says and where it was set. */
export function priceOf(origin: string, rates: Rates, tiers: readonly PriceTier[]): Price {
  const id = createHash('sha256')
    .update(`${origin}\n${contentOf(rates, tiers)}`)
    .digest('hex')
    .slice(0, 16);
  return { id, origin, rates, tiers: [...tiers] };
}

/** What calls with a key that a request brought cost us, whatever they use: their owner pays. */
export function broughtKeyPrice(): Price {
  return priceOf('byok', Object.fromEntries(RATE_CLASSES.map((name) => [name, 0n])), []);
}

/** The price that the config gives; null where the catalogue is to give it. */
export function configuredPrice(origin: string, pricing: PricingConfig): Price | null {
  return pricing.source === 'catalog' ? null : priceOf(origin, pricing.rates, pricing.tiers);
}

/** As the price book keeps it. */
export function priceRecord(price: Price, effectiveFrom: number, configGeneration: number): PriceRecord {
  return {
    id: price.id,
    origin: price.origin,
    effectiveFrom,
    configGeneration,
    content: contentOf(price.rates, price.tiers),
  };
}

/** A price that the command line sets for the past: its id depends on what it says alone. */
export function makePrice(
  rates: Rates,
  tiers: readonly PriceTier[],
  now: number,
): { price: Price; record: PriceRecord } {
  const price = priceOf('reprice', rates, tiers);
  return { price, record: priceRecord(price, now, 0) };
}

/** JSON with the classes in one order and the rates as text: nano-USD per million units. */
function contentOf(rates: Rates, tiers: readonly PriceTier[]): string {
  return JSON.stringify({
    rates: ordered(rates),
    tiers: tiers.map((tier) => ({ above_input_tokens: tier.aboveInputTokens, rates: ordered(tier.rates) })),
  });
}

function ordered(rates: Rates): Record<string, string> {
  const text: Record<string, string> = {};
  for (const name of RATE_CLASSES) {
    const rate = rates[name];
    if (rate !== undefined) text[name] = rate.toString();
  }
  return text;
}
