import type { CountedInput, Meter, MeterSubject } from '../domain/metering.js';
import type { Task } from '../domain/task.js';
import { type Count, noCounts, totalInput, totalOutput, type Usage, type UsageCounts } from '../domain/usage.js';
import { type Calibration, createCalibration } from './calibration.js';
import { encodingFor } from './encodings.js';
import { createTokenizer } from './tokenizer.js';

/** Source: OpenAI's cookbook, "How to count tokens with tiktoken". */
const TOKENS_PER_MESSAGE = 3;
const TOKENS_OF_PRIMING = 3;

const BYTES_PER_TOKEN = 4;

/** Tasks that are answered with text, whose tokens are output. The others are counted by their input alone. */
const TASKS_WITH_OUTPUT: ReadonlySet<Task> = new Set(['chat', 'completion', 'text-generation', 'conversational']);

/**
 * Counts what calls used. The tokenizer is asked only where the provider did not say, and loaded when first asked.
 */
export function createMeter(options: { calibration?: Calibration } = {}): Meter {
  const calibration = options.calibration ?? createCalibration();
  const tokenizer = createTokenizer();

  function countTexts(texts: readonly string[], subject: MeterSubject): number {
    const { encoding, isItsOwn } = encodingFor(subject.providerModel);
    const tokens = tokenizer.count(texts, encoding);
    return isItsOwn ? tokens : Math.round(tokens * calibration.factor(subject));
  }

  function countInput(input: CountedInput, subject: MeterSubject): number {
    return countTexts(input.texts, subject) + input.tokens + framingOf(input);
  }

  return {
    countInput,

    roughInput(input) {
      let quarters = 0;
      for (const text of input.texts) {
        // ASCII is a quarter of a token a letter; each byte beyond counts twice, as other alphabets take more tokens.
        quarters += 2 * Buffer.byteLength(text) - text.length;
      }
      return Math.ceil(quarters / BYTES_PER_TOKEN) + input.tokens + framingOf(input);
    },

    measure({ subject, report, input, outputTexts, interrupted }) {
      const counts: UsageCounts = report === null ? noCounts() : { ...report.counts };
      let isEstimated = false;
      if (!saysInput(counts)) {
        counts.input = countInput(input(), subject);
        isEstimated = true;
      }
      const isAboutOutput = TASKS_WITH_OUTPUT.has(subject.task);
      if (isAboutOutput && totalOutput(counts) === null) {
        counts.output = countTexts(outputTexts(), subject);
        isEstimated = true;
      }
      return { counts, source: sourceOf(isEstimated, interrupted) };
    },
  };
}

function framingOf(input: CountedInput): number {
  return input.messages === 0 ? 0 : input.messages * TOKENS_PER_MESSAGE + TOKENS_OF_PRIMING;
}

/** Some calls are metered by other units than tokens; those figures are then the input. */
function saysInput(counts: UsageCounts): boolean {
  const others: Count[] = [counts.images, counts.characters, counts.audioMs, counts.searchUnits];
  return totalInput(counts) !== null || others.some((count) => count !== null);
}

function sourceOf(isEstimated: boolean, interrupted: boolean): Usage['source'] {
  if (interrupted) return 'lower-bound';
  return isEstimated ? 'estimated' : 'reported';
}
