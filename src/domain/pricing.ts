import { ceilDiv, type NanoUsd, type NanoUsdPerMillion } from './money.js';
import { type Count, totalInput, type UsageCounts } from './usage.js';

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

/**
 * The cost of one upstream call: `ceil(Σ units × rate + request price)` in nano-USD, exact until the one rounding.
 * Cached input without a price costs what input costs, reasoning what output costs; any other class that has units and
 * no price makes the cost unknown. Zero units never need a price.
 */
export function costOf(counts: UsageCounts, price: Price | null): Cost {
  if (price === null) return { known: false, reason: 'no-price', priceId: null };
  const rates = ratesFor(price, totalInput(counts));
  const bill = new Bill();
  const isPriced =
    bill.add('input', counts.input, rates.input) &&
    bill.add('cachedInput', counts.cachedInput, rates.cachedInput ?? rates.input) &&
    bill.add('cacheWrite', counts.cacheWrite, rates.cacheWrite) &&
    bill.add('output', counts.output, rates.output) &&
    bill.add('reasoning', counts.reasoning, rates.reasoning ?? rates.output) &&
    bill.add('audioInput', counts.audioInput, rates.audioInput) &&
    bill.add('audioOutput', counts.audioOutput, rates.audioOutput) &&
    bill.add('image', counts.images, rates.image) &&
    bill.add('character', counts.characters, rates.character) &&
    bill.add('audioMinute', counts.audioMs, rates.audioMinute) &&
    bill.add('searchUnit', counts.searchUnits, rates.searchUnit);
  if (!isPriced) return { known: false, reason: 'no-price', priceId: price.id };
  if (!bill.hasCounts && !isPricedByRequestAlone(rates)) {
    return { known: false, reason: 'no-usage', priceId: price.id };
  }
  // A request price is held per million requests, as every rate is.
  if (rates.request !== undefined && rates.request > 0n) bill.add('request', 1, rates.request);
  return { known: true, nanoUsd: bill.total(), priceId: price.id, components: bill.components };
}

/** What is to be paid, class by class, and rounded once at the end. */
class Bill {
  readonly components: CostComponent[] = [];
  /** True once a count was known, if only as zero. */
  hasCounts = false;
  /** Over a million units. */
  #byUnit = 0n;
  /** The same of what is counted in milliseconds and priced by the minute. */
  #byMinute = 0n;

  /** Adds the units of a class; false when there are some, and no rate for them. */
  add(rateClass: RateClass, units: Count, rate: NanoUsdPerMillion | undefined): boolean {
    if (units === null) return true;
    this.hasCounts = true;
    if (units === 0) return true;
    if (rate === undefined) return false;
    if (rateClass === 'audioMinute') this.#byMinute += BigInt(units) * rate;
    else this.#byUnit += BigInt(units) * rate;
    this.components.push({ class: rateClass, units, ratePerMillion: rate });
    return true;
  }

  total(): NanoUsd {
    if (this.#byMinute === 0n) return ceilDiv(this.#byUnit, UNITS_PER_RATE);
    return ceilDiv(this.#byUnit * MS_PER_MINUTE + this.#byMinute, UNITS_PER_RATE * MS_PER_MINUTE);
  }
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
