import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  isCount,
  mergeCounts,
  noCounts,
  totalInput,
  totalOutput,
  totalTokens,
  USAGE_CLASSES,
  type UsageCounts,
} from '../../../src/domain/usage.js';

const count = fc.oneof(fc.constant(null), fc.integer({ min: 0, max: 1_000_000 }));
const usage = fc.record(
  Object.fromEntries(USAGE_CLASSES.map((name) => [name, count])),
) as unknown as fc.Arbitrary<UsageCounts>;

describe('unknown is null, never zero', () => {
  it('to begin with, in every class', () => {
    expect(Object.keys(noCounts()).sort()).toEqual([...USAGE_CLASSES].sort());
    expect(Object.values(noCounts()).every((value) => value === null)).toBe(true);
    // Each a new one: nobody writes into another's.
    expect(noCounts()).not.toBe(noCounts());
  });

  it('in sums of nothing known; one known figure is enough for a sum', () => {
    expect(totalInput(noCounts())).toBeNull();
    expect(totalOutput(noCounts())).toBeNull();
    expect(totalTokens(noCounts())).toBeNull();
    expect(totalTokens({ ...noCounts(), images: 3, audioMs: 5 })).toBeNull();
    expect(totalInput({ ...noCounts(), cachedInput: 0 })).toBe(0);
    expect(totalTokens({ ...noCounts(), output: 7 })).toBe(7);
  });
});

it('sums each token class once', () => {
  const all = {
    ...noCounts(),
    input: 1,
    cachedInput: 2,
    cacheWrite: 4,
    audioInput: 8,
    output: 16,
    reasoning: 32,
    audioOutput: 64,
  };
  expect(totalInput(all)).toBe(15);
  expect(totalOutput(all)).toBe(112);
  expect(totalTokens(all)).toBe(127);
});

it.each([
  [0, true],
  [12, true],
  [Number.MAX_SAFE_INTEGER, true],
  [-1, false],
  [1.5, false],
  [Number.NaN, false],
  [Number.POSITIVE_INFINITY, false],
  [2 ** 53, false],
  ['12', false],
  [null, false],
  [undefined, false],
  [12n, false],
])('isCount(%s) is %s', (value, expected) => {
  expect(isCount(value)).toBe(expected);
});

describe('merging', () => {
  it('lets later figures win one by one, zero too, and a later null takes nothing away', () => {
    const earlier = { ...noCounts(), input: 10, output: 1, reasoning: 5 };
    const later = { ...noCounts(), output: 20, reasoning: 0 };
    expect(mergeCounts(earlier, later)).toEqual({ ...noCounts(), input: 10, output: 20, reasoning: 0 });
    expect(earlier).toEqual({ ...noCounts(), input: 10, output: 1, reasoning: 5 });
  });

  it('is associative, changes nothing by nothing, and nothing by itself', () => {
    fc.assert(
      fc.property(usage, usage, usage, (a, b, c) => {
        expect(mergeCounts(mergeCounts(a, b), c)).toEqual(mergeCounts(a, mergeCounts(b, c)));
        expect(mergeCounts(a, noCounts())).toEqual(a);
        expect(mergeCounts(noCounts(), a)).toEqual(a);
        expect(mergeCounts(a, a)).toEqual(a);
      }),
    );
  });
});
