import { performance } from 'node:perf_hooks';
import type { AnswerOrigin, RoutedAnswer, StreamSink } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import type { LimitSnapshot } from '../domain/limit.js';
import type { Exchange, FlatHeaders, RequestHead } from './exchange.js';

/** A client that has waited this long for the next part of a stream gets a comment, so that nothing between closes the line. */
const KEEP_ALIVE_MS = 15_000;
const KEEP_ALIVE = ': keep-alive\n\n';

/** The name of the request, on every answer. */
export function identityHeaders({ state }: RequestHead): FlatHeaders {
  const { inferenceId } = state;
  return ['inference-id', inferenceId, 'x-request-id', inferenceId];
}

/** Adds which provider answered, how often we had to ask, and what is left of the limits. */
export function addAnswerHeaders(headers: FlatHeaders, origin: AnswerOrigin): void {
  if (origin.provider !== null) {
    headers.push('x-waybill-attempts', String(origin.attempts), 'x-waybill-provider', headerText(origin.provider));
    if (origin.model !== null) headers.push('x-waybill-model', headerText(origin.model));
  }
  addLimitHeaders(headers, origin.limits);
}

const LIMIT_HEADERS = (['requests', 'tokens'] as const).map((kind) => ({
  kind,
  limit: `x-ratelimit-limit-${kind}`,
  remaining: `x-ratelimit-remaining-${kind}`,
  reset: `x-ratelimit-reset-${kind}`,
}));

/** `x-ratelimit-*` of the shortest window of each kind; resets as OpenAI writes them, in seconds. */
function addLimitHeaders(headers: FlatHeaders, limits: readonly LimitSnapshot[]): void {
  for (const names of LIMIT_HEADERS) {
    const limit = shortestOf(names.kind, limits);
    if (limit === null) continue;
    headers.push(names.limit, String(limit.limit), names.remaining, String(Math.max(0, limit.remaining)));
    headers.push(names.reset, `${Math.ceil(limit.resetMs / 1_000)}s`);
  }
}

export function addFields(headers: FlatHeaders, fields: Readonly<Record<string, string>>): void {
  for (const name in fields) headers.push(name, fields[name] as string);
}

function shortestOf(kind: LimitSnapshot['kind'], limits: readonly LimitSnapshot[]): LimitSnapshot | null {
  let shortest: LimitSnapshot | null = null;
  for (const limit of limits) {
    if (limit.kind !== kind) continue;
    if (shortest === null || (limit.windowMs ?? 0) < (shortest.windowMs ?? 0)) shortest = limit;
  }
  return shortest;
}

/** Sends a whole answer. */
export function replyWithBody(exchange: Exchange, answer: Extract<RoutedAnswer, { kind: 'body' }>): void {
  const headers = identityHeaders(exchange);
  addFields(headers, answer.headers);
  addAnswerHeaders(headers, answer.origin);
  headers.push('x-waybill-cost-nano-usd', answer.costNanoUsd === null ? 'unknown' : String(answer.costNanoUsd));
  headers.push('content-type', answer.contentType ?? 'application/json; charset=utf-8');
  if (answer.written !== undefined) exchange.onWritten(answer.written);
  exchange.answer(200, headers, answer.body);
}

/**
 * One SSE answer. Its head goes out with the first text or, when nothing came for 15 s, with a keep-alive comment; from
 * then on errors are told as an event.
 */
export class StreamReply implements StreamSink {
  readonly #exchange: Exchange;
  #timer: NodeJS.Timeout;
  #wroteAt = performance.now();
  #started = false;
  #headers: FlatHeaders = [];

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.#timer = setTimeout(() => this.#lookAtSilence(), KEEP_ALIVE_MS);
  }

  /** Sends the whole stream of an answer. */
  async send(answer: Extract<RoutedAnswer, { kind: 'stream' }>): Promise<void> {
    addFields(this.#headers, answer.headers);
    addAnswerHeaders(this.#headers, answer.origin);
    try {
      await answer.pump(this);
    } finally {
      this.#end();
    }
  }

  /** True when the head is out already, and the error was told as an event. */
  fail(error: unknown): boolean {
    clearTimeout(this.#timer);
    if (!this.#started) return false;
    const told =
      error instanceof WaybillError
        ? error
        : new WaybillError('internal_error', { message: 'Something went wrong inside the router.' });
    this.write(`data: ${JSON.stringify(told.toBody())}\n\n`, true);
    return true;
  }

  write(part: string | Buffer, isLast = false): Promise<void> | void {
    if (!this.#exchange.isOpen) return;
    this.#start();
    if (isLast) {
      this.#exchange.end(part);
      return;
    }
    this.#wroteAt = performance.now();
    if (!this.#exchange.write(part)) return this.#exchange.drained();
  }

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    const headers = identityHeaders(this.#exchange).concat(this.#headers);
    headers.push('content-type', 'text/event-stream; charset=utf-8', 'cache-control', 'no-cache');
    headers.push('x-accel-buffering', 'no');
    this.#exchange.begin(200, headers);
  }

  #lookAtSilence(): void {
    if (!this.#exchange.isOpen) return;
    let leftMs = this.#wroteAt + KEEP_ALIVE_MS - performance.now();
    if (leftMs <= 0) {
      this.#start();
      this.#exchange.write(KEEP_ALIVE);
      this.#wroteAt = performance.now();
      leftMs = KEEP_ALIVE_MS;
    }
    this.#timer = setTimeout(() => this.#lookAtSilence(), leftMs);
  }

  #end(): void {
    clearTimeout(this.#timer);
    if (this.#started && this.#exchange.isOpen) this.#exchange.end();
  }
}

/** Header values hold Latin-1 only; a model's name may hold more. */
function headerText(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text);
}
