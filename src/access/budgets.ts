import type { Budget, BudgetHold, BudgetState, Budgets, SpentSince } from '../domain/budget.js';
import { WaybillError } from '../domain/errors.js';
import { formatUsdShort, type NanoUsd } from '../domain/money.js';
import type { Clock, Logger } from '../domain/ports.js';
import { createZonedCalendar, type ZonedCalendar } from '../domain/time-zone.js';

export interface BudgetsOptions {
  budgets: readonly Budget[];
  spentSince: SpentSince;
  clock: Clock;
  logger: Logger;
  /** Sums of the periods that run; shared by all generations, so that a reload forgets no hold. */
  memory: BudgetMemory;
}

/** What is spent and held in one period of one client. */
export interface PeriodSums {
  /** Names period and zone, so that a changed budget begins anew from the ledger. */
  name: string;
  spent: NanoUsd;
  held: NanoUsd;
}

/** By client. */
export type BudgetMemory = Map<string, PeriodSums>;

interface Period {
  /** Null for the beginning of time. */
  from: number | null;
  to: number | null;
}

/**
 * Budgets of one process, in memory and rebuilt from the ledger when a period is first looked at. One thread decides,
 * so a hold that fits is taken before anything else is asked.
 */
export function createBudgets(options: BudgetsOptions): Budgets {
  const { clock, logger, memory, spentSince } = options;
  const calendars = new Map<string, ZonedCalendar>();
  const kept = new Map(
    options.budgets.map((budget) => [budget.client, new KeptBudget(budget, calendarOf(budget.timeZone))]),
  );

  /** One a zone: what Intl makes costs 50 µs and tens of kilobytes outside the heap, and a reload makes all of it anew. */
  function calendarOf(timeZone: string): ZonedCalendar {
    const calendar = calendars.get(timeZone) ?? createZonedCalendar(timeZone);
    calendars.set(timeZone, calendar);
    return calendar;
  }

  function sumsOf(budget: KeptBudget): PeriodSums {
    const { from } = budget.periodAt(clock.now());
    const name = `${budget.settings.per} ${budget.settings.timeZone} ${from}`;
    const known = memory.get(budget.settings.client);
    if (known?.name === name) return known;
    const sums: PeriodSums = { name, spent: spentSince(budget.settings.client, from), held: 0n };
    memory.set(budget.settings.client, sums);
    return sums;
  }

  function stateOf(budget: KeptBudget): BudgetState {
    const { spent, held } = sumsOf(budget);
    const { client, nanoUsd } = budget.settings;
    const left = nanoUsd - spent - held;
    return {
      client,
      budgetNanoUsd: nanoUsd,
      spentNanoUsd: spent,
      heldNanoUsd: held,
      leftNanoUsd: left < 0n ? 0n : left,
      resetsAt: budget.periodAt(clock.now()).to,
    };
  }

  return {
    has: (client) => kept.has(client),
    left(client) {
      const budget = kept.get(client);
      return budget === undefined ? null : stateOf(budget).leftNanoUsd;
    },
    hold(client, worstCase) {
      const budget = kept.get(client);
      if (budget === undefined) return null;
      const sums = sumsOf(budget);
      if (sums.spent + sums.held + worstCase > budget.settings.nanoUsd) {
        const state = stateOf(budget);
        if (budget.settings.onExceed === 'refuse') throw exceeded(budget.settings, state, worstCase, clock.now());
        logger.warn(
          { client, leftNanoUsd: state.leftNanoUsd.toString() },
          'budget exceeded; let through as on_exceed says',
        );
      }
      sums.held += worstCase;
      return holdIn(sums, worstCase);
    },
    snapshot: () => [...kept.values()].map(stateOf),
    recount(client) {
      const budget = kept.get(client);
      // Nobody has looked yet: whoever does reads the ledger as it is then.
      if (budget === undefined || !memory.has(client)) return;
      const sums = sumsOf(budget);
      const inLedger = spentSince(client, budget.periodAt(clock.now()).from);
      // What has just been settled may not be in the ledger yet, so the sum never falls.
      if (inLedger > sums.spent) sums.spent = inLedger;
    },
  };
}

/** A hold stays with the period it was taken in, also where it ends in the next. */
function holdIn(sums: PeriodSums, worstCase: NanoUsd): BudgetHold {
  let open = true;
  const end = (spent: NanoUsd) => {
    if (!open) return;
    open = false;
    sums.held -= worstCase;
    sums.spent += spent;
  };
  return { settle: (cost) => end(cost ?? worstCase), release: () => end(0n) };
}

function exceeded(budget: Budget, state: BudgetState, worstCase: NanoUsd, now: number): WaybillError {
  const until = state.resetsAt === null ? '' : ` It begins anew at ${new Date(state.resetsAt).toISOString()}.`;
  return new WaybillError('budget_exceeded', {
    message:
      `This request may cost ${formatUsdShort(worstCase)} USD, and ${formatUsdShort(state.leftNanoUsd)} USD of the ` +
      `${budget.per === 'total' ? 'total' : `${budget.per}'s`} budget of ${formatUsdShort(budget.nanoUsd)} USD are left.${until}`,
    retryAfterMs: state.resetsAt === null ? null : Math.max(0, state.resetsAt - now),
    shouldRetry: false,
  });
}

/** A budget with the calendar of its zone. */
class KeptBudget {
  readonly settings: Budget;
  readonly #calendar: ZonedCalendar;
  #current: Period | null = null;

  constructor(settings: Budget, calendar: ZonedCalendar) {
    this.settings = settings;
    this.#calendar = calendar;
  }

  periodAt(instant: number): Period {
    const { per } = this.settings;
    if (per === 'total') return { from: null, to: null };
    const current = this.#current;
    if (current !== null && instant >= (current.from ?? 0) && instant < (current.to ?? 0)) return current;
    const from = this.#startOf(per, instant, 0);
    this.#current = { from, to: this.#startOf(per, instant, 1) };
    return this.#current;
  }

  /** The start of the period that the instant falls into, or of one so many after it. */
  #startOf(per: 'day' | 'week' | 'month', instant: number, after: number): number {
    const [year = 0, month = 1, day = 1] = this.#calendar.label(per, instant).split('-').map(Number);
    if (per === 'month') return this.#calendar.toInstant({ year, month: month + after, day: 1 });
    return this.#calendar.toInstant({ year, month, day: day + after * (per === 'week' ? 7 : 1) });
  }
}
