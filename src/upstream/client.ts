import { isUtf8 } from 'node:buffer';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, type ZlibOptions } from 'node:zlib';
import { type Dispatcher, Pool } from 'undici';
import type { Clock } from '../domain/ports.js';
import type { HeaderFields } from '../domain/provider.js';
import type { JsonObject } from '../domain/task.js';
import {
  UpstreamBrokenError,
  type UpstreamCall,
  type UpstreamClient,
  type UpstreamResponse,
  type UpstreamResult,
} from '../domain/upstream.js';
import type { UsageReport } from '../domain/usage.js';
import { parseOpenAiUsage } from '../wire/openai-usage.js';
import { failureFromError, failureFromStatus } from './failure.js';
import { readStatedLimits } from './retry-after.js';

/** Bytes of an answer held here before the provider is told to wait. */
const HIGH_WATER_BYTES = 256 * 1024;
/** An error body beyond this says nothing more. */
const MAX_ERROR_BYTES = 256 * 1024;
const KEEP_ALIVE_MS = 30_000;

/** Where URLs lead is remembered for so many of them. */
const MAX_KNOWN_URLS = 1_000;

/** A few bytes can unpack to gigabytes: every call says how many it takes. */
type Unpack = (body: Buffer, bound: Required<Pick<ZlibOptions, 'maxOutputLength'>>) => Promise<Buffer>;

const decompress: Record<string, Unpack> = {
  gzip: promisify(gunzip) as Unpack,
  'x-gzip': promisify(gunzip) as Unpack,
  deflate: promisify(inflate) as Unpack,
  br: promisify(brotliDecompress) as Unpack,
};

/**
 * The only place that calls providers: keep-alive pools per origin, deadlines on every wait, back-pressure from the
 * reader to the provider. Redirects are not followed.
 */
export function createUpstreamClient({ clock }: { clock: Clock }): UpstreamClient {
  const pools = new Map<string, Pool>();
  const closing = new Set<Pool>();
  const ways = new Map<string, { pool: Pool; path: string }>();

  function wayTo(url: string, connectMs: number): { pool: Pool; path: string } {
    const name = `${connectMs} ${url}`;
    let way = ways.get(name);
    if (way === undefined) {
      const { origin, path } = splitUrl(url);
      way = { pool: poolFor(origin, connectMs), path };
      if (ways.size >= MAX_KNOWN_URLS) ways.clear();
      ways.set(name, way);
    }
    return way;
  }

  function poolFor(origin: string, connectMs: number): Pool {
    const name = `${origin} ${connectMs}`;
    let pool = pools.get(name);
    if (pool === undefined) {
      pool = new Pool(origin, {
        connect: { timeout: connectMs, noDelay: true, keepAlive: true },
        pipelining: 1,
        keepAliveTimeout: KEEP_ALIVE_MS,
        // Deadlines are ours: undici's timers tick once a second.
        headersTimeout: 0,
        bodyTimeout: 0,
      });
      pools.set(name, pool);
    }
    return pool;
  }

  async function send(call: UpstreamCall): Promise<UpstreamResult> {
    if (call.life.isEnded) throw call.life.reason;
    const { pool, path } = wayTo(call.route.url, call.connectMs);
    const exchange = new Exchange(call);
    pool.dispatch(
      {
        path,
        method: call.route.method,
        headers: call.headers,
        body: bodyOf(call, exchange),
      },
      exchange,
    );
    try {
      await exchange.started;
    } catch (error) {
      if (call.life.isEnded) throw call.life.reason;
      return { ok: false, failure: failureFromError(error, { secrets: call.secrets }), report: null, stated: [] };
    }
    const stated = readStatedLimits(exchange.headers, clock.now());
    if (exchange.status >= 200 && exchange.status < 300)
      return { ok: true, response: responseOf(exchange, call, stated) };
    const body = await errorBody(exchange, call);
    return {
      ok: false,
      failure: failureFromStatus({
        status: exchange.status,
        headers: exchange.headers,
        body,
        secrets: call.secrets,
        now: clock.now(),
      }),
      report: usageIn(body),
      stated,
    };
  }

  return {
    send,
    closeUnused(isUsed) {
      ways.clear();
      for (const [name, pool] of pools) {
        const [origin = '', connectMs] = name.split(' ');
        if (isUsed(origin, Number(connectMs))) continue;
        pools.delete(name);
        closing.add(pool);
        // Rejected when a stop destroys it meanwhile: it is closed either way.
        void pool.close().then(
          () => closing.delete(pool),
          () => closing.delete(pool),
        );
      }
    },
    async close() {
      const all = [...pools.values(), ...closing];
      pools.clear();
      ways.clear();
      await Promise.all(all.map((pool) => pool.destroy()));
    },
  };
}

function bodyOf(call: UpstreamCall, exchange: Exchange): string | Uint8Array | Readable | null {
  const { payload } = call;
  if (payload === null) return null;
  if (payload.kind !== 'stream') return payload.body;
  return Readable.from(streamed(call, payload.body(), exchange), { objectMode: false });
}

/**
 * A body that is made as it is sent. A provider that waits for its next part is not late; what is wrong with the body
 * itself ends the request and not only the call.
 */
async function* streamed(
  call: UpstreamCall,
  body: AsyncIterable<Uint8Array>,
  exchange: Exchange,
): AsyncGenerator<Uint8Array> {
  const parts = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      exchange.bodyIsLate(true);
      const { value, done } = await parts.next();
      exchange.bodyIsLate(false);
      if (done === true) return;
      yield value;
    }
  } catch (error) {
    call.life.end(error);
    throw error;
  } finally {
    await parts.return?.();
  }
}

function responseOf(exchange: Exchange, call: UpstreamCall, stated: UpstreamResponse['stated']): UpstreamResponse {
  async function next(): Promise<Buffer | null> {
    try {
      return await exchange.next();
    } catch (error) {
      if (call.life.isEnded) throw call.life.reason;
      throw new UpstreamBrokenError(failureFromError(error, { secrets: call.secrets }), { cause: error });
    }
  }
  return {
    status: exchange.status,
    headers: exchange.headers,
    stated,
    next,
    abort: () => exchange.cancel(),
    async readAll(maxBytes) {
      const parts: Buffer[] = [];
      let size = 0;
      for (let part = exchange.isWhole ? exchange.taken() : await next(); part !== null; ) {
        size += part.length;
        if (size > maxBytes) {
          exchange.cancel();
          throw tooLarge(maxBytes);
        }
        parts.push(part);
        part = exchange.isWhole ? exchange.taken() : await next();
      }
      const body = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, size);
      const decode = decompress[exchange.headers['content-encoding']?.toLowerCase() ?? ''];
      if (decode === undefined) return body;
      try {
        return await decode(body, { maxOutputLength: maxBytes });
      } catch (error) {
        if ((error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes);
        throw new UpstreamBrokenError(failureFromError(error, { secrets: call.secrets }), { cause: error });
      }
    },
  };
}

function tooLarge(maxBytes: number): UpstreamBrokenError {
  return new UpstreamBrokenError({
    kind: 'malformed',
    status: null,
    code: null,
    param: null,
    type: null,
    message: `the provider's answer is larger than ${maxBytes} bytes`,
    retryAfterMs: null,
    loadingMs: null,
    shouldRetry: null,
    sent: true,
  });
}

/** What of an error's body arrives in time; an error whose body breaks off is still that error. */
async function errorBody(exchange: Exchange, call: UpstreamCall): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for (let part = await exchange.next(); part !== null; part = await exchange.next()) {
      parts.push(part);
      size += part.length;
      if (size > MAX_ERROR_BYTES) {
        exchange.cancel();
        break;
      }
    }
  } catch {
    // The status is known, and says enough; only the client's own leaving changes what happens now.
    if (call.life.isEnded) throw call.life.reason;
  }
  const body = Buffer.concat(parts, size);
  const decode = decompress[exchange.headers['content-encoding']?.toLowerCase() ?? ''];
  if (decode === undefined) return body;
  try {
    return await decode(body, { maxOutputLength: MAX_ERROR_BYTES });
  } catch {
    // Plain text with a wrong header still says something; packed bytes that do not unpack, or not within bounds, do not.
    return isUtf8(body) ? body : Buffer.alloc(0);
  }
}

/** What an error's body reports as used; null for a body that is no JSON object with a usage. */
function usageIn(body: Buffer): UsageReport | null {
  if (!body.includes('"usage"')) return null;
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    if (typeof value !== 'object' || value === null) return null;
    return parseOpenAiUsage((value as JsonObject)['usage']);
  } catch {
    // No JSON, or cut at its bound: it reports nothing that can be relied on.
    return null;
  }
}

function splitUrl(url: string): { origin: string; path: string } {
  const slash = url.indexOf('/', url.indexOf('://') + 3);
  return slash === -1 ? { origin: url, path: '/' } : { origin: url.slice(0, slash), path: url.slice(slash) };
}

/** One dispatch: undici's callbacks in, promises out, with the deadlines of the call. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly started: Promise<void>;
  status = 0;
  headers: HeaderFields = {};
  readonly #call: UpstreamCall;
  readonly #onEnd: () => void;
  #resolveStarted!: () => void;
  #rejectStarted!: (error: unknown) => void;
  #controller: Dispatcher.DispatchController | null = null;
  readonly #timer: NodeJS.Timeout;
  /** Made by the first who has to wait: most answers come with their head. */
  #idle: NodeJS.Timeout | null = null;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #ended = false;
  #isBodyLate = false;
  #error: unknown = null;
  #waiting: { resolve: (part: Buffer | null) => void; reject: (error: unknown) => void } | null = null;

  constructor(call: UpstreamCall) {
    this.#call = call;
    this.started = new Promise((resolve, reject) => {
      this.#resolveStarted = resolve;
      this.#rejectStarted = reject;
    });
    this.#onEnd = () => this.#fail(call.life.reason);
    call.life.onEnd(this.#onEnd);
    this.#timer = setTimeout(() => {
      if (this.#isBodyLate) this.#timer.refresh();
      else this.#fail(timeoutError('UND_ERR_HEADERS_TIMEOUT', `no answer within ${call.firstByteMs} ms`));
    }, call.firstByteMs);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ended) controller.abort(asError(this.#error));
    else this.#call.limits.sent();
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Record<string, unknown>): void {
    if (status < 200) return;
    this.status = status;
    this.headers = flatten(headers);
    clearTimeout(this.#timer);
    this.#resolveStarted();
  }

  /** Whether the request's next part is still to come; from when it came the time to the first byte begins anew. */
  bodyIsLate(isLate: boolean): void {
    this.#isBodyLate = isLate;
    if (!isLate && !this.#ended && this.status === 0) this.#timer.refresh();
  }

  /** From now on something has to come within the idle time. */
  #watchIdle(): void {
    if (this.#idle !== null) {
      this.#idle.refresh();
      return;
    }
    this.#idle = setTimeout(() => {
      // Nobody waiting means that the client is slow, not the provider: the next read starts the time anew.
      if (this.#waiting === null) return;
      this.#fail(timeoutError('UND_ERR_BODY_TIMEOUT', `nothing more came for ${this.#call.idleMs} ms`));
    }, this.#call.idleMs);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#ended) return;
    const waiting = this.#waiting;
    if (waiting !== null) {
      this.#waiting = null;
      waiting.resolve(chunk);
      return;
    }
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
    if (this.#queuedBytes > HIGH_WATER_BYTES) controller.pause();
  }

  onResponseEnd(): void {
    this.#finish();
    this.#waiting?.resolve(null);
    this.#waiting = null;
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error);
  }

  /** True when the answer has come to its good end: what is left of it is taken without waiting. */
  get isWhole(): boolean {
    return this.#ended && this.#error === null;
  }

  /** Everything that has come since the last call; null when there is nothing. */
  taken(): Buffer | null {
    if (this.#queue.length === 0) return null;
    const part = this.#queue.length === 1 ? (this.#queue[0] as Buffer) : Buffer.concat(this.#queue, this.#queuedBytes);
    this.#queue = [];
    this.#queuedBytes = 0;
    return part;
  }

  /** Everything that has come since the last call, or the next part. */
  next(): Promise<Buffer | null> {
    const part = this.taken();
    if (part !== null) {
      // Undici hands over what it held back before this returns.
      if (this.#controller?.paused === true) this.#controller.resume();
      return Promise.resolve(part);
    }
    if (this.#error !== null) return Promise.reject(this.#error);
    if (this.#ended) return Promise.resolve(null);
    this.#watchIdle();
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  cancel(): void {
    if (!this.#ended) this.#fail(new Error('the call was ended by the reader'));
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    this.#error = error ?? new Error('aborted');
    this.#finish();
    this.#rejectStarted(this.#error);
    this.started.catch(() => {});
    this.#waiting?.reject(this.#error);
    this.#waiting = null;
    this.#controller?.abort(asError(this.#error));
  }

  #finish(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#call.life.offEnd(this.#onEnd);
  }
}

function timeoutError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}

function flatten(headers: Record<string, unknown>): HeaderFields {
  const flat: HeaderFields = {};
  for (const name in headers) {
    const value = headers[name];
    flat[name] = typeof value === 'string' ? value : Array.isArray(value) ? value.join(', ') : String(value);
  }
  return flat;
}
