import type { EstimateErrorCount, Learned, LearnedModel, MeterSubject } from '../domain/metering.js';

type ModelOf = Pick<MeterSubject, 'providerId' | 'providerModel'>;

export interface Calibration {
  /** What our count has to be multiplied with; 1 until something was learned. */
  factor(subject: ModelOf): number;
  /**
   * Learns from a count of ours and the provider's for the same text. `estimated` is what the meter gave, its factor
   * included. Never count only to learn: it is for those who had to count anyway.
   */
  learn(subject: ModelOf, estimated: number, reported: number): void;
  /** Output tokens of one whole answer. */
  learnOutput(subject: ModelOf, tokens: number): void;
  /** The average of what `learnOutput` was told; null before. */
  averageOutput(subject: ModelOf): number | null;
  /** Notes how far an estimate was off, at this instant. */
  noteError(subject: ModelOf, error: { estimated: number; reported: number; now: number }): void;
  /** Everything learned, to be kept over a restart. */
  entries(): LearnedModel[];
  /** What is new since this was last called. */
  takeChanges(): Learned;
  /** Changes that could not be kept: taken again with the next. */
  putBack(changes: Learned): void;
}

/** Below this the framing of a message outweighs its text. */
const MIN_TOKENS = 32;
/** One answer that has nothing to do with its input must not spoil the factor. */
const PLAUSIBLE = { min: 0.25, max: 4 };
const MAX_WEIGHT = 50;
const MAX_ENTRIES = 2_000;
/** Counts of errors that wait to be kept; more than these come together only where nothing can be kept at all. */
const MAX_ERRORS = 20_000;
const HOUR_MS = 3_600_000;

/** Running means per provider and model; `initial` is what was kept from before. */
export function createCalibration(options: { initial?: readonly LearnedModel[] } = {}): Calibration {
  const learned = new Map<string, LearnedModel>();
  const changed = new Set<string>();
  /** The model learned from last, where its change is noted: the next figure is most often its own. */
  let last: LearnedModel | null = null;
  let errors = new Map<string, EstimateErrorCount>();
  for (const entry of options.initial ?? []) {
    if (isPlausible(entry.factor)) learned.set(keyOf(entry), { ...entry });
  }

  /** The model's entry, put at the end: those at the front were not learned from for the longest time. */
  function touch({ providerId, providerModel }: ModelOf): LearnedModel {
    if (last?.providerModel === providerModel && last.providerId === providerId) return last;
    const key = keyOf({ providerId, providerModel });
    const known = learned.get(key);
    last = known ?? { providerId, providerModel, factor: 1, weight: 0, averageOutput: null, outputs: 0 };
    changed.add(key);
    learned.delete(key);
    learned.set(key, last);
    if (learned.size > MAX_ENTRIES) forgetFirst(learned, changed);
    return last;
  }

  function addErrors(count: EstimateErrorCount): void {
    const key = `${count.hour} ${count.perMille} ${keyOf(count)}`;
    const known = errors.get(key);
    if (known !== undefined) known.calls += count.calls;
    else if (errors.size < MAX_ERRORS) errors.set(key, { ...count });
  }

  return {
    factor: (subject) => learned.get(keyOf(subject))?.factor ?? 1,

    learn(subject, estimated, reported) {
      if (estimated < MIN_TOKENS || reported < MIN_TOKENS) return;
      const before = learned.get(keyOf(subject))?.factor ?? 1;
      const observed = (reported / estimated) * before;
      if (!isPlausible(observed)) return;
      const entry = touch(subject);
      entry.weight = Math.min(entry.weight + 1, MAX_WEIGHT);
      entry.factor = before + (observed - before) / entry.weight;
    },

    learnOutput(subject, tokens) {
      const entry = touch(subject);
      const before = entry.averageOutput ?? tokens;
      entry.outputs = Math.min(entry.outputs + 1, MAX_WEIGHT);
      entry.averageOutput = before + (tokens - before) / entry.outputs;
    },

    averageOutput: (subject) => learned.get(keyOf(subject))?.averageOutput ?? null,

    noteError({ providerId, providerModel }, { estimated, reported, now }) {
      if (reported <= 0) return;
      const perMille = rounded((Math.abs(estimated - reported) / reported) * 1_000);
      addErrors({ hour: Math.floor(now / HOUR_MS), providerId, providerModel, perMille, calls: 1 });
    },

    entries: () => [...learned.values()].map((entry) => ({ ...entry })),

    takeChanges() {
      const models = [...changed].flatMap((key) => {
        const entry = learned.get(key);
        return entry === undefined ? [] : [{ ...entry }];
      });
      const taken = { models, errors: [...errors.values()] };
      changed.clear();
      last = null;
      errors = new Map();
      return taken;
    },

    putBack(changes) {
      for (const entry of changes.models) if (learned.has(keyOf(entry))) changed.add(keyOf(entry));
      for (const count of changes.errors) addErrors(count);
    },
  };
}

/** To a thousandth up to 10 %, to a hundredth up to 100 %, to a tenth up to 1,000 %: so that few counts tell enough. */
function rounded(perMille: number): number {
  const step = perMille <= 100 ? 1 : perMille <= 1_000 ? 10 : 100;
  return Math.min(Math.round(perMille / step) * step, 10_000);
}

function isPlausible(factor: number): boolean {
  return factor >= PLAUSIBLE.min && factor <= PLAUSIBLE.max;
}

/** Ids of providers have no blanks. */
function keyOf(subject: ModelOf): string {
  return `${subject.providerId} ${subject.providerModel}`;
}

function forgetFirst(entries: Map<string, unknown>, changed: Set<string>): void {
  for (const key of entries.keys()) {
    entries.delete(key);
    changed.delete(key);
    return;
  }
}
