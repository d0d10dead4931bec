import type { RoutedAnswer, RoutedRequest } from './dispatch.js';
import type { NanoUsd } from './money.js';

/** How long an answer is given again. */
export const KEPT_MS = 86_400_000;

/** A successful answer as its client got it, kept for the key the client sent with the request. */
export interface KeptAnswer {
  client: string;
  key: string;
  /** SHA-256 of endpoint and body, base64url: says whether the same was asked. */
  requestHash: string;
  /** Of the request that was answered and charged. */
  inferenceId: string;
  /** Epoch milliseconds. */
  keptAt: number;
  kind: RoutedAnswer['kind'];
  provider: string | null;
  model: string | null;
  attempts: number;
  headers: Readonly<Record<string, string>>;
  /** The whole body; of a stream its SSE text, the end mark included. */
  body: string | Buffer;
  /** JSON, or a stream's events, where it is absent. */
  contentType?: string;
  /** Null when unknown, and for streams. */
  costNanoUsd: NanoUsd | null;
}

/** Where answers are kept, so that they survive the process. */
export interface IdempotencyStore {
  /** What is kept for a client's key, if it was kept at `since` or later. */
  find(client: string, key: string, since: number): KeptAnswer | null;
  /**
   * Durable when it returns. An older answer of the same key is replaced; the oldest of all go when there are too many.
   * @throws when it cannot be written
   */
  keep(answer: KeptAnswer): void;
  /** Deletes what was kept before an instant, a few at a time. */
  prune(before: number): Promise<void>;
  close(): void;
}

/** A request that came with a key. */
export interface IdempotentAsk {
  request: RoutedRequest;
  key: string;
  dispatch: () => Promise<RoutedAnswer>;
  /** Told whose answer this is going to be, before it comes: the id of the first request, or the request's own. */
  named: (inferenceId: string) => void;
}

/** Answers a request once, however often it comes with the same key. */
export interface Idempotency {
  /**
   * The first answer again, or that of `dispatch`. A repetition that comes while the first is under way waits for it.
   * @throws WaybillError conflict when the key came with another request; whatever `dispatch` throws, which is told to
   *   those who wait too and is not kept
   */
  answer(ask: IdempotentAsk): Promise<RoutedAnswer>;
}
