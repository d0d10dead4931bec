import type { NanoUsd } from './money.js';

/** A client's ceiling for a period of its own calendar. */
export interface Budget {
  client: string;
  nanoUsd: NanoUsd;
  per: 'day' | 'week' | 'month' | 'total';
  /** IANA name. */
  timeZone: string;
  onExceed: 'refuse' | 'warn';
}

/** An amount set aside for one upstream call. */
export interface BudgetHold {
  /** Takes the true cost instead of what was held; null is unknown and counts what was held. Once only. */
  settle(cost: NanoUsd | null): void;
  /** Gives back what was held: nothing was spent. Safe to call after settle. */
  release(): void;
}

export interface BudgetState {
  client: string;
  budgetNanoUsd: NanoUsd;
  spentNanoUsd: NanoUsd;
  heldNanoUsd: NanoUsd;
  leftNanoUsd: NanoUsd;
  /** Epoch milliseconds; null for a budget that never begins anew. */
  resetsAt: number | null;
}

/** Keeps spent + held of every client within its budget, however many calls run at once. */
export interface Budgets {
  has(client: string): boolean;
  /** What may still be held; null for a client without a budget. */
  left(client: string): NanoUsd | null;
  /**
   * Sets the worst case of a call aside; null for a client without a budget.
   * @throws WaybillError budget_exceeded when it does not fit
   */
  hold(client: string, worstCase: NanoUsd): BudgetHold | null;
  snapshot(): BudgetState[];
  /** Looks at the ledger again for a client whose requests were not all held by a budget: what it says more is spent. */
  recount(client: string): void;
}

/** What a client spent since an instant: read from the ledger when a period is first looked at. */
export type SpentSince = (client: string, from: number | null) => NanoUsd;
