import type { Price, RateClass, Rates } from './pricing.js';
import type { Task } from './task.js';
import { noCounts, totalTokens, USAGE_CLASSES, type UsageClass, type UsageCounts } from './usage.js';

/** A class of usage that is no tokens. */
export type Unit = 'images' | 'characters' | 'audioMs' | 'searchUnits';

const UNIT_BY_TASK: { readonly [T in Task]?: Unit } = {
  image: 'images',
  'image-edit': 'images',
  'image-variation': 'images',
  'text-to-image': 'images',
  'image-to-image': 'images',
  speech: 'characters',
  'text-to-speech': 'characters',
  transcription: 'audioMs',
  'audio-translation': 'audioMs',
  'automatic-speech-recognition': 'audioMs',
  'audio-classification': 'audioMs',
  rerank: 'searchUnits',
};

const RATE_BY_UNIT: Readonly<Record<Unit, RateClass>> = {
  images: 'image',
  characters: 'character',
  audioMs: 'audioMinute',
  searchUnits: 'searchUnit',
};

/** Tokens have a rate of the same name for each class. */
const TOKEN_CLASSES = USAGE_CLASSES.filter((name): name is Exclude<UsageClass, Unit> => !(name in RATE_BY_UNIT));

/** What a task is counted in beside tokens; null for one that has tokens or nothing. */
export function unitOf(task: Task): Unit | null {
  return UNIT_BY_TASK[task] ?? null;
}

/** What a price is set by, as far as one task is concerned. */
export interface PricedBy {
  unit: boolean;
  tokens: boolean;
  request: boolean;
}

export function pricedBy(price: Price | null, unit: Unit | null): PricedBy {
  const rates: Rates = price?.rates ?? {};
  return {
    unit: unit !== null && rates[RATE_BY_UNIT[unit]] !== undefined,
    tokens: TOKEN_CLASSES.some((name) => rates[name] !== undefined),
    request: rates.request !== undefined,
  };
}

/**
 * A call that was counted in a unit and in tokens is charged in what its price names: in both where it names both, in
 * neither where it names a price of the request alone. Where it names nothing everything is kept, and the cost is unknown.
 */
export function inPricedUnits(counts: UsageCounts, unit: Unit | null, price: Price | null): UsageCounts {
  const by = pricedBy(price, unit);
  if (!by.unit && !by.tokens) return by.request ? noCounts() : counts;
  if (by.unit && by.tokens) return counts;
  if (by.unit) return withoutTokens(counts);
  // Priced by tokens that nobody counted: the unit stays, and the cost is unknown for want of its price.
  return unit !== null && totalTokens(counts) !== null ? { ...counts, [unit]: null } : counts;
}

function withoutTokens(counts: UsageCounts): UsageCounts {
  const kept = { ...counts };
  for (const name of TOKEN_CLASSES) kept[name] = null;
  return kept;
}
