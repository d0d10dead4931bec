/**
 * What a call used, in classes that do not overlap. A count is a non-negative integer; `null` means not known or not
 * applicable, and is never written as 0.
 */
export type Count = number | null;

/** Every usage class, in the order of tables and columns. `input` excludes cached and cache-write tokens, `output` excludes reasoning. */
export const USAGE_CLASSES = [
  'input',
  'cachedInput',
  'cacheWrite',
  'output',
  'reasoning',
  'audioInput',
  'audioOutput',
  'images',
  'characters',
  'audioMs',
  'searchUnits',
] as const;

export type UsageClass = (typeof USAGE_CLASSES)[number];
export type UsageCounts = Record<UsageClass, Count>;

/**
 * How a usage is known: the provider's own figures, our count, or what was seen until a stream broke.
 */
export type UsageSource = 'reported' | 'estimated' | 'lower-bound';

export interface Usage {
  counts: UsageCounts;
  source: UsageSource;
}

/** What an answer said about its usage. A field that is absent or malformed is null, and named in `problems` if malformed. */
export interface UsageReport {
  counts: UsageCounts;
  /** The provider's own statement of cost, USD as written; null when it made none. */
  providerCostUsd: string | null;
  problems: string[];
}

export function noCounts(): UsageCounts {
  return {
    input: null,
    cachedInput: null,
    cacheWrite: null,
    output: null,
    reasoning: null,
    audioInput: null,
    audioOutput: null,
    images: null,
    characters: null,
    audioMs: null,
    searchUnits: null,
  };
}

/** True for a figure a provider may report: a non-negative integer that a double holds exactly. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Later figures win field by field; a later null leaves what was known. */
export function mergeCounts(earlier: UsageCounts, later: UsageCounts): UsageCounts {
  const merged = { ...earlier };
  for (const name of USAGE_CLASSES) {
    if (later[name] !== null) merged[name] = later[name];
  }
  return merged;
}

/** Tokens of all input classes together; null when none is known. */
export function totalInput({ input, cachedInput, cacheWrite, audioInput }: UsageCounts): Count {
  return plus(plus(input, cachedInput), plus(cacheWrite, audioInput));
}

/** Tokens of all output classes together; null when none is known. */
export function totalOutput({ output, reasoning, audioOutput }: UsageCounts): Count {
  return plus(plus(output, reasoning), audioOutput);
}

/** Tokens in and out together; null when none is known. */
export function totalTokens(counts: UsageCounts): Count {
  return plus(totalInput(counts), totalOutput(counts));
}

function plus(a: Count, b: Count): Count {
  return a === null ? b : b === null ? a : a + b;
}
