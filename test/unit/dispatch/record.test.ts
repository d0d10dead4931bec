import { describe, expect, it } from 'vitest';
import { Decisions } from '../../../src/dispatch/decisions.js';
import type { DispatchParts } from '../../../src/dispatch/parts.js';
import { Record } from '../../../src/dispatch/record.js';
import type { RoutedRequest } from '../../../src/domain/dispatch.js';
import type { LedgerEntry } from '../../../src/domain/ledger.js';
import type { Plan, Target } from '../../../src/domain/route.js';
import { FakeClock } from '../../support/fake-clock.js';

const decisions = new Decisions();
const one = { providerId: 'p', model: 'm' } as Target;
const other = { providerId: 'q', model: 'm' } as Target;
const inOrder = [one, other].map((target) => ({ target, score: null, reason: 'fallback', signals: null }));

function planOf(target: Target, reason = 'only target', score: number | null = null): Plan {
  return { candidates: [{ target, score, reason, signals: null }], excluded: [] } as unknown as Plan;
}

/** What is written of a request that was decided so. */
async function decisionOf(plan: Plan, passedOver: readonly string[] = []): Promise<unknown> {
  const written: LedgerEntry[] = [];
  const parts = {
    clock: new FakeClock(),
    ledger: { write: async (entry: LedgerEntry) => void written.push(entry) },
    observer: { requestEnded: () => {} },
    decisions,
    policy: { configGeneration: 1 },
  } as unknown as DispatchParts;
  const request = { client: { id: 'c', access: {} }, ask: {} } as unknown as RoutedRequest;
  const record = new Record(parts, request);
  record.decided(plan);
  for (const reason of passedOver) record.passedOver(one, reason);
  await record.end({ outcome: 'ok', status: 200, errorCode: null });
  return written[0]?.requestSettlement?.decision;
}

describe('the decision in the record of a request', () => {
  it('is one object for requests of the same only target', async () => {
    expect(await decisionOf(planOf(one))).toBe(await decisionOf(planOf(one)));
  });

  it('says what was passed over in this request, and in no other', async () => {
    const exclusion = (reason: string) => ({ provider: 'p', model: 'm', reason });
    const plain = { candidates: [{ provider: 'p', model: 'm', score: null, reason: 'only target' }], excluded: [] };
    const excluded = [exclusion('cools down'), exclusion('too dear')];
    expect(await decisionOf(planOf(one))).toEqual(plain);
    expect(await decisionOf(planOf(one), ['cools down', 'too dear'])).toEqual({ ...plain, excluded });
    expect(await decisionOf(planOf(one))).toEqual(plain);
  });

  it.each([
    ['another target', planOf(other), { provider: 'q', model: 'm', score: null, reason: 'only target' }],
    ['another reason', planOf(one, 'last resort'), { provider: 'p', model: 'm', score: null, reason: 'last resort' }],
    ['a score', planOf(one, 'only target', 7), { provider: 'p', model: 'm', score: 7, reason: 'only target' }],
  ])('is another for %s', async (_, plan, candidate) => {
    await decisionOf(planOf(one));
    expect(await decisionOf(plan)).toEqual({ candidates: [candidate], excluded: [] });
  });

  it('names every candidate in order, and leaves the plan as it is', async () => {
    const excluded = [{ provider: 'r', model: 'm', reason: 'its breaker is open' }];
    const plan = { candidates: inOrder, excluded } as unknown as Plan;
    const candidates = [
      { provider: 'p', model: 'm', score: null, reason: 'fallback' },
      { provider: 'q', model: 'm', score: null, reason: 'fallback' },
    ];
    const mine = { provider: 'p', model: 'm', reason: 'cools down' };
    expect(await decisionOf(plan, ['cools down'])).toEqual({ candidates, excluded: [...excluded, mine] });
    expect(plan.excluded).toHaveLength(1);
  });
});
