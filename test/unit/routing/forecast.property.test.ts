import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Candidate, Router } from '../../../src/domain/route.js';
import { createTargetHealth } from '../../../src/routing/health.js';
import { NameResolver } from '../../../src/routing/resolve.js';
import { createRouter, type RouterSettings } from '../../../src/routing/router.js';
import { FakeClock } from '../../support/fake-clock.js';
import { anAsk, anOffer, aTarget, seeded } from './builders.js';

const ALGORITHMS = ['round_robin', 'weighted', 'least_loaded', 'lowest_cost', 'lowest_latency', 'hybrid'] as const;
const NAMES = ['m', 'm:fastest', 'm:cheapest', 'm:preferred', 'nick'];
const WEIGHTS = { tokenRatio: 0.3, reqRatio: 0.1, errorScore: 0.2, latency: 0.3, costRatio: 0.1 };

/** What is known of one provider of the model `m`. */
const provider = fc.record({
  weight: fc.integer({ min: 1, max: 4 }),
  rate: fc.option(fc.bigInt({ min: 1n, max: 9_000_000n })),
  firstByteMs: fc.option(fc.integer({ min: 1, max: 900 })),
  failures: fc.integer({ min: 0, max: 2 }),
  underWay: fc.integer({ min: 0, max: 3 }),
  isFull: fc.boolean(),
  used: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
});
type Known = typeof provider extends fc.Arbitrary<infer T> ? T : never;

function aRouter(algorithm: RouterSettings['algorithm'], known: readonly Known[], seed: number): Router {
  const health = createTargetHealth({
    clock: new FakeClock(),
    settings: () => ({ failures: 2, windowMs: 1_000, openMs: 5_000 }),
  });
  const targets = known.map(({ weight, rate, firstByteMs, failures, underWay }, nth) => {
    const target = aTarget(`p${nth}:m`, {
      weight,
      price:
        rate === null ? null : { id: `price-${nth}`, origin: 't', rates: { input: rate, output: rate }, tiers: [] },
    });
    for (let call = 0; call < failures; call += 1) health.record(target.id, { ok: false, firstByteMs: null });
    if (firstByteMs !== null && failures < 2) health.record(target.id, { ok: true, firstByteMs });
    for (let call = 0; call < underWay; call += 1) health.begin(target.id);
    return target;
  });
  const at = (id: string) => known[Number(/\d+/.exec(id)?.[0])] as Known;
  const fast = { targets: targets.map(({ id, weight }) => ({ model: id, weight })).slice(1), fallback: ['p0:m'] };
  return createRouter({
    resolver: new NameResolver(
      targets.map((target) => anOffer(target.providerId, [target])),
      new Map([['nick', fast]]),
    ),
    health,
    capacity: () => null,
    expectedOutput: (_, { outputTokens }) => outputTokens ?? 0,
    settings: {
      algorithm,
      hybridWeights: WEIGHTS,
      fallback: { enabled: true, maxProviders: 4, providers: [] },
    },
    offered: () => null,
    hasRoom: (target) => !at(target.id).isFull,
    used: (target) => ({ reqRatio: at(target.id).used, tokenRatio: null }),
    random: seeded(seed),
  });
}

/** A plan as far as it can be told, or the code it is refused with. */
function told(candidates: readonly Candidate[]) {
  return candidates.map(({ target, score, reason }) => ({ id: target.id, score, reason }));
}

function planned(router: Router, name: string) {
  try {
    const { candidates, excluded } = router.plan(anAsk(name));
    return { candidates: told(candidates), excluded, code: null };
  } catch (error) {
    return { code: (error as { code: string }).code };
  }
}

describe('a forecast', () => {
  for (const algorithm of ALGORITHMS) {
    it(`by ${algorithm} is the plan that comes next, and moves nothing, however often it is asked`, () => {
      fc.assert(
        fc.property(
          fc.array(provider, { minLength: 2, maxLength: 5 }),
          fc.integer(),
          fc.array(fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom(...NAMES), fc.nat({ max: 2 })), {
            maxLength: 12,
          }),
          (known, seed, asks) => {
            const asked = aRouter(algorithm, known, seed);
            const unasked = aRouter(algorithm, known, seed);
            for (const [name, other, times] of asks) {
              for (let time = 0; time < times; time += 1) asked.forecast(anAsk(other));
              const { candidates, excluded, refusal } = asked.forecast(anAsk(name));
              const plan = planned(asked, name);
              expect(plan).toEqual(planned(unasked, name));
              if (refusal !== null) expect(plan.code).toBe(refusal.code);
              else expect(plan).toEqual({ candidates: told(candidates), excluded, code: null });
            }
          },
        ),
      );
    });
  }

  it('has the parts of a score of hybrid, which are the score', () => {
    fc.assert(
      fc.property(fc.array(provider, { minLength: 2, maxLength: 5 }), fc.integer(), (known, seed) => {
        const { candidates } = aRouter('hybrid', known, seed).forecast(anAsk('m'));
        for (const { score, parts } of candidates.filter((candidate) => candidate.score !== null)) {
          expect(parts).not.toBeNull();
          expect(Object.values(parts ?? {}).reduce((sum, part) => sum + part, 0)).toBeCloseTo(score as number, 12);
        }
      }),
    );
  });

  it('has what a target is judged by where there is nothing to choose', () => {
    const router = aRouter(
      'hybrid',
      [{ weight: 2, rate: 1_000_000n, firstByteMs: 70, failures: 0, underWay: 1, isFull: false, used: 0.25 }],
      1,
    );
    expect(router.forecast(anAsk('m')).candidates).toMatchObject([
      { score: null, parts: null, signals: { weight: 2, load: 0.5, reqRatio: 0.25, firstByteMs: 70, cost: 20 } },
    ]);
  });

  it('of what is refused says so, with every reason', () => {
    const router = aRouter('hybrid', [], 1);
    expect(() => router.forecast(anAsk('m'))).toThrow(expect.objectContaining({ code: 'model_not_found' }));
    const known = { weight: 1, rate: null, firstByteMs: null, failures: 2, underWay: 0, isFull: false, used: null };
    expect(aRouter('hybrid', [known], 1).forecast(anAsk('m'))).toMatchObject({
      candidates: [],
      excluded: [{ provider: 'p0' }],
      refusal: { code: 'no_target_available' },
    });
  });
});
