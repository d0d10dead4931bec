import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBudgets } from '../../../src/access/budgets.js';
import type { Budget, BudgetHold, SpentSince } from '../../../src/domain/budget.js';
import { WaybillError } from '../../../src/domain/errors.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

function aBudget(rest: Partial<Budget> = {}): Budget {
  return { client: 'a', nanoUsd: 1_000n, per: 'day', timeZone: 'UTC', onExceed: 'refuse', ...rest };
}

function budgetsAt(instant: string, budget: Budget, spentSince: SpentSince = () => 0n) {
  const clock = new FakeClock(Date.parse(instant));
  const memory = new Map();
  return { clock, budgets: createBudgets({ budgets: [budget], spentSince, clock, logger: silentLogger, memory }) };
}

describe('a budget', () => {
  it('takes holds until the next one would pass it, and says when it begins anew', () => {
    const { budgets } = budgetsAt('2026-05-05T10:00:00Z', aBudget());
    budgets.hold('a', 600n);
    budgets.hold('a', 400n);
    expect(() => budgets.hold('a', 1n)).toThrowError(/2026-05-06T00:00:00\.000Z/);
    try {
      budgets.hold('a', 1n);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(WaybillError);
      expect(error).toMatchObject({ code: 'budget_exceeded', status: 429, shouldRetry: false });
    }
  });

  it('settles a hold to the true cost, once, and gives back what was not spent', () => {
    const { budgets } = budgetsAt('2026-05-05T10:00:00Z', aBudget());
    const hold = budgets.hold('a', 900n) as BudgetHold;
    hold.settle(100n);
    hold.settle(500n);
    hold.release();
    expect(budgets.snapshot()).toMatchObject([{ spentNanoUsd: 100n, heldNanoUsd: 0n, leftNanoUsd: 900n }]);
  });

  it('counts an unknown cost as what was held', () => {
    const { budgets } = budgetsAt('2026-05-05T10:00:00Z', aBudget());
    budgets.hold('a', 300n)?.settle(null);
    expect(budgets.snapshot()).toMatchObject([{ spentNanoUsd: 300n }]);
  });

  it('starts from what the ledger says was spent since the period began, in its own time zone', () => {
    const asked: Array<[string, number | null]> = [];
    const spentSince: SpentSince = (client, from) => {
      asked.push([client, from]);
      return 990n;
    };
    const { budgets } = budgetsAt('2026-05-05T22:30:00Z', aBudget({ timeZone: 'Europe/Berlin' }), spentSince);
    expect(() => budgets.hold('a', 11n)).toThrow();
    expect(budgets.hold('a', 10n)).not.toBeNull();
    // In Berlin it is the 6th already, since 22:00 UTC.
    expect(asked).toEqual([['a', Date.parse('2026-05-05T22:00:00Z')]]);
  });

  it.each([
    ['day', 'Europe/Berlin', '2026-03-29T10:00:00Z', '2026-03-29T22:00:00Z'],
    ['day', 'Europe/Berlin', '2026-10-25T10:00:00Z', '2026-10-25T23:00:00Z'],
    ['week', 'UTC', '2026-05-06T10:00:00Z', '2026-05-11T00:00:00Z'],
    ['month', 'America/New_York', '2026-12-31T10:00:00Z', '2027-01-01T05:00:00Z'],
  ] as const)('of a %s in %s at %s begins anew at %s', (per, timeZone, at, resets) => {
    const { budgets } = budgetsAt(at, aBudget({ per, timeZone }));
    expect(budgets.snapshot()[0]?.resetsAt).toBe(Date.parse(resets));
  });

  it('begins anew in the next period, and a hold from the last one ends in the last', () => {
    const { budgets, clock } = budgetsAt('2026-05-05T23:59:59Z', aBudget());
    const old = budgets.hold('a', 1_000n) as BudgetHold;
    clock.jumpTo(Date.parse('2026-05-06T00:00:01Z'));
    const fresh = budgets.hold('a', 1_000n) as BudgetHold;
    old.settle(700n);
    fresh.settle(10n);
    expect(budgets.snapshot()).toMatchObject([{ spentNanoUsd: 10n, heldNanoUsd: 0n }]);
  });

  it('lets through and warns where on_exceed says warn', () => {
    const { budgets } = budgetsAt('2026-05-05T10:00:00Z', aBudget({ onExceed: 'warn' }));
    expect(budgets.hold('a', 5_000n)).not.toBeNull();
    expect(budgets.snapshot()).toMatchObject([{ heldNanoUsd: 5_000n, leftNanoUsd: 0n }]);
  });

  it('counts again what the ledger has more, and never less: what was just settled is not there yet', () => {
    let inLedger = 0n;
    const { budgets } = budgetsAt('2026-05-05T10:00:00Z', aBudget(), () => inLedger);
    budgets.recount('a');
    const hold = budgets.hold('a', 900n) as BudgetHold;
    inLedger = 50n;
    budgets.recount('a');
    expect(budgets.snapshot()).toMatchObject([{ spentNanoUsd: 50n, heldNanoUsd: 900n }]);
    hold.settle(300n);
    budgets.recount('a');
    expect(budgets.snapshot()).toMatchObject([{ spentNanoUsd: 350n, heldNanoUsd: 0n }]);
    budgets.recount('nobody');
  });

  it('never holds and spends more than it is, whatever comes in which order', () => {
    const step = fc.record({
      hold: fc.bigInt(0n, 400n),
      settleAt: fc.nat(20),
      share: fc.integer({ min: 0, max: 100 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { budgets } = budgetsAt('2026-05-05T10:00:00Z', aBudget());
        const open: Array<{ hold: BudgetHold; amount: bigint; share: number }> = [];
        for (const { hold: amount, settleAt, share } of steps) {
          try {
            open.push({ hold: budgets.hold('a', amount) as BudgetHold, amount, share });
          } catch (error) {
            expect(error).toMatchObject({ code: 'budget_exceeded' });
          }
          const [ended] = open.splice(settleAt % (open.length + 1), 1);
          ended?.hold.settle((ended.amount * BigInt(ended.share)) / 100n);
          const [state] = budgets.snapshot();
          expect((state?.spentNanoUsd ?? 0n) + (state?.heldNanoUsd ?? 0n)).toBeLessThanOrEqual(1_000n);
        }
        for (const { hold } of open) hold.release();
        expect(budgets.snapshot()[0]?.heldNanoUsd).toBe(0n);
      }),
    );
  });
});
