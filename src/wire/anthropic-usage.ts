import type { JsonObject } from '../domain/task.js';
import { type Count, isCount, noCounts, totalInput, totalOutput, type UsageReport } from '../domain/usage.js';
import { isJsonObject } from './json-object.js';
import { writeObject } from './json-text.js';

/**
 * Anthropic's `usage` in classes that do not overlap; null when it has no figure. `input_tokens` excludes what was read
 * from the cache (`cache_read_input_tokens`) and written to it (`cache_creation_input_tokens`); `output_tokens` includes
 * thinking (`output_tokens_details.thinking_tokens`). What is no count is absent and named in `problems`, and so is
 * thinking that is more than all output.
 * Source: https://platform.claude.com/docs/en/api/messages/create (Usage)
 */
export function parseAnthropicUsage(raw: unknown): UsageReport | null {
  if (!isJsonObject(raw)) return null;
  const problems: string[] = [];
  const read = (holder: unknown, name: string): Count => {
    const value = isJsonObject(holder) ? holder[name] : undefined;
    if (value === undefined || value === null) return null;
    if (isCount(value)) return value;
    problems.push(name);
    return null;
  };
  const counts = noCounts();
  counts.input = read(raw, 'input_tokens');
  counts.cachedInput = read(raw, 'cache_read_input_tokens');
  counts.cacheWrite = read(raw, 'cache_creation_input_tokens');
  const output = read(raw, 'output_tokens');
  const thinking = read(raw['output_tokens_details'], 'thinking_tokens');
  if (output !== null && thinking !== null && thinking > output) problems.push('thinking_tokens');
  const fits = output !== null && thinking !== null && thinking <= output;
  counts.reasoning = fits ? thinking : null;
  counts.output = fits ? output - thinking : output;
  const isEmpty = Object.values(counts).every((count) => count === null) && problems.length === 0;
  return isEmpty ? null : { counts, providerCostUsd: null, problems };
}

/** Usage that comes in parts, each of them cumulative: a later figure wins, a later null leaves what was known. */
export function mergeAnthropicUsage(earlier: JsonObject, later: unknown): JsonObject {
  const merged = { ...earlier };
  for (const [name, value] of isJsonObject(later) ? Object.entries(later) : []) {
    if (value !== null) merged[name] = value;
  }
  return merged;
}

/** The text of OpenAI's `usage` object for a report. A figure that is not known is left out. */
export function openAiUsageText({ counts }: UsageReport): string {
  const input = counts.input === null ? null : totalInput(counts);
  const output = counts.output === null ? null : totalOutput(counts);
  const members: Array<[string, string]> = [
    ...figure('prompt_tokens', input),
    ...figure('completion_tokens', output),
    ...figure('total_tokens', input === null || output === null ? null : input + output),
  ];
  const cached = [...figure('cached_tokens', counts.cachedInput), ...figure('cache_write_tokens', counts.cacheWrite)];
  if (cached.length > 0) members.push(['prompt_tokens_details', writeObject(cached)]);
  const reasoning = figure('reasoning_tokens', counts.reasoning);
  if (reasoning.length > 0) members.push(['completion_tokens_details', writeObject(reasoning)]);
  return writeObject(members);
}

function figure(name: string, count: Count): Array<[string, string]> {
  return count === null ? [] : [[name, String(count)]];
}
