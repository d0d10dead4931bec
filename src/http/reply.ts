import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { performance } from 'node:perf_hooks';
import { bodyLength } from '../domain/body.js';
import type { AnswerOrigin, RoutedAnswer, StreamSink } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import type { LimitSnapshot } from '../domain/limit.js';
import type { HttpContext } from './context.js';

/** A client that has waited this long for the next part of a stream gets a comment, so that nothing between closes the line. */
const KEEP_ALIVE_MS = 15_000;
const KEEP_ALIVE = ': keep-alive\n\n';

/** Header fields as Node takes them fastest: name, value, name, value. */
export type FlatHeaders = string[];

/** The name of the request, on every answer. */
export function identityHeaders(ctx: HttpContext): FlatHeaders {
  const { inferenceId } = ctx.state;
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
export function replyWithBody(ctx: HttpContext, answer: Extract<RoutedAnswer, { kind: 'body' }>): void {
  // Written past koa's own response, whose setters check and look up each header again.
  ctx.respond = false;
  const headers = identityHeaders(ctx);
  addFields(headers, answer.headers);
  addAnswerHeaders(headers, answer.origin);
  headers.push('x-waybill-cost-nano-usd', answer.costNanoUsd === null ? 'unknown' : String(answer.costNanoUsd));
  headers.push('content-type', answer.contentType ?? 'application/json; charset=utf-8');
  headers.push('content-length', String(bodyLength(answer.body)));
  ctx.res.writeHead(200, headers);
  if (typeof answer.body === 'string' || Buffer.isBuffer(answer.body)) {
    ctx.res.end(answer.body);
    return;
  }
  ctx.res.cork();
  for (const part of answer.body) ctx.res.write(part);
  ctx.res.end();
}

/**
 * One SSE answer. Its head goes out with the first text or, when nothing came for 15 s, with a keep-alive comment; from
 * then on errors are told as an event.
 */
export class StreamReply implements StreamSink {
  readonly #ctx: HttpContext;
  readonly #res: ServerResponse;
  #timer: NodeJS.Timeout;
  #wroteAt = performance.now();
  #started = false;
  #headers: FlatHeaders = [];

  constructor(ctx: HttpContext) {
    this.#ctx = ctx;
    this.#res = ctx.res;
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
    this.write(`data: ${JSON.stringify(told.toBody())}\n\n`);
    this.#end();
    return true;
  }

  write(part: string | Buffer): Promise<void> | void {
    if (this.#res.destroyed || this.#res.writableEnded) return;
    this.#start();
    this.#wroteAt = performance.now();
    if (!this.#res.write(part)) return drained(this.#res);
  }

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#ctx.respond = false;
    const headers = identityHeaders(this.#ctx).concat(this.#headers);
    headers.push('content-type', 'text/event-stream; charset=utf-8', 'cache-control', 'no-cache');
    headers.push('x-accel-buffering', 'no');
    this.#res.writeHead(200, headers);
  }

  #lookAtSilence(): void {
    if (this.#res.destroyed || this.#res.writableEnded) return;
    let leftMs = this.#wroteAt + KEEP_ALIVE_MS - performance.now();
    if (leftMs <= 0) {
      this.#start();
      this.#res.write(KEEP_ALIVE);
      this.#wroteAt = performance.now();
      leftMs = KEEP_ALIVE_MS;
    }
    this.#timer = setTimeout(() => this.#lookAtSilence(), leftMs);
  }

  #end(): void {
    clearTimeout(this.#timer);
    if (this.#started && !this.#res.writableEnded) this.#res.end();
  }
}

/** Resolves once the client has taken what was written, or has left. */
export async function drained(res: ServerResponse): Promise<void> {
  if (res.destroyed) return;
  const gone = new AbortController();
  const onClose = () => gone.abort();
  res.once('close', onClose);
  try {
    await once(res, 'drain', { signal: gone.signal });
  } catch {
    // Closed instead: whoever writes next is told by the request's signal.
  } finally {
    res.off('close', onClose);
  }
}

/** Header values hold Latin-1 only; a model's name may hold more. */
function headerText(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text);
}
