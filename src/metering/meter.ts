import { Buffer } from 'node:buffer';
import type { CountedInput, Meter, MeterSubject } from '../domain/metering.js';
import type { Clock, Logger } from '../domain/ports.js';
import { writesText } from '../domain/task.js';
import { noCounts, totalInput, totalOutput, type Usage, type UsageCounts } from '../domain/usage.js';
import { type Calibration, createCalibration } from './calibration.js';
import { encodingFor } from './encodings.js';
import { createTokenizer } from './tokenizer.js';

/** Source: OpenAI's cookbook, "How to count tokens with tiktoken". */
const TOKENS_PER_MESSAGE = 3;
const TOKENS_OF_PRIMING = 3;

const BYTES_PER_TOKEN = 4;

/** So many kinds of malformed usage are told apart in the log. */
const MAX_PROBLEMS = 1_000;

/**
 * Counts what calls used. The tokenizer is asked only where the provider did not say, and loaded when first asked.
 * Usage fields that are no counts are logged: at `warn` the first time a model has them, at `debug` from then on.
 */
export function createMeter(options: { calibration?: Calibration; clock?: Clock; logger?: Logger } = {}): Meter {
  const { clock, logger } = options;
  const calibration = options.calibration ?? createCalibration();
  const problemsSeen = new Set<string>();
  const tokenizer = createTokenizer();

  function countTexts(texts: readonly string[], subject: MeterSubject): number {
    const { encoding, isItsOwn } = encodingFor(subject.providerModel);
    const tokens = tokenizer.count(texts, encoding);
    return isItsOwn ? tokens : Math.round(tokens * calibration.factor(subject));
  }

  function countInput(input: CountedInput, subject: MeterSubject): number {
    const { repeated } = input;
    const again = repeated === undefined ? 0 : repeated.times * countTexts([repeated.text], subject);
    return countTexts(input.texts, subject) + input.tokens + framingOf(input) + again;
  }

  function logProblems({ providerId, providerModel }: MeterSubject, fields: readonly string[]): void {
    if (logger === undefined || fields.length === 0) return;
    const kind = `${providerId} ${providerModel} ${fields.join(' ')}`;
    const isNew = !problemsSeen.has(kind) && problemsSeen.size < MAX_PROBLEMS;
    if (isNew) problemsSeen.add(kind);
    logger[isNew ? 'warn' : 'debug'](
      { provider: providerId, providerModel, fields },
      'the provider reported usage that is no count; taken as absent',
    );
  }

  return {
    countInput,

    roughInput(input) {
      let quarters = 0;
      for (const text of input.texts) quarters += quartersOf(text);
      let least = input.texts.length;
      if (input.repeated !== undefined) {
        const { text, times } = input.repeated;
        quarters += times * quartersOf(text);
        least += times;
      }
      // No text is less than a token, however short.
      return Math.max(Math.ceil(quarters / BYTES_PER_TOKEN), least) + input.tokens + framingOf(input);
    },

    measure({ subject, report, input, outputTexts, interrupted }) {
      const counts: UsageCounts = report === null ? noCounts() : { ...report.counts };
      if (report !== null) logProblems(subject, report.problems);
      let isEstimated = false;
      if (!saysInput(counts)) {
        counts.input = countInput(input(), subject);
        isEstimated = true;
      }
      const isAboutOutput = writesText(subject.task);
      let output = isAboutOutput ? totalOutput(counts) : null;
      if (isAboutOutput && output === null) {
        output = countTexts(outputTexts(), subject);
        counts.output = output;
        isEstimated = true;
      }
      // An answer that broke off, or never was one, says nothing of how long answers are.
      if (output !== null && output > 0 && !interrupted) calibration.learnOutput(subject, output);
      return { counts, source: sourceOf(isEstimated, interrupted) };
    },

    learn(subject, estimated, reported) {
      // A model's own tokenizer needs no factor; what is left is framing.
      if (!encodingFor(subject.providerModel).isItsOwn) calibration.learn(subject, estimated, reported);
      if (clock !== undefined) calibration.noteError(subject, { estimated, reported, now: clock.now() });
    },

    averageOutput(subject) {
      const average = calibration.averageOutput(subject);
      return average === null ? null : Math.ceil(average);
    },
  };
}

/** ASCII is a quarter of a token a letter; each byte beyond counts twice, as other alphabets take more tokens. */
function quartersOf(text: string): number {
  return 2 * Buffer.byteLength(text) - text.length;
}

function framingOf(input: CountedInput): number {
  return input.messages === 0 ? 0 : input.messages * TOKENS_PER_MESSAGE + TOKENS_OF_PRIMING;
}

/** Some calls are metered by other units than tokens; those figures are then the input. */
function saysInput(counts: UsageCounts): boolean {
  if (totalInput(counts) !== null) return true;
  const { images, characters, audioMs, searchUnits } = counts;
  return images !== null || characters !== null || audioMs !== null || searchUnits !== null;
}

function sourceOf(isEstimated: boolean, interrupted: boolean): Usage['source'] {
  if (interrupted) return 'lower-bound';
  return isEstimated ? 'estimated' : 'reported';
}
