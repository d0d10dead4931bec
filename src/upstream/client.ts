import { isUtf8 } from 'node:buffer';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, type ZlibOptions } from 'node:zlib';
// Its own file: the whole of undici is fetch, sockets, caches and mocks too, and takes 50 ms more of every start.
import Pool from 'undici/lib/dispatcher/pool.js';
import { bodyLength } from '../domain/body.js';
import type { Clock } from '../domain/ports.js';
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
import { Exchange } from './exchange.js';
import { failureFromError, failureFromStatus } from './failure.js';
import { readStatedLimits } from './retry-after.js';

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
    let way: { pool: Pool; path: string };
    try {
      way = wayTo(call.route.url, call.connectMs);
    } catch (error) {
      // An address that an adapter made, or a provider gave, and that is none.
      return { ok: false, failure: failureFromError(error, { secrets: call.secrets }), report: null, stated: [] };
    }
    const { pool, path } = way;
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
  return {
    status: exchange.status,
    headers: exchange.headers,
    stated,
    next: () => exchange.next(),
    pipe: (take) => exchange.pipe(take),
    abort: () => exchange.cancel(),
    async readAll(maxBytes) {
      const parts = exchange.isWhole ? exchange.takenParts() : await exchange.collect(maxBytes);
      if (parts === null || bodyLength(parts) > maxBytes) throw tooLarge(maxBytes);
      const decode = decompress[exchange.headers['content-encoding']?.toLowerCase() ?? ''];
      if (decode === undefined) return parts;
      try {
        return [await decode(Buffer.concat(parts), { maxOutputLength: maxBytes })];
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
  const start = url.indexOf('://') + 3;
  const end = url.slice(start).search(/[/?#]/);
  if (end === -1) return { origin: url, path: '/' };
  const path = url.slice(start + end);
  return { origin: url.slice(0, start + end), path: path.startsWith('/') ? path : `/${path}` };
}
