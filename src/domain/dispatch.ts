import type { AnswerBody } from './body.js';
import type { Client } from './client.js';
import type { BroughtKey } from './keys.js';
import type { Lifeline } from './lifeline.js';
import type { LimitSnapshot } from './limit.js';
import type { NanoUsd } from './money.js';
import type { TaskRequest } from './task.js';
import type { Usage } from './usage.js';

/** A client's request, read and admitted, on its way to a provider. */
export interface RoutedRequest {
  inferenceId: string;
  /** Epoch milliseconds. */
  receivedAt: number;
  client: Client;
  /** The route it came by, e.g. `/v1/chat/completions`. */
  endpoint: string;
  /** The name the client asked for. */
  model: string;
  ask: TaskRequest;
  tags: Readonly<Record<string, string>>;
  region: string | null;
  /** The request's own `Cache-Control`, as it came. */
  cacheControl?: string | undefined;
  /** A key that it brought for one provider. */
  brought?: BroughtKey | undefined;
  /** Ends when the client leaves or the daemon stops. */
  life: Lifeline;
}

/** What every answer says about the way it came. */
export interface AnswerOrigin {
  provider: string | null;
  model: string | null;
  attempts: number;
  /** The client's own limits; where it has none, those of the provider key. */
  limits: readonly LimitSnapshot[];
}

/** Where a stream goes: events as text or as the UTF-8 of whole ones, or the bytes of a file. */
export interface StreamSink {
  /**
   * Resolves when the client has taken enough for more to be sent; at once where it reads fast. `isLast`: nothing follows,
   * so that the answer can end with it.
   */
  write(part: string | Buffer, isLast?: boolean): Promise<void> | void;
  /** Breaks off an answer that has no other way to say that it is not whole. */
  cut?(): void;
}

export type RoutedAnswer =
  | {
      kind: 'body';
      origin: AnswerOrigin;
      headers: Readonly<Record<string, string>>;
      body: AnswerBody;
      /** JSON where it is absent. */
      contentType?: string;
      costNanoUsd: NanoUsd | null;
      /**
       * To be called by whoever writes `body` out, once the system has taken all of it: what it refers to is used again.
       * Whoever keeps `body` beyond this call keeps a copy. Never called for a body that is not written out.
       */
      written?: () => void;
    }
  | {
      kind: 'stream';
      origin: AnswerOrigin;
      headers: Readonly<Record<string, string>>;
      /** Of a file whose bytes are passed on as they come; server-sent events where it is absent. */
      contentType?: string;
      /** Writes the whole stream, the end of its events included. Never throws for what the provider did. */
      pump(sink: StreamSink): Promise<void>;
    };

export interface Dispatcher {
  /**
   * Takes a request to its end: plan, attempts, metering, cost, ledger.
   * @throws WaybillError, with `origin` of the last attempt when one was made
   */
  dispatch(request: RoutedRequest): Promise<RoutedAnswer>;
}

/** One upstream call that ended, for logs and metrics. */
export interface AttemptReport {
  inferenceId: string;
  attempt: number;
  provider: string;
  providerModel: string;
  key: string | null;
  outcome: string;
  status: number | null;
  errorCode: string | null;
  /** What the provider said of a failure, secrets removed; null for a success. */
  message: string | null;
  durationMs: number;
  firstByteMs: number | null;
  usage: Usage | null;
  /** Null when unknown. */
  costNanoUsd: NanoUsd | null;
}

/** One request that ended, for logs and metrics. */
export interface RequestReport {
  inferenceId: string;
  client: string;
  endpoint: string;
  model: string;
  provider: string | null;
  providerModel: string | null;
  stream: boolean;
  outcome: string;
  status: number;
  errorCode: string | null;
  attempts: number;
  durationMs: number;
  firstByteMs: number | null;
  /** The time spent in upstream calls and in waiting between them. */
  upstreamMs: number;
  /** Over all attempts; null when the cost of one is unknown. */
  costNanoUsd: NanoUsd | null;
}

/** Told of every end. Must not throw. */
export interface Observer {
  attemptEnded(report: AttemptReport): void;
  requestEnded(report: RequestReport): void;
}
