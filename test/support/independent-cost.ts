import type { ExactJson } from './exact-json.js';
import { toNumber } from './exact-json.js';

/**
 * Costs worked out without the project's own code: fractions of bigints from the decimals in the config, summed exactly,
 * rounded up once.
 */

/** USD per token, as written in the config file. */
export interface TokenPrices {
  input: string;
  cachedInput?: string;
  output: string;
  reasoning?: string;
}

export interface TokenClasses {
  input: number | null;
  cached_input: number | null;
  output: number | null;
  reasoning: number | null;
}

/** What a usage in OpenAI's shape means in classes that do not overlap. Unknown is null. */
export function classesOf(usage: { [key: string]: ExactJson }): TokenClasses {
  const prompt = toNumber(usage['prompt_tokens']);
  const completion = toNumber(usage['completion_tokens']);
  const cached = toNumber(memberOf(usage['prompt_tokens_details'], 'cached_tokens') ?? usage['cached_tokens']);
  const reasoning = toNumber(memberOf(usage['completion_tokens_details'], 'reasoning_tokens'));
  return {
    input: prompt === null ? null : prompt - (cached ?? 0),
    cached_input: cached,
    output: completion === null ? null : completion - (reasoning ?? 0),
    reasoning,
  };
}

/** Nano-USD of one call. A class without a price of its own costs what the class it was taken from costs. */
export function exactCost(classes: TokenClasses, prices: TokenPrices): bigint {
  const terms: Array<[number | null, string]> = [
    [classes.input, prices.input],
    [classes.cached_input, prices.cachedInput ?? prices.input],
    [classes.output, prices.output],
    [classes.reasoning, prices.reasoning ?? prices.output],
  ];
  let numerator = 0n;
  const denominator = 10n ** 30n;
  for (const [tokens, price] of terms) numerator += BigInt(tokens ?? 0) * parsePrice(price, 30);
  const nano = numerator * 1_000_000_000n;
  return nano / denominator + (nano % denominator === 0n ? 0n : 1n);
}

/** A plain decimal times 10^places. */
function parsePrice(text: string, places: number): bigint {
  const [whole = '0', fraction = ''] = text.split('.');
  return BigInt(whole + fraction.padEnd(places, '0'));
}

function memberOf(value: ExactJson | undefined, name: string): ExactJson | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value[name] : undefined;
}

/** Nano-USD of one call: units times USD a unit as written in the config, all added up exactly, rounded up once. */
export function exactSum(terms: ReadonlyArray<readonly [units: number, usdPerUnit: string]>): bigint {
  const denominator = 10n ** 30n;
  let numerator = 0n;
  for (const [units, price] of terms) numerator += BigInt(units) * parsePrice(price, 30);
  const nano = numerator * 1_000_000_000n;
  return nano / denominator + (nano % denominator === 0n ? 0n : 1n);
}
