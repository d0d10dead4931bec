import type { CostRow } from './ledger.js';
import { formatUsd } from './money.js';

/** A row's figures under the names the outside knows. Sums of money are text: they may pass what a JSON number holds. */
export function toFigures(row: CostRow): Record<string, string | number> {
  return {
    requests: row.requests,
    attempts: row.attempts,
    errors: row.errors,
    input_tokens: row.inputTokens,
    cached_input_tokens: row.cachedInputTokens,
    cache_write_tokens: row.cacheWriteTokens,
    output_tokens: row.outputTokens,
    reasoning_tokens: row.reasoningTokens,
    audio_input_tokens: row.audioInputTokens,
    audio_output_tokens: row.audioOutputTokens,
    cost_nano_usd: row.costNanoUsd.toString(),
    cost_usd: formatUsd(row.costNanoUsd),
    estimated_cost_nano_usd: row.estimatedCostNanoUsd.toString(),
    unpriced_requests: row.unpricedRequests,
  };
}

/** A row of which every figure is zero. */
export function emptyRow(group: CostRow['group']): CostRow {
  return {
    group,
    requests: 0,
    attempts: 0,
    errors: 0,
    inputTokens: 0,
    cachedInputTokens: 0,
    cacheWriteTokens: 0,
    outputTokens: 0,
    reasoningTokens: 0,
    audioInputTokens: 0,
    audioOutputTokens: 0,
    costNanoUsd: 0n,
    estimatedCostNanoUsd: 0n,
    unpricedRequests: 0,
  };
}

/** Figure by figure; names of groups are those of the first. */
export function addRows(a: CostRow, b: CostRow): CostRow {
  return {
    group: a.group,
    requests: a.requests + b.requests,
    attempts: a.attempts + b.attempts,
    errors: a.errors + b.errors,
    inputTokens: a.inputTokens + b.inputTokens,
    cachedInputTokens: a.cachedInputTokens + b.cachedInputTokens,
    cacheWriteTokens: a.cacheWriteTokens + b.cacheWriteTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    reasoningTokens: a.reasoningTokens + b.reasoningTokens,
    audioInputTokens: a.audioInputTokens + b.audioInputTokens,
    audioOutputTokens: a.audioOutputTokens + b.audioOutputTokens,
    costNanoUsd: a.costNanoUsd + b.costNanoUsd,
    estimatedCostNanoUsd: a.estimatedCostNanoUsd + b.estimatedCostNanoUsd,
    unpricedRequests: a.unpricedRequests + b.unpricedRequests,
  };
}
