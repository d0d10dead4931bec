import type { RoutedRequest } from './dispatch.js';
import type { NanoUsd } from './money.js';
import type { Count } from './usage.js';

/** What a request would cost at one of the targets it may go to. */
export interface Quote {
  provider: string;
  model: string;
  /** Counted, not guessed by length. */
  inputTokens: number;
  /** Null where nothing bounds the output. */
  maxOutputTokens: Count;
  /** Input alone; null when the price does not say. */
  minCostNanoUsd: NanoUsd | null;
  /** Input and as much output as there may be; null when price or bound is unknown. */
  maxCostNanoUsd: NanoUsd | null;
  priceId: string | null;
}

/** Prices requests without sending them. */
export interface Pricer {
  /**
   * In the order in which the targets would be tried. Changes nothing.
   * @throws WaybillError as the request itself would meet before it is sent: model_not_found, unpriced_model, …
   */
  quote(request: RoutedRequest): Quote[];
}

/** `{candidates: […]}` as JSON text, amounts with all their digits. */
export function quotesToJson(quotes: readonly Quote[]): string {
  const candidates = quotes.map(
    (quote) =>
      `{"provider":${JSON.stringify(quote.provider)},"model":${JSON.stringify(quote.model)},` +
      `"input_tokens":${quote.inputTokens},"max_output_tokens":${quote.maxOutputTokens},` +
      `"min_cost_nano_usd":${quote.minCostNanoUsd},"max_cost_nano_usd":${quote.maxCostNanoUsd},` +
      `"price_id":${JSON.stringify(quote.priceId)}}`,
  );
  return `{"candidates":[${candidates.join(',')}]}`;
}
