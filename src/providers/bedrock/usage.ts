import type { JsonObject } from '../../domain/task.js';
import { type Count, isCount, noCounts, totalInput, type UsageReport } from '../../domain/usage.js';
import { isJsonObject } from '../../wire/json-object.js';
import { hasFigures } from '../../wire/openai-usage.js';

/** What Bedrock said was used: for the books, and for the client in OpenAI's shape. */
export interface BedrockUsage {
  report: UsageReport;
  shown: JsonObject;
}

/**
 * `inputTokens` is what was neither read from the cache nor written to it; reasoning is inside `outputTokens` and not
 * told apart. Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html,
 * https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html
 */
export function readBedrockUsage(usage: unknown): BedrockUsage | null {
  if (!isJsonObject(usage)) return null;
  const problems: string[] = [];
  const figure = (name: string): Count => {
    const value = usage[name];
    if (value === undefined || value === null) return null;
    if (isCount(value)) return value;
    problems.push(name);
    return null;
  };
  const counts = noCounts();
  counts.input = figure('inputTokens');
  counts.cachedInput = figure('cacheReadInputTokens');
  counts.cacheWrite = figure('cacheWriteInputTokens');
  counts.output = figure('outputTokens');
  const report = { counts, providerCostUsd: null, problems };
  if (!hasFigures(report) && problems.length === 0) return null;
  const { input, output, cachedInput, cacheWrite } = counts;
  const prompt = input === null ? null : totalInput(counts);
  const details = {
    ...(cachedInput === null ? {} : { cached_tokens: cachedInput }),
    ...(cacheWrite === null ? {} : { cache_write_tokens: cacheWrite }),
  };
  const shown = {
    prompt_tokens: prompt,
    completion_tokens: output,
    total_tokens: prompt === null || output === null ? null : prompt + output,
    ...(Object.keys(details).length === 0 ? {} : { prompt_tokens_details: details }),
  };
  return { report, shown };
}
