import type { RoutedRequest } from './dispatch.js';
import type { WaybillError } from './errors.js';
import type { NanoUsd } from './money.js';
import type { Exclusion, ScoreParts, Signals } from './route.js';

/** A target that a request would be tried at, and what put it into its place. */
export interface ExplainedCandidate {
  provider: string;
  model: string;
  providerModel: string;
  region: string | null;
  /** As in the request's record: lower is better; null when the strategy gives none. */
  score: number | null;
  reason: string;
  signals: Signals;
  /** What makes up a score of `hybrid`; null for the others. */
  parts: ScoreParts | null;
  /** What strategies compare: the input by its length and the output that the request bounds. Null when unknown. */
  estimatedCostNanoUsd: NanoUsd | null;
  priceId: string | null;
  keys: { ready: number; waiting: number; disabled: number };
  /** True when a key is ready and its limits have room for the request. */
  hasRoom: boolean;
  /** Until a key is ready; null when every key is disabled. */
  keyReadyInMs: number | null;
}

/** Where a request would go if it came now, and why. */
export interface Explanation {
  client: string;
  endpoint: string;
  model: string;
  algorithm: string;
  /** In the order they would be tried: the first is where the request would be sent. */
  candidates: readonly ExplainedCandidate[];
  excluded: readonly Exclusion[];
  /** What the request would be told instead; null where there is a candidate. */
  refusal: WaybillError | null;
}

/** Explains requests without sending them. */
export interface Explainer {
  /**
   * Changes nothing: no turn moves, nothing is taken.
   * @throws WaybillError model_not_found
   */
  explain(request: RoutedRequest): Explanation;
}

/** The answer of `/explain` as JSON text, amounts with all their digits. */
export function explanationToJson(explanation: Explanation): string {
  const { client, endpoint, model, algorithm, candidates, excluded, refusal } = explanation;
  const error = refusal === null ? null : { code: refusal.code, message: refusal.message, status: refusal.status };
  const head = JSON.stringify({ client, endpoint, model, algorithm }).slice(1, -1);
  return (
    `{${head},"candidates":[${candidates.map(candidateToJson).join(',')}],` +
    `"excluded":${JSON.stringify(excluded)},"error":${JSON.stringify(error)}}`
  );
}

function candidateToJson(candidate: ExplainedCandidate): string {
  const { provider, model, providerModel, region, score, reason, signals, parts } = candidate;
  const what = { provider, model, provider_model: providerModel, region, score, reason };
  const how = {
    signals: {
      weight: signals.weight,
      load: signals.load,
      token_ratio: signals.tokenRatio,
      req_ratio: signals.reqRatio,
      error_rate: signals.errorRate,
      first_byte_ms: signals.firstByteMs,
      cost_nano_usd: signals.cost,
      output_nano_usd_per_million: signals.outputRate,
    },
    parts: parts === null ? null : partsToJson(parts),
    price_id: candidate.priceId,
    keys: candidate.keys,
    has_room: candidate.hasRoom,
    key_ready_in_ms: candidate.keyReadyInMs,
  };
  const cost = `"estimated_cost_nano_usd":${candidate.estimatedCostNanoUsd}`;
  return `{${JSON.stringify(what).slice(1, -1)},${cost},${JSON.stringify(how).slice(1, -1)}}`;
}

function partsToJson({ tokenRatio, reqRatio, errorScore, latency, costRatio }: ScoreParts) {
  return {
    token_ratio: tokenRatio,
    req_ratio: reqRatio,
    error_score: errorScore,
    latency,
    cost_ratio: costRatio,
  };
}
