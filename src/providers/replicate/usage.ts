import type { JsonObject } from '../../domain/task.js';
import { type Count, isCount, noCounts, type UsageReport } from '../../domain/usage.js';
import { isJsonObject } from '../../wire/json-object.js';

/** What a prediction used: for the books, and for the client. */
export interface PredictionUsage {
  report: UsageReport;
  /** In OpenAI's shape, with Replicate's own figures beside it. */
  shown: JsonObject;
}

/**
 * `metrics` of a language model: `input_token_count` and `output_token_count`, where reasoning is output. The others
 * (`predict_time`, `total_time`, `tokens_per_second`, …) are shown to the client only. Null for a model without tokens.
 * Sources: https://replicate.com/docs/reference/http#predictions.get, https://github.com/replicate/cog/blob/main/docs/python.md
 */
export function readMetrics(metrics: unknown): PredictionUsage | null {
  if (!isJsonObject(metrics)) return null;
  const problems: string[] = [];
  const figure = (name: string): Count => {
    const value = metrics[name];
    if (value === undefined || value === null) return null;
    if (isCount(value)) return value;
    problems.push(`metrics.${name}`);
    return null;
  };
  const counts = noCounts();
  counts.input = figure('input_token_count');
  counts.output = figure('output_token_count');
  const { input, output } = counts;
  if (input === null && output === null && problems.length === 0) return null;
  const total = input === null || output === null ? null : input + output;
  return {
    report: { counts, providerCostUsd: null, problems },
    shown: { prompt_tokens: input, completion_tokens: output, total_tokens: total, metrics },
  };
}
