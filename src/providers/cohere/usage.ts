import type { JsonObject } from '../../domain/task.js';
import { type Count, isCount, noCounts, type UsageReport } from '../../domain/usage.js';
import { isJsonObject } from '../../wire/json-object.js';
import { hasFigures } from '../../wire/openai-usage.js';

/** What a provider said was used: for the books, and for the client. */
export interface ReadUsage {
  report: UsageReport;
  /** In OpenAI's shape, with the provider's own figures beside it. */
  shown: JsonObject;
}

/**
 * Cohere bills `billed_units`; `tokens` beside them also count what its own templates add, and cost nothing. Cached
 * tokens (`cached_tokens`) are billed as input and are shown to the client only. Images an answer bills count as images;
 * where Cohere gives their tokens (`image_tokens`), for which there is no rate of a token, `images` says how many were
 * sent. A unit that is not billed is left out, so that with billed images no input means none.
 * Sources: https://docs.cohere.com/reference/chat, https://docs.cohere.com/reference/embed, https://cohere.com/pricing
 */
export function readCohereUsage(usage: unknown, sent: { images: number } | 'chat'): ReadUsage | null {
  if (!isJsonObject(usage) || !isJsonObject(usage['billed_units'])) return null;
  const billed = usage['billed_units'];
  const problems: string[] = [];
  const figure = (name: string): Count => {
    const value = billed[name];
    if (value === undefined || value === null) return null;
    if (isCount(value)) return value;
    problems.push(`billed_units.${name}`);
    return null;
  };
  const counts = noCounts();
  counts.input = figure('input_tokens');
  counts.searchUnits = figure('search_units');
  if (sent === 'chat') counts.output = figure('output_tokens');
  else {
    const imageTokens = figure('image_tokens');
    counts.images = figure('images') ?? (imageTokens === null || imageTokens === 0 ? imageTokens : sent.images);
    if (counts.images !== null && billed['input_tokens'] === undefined) counts.input = 0;
  }
  const report = { counts, providerCostUsd: null, problems };
  if (!hasFigures(report) && problems.length === 0) return null;
  const { input, output } = counts;
  const tokens =
    sent === 'chat'
      ? { prompt_tokens: input, completion_tokens: output, total_tokens: sum(input, output) }
      : { prompt_tokens: input, total_tokens: input };
  return { report, shown: { ...tokens, ...usage } };
}

function sum(input: Count, output: Count): Count {
  return input === null || output === null ? null : input + output;
}
