import { parseDecimal } from '../domain/money.js';
import type { JsonObject } from '../domain/task.js';
import { type Count, isCount, noCounts, USAGE_CLASSES, type UsageReport } from '../domain/usage.js';
import { scanMembers } from './json-text.js';

export interface OpenAiUsageOptions {
  /** The provider counts reasoning beside `completion_tokens`, not inside. */
  reasoningOutside?: boolean;
  /** The task has no output (embeddings): its output is not applicable, which is not zero. */
  outputless?: boolean;
  /** The usage object's own text, so that a cost is kept as it was written. */
  text?: string;
}

/** Where each figure may stand, the first that is there counts. */
const PATHS = {
  reasoning: [['completion_tokens_details', 'reasoning_tokens'], ['reasoning_tokens']],
  cached: [
    ['prompt_tokens_details', 'cached_tokens'],
    ['input_tokens_details', 'cached_tokens'],
    ['cached_tokens'],
    ['prompt_cache_hit_tokens'],
  ],
  cacheWrite: [['prompt_tokens_details', 'cache_write_tokens']],
  audioInput: [['prompt_tokens_details', 'audio_tokens']],
  audioOutput: [['completion_tokens_details', 'audio_tokens']],
  input: [['prompt_tokens'], ['input_tokens']],
  output: [['completion_tokens'], ['output_tokens']],
  total: [['total_tokens']],
} as const satisfies Record<string, ReadonlyArray<readonly string[]>>;

/**
 * OpenAI's `usage` object and its dialects in classes that do not overlap; null when it is absent, null or has nothing
 * in it. `prompt_tokens` includes cached tokens (`prompt_tokens_details.cached_tokens`, Together's `cached_tokens`,
 * DeepSeek's `prompt_cache_hit_tokens`), OpenRouter's `cache_write_tokens` and audio; `completion_tokens` includes
 * reasoning and audio. `total_tokens` gives one figure that is missing. What is no non-negative integer is absent and
 * named in `problems`, and so are details that say more than their total.
 * Source: https://platform.openai.com/docs/api-reference/chat/object, https://openrouter.ai/docs/use-cases/usage-accounting
 */
export function parseOpenAiUsage(raw: unknown, options: OpenAiUsageOptions = {}): UsageReport | null {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) return null;
  const fields = new Fields(raw as JsonObject);
  const counts = noCounts();
  const reasoning = fields.first(PATHS.reasoning);
  const totals = derived(fields, reasoning, options);

  const cached = fields.first(PATHS.cached);
  const cacheWrite = fields.first(PATHS.cacheWrite);
  const audioInput = fields.first(PATHS.audioInput);
  const input = without(totals.input, [cached, cacheWrite, audioInput]);
  if (input.fits) {
    counts.cachedInput = cached;
    counts.cacheWrite = cacheWrite;
    counts.audioInput = audioInput;
  } else fields.problems.push('prompt_tokens_details');
  counts.input = input.rest;

  if (options.outputless !== true) {
    const audioOutput = fields.first(PATHS.audioOutput);
    const output = without(totals.output, [totals.reasoningOutside ? null : reasoning, audioOutput]);
    if (output.fits) {
      counts.reasoning = reasoning;
      counts.audioOutput = audioOutput;
    } else fields.problems.push('completion_tokens_details');
    counts.output = output.rest;
  }
  const report = { counts, providerCostUsd: costOf(raw as JsonObject, options.text), problems: fields.problems };
  return hasFigures(report) || report.providerCostUsd !== null || report.problems.length > 0 ? report : null;
}

/** True when at least one class is known. */
export function hasFigures(report: UsageReport): boolean {
  return USAGE_CLASSES.some((name) => report.counts[name] !== null);
}

/** Input and output as wholes, one of them taken from the total where it is missing. */
function derived(
  fields: Fields,
  reasoning: Count,
  options: OpenAiUsageOptions,
): { input: Count; output: Count; reasoningOutside: boolean } {
  let input = fields.first(PATHS.input);
  let output = fields.first(PATHS.output);
  const total = fields.first(PATHS.total);
  // Reasoning that only fits beside the output, and there to the last token, was counted beside it (xAI).
  const reasoningOutside =
    options.reasoningOutside === true ||
    (input !== null && output !== null && reasoning !== null && reasoning > 0 && total === input + output + reasoning);
  if (total !== null) {
    const outside = reasoningOutside ? (reasoning ?? 0) : 0;
    if (options.outputless === true) input ??= total;
    else if (input === null && output !== null) input = fields.rest('total_tokens', total - output - outside);
    else if (output === null && input !== null) output = fields.rest('total_tokens', total - input - outside);
  }
  return { input, output, reasoningOutside };
}

/** What is left of a whole without its parts. Parts of an unknown whole have no place, parts beyond it are wrong. */
function without(whole: Count, parts: readonly Count[]): { rest: Count; fits: boolean } {
  let sum = 0;
  for (const part of parts) sum += part ?? 0;
  if (whole === null) return { rest: null, fits: sum === 0 };
  return sum > whole ? { rest: whole, fits: false } : { rest: whole - sum, fits: true };
}

/** `usage.cost` (OpenRouter, another Waybill) or `usage.cost.total_cost` (Perplexity), USD as written. */
function costOf(usage: JsonObject, text: string | undefined): string | null {
  let cost = usage['cost'];
  let raw = text === undefined || cost === undefined ? undefined : scanMembers(text).get('cost');
  if (typeof cost === 'object' && cost !== null) {
    raw = raw === undefined ? undefined : scanMembers(raw).get('total_cost');
    cost = (cost as JsonObject)['total_cost'];
  }
  const written = typeof cost === 'number' ? (raw ?? String(cost)) : typeof cost === 'string' ? cost : null;
  const decimal = written === null ? null : parseDecimal(written);
  return decimal === null || decimal.digits < 0n ? null : (written as string).trim();
}

/** Reads counts by path, and remembers what was no count. */
class Fields {
  readonly problems: string[] = [];
  readonly #usage: JsonObject;

  constructor(usage: JsonObject) {
    this.#usage = usage;
  }

  /** The first of these that is there. */
  first(paths: ReadonlyArray<readonly string[]>): Count {
    for (const path of paths) {
      let value: unknown = this.#usage;
      for (const key of path) {
        value = typeof value === 'object' && value !== null ? (value as JsonObject)[key] : undefined;
      }
      if (value === undefined || value === null) continue;
      if (isCount(value)) return value;
      const name = path.join('.');
      if (!this.problems.includes(name)) this.problems.push(name);
    }
    return null;
  }

  rest(name: string, value: number): Count {
    if (value >= 0) return value;
    this.problems.push(name);
    return null;
  }
}
