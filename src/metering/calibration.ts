import type { MeterSubject } from '../domain/metering.js';

/** How a model's own tokenizer compares with ours, learned from what its provider reported. */
export interface CalibrationEntry {
  providerId: string;
  providerModel: string;
  /** Reported tokens for one of ours. */
  factor: number;
  /** Observations behind it, up to where later ones weigh as much as earlier ones. */
  weight: number;
}

export interface Calibration {
  /** What our count has to be multiplied with; 1 until something was learned. */
  factor(subject: Pick<MeterSubject, 'providerId' | 'providerModel'>): number;
  /**
   * Learns from a count of ours and the provider's for the same text. `estimated` is what the meter gave, its factor
   * included. Never count only to learn: it is for those who had to count anyway.
   */
  learn(subject: Pick<MeterSubject, 'providerId' | 'providerModel'>, estimated: number, reported: number): void;
  /** Everything learned, to be kept over a restart. */
  entries(): CalibrationEntry[];
}

/** Below this the framing of a message outweighs its text. */
const MIN_TOKENS = 32;
/** One answer that has nothing to do with its input must not spoil the factor. */
const PLAUSIBLE = { min: 0.25, max: 4 };
const MAX_WEIGHT = 50;
const MAX_ENTRIES = 2_000;

/** A running mean per provider and model; `initial` is what was kept from before. */
export function createCalibration(options: { initial?: readonly CalibrationEntry[] } = {}): Calibration {
  const learned = new Map<string, CalibrationEntry>();
  for (const entry of options.initial ?? []) {
    if (isPlausible(entry.factor)) learned.set(keyOf(entry), { ...entry });
  }
  const factor: Calibration['factor'] = (subject) => learned.get(keyOf(subject))?.factor ?? 1;
  return {
    factor,

    learn(subject, estimated, reported) {
      if (estimated < MIN_TOKENS || reported < MIN_TOKENS) return;
      const known = learned.get(keyOf(subject));
      const before = known?.factor ?? 1;
      const observed = (reported / estimated) * before;
      if (!isPlausible(observed)) return;
      const weight = Math.min((known?.weight ?? 0) + 1, MAX_WEIGHT);
      const { providerId, providerModel } = subject;
      // Taken out and put at the end: those at the front were not learned from for the longest time.
      learned.delete(keyOf(subject));
      learned.set(keyOf(subject), {
        providerId,
        providerModel,
        factor: known === undefined ? observed : before + (observed - before) / weight,
        weight,
      });
      if (learned.size > MAX_ENTRIES) forgetFirst(learned);
    },

    entries: () => [...learned.values()].map((entry) => ({ ...entry })),
  };
}

function isPlausible(factor: number): boolean {
  return factor >= PLAUSIBLE.min && factor <= PLAUSIBLE.max;
}

function keyOf(subject: { providerId: string; providerModel: string }): string {
  return `${subject.providerId}:${subject.providerModel}`;
}

function forgetFirst(entries: Map<string, unknown>): void {
  for (const key of entries.keys()) {
    entries.delete(key);
    return;
  }
}
