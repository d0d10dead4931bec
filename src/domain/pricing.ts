import { ceilDiv, type NanoUsd, type NanoUsdPerMillion } from './money.js';
import { type Count, noCounts, totalInput, type UsageCounts } from './usage.js';

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
/** Everything is summed over this denominator: a million units, and milliseconds in a minute. */
const DENOMINATOR = 1_000_000n * MS_PER_MINUTE;

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
  for (const [rateClass, units, rate] of billedUnits(counts, rates)) {
    if (units === null) continue;
    seen = true;
    if (units === 0) continue;
    if (rate === undefined) return { known: false, reason: 'no-price', priceId: price.id };
    numerator += BigInt(units) * rate * (rateClass === 'audioMinute' ? 1n : MS_PER_MINUTE);
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
  const output = dearest(rates.output, rates.reasoning);
  const worst = {
    ...(input === undefined || rates.input === undefined ? {} : { input }),
    ...(output === undefined || rates.output === undefined ? {} : { output }),
    ...(rates.request === undefined ? {} : { request: rates.request }),
  };
  const cost = costOf({ ...noCounts(), ...tokens }, { ...price, rates: worst, tiers: [] });
  return cost.known ? cost.nanoUsd : null;
}

function dearest(...rates: Array<NanoUsdPerMillion | undefined>): NanoUsdPerMillion | undefined {
  return rates.reduce(
    (most, rate) => (most === undefined || (rate !== undefined && rate > most) ? rate : most),
    undefined,
  );
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

function isPricedByRequestAlone(rates: Rates): boolean {
  return rates.request !== undefined && RATE_CLASSES.every((name) => name === 'request' || rates[name] === undefined);
}

function billedUnits(counts: UsageCounts, rates: Rates): Array<[RateClass, Count, NanoUsdPerMillion | undefined]> {
  return [
    ['input', counts.input, rates.input],
    ['cachedInput', counts.cachedInput, rates.cachedInput ?? rates.input],
    ['cacheWrite', counts.cacheWrite, rates.cacheWrite],
    ['output', counts.output, rates.output],
    ['reasoning', counts.reasoning, rates.reasoning ?? rates.output],
    ['audioInput', counts.audioInput, rates.audioInput],
    ['audioOutput', counts.audioOutput, rates.audioOutput],
    ['image', counts.images, rates.image],
    ['character', counts.characters, rates.character],
    ['audioMinute', counts.audioMs, rates.audioMinute],
    ['searchUnit', counts.searchUnits, rates.searchUnit],
  ];
}
