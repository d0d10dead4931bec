import type { JsonObject } from '../../domain/task.js';
import { type Count, isCount, noCounts, totalInput, totalOutput, type UsageReport } from '../../domain/usage.js';
import { isJsonObject } from '../../wire/json-object.js';
import { hasFigures } from '../../wire/openai-usage.js';

/** What an answer used: in classes that do not overlap, and as OpenAI's `usage` object. */
export interface GeminiUsage {
  report: UsageReport;
  usage: JsonObject;
}

/**
 * `usageMetadata`. `promptTokenCount` includes `cachedContentTokenCount`; `toolUsePromptTokenCount` and
 * `thoughtsTokenCount` come on top of prompt and candidates, and `totalTokenCount` is the sum of the four. Audio is told
 * by modality, of the cached part too. Zeros may be left out: an output without a figure of its own is what is left of
 * the total. Null when there are no figures.
 * Sources: https://ai.google.dev/api/generate-content#UsageMetadata, https://ai.google.dev/gemini-api/docs/thinking
 */
export function readUsage(metadata: unknown): GeminiUsage | null {
  if (!isJsonObject(metadata)) return null;
  const fields = new Fields(metadata);
  const counts = noCounts();
  const prompt = fields.count('promptTokenCount');
  const toolUse = fields.count('toolUsePromptTokenCount');
  const cached = fields.count('cachedContentTokenCount');
  const reasoning = fields.count('thoughtsTokenCount');
  const total = fields.count('totalTokenCount');
  const audioOutput = fields.audio('candidatesTokensDetails');
  const audio = plus(fields.audio('promptTokensDetails'), fields.audio('toolUsePromptTokensDetails'));
  const uncachedAudio = audio === null ? null : audio - (fields.audio('cacheTokensDetails') ?? 0);

  const input = prompt === null ? null : prompt + (toolUse ?? 0);
  const plain = fields.rest('promptTokensDetails', input, cached, uncachedAudio);
  counts.input = plain ?? input;
  if (plain !== null) {
    counts.cachedInput = cached;
    counts.audioInput = uncachedAudio;
  }
  let output = fields.count('candidatesTokenCount');
  if (output === null && total !== null && input !== null) {
    output = fields.rest('totalTokenCount', total, input, reasoning);
  }
  const text = fields.rest('candidatesTokensDetails', output, audioOutput);
  counts.output = text ?? output;
  if (text !== null) counts.audioOutput = audioOutput;
  counts.reasoning = reasoning;

  const report: UsageReport = { counts, providerCostUsd: null, problems: fields.problems };
  if (!hasFigures(report) && report.problems.length === 0) return null;
  return { report, usage: toOpenAi(report, total) };
}

function toOpenAi({ counts }: UsageReport, total: Count): JsonObject {
  const [input, output] = [totalInput(counts), totalOutput(counts)];
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: total ?? (input === null || output === null ? null : input + output),
    ...details('prompt_tokens_details', { cached_tokens: counts.cachedInput, audio_tokens: counts.audioInput }),
    ...details('completion_tokens_details', { reasoning_tokens: counts.reasoning, audio_tokens: counts.audioOutput }),
  };
}

function details(name: string, figures: { [key: string]: Count }): JsonObject {
  const known = Object.entries(figures).filter(([, count]) => count !== null);
  return known.length === 0 ? {} : { [name]: Object.fromEntries(known) };
}

function plus(a: Count, b: Count): Count {
  return a === null ? b : a + (b ?? 0);
}

/** Reads counts, and remembers what was no count. */
class Fields {
  readonly problems: string[] = [];
  readonly #metadata: JsonObject;

  constructor(metadata: JsonObject) {
    this.#metadata = metadata;
  }

  count(name: string): Count {
    return this.#checked(name, this.#metadata[name]);
  }

  /** The tokens of audio among the modalities; null where it is not among them. */
  audio(name: string): Count {
    const list = this.#metadata[name];
    if (!Array.isArray(list)) return null;
    const entry = list.find((item: JsonObject | null) => item?.['modality'] === 'AUDIO') as JsonObject | undefined;
    return entry === undefined ? null : this.#checked(name, entry['tokenCount'] ?? 0);
  }

  /** What is left of a whole; null where the whole is not known, or the parts say more than it. */
  rest(name: string, whole: Count, ...parts: Count[]): Count {
    if (whole === null) return null;
    const left = parts.reduce<number>((rest, part) => rest - (part ?? 0), whole);
    if (left >= 0 && parts.every((part) => part === null || part >= 0)) return left;
    this.problems.push(name);
    return null;
  }

  #checked(name: string, value: unknown): Count {
    if (value === undefined || value === null) return null;
    if (isCount(value)) return value;
    this.problems.push(name);
    return null;
  }
}
