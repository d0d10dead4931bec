/**
 * Money as integers. An amount is nano-USD (1e-9 USD) in a bigint. A rate is nano-USD per million units in a bigint,
 * so the finest rate there is is 1e-15 USD a unit. Nothing here touches binary floating point.
 */

/** An amount of money in nano-USD (1e-9 USD). */
export type NanoUsd = bigint;

/** A rate in nano-USD per 1,000,000 units (tokens, images, characters, minutes, …). */
export type NanoUsdPerMillion = bigint;

/** What one unit in the config file counts: a price is USD per this many tokens. */
export type PriceUnit = 'token' | '1k_tokens' | '1m_tokens';

const UNIT_DIGITS: Record<PriceUnit, number> = { token: 0, '1k_tokens': 3, '1m_tokens': 6 };

/** A decimal as it was written: `digits * 10^-scale`. */
export interface Decimal {
  digits: bigint;
  scale: number;
}

const ZERO = 0x30;
const POINT = 0x2e;

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/;

/** Reads `0.0000002`, `2e-7`, `.5`; null when the text is no decimal number. */
export function parseDecimal(text: string): Decimal | null {
  const match = DECIMAL.exec(text.trim());
  if (match === null) return null;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  if (whole === '' && fraction === '') return null;
  const digits = BigInt(`${whole}${fraction}`) * (sign === '-' ? -1n : 1n);
  const scale = fraction.length - Number(exponent);
  return scale >= 0 ? { digits, scale } : { digits: digits * 10n ** BigInt(-scale), scale: 0 };
}

/** A price in USD per `unit` as nano-USD per million units; null when it is finer than 1e-15 USD a unit. */
export function toRate(usd: Decimal, unit: PriceUnit): NanoUsdPerMillion | null {
  return scaled(usd, 15 - UNIT_DIGITS[unit]);
}

/** USD as nano-USD; null when finer than 1e-9 USD. */
export function toNanoUsd(usd: Decimal): NanoUsd | null {
  return scaled(usd, 9);
}

function scaled(value: Decimal, digits: number): bigint | null {
  const shift = digits - value.scale;
  if (shift >= 0) return value.digits * 10n ** BigInt(shift);
  const divisor = 10n ** BigInt(-shift);
  return value.digits % divisor === 0n ? value.digits / divisor : null;
}

/** `numerator / denominator` rounded up; both non-negative. */
export function ceilDiv(numerator: bigint, denominator: bigint): bigint {
  return (numerator + denominator - 1n) / denominator;
}

/** `12345n` → `"0.000012345"`: USD with nine places. */
export function formatUsd(nanoUsd: NanoUsd): string {
  return withPlaces(nanoUsd, 9);
}

/** USD without trailing zeros, as a JSON number may be written: `0.000012345`, `1.5`, `0`. */
export function formatUsdShort(nanoUsd: NanoUsd): string {
  return trimZeros(withPlaces(nanoUsd, 9));
}

/** A rate as USD per million units, without trailing zeros: `200000000n` → `"0.2"`. */
export function formatRatePerMillion(rate: NanoUsdPerMillion): string {
  return trimZeros(withPlaces(rate, 9));
}

function withPlaces(value: bigint, places: number): string {
  const negative = value < 0n;
  const digits = (negative ? -value : value).toString().padStart(places + 1, '0');
  const cut = digits.length - places;
  return `${negative ? '-' : ''}${digits.slice(0, cut)}.${digits.slice(cut)}`;
}

function trimZeros(decimal: string): string {
  let end = decimal.length;
  while (decimal.charCodeAt(end - 1) === ZERO) end -= 1;
  return decimal.slice(0, decimal.charCodeAt(end - 1) === POINT ? end - 1 : end);
}
