import { parseDecimal } from '../domain/money.js';
import type { JsonObject } from '../domain/task.js';
import { type Count, isCount, noCounts, USAGE_CLASSES, type UsageCounts, type UsageReport } from '../domain/usage.js';
import { scanMembers } from './json-text.js';

export interface OpenAiUsageOptions {
  /**
   * The provider counts reasoning beside `completion_tokens`, not inside; where the total shows that it is inside, it is.
   * `of-the-total-too`: beside `total_tokens` as well (Perplexity), so that the total shows nothing.
   */
  reasoningOutside?: boolean | 'of-the-total-too';
  /** What is billed beside the tokens of prompt and completion; null for nothing. */
  beside?: UsageBeside | null;
  /** The task has no output (embeddings): its output is not applicable, which is not zero. */
  outputless?: boolean;
  /** The usage object's own text, so that a cost is kept as it was written. */
  text?: string;
}

/** Names of figures that are billed beside prompt and completion. */
export interface UsageBeside {
  /** Tokens that cost what input costs. */
  input: string;
  searches: string;
}

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
  const reasoning = fields.reasoning();
  const totals = derived(fields, reasoning, options);

  const cached = fields.cached();
  const cacheWrite = fields.cacheWrite();
  const audioInput = fields.audioInput();
  const input = without(totals.input, cached, cacheWrite, audioInput);
  if (input.fits) {
    counts.cachedInput = cached;
    counts.cacheWrite = cacheWrite;
    counts.audioInput = audioInput;
  } else fields.problems.push('prompt_tokens_details');
  counts.input = input.rest;
  if (options.beside != null) addBeside(fields, counts, options.beside);

  if (options.outputless !== true) {
    const audioOutput = fields.audioOutput();
    const output = without(totals.output, totals.reasoningOutside ? null : reasoning, audioOutput);
    if (output.fits) {
      counts.reasoning = reasoning;
      counts.audioOutput = audioOutput;
    } else fields.problems.push('completion_tokens_details');
    counts.output = output.rest;
  }
  const report = { counts, providerCostUsd: costOf(raw as JsonObject, options.text), problems: fields.problems };
  return hasFigures(report) || report.providerCostUsd !== null || report.problems.length > 0 ? report : null;
}

function addBeside(fields: Fields, counts: UsageCounts, names: UsageBeside): void {
  const tokens = fields.own(names.input);
  if (tokens !== null) counts.input = (counts.input ?? 0) + tokens;
  counts.searchUnits = fields.own(names.searches);
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
  let input = fields.input();
  let output = fields.output();
  const total = fields.total();
  const reasoningOutside = isOutside({ input, output, total, reasoning }, options.reasoningOutside ?? false);
  if (total !== null) {
    const outside = reasoningOutside && options.reasoningOutside !== 'of-the-total-too' ? (reasoning ?? 0) : 0;
    if (options.outputless === true) input ??= total;
    else if (input === null && output !== null) input = fields.rest('total_tokens', total - output - outside);
    else if (output === null && input !== null) output = fields.rest('total_tokens', total - input - outside);
  }
  return { input, output, reasoningOutside };
}

/** Where reasoning was counted: by the total where it tells, else as the provider is known to do. */
function isOutside(
  figures: { input: Count; output: Count; total: Count; reasoning: Count },
  known: boolean | 'of-the-total-too',
): boolean {
  const { input, output, total, reasoning } = figures;
  if (known === 'of-the-total-too') return true;
  if (input === null || output === null || total === null || reasoning === null || reasoning === 0) return known;
  // Reasoning that only fits beside the output, and there to the last token, was counted beside it (xAI).
  if (total === input + output + reasoning) return true;
  return known && !(total === input + output && reasoning <= output);
}

/** What is left of a whole without its parts. Parts of an unknown whole have no place, parts beyond it are wrong. */
function without(whole: Count, ...parts: readonly Count[]): { rest: Count; fits: boolean } {
  let sum = 0;
  for (const part of parts) sum += part ?? 0;
  if (whole === null) return { rest: null, fits: sum === 0 };
  return sum > whole ? { rest: whole, fits: false } : { rest: whole - sum, fits: true };
}

/**
 * What the provider says it costs, in USD as written: `usage.cost` (OpenRouter, another Waybill), `usage.cost.total_cost`
 * (Perplexity), `usage.estimated_cost` (DeepInfra), or `usage.cost_in_usd_ticks` (xAI).
 */
function costOf(usage: JsonObject, text: string | undefined): string | null {
  const ticks = usage['cost_in_usd_ticks'];
  if (usage['cost'] == null && isCount(ticks)) return usdOfTicks(ticks);
  let cost = usage['cost'] ?? usage['estimated_cost'];
  let raw = text === undefined || usage['cost'] == null ? undefined : scanMembers(text).get('cost');
  if (typeof cost === 'object' && cost !== null) {
    raw = raw === undefined ? undefined : scanMembers(raw).get('total_cost');
    cost = (cost as JsonObject)['total_cost'];
  }
  const written = typeof cost === 'number' ? (raw ?? String(cost)) : typeof cost === 'string' ? cost : null;
  const decimal = written === null ? null : parseDecimal(written);
  return decimal === null || decimal.digits < 0n ? null : (written as string).trim();
}

/** 10,000,000,000 ticks are a dollar. */
function usdOfTicks(ticks: number): string {
  const digits = String(ticks).padStart(11, '0');
  return `${digits.slice(0, -10)}.${digits.slice(-10)}`;
}

/** Where there are no details. Nothing is added to it. */
const NO_DETAILS: JsonObject = {};

/**
 * Reads counts, each from the first place where it stands, and remembers what was no count. Every name is written out
 * where it is read: read by names in a list, the figures of each answer are looked up anew.
 */
class Fields {
  readonly problems: string[] = [];
  readonly #usage: JsonObject;
  readonly #promptDetails: JsonObject;
  readonly #completionDetails: JsonObject;

  constructor(usage: JsonObject) {
    this.#usage = usage;
    this.#promptDetails = detailsOf(usage['prompt_tokens_details']);
    this.#completionDetails = detailsOf(usage['completion_tokens_details']);
  }

  input(): Count {
    const usage = this.#usage;
    return this.#count(usage['prompt_tokens'], 'prompt_tokens') ?? this.#count(usage['input_tokens'], 'input_tokens');
  }

  output(): Count {
    const usage = this.#usage;
    return (
      this.#count(usage['completion_tokens'], 'completion_tokens') ??
      this.#count(usage['output_tokens'], 'output_tokens')
    );
  }

  total(): Count {
    return this.#count(this.#usage['total_tokens'], 'total_tokens');
  }

  reasoning(): Count {
    const { reasoning_tokens: detailed } = this.#completionDetails;
    return (
      this.#count(detailed, 'completion_tokens_details.reasoning_tokens') ??
      this.#count(this.#usage['reasoning_tokens'], 'reasoning_tokens')
    );
  }

  cached(): Count {
    const usage = this.#usage;
    const ofInput = detailsOf(usage['input_tokens_details']);
    return (
      this.#count(this.#promptDetails['cached_tokens'], 'prompt_tokens_details.cached_tokens') ??
      this.#count(ofInput['cached_tokens'], 'input_tokens_details.cached_tokens') ??
      this.#count(usage['cached_tokens'], 'cached_tokens') ??
      this.#count(usage['prompt_cache_hit_tokens'], 'prompt_cache_hit_tokens')
    );
  }

  cacheWrite(): Count {
    return this.#count(this.#promptDetails['cache_write_tokens'], 'prompt_tokens_details.cache_write_tokens');
  }

  audioInput(): Count {
    return this.#count(this.#promptDetails['audio_tokens'], 'prompt_tokens_details.audio_tokens');
  }

  audioOutput(): Count {
    return this.#count(this.#completionDetails['audio_tokens'], 'completion_tokens_details.audio_tokens');
  }

  /** One that only some providers have. */
  own(name: string): Count {
    return this.#count(this.#usage[name], name);
  }

  rest(name: string, value: number): Count {
    if (value >= 0) return value;
    this.problems.push(name);
    return null;
  }

  #count(value: unknown, name: string): Count {
    if (value === undefined || value === null) return null;
    if (isCount(value)) return value;
    if (!this.problems.includes(name)) this.problems.push(name);
    return null;
  }
}

function detailsOf(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null ? (value as JsonObject) : NO_DETAILS;
}
