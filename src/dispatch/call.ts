import type { BudgetHold } from '../domain/budget.js';
import type { Reservation } from '../domain/limit.js';
import type { NanoUsd } from '../domain/money.js';
import { totalTokens, type Usage } from '../domain/usage.js';
import type { AttemptPlan } from './attempt.js';
import type { DispatchParts } from './parts.js';
import type { Record } from './record.js';
import { type AttemptEnd, settleCall } from './settlement.js';

/** What a call used and cost. */
export interface Charged {
  /** Null when nothing was used. */
  usage: Usage | null;
  /** Null when unknown. */
  costNanoUsd: NanoUsd | null;
}

/**
 * One upstream call under way, and everything that was taken for it: room in limits, a share of the target's load, a
 * part of the budget. It ends once, by `settle` or by `giveBack`, whatever happens.
 */
export class Call {
  readonly plan: AttemptPlan;
  readonly #parts: DispatchParts;
  readonly #record: Record;
  readonly #hold: BudgetHold | null;
  readonly #clientReservation: Reservation | null;
  readonly #endLoad: () => void;
  #isSettled = false;

  constructor(options: {
    plan: AttemptPlan;
    parts: DispatchParts;
    record: Record;
    hold: BudgetHold | null;
    clientReservation: Reservation | null;
  }) {
    this.plan = options.plan;
    this.#parts = options.parts;
    this.#record = options.record;
    this.#hold = options.hold;
    this.#clientReservation = options.clientReservation;
    this.#endLoad = options.parts.health.begin(options.plan.target.id);
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Writes the end down, corrects what was reserved by what was used, and gives everything back. */
  settle(end: AttemptEnd, firstByteAt: number | null, message: string | null = null): Charged {
    const { request, target, attempt, input, reservation } = this.plan;
    const call = { request, target, attempt, firstByteAt, input };
    const settled = settleCall(call, end, this.#parts.meter, this.#parts.clock.now());
    const { usage } = settled;
    const { costNanoUsd } = settled.settlement;
    this.#isSettled = true;
    const isLowerBound = usage?.source === 'lower-bound';
    const tokens = usage === null ? 0 : totalTokens(usage.counts);
    reservation.settle(tokens, isLowerBound);
    // The client's tokens were taken for the whole request: a refused attempt leaves them for the next.
    if (usage !== null) this.#clientReservation?.settle(tokens, isLowerBound);
    this.#hold?.settle(costNanoUsd);
    this.giveBack();
    this.#record.settled(this.plan, settled, message);
    return { usage, costNanoUsd };
  }

  /** Nothing was sent, and nothing is written down. */
  giveBack(): void {
    this.#endLoad();
    this.plan.reservation.release();
    this.#hold?.release();
  }
}
