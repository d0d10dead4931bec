import { describe, expect, it } from 'vitest';
import { configuredPrice, priceOf, priceRecord } from '../../../src/composition/prices.js';

const RATES = { input: 1_000n, output: 2_000n };
const TIER = { aboveInputTokens: 200_000, rates: { input: 5_000n } };

describe('the id of a price', () => {
  const id = (...args: Parameters<typeof priceOf>) => priceOf(...args).id;

  it('is the same for the same words, in whatever order they were set', () => {
    expect(id('o', RATES, [TIER])).toBe(id('o', { output: 2_000n, input: 1_000n }, [{ ...TIER }]));
    expect(id('o', RATES, [])).toMatch(/^[0-9a-f]{16}$/);
  });

  it('is another when anything is: origin, a rate, a class, a tier; zero is not the same as unset', () => {
    const ids = [
      id('o', RATES, []),
      id('p', RATES, []),
      id('o', { ...RATES, input: 1_001n }, []),
      id('o', { ...RATES, reasoning: 0n }, []),
      id('o', { input: 1_000n }, []),
      id('o', { input: 1_000n, output: 0n }, []),
      id('o', RATES, [TIER]),
      id('o', RATES, [{ ...TIER, aboveInputTokens: 200_001 }]),
      id('o', RATES, [{ ...TIER, rates: {} }]),
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });
});

it('the price book keeps every digit', () => {
  const rate = 123_456_789_012_345_678_901_234_567_890n;
  const record = priceRecord(priceOf('config:x', { input: rate }, [TIER]), 1_700_000_000_000, 3);
  expect(record).toMatchObject({ origin: 'config:x', effectiveFrom: 1_700_000_000_000, configGeneration: 3 });
  expect(JSON.parse(record.content)).toEqual({
    rates: { input: rate.toString() },
    tiers: [{ above_input_tokens: 200_000, rates: { input: '5000' } }],
  });
});

it('a price that the catalogue is to give is none of ours', () => {
  expect(configuredPrice('o', { source: 'catalog' } as Parameters<typeof configuredPrice>[1])).toBeNull();
});
