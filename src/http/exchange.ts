import type { IncomingHttpHeaders } from 'node:http';
import type { AnswerBody } from '../domain/body.js';

/** What every request carries from its beginning on. */
export interface RequestState {
  /** UUIDv7; the answer's `Inference-Id` and `x-request-id`. */
  inferenceId: string;
  /** Epoch milliseconds. */
  receivedAt: number;
}

/** The headers that handlers of routed requests may read: of others the short way keeps nothing. */
export const READ_HEADERS = [
  'authorization',
  'x-api-key',
  'host',
  'origin',
  'idempotency-key',
  'cache-control',
  'x-waybill-tags',
  'x-waybill-region',
  'x-waybill-provider-key',
] as const;

export type ReadHeader = (typeof READ_HEADERS)[number];

/** By names in lower case, as Node gives them. */
export type ReadHeaders = { readonly [Name in ReadHeader]?: IncomingHttpHeaders[Name] };

/** Header fields as Node takes them fastest: name, value, name, value. */
export type FlatHeaders = string[];

/** A request without its body; koa's context is one too. */
export interface RequestHead {
  readonly state: RequestState;
  readonly method: string;
  readonly path: string;
  readonly headers: ReadHeaders;
}

/**
 * One request and the way to answer it: all that the handlers of routed requests know of HTTP, so that they are the same
 * for requests of `node:http` and for those that come the short way. What is written after the client left is dropped.
 */
export interface Exchange extends RequestHead {
  /** True where the header came more than once. */
  isRepeated(name: ReadHeader): boolean;
  /**
   * The whole body, at once where it is there already. Refused by its announced length before a byte of it is read.
   * @throws WaybillError body_too_large, invalid_request
   */
  readBody(limitBytes: number): Buffer | Promise<Buffer>;
  /** True once the answer's head is written. */
  readonly isBegun: boolean;
  /** True while more of an answer can be written. */
  readonly isOpen: boolean;
  /** One field before those that the answer begins with; null takes it back. */
  preset(name: string, value: string | null): void;
  /** A whole answer. The body's length is added to its headers. */
  answer(status: number, headers: FlatHeaders, body: AnswerBody): void;
  /** The head of an answer whose length is not known. It goes out with the first part. */
  begin(status: number, headers: FlatHeaders): void;
  /** False when the client does not take it as fast as it comes: `drained` says when it did. */
  write(part: string | Buffer): boolean;
  /** With a last part, where there is one. */
  end(part?: string | Buffer): void;
  /** Resolves once the client has taken what was written, or has left. */
  drained(): Promise<void>;
  /** Breaks off. */
  destroy(): void;
  /** Before a whole answer, for one who asks: called once the system has taken all of it. Not at all if it never does. */
  onWritten(callback: () => void): void;
  /** For one who asks: called once the answer is written out or the connection has closed, whichever is first. */
  onClose(callback: () => void): void;
}
