import type { Task } from './task.js';
import type { Usage, UsageReport } from './usage.js';

/** What is to be counted: texts to tokenise, tokens known already (token arrays), and the messages that frame them. */
export interface CountedInput {
  texts: readonly string[];
  /** Tokens that need no counting. */
  tokens: number;
  /** Chat messages: each costs a few tokens of framing. */
  messages: number;
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
}
