import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Signals } from '../../../src/domain/route.js';
import {
  cheapestOutput,
  fastestOutput,
  type HybridWeights,
  hybrid,
  inOrder,
  leastLoaded,
  lowestCost,
  lowestLatency,
  roundRobin,
  type Strategy,
  weighted,
} from '../../../src/routing/strategies.js';
import { seeded } from './builders.js';

function aSignal(rest: Partial<Signals> = {}): Signals {
  const unknown = {
    reqRatio: null,
    tokenRatio: null,
    cost: null,
    firstByteMs: null,
    outputPerSecond: null,
    outputRate: null,
  };
  return { weight: 1, load: 0, errorRate: 0, ...unknown, ...rest };
}

function order(strategy: Strategy, signals: Signals[], turn = 0, random = seeded(1)): number[] {
  return strategy(signals, turn, random).map(({ index }) => index);
}

/** How often each comes first. */
function shares(strategy: Strategy, signals: Signals[], random: () => number): number[] {
  const rounds = 10_000;
  const first = Array.from({ length: rounds }, (_, turn) => order(strategy, signals, turn, random)[0]);
  return signals.map((_, index) => first.filter((picked) => picked === index).length / rounds);
}

const ALL = {
  roundRobin,
  weighted,
  leastLoaded,
  lowestCost,
  lowestLatency,
  inOrder,
  cheapestOutput,
  hybrid: hybrid({ tokenRatio: 0.2, reqRatio: 0.2, errorScore: 0.2, latency: 0.2, costRatio: 0.2 }),
};
const figure = fc.oneof(fc.constant(null), fc.integer({ min: 0, max: 5 }));
const signal = fc.record({
  weight: fc.integer({ min: 1, max: 5 }),
  load: fc.integer({ min: 0, max: 3 }),
  reqRatio: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
  tokenRatio: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
  errorRate: fc.double({ min: 0, max: 1, noNaN: true }),
  cost: figure,
  firstByteMs: figure,
  outputPerSecond: figure,
  outputRate: figure,
});

describe.each(Object.entries(ALL))('%s', (_name, strategy) => {
  it('gives every candidate exactly once, whatever the signals', () => {
    fc.assert(
      fc.property(fc.array(signal, { maxLength: 8 }), fc.nat(100), fc.nat(), (signals, turn, seed) => {
        const indexes = order(strategy, signals, turn, seeded(seed));
        expect([...indexes].sort((a, b) => a - b)).toEqual(signals.map((_, index) => index));
      }),
    );
  });
});

describe('round robin', () => {
  it('begins with each in turn, and goes on from there', () => {
    const three = [aSignal(), aSignal(), aSignal()];
    expect([0, 1, 2, 3].map((turn) => order(roundRobin, three, turn))).toEqual([
      [0, 1, 2],
      [1, 2, 0],
      [2, 0, 1],
      [0, 1, 2],
    ]);
  });
});

describe('weighted', () => {
  it('puts each first as often as its weight says', () => {
    const signals = [aSignal({ weight: 1 }), aSignal({ weight: 3 }), aSignal({ weight: 6 })];
    const [light, middle, heavy] = shares(weighted, signals, seeded(7));
    expect(light).toBeCloseTo(0.1, 1);
    expect(middle).toBeCloseTo(0.3, 1);
    expect(heavy).toBeCloseTo(0.6, 1);
  });

  it('never leaves one out, whatever is drawn', () => {
    for (const drawn of [0, 0.5, 1 - Number.EPSILON]) {
      expect(order(weighted, [aSignal(), aSignal({ weight: 0.001 })], 0, () => drawn).sort()).toEqual([0, 1]);
    }
  });
});

describe('by a figure', () => {
  it('least loaded: fewest under way first, in turn where they are equal', () => {
    const signals = [aSignal({ load: 2 }), aSignal({ load: 1 }), aSignal({ load: 1 })];
    expect(order(leastLoaded, signals, 0)).toEqual([1, 2, 0]);
    expect(order(leastLoaded, signals, 2)).toEqual([2, 1, 0]);
  });

  it('lowest cost: the cheapest first, unknown costs last, free before all', () => {
    const signals = [aSignal(), aSignal({ cost: 5 }), aSignal({ cost: 0 }), aSignal({ cost: 3 })];
    expect(order(lowestCost, signals)).toEqual([2, 3, 1, 0]);
  });

  it('fastest: by tokens a second, what was never measured before all', () => {
    const signals = [aSignal({ outputPerSecond: 20 }), aSignal({ outputPerSecond: 90 }), aSignal()];
    expect(order(fastestOutput, signals)).toEqual([2, 1, 0]);
  });

  it('cheapest: by output price, in the order of the file where they are equal', () => {
    const signals = [aSignal(), aSignal({ outputRate: 5 }), aSignal({ outputRate: 1 }), aSignal({ outputRate: 1 })];
    expect(order(cheapestOutput, signals)).toEqual([2, 3, 1, 0]);
  });
});

describe('lowest latency', () => {
  it('tries what was never measured before what is slow', () => {
    expect(order(lowestLatency, [aSignal({ firstByteMs: 50 }), aSignal()])).toEqual([1, 0]);
  });

  it('picks the faster of two drawn, so that the fastest gets most and not all, and the slowest nothing', () => {
    const signals = [10, 20, 30, 40].map((firstByteMs) => aSignal({ firstByteMs }));
    const [fastest, second, third, slowest] = shares(lowestLatency, signals, seeded(3));
    expect(fastest).toBeCloseTo(1 / 2, 1);
    expect(second).toBeCloseTo(1 / 3, 1);
    expect(third).toBeCloseTo(1 / 6, 1);
    expect(slowest).toBe(0);
  });
});

describe('hybrid', () => {
  const none: HybridWeights = { tokenRatio: 0, reqRatio: 0, errorScore: 0, latency: 0, costRatio: 0 };

  it.each([
    ['tokenRatio', { tokenRatio: 0.9 }, { tokenRatio: 0.1 }],
    ['reqRatio', { reqRatio: 0.9 }, { reqRatio: 0.1 }],
    ['errorScore', { errorRate: 0.5 }, { errorRate: 0.1 }],
    ['latency', { firstByteMs: 900 }, { firstByteMs: 100 }],
    ['costRatio', { cost: 900 }, { cost: 100 }],
    ['reqRatio', { load: 3 }, { load: 1 }],
  ] as const)('with all the weight on %s takes the lesser of %o and %o', (name, worse, better) => {
    const strategy = hybrid({ ...none, [name]: 1 });
    expect(order(strategy, [aSignal(worse), aSignal(better)])).toEqual([1, 0]);
    expect(order(strategy, [aSignal(better), aSignal(worse)])).toEqual([0, 1]);
  });

  it('rotates between equals', () => {
    const strategy = hybrid({ ...none, latency: 1, costRatio: 1 });
    expect([0, 1, 2].map((turn) => order(strategy, [aSignal(), aSignal(), aSignal()], turn)[0])).toEqual([0, 1, 2]);
  });

  it('lets a heavier weight win over a lighter one', () => {
    const fastAndDear = aSignal({ firstByteMs: 10, cost: 100 });
    const slowAndCheap = aSignal({ firstByteMs: 100, cost: 10 });
    expect(order(hybrid({ ...none, latency: 0.5, costRatio: 0.1 }), [slowAndCheap, fastAndDear])).toEqual([1, 0]);
    expect(order(hybrid({ ...none, latency: 0.1, costRatio: 0.5 }), [slowAndCheap, fastAndDear])).toEqual([0, 1]);
  });
});
