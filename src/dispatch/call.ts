import type { BudgetHold } from '../domain/budget.js';
import type { Reservation } from '../domain/limit.js';
import type { NanoUsd } from '../domain/money.js';
import { type Count, totalInput, totalOutput, totalTokens, type Usage } from '../domain/usage.js';
import type { AttemptPlan } from './attempt-plan.js';
import type { DispatchParts } from './parts.js';
import type { Record } from './record.js';
import { type AttemptEnd, settleCall } from './settlement.js';

/** The client's own tokens: reserved once for the request, used by every attempt that used any. */
export class ClientTokens {
  #reservation: Reservation | null = null;
  #used = 0;
  #isLowerBound = false;

  take(reservation: Reservation): void {
    this.#reservation = reservation;
  }

  /** A lower bound among the attempts makes their sum one, and so does a use that is not known. */
  add(tokens: Count, isLowerBound: boolean): void {
    this.#used += tokens ?? 0;
    this.#isLowerBound ||= isLowerBound || tokens === null;
    this.#reservation?.settle(this.#used, this.#isLowerBound);
  }

  /** What no attempt used is given back. */
  release(): void {
    this.#reservation?.settle(this.#used, this.#isLowerBound);
    this.#reservation?.release();
    this.#reservation = null;
  }
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
  readonly #clientTokens: ClientTokens;
  readonly #endLoad: (outputPerSecond?: number) => void;
  #isSettled = false;

  constructor(options: {
    plan: AttemptPlan;
    parts: DispatchParts;
    record: Record;
    hold: BudgetHold | null;
    clientTokens: ClientTokens;
  }) {
    this.plan = options.plan;
    this.#parts = options.parts;
    this.#record = options.record;
    this.#hold = options.hold;
    this.#clientTokens = options.clientTokens;
    this.#endLoad = options.parts.health.begin(options.plan.target.id);
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Null usage: nothing was used. Writes the end down, corrects what was reserved by what was used, and gives everything back. */
  settle(end: AttemptEnd, firstByteAt: number | null, message: string | null = null): Usage | null {
    const { request, target, attempt, input, reservation } = this.plan;
    const call = { request, target, attempt, firstByteAt, input };
    const settled = settleCall(call, end, this.#parts.meter, this.#parts.clock.now());
    const { usage } = settled;
    const { costNanoUsd } = settled.settlement;
    this.#isSettled = true;
    this.#learn(usage);
    const isLowerBound = usage?.source === 'lower-bound';
    const tokens = usage === null ? 0 : totalTokens(usage.counts);
    reservation.settle(tokens, isLowerBound);
    if (usage !== null) this.#clientTokens.add(tokens, isLowerBound);
    this.#hold?.settle(costNanoUsd);
    if (end.kind === 'answered' && usage !== null) this.#endLoad(this.#speedOf(usage, settled.settlement.endedAt));
    this.giveBack();
    this.#record.settled(this.plan, settled, message);
    return usage;
  }

  /** What the call costs if its answer tells nothing; null when unknown. Settles nothing. */
  foreseenCost(): NanoUsd | null {
    const { request, target, attempt, input } = this.plan;
    const end = { kind: 'answered', status: 200, report: null, outputTexts: () => [] } as const;
    const call = { request, target, attempt, firstByteAt: null, input };
    const { cost } = settleCall(call, end, this.#parts.meter, this.#parts.clock.now());
    return cost?.known === true ? cost.nanoUsd : null;
  }

  /** Output tokens a second, from sending to the end; undefined for an answer without any. */
  #speedOf({ counts }: Usage, endedAt: number): number | undefined {
    const output = totalOutput(counts);
    return output === null || output === 0 ? undefined : (output * 1_000) / Math.max(1, endedAt - this.plan.sentAt);
  }

  /** What had been counted anyway, beside what the provider then said, makes the next estimate better. */
  #learn(usage: Usage | null): void {
    const counted = this.plan.counted();
    const reported = usage?.source === 'reported' ? totalInput(usage.counts) : null;
    if (counted === null || reported === null) return;
    const { request, target } = this.plan;
    const { providerModel } = target.upstream;
    this.#parts.meter.learn(
      { providerId: target.providerId, providerModel, task: request.ask.task },
      counted,
      reported,
    );
  }

  /** Nothing was sent, and nothing is written down. */
  giveBack(): void {
    this.#endLoad();
    this.plan.reservation.release();
    this.#hold?.release();
  }
}
