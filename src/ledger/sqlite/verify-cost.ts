import { ceilDiv } from '../../domain/money.js';
import { costOf, type RateClass } from '../../domain/pricing.js';
import { USAGE_CLASSES, type UsageCounts } from '../../domain/usage.js';
import { type AttemptCells, type AttemptEndCells, amount, countsIn } from '../journal/cells.js';
import type { PriceBook } from './price-book.js';

/** What of an attempt its cost follows from. Amounts as text. */
export interface CostedAttempt {
  outcome: string;
  held: string | null;
  cost: string | null;
  priceId: string | null;
  usageSource: string | null;
  counts: UsageCounts;
  components: string | null;
}

export function toCostedAttempt(begin: AttemptCells, end: AttemptEndCells): CostedAttempt {
  const [, , , , , , held] = begin;
  const [priceId, , , outcome, , , cost, , components, , usageSource] = end;
  return { outcome, held, cost, priceId, usageSource, counts: countsIn(end), components };
}

/** What is wrong with an attempt's cost, worked out again from its usage and the price book; null when nothing is. */
export function costProblem(attempt: CostedAttempt, book: PriceBook): string | null {
  const { cost, priceId, counts } = attempt;
  const isUnknownUse = USAGE_CLASSES.every((name) => counts[name] === null);
  if (attempt.usageSource === null) return cost === null || cost === '0' ? null : `it costs ${cost}, but used nothing`;
  if (attempt.outcome === 'interrupted' && isUnknownUse) {
    return cost === attempt.held ? null : `the cost is ${cost} nano-USD, ${attempt.held} were held`;
  }
  if (priceId === null) return cost === null ? null : `the cost is ${cost} nano-USD, and no price is named`;
  const price = book.get(priceId);
  if (price === null) return cost === null ? null : `its price ${priceId} is not in the price book`;
  const due = costOf(counts, price);
  const expected = due.known ? (amount(due.nanoUsd)?.toString() ?? null) : null;
  if (cost !== expected) {
    return `the cost is ${cost ?? 'unknown'}${cost === null ? '' : ' nano-USD'}, its usage at price ${priceId} comes to ${expected ?? 'unknown'}`;
  }
  return cost === null ? null : componentsProblem(cost, attempt.components);
}

/** What the components add up to, rounded up once, is the cost. */
function componentsProblem(cost: string, components: string | null): string | null {
  let numerator = 0n;
  for (const [rateClass, units, rate] of JSON.parse(components ?? '[]') as Array<[RateClass, number, string]>) {
    // A price per minute, units in milliseconds.
    numerator += BigInt(units) * BigInt(rate) * (rateClass === 'audioMinute' ? 1n : 60_000n);
  }
  const sum = ceilDiv(numerator, 60_000_000_000n);
  return sum === BigInt(cost) ? null : `the cost is ${cost} nano-USD, its components add up to ${sum}`;
}
