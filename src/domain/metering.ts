import type { Task } from './task.js';
import type { Usage, UsageReport } from './usage.js';

/** What is to be counted: texts to tokenise, tokens known already (token arrays), and the messages that frame them. */
export interface CountedInput {
  texts: readonly string[];
  /** Tokens that need no counting. */
  tokens: number;
  /** Chat messages: each costs a few tokens of framing. */
  messages: number;
  /** A text that is read several times, and counted once: a query beside each document. */
  repeated?: { text: string; times: number };
}

/** Identifies whose counts these are: a provider's tokenizer is known by its model. */
export interface MeterSubject {
  providerId: string;
  providerModel: string;
  task: Task;
}

export interface Meter {
  /** Tokens of an input by tiktoken, in time bounded for any input. */
  countInput(input: CountedInput, subject: MeterSubject): number;
  /** Tokens of an input from its length alone: never an exact figure, costs next to nothing. */
  roughInput(input: CountedInput): number;
  /**
   * The usage of a call: the provider's figures where it gave them, our counts where it did not.
   * `interrupted` makes it a lower bound.
   */
  measure(call: {
    subject: MeterSubject;
    report: UsageReport | null;
    input: () => CountedInput;
    outputTexts: () => readonly string[];
    interrupted: boolean;
  }): Usage;
  /**
   * Learns from a count of ours (what `countInput` gave) and the provider's own for the same input, all classes together.
   * Only for those who had to count anyway. A figure that nobody reported is not learned from.
   */
  learn(subject: MeterSubject, estimated: number, reported: number): void;
  /** Output tokens that answers of this model had on average, of the whole ones; null until there was one. */
  averageOutput(subject: MeterSubject): number | null;
}

/** What was learned of one provider's model from the figures it reported. */
export interface LearnedModel {
  providerId: string;
  providerModel: string;
  /** Reported tokens for one of ours; 1 until something was learned. */
  factor: number;
  /** Observations behind the factor, up to where later ones weigh as much as earlier ones. */
  weight: number;
  /** Output tokens of an answer; null until there was one. */
  averageOutput: number | null;
  /** Answers behind the average, up to where later ones weigh as much as earlier ones. */
  outputs: number;
}

/** How many input estimates of one hour were off by so much. */
export interface EstimateErrorCount {
  /** Hours since the Unix epoch. */
  hour: number;
  providerId: string;
  providerModel: string;
  /** |estimated - reported| / reported, in thousandths. */
  perMille: number;
  calls: number;
}

/** What the meter learned, since it was last kept or in all. */
export interface Learned {
  models: LearnedModel[];
  errors: EstimateErrorCount[];
}

/** Keeps what was learned over a restart. */
export interface CalibrationStore {
  /** Models learned from most recently come last. */
  load(): LearnedModel[];
  /**
   * Models replace what was kept of them, error counts are added.
   * @throws Error when it cannot be written
   */
  save(learned: Learned): void;
  close(): void;
}

/** How far our counts of inputs were off, where the provider reported them too: |estimated - reported| / reported. */
export interface EstimateError {
  calls: number;
  /** In thousandths; to a hundredth above 10 %, to a tenth above 100 %. */
  medianPerMille: number;
  p95PerMille: number;
}
