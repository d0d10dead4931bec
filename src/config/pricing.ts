import { type Decimal, formatRatePerMillion, type NanoUsdPerMillion, type PriceUnit, toRate } from '../domain/money.js';
import type { RateClass, Rates } from '../domain/pricing.js';
import type { PricingConfig } from './config.js';
import { asDecimal } from './fields.js';
import { errorAt, type Finding, warningAt, type YamlPath } from './yaml-path.js';
import { isMapping } from './yaml-source.js';

export const PRICE_UNITS = ['token', '1k_tokens', '1m_tokens'] as const satisfies readonly PriceUnit[];

/** Price keys that count tokens: USD per `unit`. */
export const TOKEN_PRICES = {
  input_token_cost: 'input',
  output_token_cost: 'output',
  cached_input_token_cost: 'cachedInput',
  cache_write_token_cost: 'cacheWrite',
  reasoning_token_cost: 'reasoning',
  audio_input_token_cost: 'audioInput',
  audio_output_token_cost: 'audioOutput',
} as const satisfies Record<string, RateClass>;

/** Price keys that count something else: USD each, whatever `unit` says. */
export const OTHER_PRICES = {
  request_cost: 'request',
  search_unit_cost: 'searchUnit',
  image_cost: 'image',
  audio_minute_cost: 'audioMinute',
  character_cost: 'character',
} as const satisfies Record<string, RateClass>;

type PriceKey = keyof typeof TOKEN_PRICES | keyof typeof OTHER_PRICES;
type WrittenPrices = { [K in PriceKey]?: Decimal | undefined };

export interface WrittenPricing extends WrittenPrices {
  unit: PriceUnit;
  tiers: Array<WrittenPrices & { above_input_tokens: number }>;
}

const TOO_FINE = 'expected a price of whole 0.000000000000001 USD (1e-15) a unit; this one is finer';

/** Exact rates of a `pricing` mapping. What is finer than 1e-15 USD a unit is told to `refuse`. */
export function toPricing(written: WrittenPricing, refuse: (path: YamlPath, message: string) => void): PricingConfig {
  const rates = toRates(written, written.unit, (key, message) => refuse([key], message));
  const tiers = written.tiers.map((tier, index) => ({
    aboveInputTokens: tier.above_input_tokens,
    rates: toRates(tier, written.unit, (key, message) => refuse(['tiers', index, key], message)),
  }));
  return { source: 'config', rates, tiers };
}

function toRates(written: WrittenPrices, unit: PriceUnit, refuse: (key: string, message: string) => void): Rates {
  const rates: Rates = {};
  const add = (key: PriceKey, rateClass: RateClass, priceUnit: PriceUnit) => {
    const decimal = written[key];
    if (decimal === undefined) return;
    const rate = toRate(decimal, priceUnit);
    if (rate === null) refuse(key, TOO_FINE);
    else rates[rateClass] = rate;
  };
  for (const [key, rateClass] of Object.entries(TOKEN_PRICES)) add(key as PriceKey, rateClass, unit);
  for (const [key, rateClass] of Object.entries(OTHER_PRICES)) add(key as PriceKey, rateClass, 'token');
  return rates;
}

/** 1,000 USD per million tokens: dearer than any model there has been. */
const DEAREST: NanoUsdPerMillion = 1_000_000_000_000n;
/** 0.0001 USD per million tokens. */
const CHEAPEST: NanoUsdPerMillion = 100_000n;

/**
 * Reads a `pricing` mapping as written: errors for prices that are too fine, warnings for token prices that no model has,
 * with the unit that was meant.
 */
export function checkPrices(pricing: unknown, path: YamlPath): Finding[] {
  if (!isMapping(pricing)) return [];
  const unit = PRICE_UNITS.find((name) => name === pricing['unit']) ?? 'token';
  const findings = checkPricesIn(pricing, unit, path);
  if (Array.isArray(pricing['tiers'])) {
    pricing['tiers'].forEach((tier, index) => {
      if (isMapping(tier)) findings.push(...checkPricesIn(tier, unit, [...path, 'tiers', index]));
    });
    findings.push(...repeatedTiers(pricing['tiers'], [...path, 'tiers']));
  }
  return findings;
}

/** Two tiers that begin at the same count: nobody could say which holds. */
function repeatedTiers(tiers: readonly unknown[], path: YamlPath): Finding[] {
  const seen = new Map<number, number>();
  return tiers.flatMap((tier, index) => {
    const above = isMapping(tier) ? asDecimal(tier['above_input_tokens']) : undefined;
    if (above === undefined) return [];
    const count = Number(above.digits) / 10 ** above.scale;
    const first = seen.get(count);
    if (first === undefined) seen.set(count, index);
    return first === undefined
      ? []
      : [errorAt([...path, index, 'above_input_tokens'], `the same as tiers[${first}]; keep one of the two`)];
  });
}

function checkPricesIn(prices: Record<string, unknown>, unit: PriceUnit, path: YamlPath): Finding[] {
  const findings: Finding[] = [];
  for (const key of Object.keys(TOKEN_PRICES)) {
    const decimal = asDecimal(prices[key]);
    const rate = decimal === undefined ? null : toRate(decimal, unit);
    if (decimal !== undefined && decimal.digits > 0n && rate === null) findings.push(errorAt([...path, key], TOO_FINE));
    if (decimal === undefined || rate === null || rate <= 0n || isPlausible(rate)) continue;
    const meant = PRICE_UNITS.flatMap((other) => {
      const otherRate = other === unit ? null : toRate(decimal, other);
      if (otherRate === null || !isPlausible(otherRate)) return [];
      return [`\`unit: ${other}\` would make it ${formatRatePerMillion(otherRate)}`];
    });
    const bound = rate > DEAREST ? 'above 1,000' : 'below 0.0001';
    const said = `${formatRatePerMillion(rate)} USD per million tokens, ${bound}`;
    const advice = meant.length === 0 ? 'no unit would make it plausible' : meant.join(', ');
    findings.push(warningAt([...path, key], `this price is ${said}; ${advice}`));
  }
  for (const key of Object.keys(OTHER_PRICES)) {
    const decimal = asDecimal(prices[key]);
    if (decimal !== undefined && decimal.digits > 0n && toRate(decimal, 'token') === null) {
      findings.push(errorAt([...path, key], TOO_FINE));
    }
  }
  return findings;
}

function isPlausible(rate: NanoUsdPerMillion): boolean {
  return rate >= CHEAPEST && rate <= DEAREST;
}
