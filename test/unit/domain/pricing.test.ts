import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type NanoUsdPerMillion, parseDecimal, toRate } from '../../../src/domain/money.js';
import {
  costOf,
  type Price,
  type PriceTier,
  RATE_CLASSES,
  type RateClass,
  type Rates,
  ratesFor,
} from '../../../src/domain/pricing.js';
import { noCounts, type UsageClass, type UsageCounts } from '../../../src/domain/usage.js';
import { Fraction } from '../../support/fraction.js';

function aPrice(rates: Rates, tiers: PriceTier[] = []): Price {
  return { id: 'p1', origin: 'test', rates, tiers };
}

function counts(given: Partial<UsageCounts>): UsageCounts {
  return { ...noCounts(), ...given };
}

/** USD per unit, as in a config file. */
function perUnit(usd: string): NanoUsdPerMillion {
  const rate = toRate(parseDecimal(usd) ?? { digits: -1n, scale: 0 }, 'token');
  if (rate === null) throw new Error(`${usd} is too fine`);
  return rate;
}

function nanoUsd(given: Partial<UsageCounts>, price: Price | null): bigint | string {
  const cost = costOf(counts(given), price);
  return cost.known ? cost.nanoUsd : cost.reason;
}

/** Which rate prices a usage class, and which one where it is not set. */
const PRICED: ReadonlyArray<[UsageClass, RateClass, RateClass | null]> = [
  ['input', 'input', null],
  ['cachedInput', 'cachedInput', 'input'],
  ['cacheWrite', 'cacheWrite', null],
  ['output', 'output', null],
  ['reasoning', 'reasoning', 'output'],
  ['audioInput', 'audioInput', null],
  ['audioOutput', 'audioOutput', null],
  ['images', 'image', null],
  ['characters', 'character', null],
  ['audioMs', 'audioMinute', null],
  ['searchUnits', 'searchUnit', null],
];

const INPUT_CLASSES: readonly UsageClass[] = ['input', 'cachedInput', 'cacheWrite', 'audioInput'];

interface DecimalTier {
  above: number;
  prices: { [K in RateClass]?: string };
}

/** The same, worked out with fractions of the decimals that were written; null is an unknown cost. */
function exactNanoUsd(usage: UsageCounts, base: { [K in RateClass]?: string }, tiers: DecimalTier[]): bigint | null {
  const input = INPUT_CLASSES.map((name) => usage[name]).filter((count) => count !== null);
  const total = input.reduce<number>((sum, count) => sum + count, 0);
  const tier = tiers.filter(({ above }) => input.length > 0 && total > above).sort((a, b) => b.above - a.above)[0];
  const prices = { ...base, ...tier?.prices };
  let sum = new Fraction(0n);
  let isKnown = false;
  for (const [usageClass, rateClass, otherwise] of PRICED) {
    const units = usage[usageClass];
    if (units === null) continue;
    isKnown = true;
    if (units === 0) continue;
    const price = prices[rateClass] ?? (otherwise === null ? undefined : prices[otherwise]);
    if (price === undefined) return null;
    const perUnit =
      rateClass === 'audioMinute' ? Fraction.of(price).times(new Fraction(1n, 60_000n)) : Fraction.of(price);
    sum = sum.plus(perUnit.times(new Fraction(BigInt(units))));
  }
  const isRequestOnly = prices.request !== undefined && Object.keys(prices).length === 1;
  if (!isKnown && !isRequestOnly) return null;
  if (prices.request !== undefined) sum = sum.plus(Fraction.of(prices.request));
  return sum.times(new Fraction(1_000_000_000n)).roundedUp();
}

/** A decimal of up to 15 places: from nothing to 999 USD a unit, most of them with awkward digits. */
const decimal = fc
  .tuple(
    fc.bigInt({ min: 0n, max: 999n }),
    fc.bigInt({ min: 0n, max: 10n ** 15n - 1n }),
    fc.integer({ min: 0, max: 15 }),
  )
  .map(([whole, fraction, places]) =>
    places === 0 ? whole.toString() : `${whole}.${fraction.toString().padStart(15, '0').slice(0, places)}`,
  );
const RATE_NAMES: readonly RateClass[] = [...PRICED.map(([, rate]) => rate), 'request'];
const prices = fc.record(Object.fromEntries(RATE_NAMES.map((name) => [name, decimal])), { requiredKeys: [] });
const count = fc.oneof(
  { weight: 2, arbitrary: fc.constant(null) },
  { weight: 1, arbitrary: fc.constant(0) },
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 2_000_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 2 ** 47 }) },
);
const usage = fc.record(Object.fromEntries(PRICED.map(([name]) => [name, count])));
const tiers = fc.uniqueArray(fc.record({ above: fc.integer({ min: 0, max: 3_000_000 }), prices }), {
  maxLength: 3,
  selector: (tier) => tier.above,
});

function ratesOf(decimals: { [K in RateClass]?: string }): Rates {
  return Object.fromEntries(Object.entries(decimals).map(([name, usd]) => [name, perUnit(usd)]));
}

describe('the cost of a call', () => {
  it('equals exact rational arithmetic, for 10,000 random prices and usages', () => {
    let known = 0;
    let beyond = 0;
    fc.assert(
      fc.property(prices, tiers, usage, (base, above, used) => {
        const price = aPrice(
          ratesOf(base),
          above.map((tier) => ({ aboveInputTokens: tier.above, rates: ratesOf(tier.prices) })),
        );
        const cost = costOf(used as UsageCounts, price);
        const exact = exactNanoUsd(used as UsageCounts, base, above);
        expect(cost.known ? cost.nanoUsd : null).toBe(exact);
        if (exact !== null) known += 1;
        if (exact !== null && exact > BigInt(Number.MAX_SAFE_INTEGER)) beyond += 1;
      }),
      { numRuns: 10_000 },
    );
    // The property would say little if most costs were unknown, or all of them small.
    expect(known).toBeGreaterThan(1_000);
    expect(beyond).toBeGreaterThan(500);
  });

  it('equals it where every class has a price, whatever the counts', () => {
    const all = fc.record(Object.fromEntries(RATE_NAMES.map((name) => [name, decimal])));
    fc.assert(
      fc.property(all, usage, (base, used) => {
        const cost = costOf(used as UsageCounts, aPrice(ratesOf(base)));
        expect(cost.known ? cost.nanoUsd : null).toBe(exactNanoUsd(used as UsageCounts, base, []));
      }),
      { numRuns: 2_000 },
    );
  });

  it('is the sum of its components, rounded up once', () => {
    fc.assert(
      fc.property(prices, usage, (base, used) => {
        const cost = costOf(used as UsageCounts, aPrice(ratesOf(base)));
        if (!cost.known) return;
        let sum = new Fraction(0n);
        for (const { class: name, units, ratePerMillion } of cost.components) {
          const below = name === 'audioMinute' ? 60_000n * 1_000_000n : 1_000_000n;
          sum = sum.plus(new Fraction(BigInt(units) * ratePerMillion, below));
        }
        expect(cost.nanoUsd).toBe(sum.roundedUp());
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('money', () => {
  it('is rounded up once, not once a class', () => {
    // 0.3 + 0.3 + 0.3 nano-USD: one nano-USD, not three.
    const tiny = perUnit('0.0000000003');
    const price = aPrice({ input: tiny, cachedInput: tiny, output: tiny });
    expect(nanoUsd({ input: 1, cachedInput: 1, output: 1 }, price)).toBe(1n);
    expect(nanoUsd({ input: 10, output: 0 }, price)).toBe(3n);
    expect(nanoUsd({ input: 11 }, price)).toBe(4n);
  });

  it('beyond 2^53 nano-USD is exact to the last one', () => {
    const price = aPrice({ input: perUnit('0.000000001'), output: perUnit('999.999999999') });
    expect(nanoUsd({ input: Number.MAX_SAFE_INTEGER }, price)).toBe(9_007_199_254_740_991n);
    expect(nanoUsd({ input: Number.MAX_SAFE_INTEGER, output: 2 ** 47 }, price)).toBe(
      9_007_199_254_740_991n + 2n ** 47n * 999_999_999_999n,
    );
  });

  it('of the README’s kind: 2 USD and 6 USD a million', () => {
    const price = aPrice({ input: perUnit('0.000002'), output: perUnit('0.000006') });
    expect(nanoUsd({ input: 1_000, output: 500 }, price)).toBe(5_000_000n);
  });
});

describe('a price that is not set', () => {
  const both = aPrice({ input: 1_000_000n, output: 3_000_000n });

  it('makes the cost unknown where its class was used, and never zero', () => {
    expect(nanoUsd({ input: 5 }, null)).toBe('no-price');
    expect(nanoUsd({ input: 5, output: 5 }, aPrice({ input: 1n }))).toBe('no-price');
    expect(nanoUsd({ input: 5, cacheWrite: 1 }, both)).toBe('no-price');
    expect(nanoUsd({ images: 1 }, both)).toBe('no-price');
  });

  it('does not matter where nothing of its class was used', () => {
    expect(nanoUsd({ input: 5, output: 0 }, aPrice({ input: 1_000_000n }))).toBe(5n);
    expect(nanoUsd({ input: 5, images: 0, audioMs: 0 }, both)).toBe(5n);
  });

  it('is that of input for cached input, and that of output for reasoning', () => {
    expect(nanoUsd({ cachedInput: 4, reasoning: 2 }, both)).toBe(10n);
    expect(nanoUsd({ cachedInput: 4, reasoning: 2 }, aPrice({ ...both.rates, cachedInput: 0n, reasoning: 0n }))).toBe(
      0n,
    );
  });

  it('is unknown too when nothing of the usage is known', () => {
    expect(nanoUsd({}, both)).toBe('no-usage');
    expect(nanoUsd({}, aPrice({ input: 1n, request: 1_000_000n }))).toBe('no-usage');
  });

  it('is nothing, and known, where every class is free', () => {
    const free = Object.fromEntries(RATE_CLASSES.map((name) => [name, 0n]));
    expect(nanoUsd({}, aPrice(free))).toBe(0n);
    expect(nanoUsd({ images: 3, input: 7 }, aPrice(free))).toBe(0n);
    expect(nanoUsd({}, aPrice({ input: 0n, request: 0n }))).toBe('no-usage');
  });
});

describe('other units', () => {
  it('a request costs its price, once a call, and that alone may be a price', () => {
    const request = perUnit('0.01');
    expect(nanoUsd({}, aPrice({ request }))).toBe(10_000_000n);
    expect(nanoUsd({ input: 1 }, aPrice({ request, input: 1_000_000n }))).toBe(10_000_001n);
    expect(costOf(counts({}), aPrice({ request }))).toMatchObject({ components: [{ class: 'request', units: 1 }] });
  });

  it('audio is priced by the minute and counted by the millisecond', () => {
    const price = aPrice({ audioMinute: perUnit('0.006') });
    expect(nanoUsd({ audioMs: 60_000 }, price)).toBe(6_000_000n);
    expect(nanoUsd({ audioMs: 1 }, price)).toBe(100n);
    expect(nanoUsd({ audioMs: 1 }, aPrice({ audioMinute: perUnit('0.00000000001') }))).toBe(1n);
  });

  it('images, characters and search units cost their own', () => {
    const price = aPrice({ image: perUnit('0.04'), character: perUnit('0.000015'), searchUnit: perUnit('0.002') });
    expect(nanoUsd({ images: 2, characters: 100, searchUnits: 1 }, price)).toBe(80_000_000n + 1_500_000n + 2_000_000n);
  });
});

describe('tiers', () => {
  const price = aPrice({ input: 1_000_000n, output: 2_000_000n }, [
    { aboveInputTokens: 1_000, rates: { input: 20_000_000n } },
    { aboveInputTokens: 200, rates: { input: 10_000_000n, output: 30_000_000n } },
  ]);

  it('price the whole request by the highest one its input exceeds, and inherit from the base', () => {
    expect(nanoUsd({ input: 200, output: 1 }, price)).toBe(202n);
    expect(nanoUsd({ input: 201, output: 1 }, price)).toBe(2_010n + 30n);
    expect(nanoUsd({ input: 1_000, output: 1 }, price)).toBe(10_000n + 30n);
    // The tier leaves output out: the base has it, not the tier below.
    expect(nanoUsd({ input: 1_001, output: 1 }, price)).toBe(20_020n + 2n);
  });

  it('count every class of input, and only input', () => {
    expect(ratesFor(price, 200).input).toBe(1_000_000n);
    expect(nanoUsd({ input: 1, cachedInput: 200 }, price)).toBe(2_010n);
    expect(nanoUsd({ input: 1, output: 5_000 }, price)).toBe(10_001n);
  });

  it('do not hold where the input is not known', () => {
    expect(nanoUsd({ output: 5_000 }, price)).toBe(10_000n);
  });
});
