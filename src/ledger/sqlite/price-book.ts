import type { Database, Statement } from 'better-sqlite3';
import type { Price, PriceTier, Rates } from '../../domain/pricing.js';
import { RATE_CLASSES } from '../../domain/pricing.js';

interface PriceSql {
  origin: string;
  content: string;
}

/** Prices by id, as the ledger keeps every version of them. */
export class PriceBook {
  readonly #find: Statement<unknown[]>;
  readonly #known = new Map<string, Price | null>();

  constructor(db: Database) {
    this.#find = db.prepare('SELECT origin, content FROM prices WHERE id = ?');
  }

  /** Null for an id that is not in the book, or whose content is no price. */
  get(id: string): Price | null {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const row = this.#find.get(id) as PriceSql | undefined;
    const price = row === undefined ? null : parsePrice(id, row);
    this.#known.set(id, price);
    return price;
  }
}

/** `{"rates": {"input": "200000000"}, "tiers": [{"above_input_tokens": 1000, "rates": {…}}]}`: nano-USD per million. */
function parsePrice(id: string, { origin, content }: PriceSql): Price | null {
  try {
    const { rates, tiers } = JSON.parse(content) as { rates: unknown; tiers: unknown };
    if (!Array.isArray(tiers)) return null;
    return { id, origin, rates: parseRates(rates), tiers: tiers.map(parseTier) };
  } catch (error) {
    // Somebody edited it: verification names the rows that depend on it.
    if (error instanceof SyntaxError || error instanceof TypeError || error instanceof RangeError) return null;
    throw error;
  }
}

function parseTier(tier: { above_input_tokens: unknown; rates: unknown }): PriceTier {
  const { above_input_tokens: aboveInputTokens, rates } = tier;
  if (typeof aboveInputTokens !== 'number') throw new TypeError('a tier without its bound');
  return { aboveInputTokens, rates: parseRates(rates) };
}

function parseRates(written: unknown): Rates {
  if (typeof written !== 'object' || written === null) throw new TypeError('no rates');
  const rates: Rates = {};
  for (const [name, text] of Object.entries(written)) {
    const rateClass = RATE_CLASSES.find((known) => known === name);
    if (rateClass === undefined || typeof text !== 'string') throw new TypeError(`no rate: ${name}`);
    rates[rateClass] = BigInt(text);
  }
  return rates;
}
