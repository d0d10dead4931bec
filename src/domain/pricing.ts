import { ceilDiv, type NanoUsd, type NanoUsdPerMillion } from './money.js';
import { type Count, totalInput, type UsageClass, type UsageCounts } from './usage.js';

/** What a price can be set for. `audioMinute` is per minute (usage counts milliseconds), `request` per upstream call. */
export const RATE_CLASSES = [
  'input',
  'cachedInput',
  'cacheWrite',
  'output',
  'reasoning',
  'audioInput',
  'audioOutput',
  'request',
  'searchUnit',
  'image',
  'audioMinute',
  'character',
] as const;

export type RateClass = (typeof RATE_CLASSES)[number];

/** Rates that are set; a class left out has no price. */
export type Rates = { [K in RateClass]?: NanoUsdPerMillion };

/** Prices a whole request whose input classes together exceed `aboveInputTokens`; classes it leaves out inherit. */
export interface PriceTier {
  aboveInputTokens: number;
  rates: Rates;
}

export interface Price {
  /** Hash of content and origin. Rows keep it. */
  id: string;
  /** Where it was set, e.g. `config:llm_providers[0].pricing` or `adapter:ollama`. */
  origin: string;
  rates: Rates;
  tiers: PriceTier[];
}

/** One line of a cost: `units × rate`, before the one rounding at the end. */
export interface CostComponent {
  class: RateClass;
  units: number;
  ratePerMillion: NanoUsdPerMillion;
}

export type Cost =
  | { known: true; nanoUsd: NanoUsd; priceId: string; components: CostComponent[] }
  | { known: false; reason: 'no-price' | 'no-usage'; priceId: string | null };

const MS_PER_MINUTE = 60_000n;
/** Rates are for a million units. */
const UNITS_PER_RATE = 1_000_000n;
/** Everything is summed over this denominator: a million units, and milliseconds in a minute. */
const DENOMINATOR = UNITS_PER_RATE * MS_PER_MINUTE;

/** Which count is billed at which rate, and whose rate holds where a class has none of its own. */
interface Billed {
  rateClass: RateClass;
  count: UsageClass;
  inherits: RateClass | null;
  /** Counted in milliseconds, priced by the minute. */
  perMinute: boolean;
}

const BILLED: readonly Billed[] = [
  { rateClass: 'input', count: 'input', inherits: null, perMinute: false },
  { rateClass: 'cachedInput', count: 'cachedInput', inherits: 'input', perMinute: false },
  { rateClass: 'cacheWrite', count: 'cacheWrite', inherits: null, perMinute: false },
  { rateClass: 'output', count: 'output', inherits: null, perMinute: false },
  { rateClass: 'reasoning', count: 'reasoning', inherits: 'output', perMinute: false },
  { rateClass: 'audioInput', count: 'audioInput', inherits: null, perMinute: false },
  { rateClass: 'audioOutput', count: 'audioOutput', inherits: null, perMinute: false },
  { rateClass: 'image', count: 'images', inherits: null, perMinute: false },
  { rateClass: 'character', count: 'characters', inherits: null, perMinute: false },
  { rateClass: 'audioMinute', count: 'audioMs', inherits: null, perMinute: true },
  { rateClass: 'searchUnit', count: 'searchUnits', inherits: null, perMinute: false },
];

/**
 * The cost of one upstream call: `ceil(Σ units × rate + request price)` in nano-USD, exact until the one rounding.
 * Cached input without a price costs what input costs, reasoning what output costs; any other class that has units and
 * no price makes the cost unknown. Zero units never need a price.
 */
export function costOf(counts: UsageCounts, price: Price | null): Cost {
  if (price === null) return { known: false, reason: 'no-price', priceId: null };
  const rates = ratesFor(price, totalInput(counts));
  const components: CostComponent[] = [];
  let numerator = 0n;
  let seen = false;
  for (const { rateClass, count, inherits, perMinute } of BILLED) {
    const units = counts[count];
    if (units === null) continue;
    seen = true;
    if (units === 0) continue;
    const rate = rates[rateClass] ?? (inherits === null ? undefined : rates[inherits]);
    if (rate === undefined) return { known: false, reason: 'no-price', priceId: price.id };
    numerator += BigInt(units) * rate * (perMinute ? 1n : MS_PER_MINUTE);
    components.push({ class: rateClass, units, ratePerMillion: rate });
  }
  if (!seen && !isPricedByRequestAlone(rates)) return { known: false, reason: 'no-usage', priceId: price.id };
  if (rates.request !== undefined && rates.request > 0n) {
    // A request price is held per million requests, as every rate is.
    numerator += rates.request * MS_PER_MINUTE;
    components.push({ class: 'request', units: 1, ratePerMillion: rates.request });
  }
  return { known: true, nanoUsd: ceilDiv(numerator, DENOMINATOR), priceId: price.id, components };
}

/**
 * The most that so many tokens can cost, whatever classes they turn out to be: input that is written to a cache, output
 * that is reasoning. Null where a rate is missing.
 */
export function worstCaseOf(tokens: { input: number; output: number | null }, price: Price | null): NanoUsd | null {
  if (price === null) return null;
  const rates = ratesFor(price, tokens.input);
  const input = dearest(rates.input, rates.cachedInput, rates.cacheWrite);
  const output = dearest(rates.output, rates.reasoning, undefined);
  const written = tokens.output ?? 0;
  if (tokens.input > 0 && input === null) return null;
  if (written > 0 && output === null) return null;
  const numerator = BigInt(tokens.input) * (input ?? 0n) + BigInt(written) * (output ?? 0n) + (rates.request ?? 0n);
  return ceilDiv(numerator, UNITS_PER_RATE);
}

/** The highest rate of a kind; null where its own, which stands first, is missing. */
function dearest(
  own: NanoUsdPerMillion | undefined,
  second: NanoUsdPerMillion | undefined,
  third: NanoUsdPerMillion | undefined,
): NanoUsdPerMillion | null {
  if (own === undefined) return null;
  let most = own;
  if (second !== undefined && second > most) most = second;
  if (third !== undefined && third > most) most = third;
  return most;
}

/** The rates that hold for a request of this many input tokens: the highest tier it exceeds, over the base. */
export function ratesFor(price: Price, inputTokens: Count): Rates {
  if (inputTokens === null || price.tiers.length === 0) return price.rates;
  let best: PriceTier | null = null;
  for (const tier of price.tiers) {
    if (inputTokens > tier.aboveInputTokens && (best === null || tier.aboveInputTokens > best.aboveInputTokens)) {
      best = tier;
    }
  }
  return best === null ? price.rates : { ...price.rates, ...best.rates };
}

/** Whatever was used costs nothing beside it: no other class has a rate, or every one is zero. */
function isPricedByRequestAlone(rates: Rates): boolean {
  if (rates.request === undefined) return false;
  const others = RATE_CLASSES.filter((name) => name !== 'request').map((name) => rates[name]);
  return others.every((rate) => rate === undefined) || others.every((rate) => rate === 0n);
}
