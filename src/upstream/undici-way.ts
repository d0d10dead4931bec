import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
// Its own file: the whole of undici is fetch, sockets, caches and mocks too, and takes 50 ms more of every start.
import Pool from 'undici/lib/dispatcher/pool.js';
import type { HeaderFields } from '../domain/provider.js';
import type { UpstreamCall } from '../domain/upstream.js';
import type { Carrier } from './carrier.js';
import type { Exchange } from './exchange.js';

const KEEP_ALIVE_MS = 30_000;

/** Calls to one origin by undici: those whose body is made as it is sent, or whose headers are unusual. */
export class UndiciWay {
  readonly #pool: Pool;

  constructor(origin: string, connectMs: number) {
    this.#pool = new Pool(origin, {
      connect: { timeout: connectMs, noDelay: true, keepAlive: true },
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // Deadlines are ours: undici's timers tick once a second.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  dispatch(path: string, call: UpstreamCall, exchange: Exchange): void {
    const { route, headers } = call;
    const body = bodyOf(call, exchange);
    this.#pool.dispatch({ path, method: route.method, headers, body }, new Handler(exchange));
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  destroy(): Promise<void> {
    return this.#pool.destroy();
  }
}

function bodyOf(call: UpstreamCall, exchange: Exchange): string | Uint8Array | Readable | null {
  const { payload } = call;
  if (payload === null) return null;
  if (payload.kind !== 'stream') return payload.body;
  return Readable.from(streamed(call, payload.body(), exchange), { objectMode: false });
}

/** What undici says, told to an exchange. */
class Handler implements Dispatcher.DispatchHandler {
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    const carrier: Carrier = {
      pause: () => controller.pause(),
      resume: () => controller.resume(),
      abort: (reason) => controller.abort(reason),
    };
    this.#exchange.carriedBy(carrier);
    if (!controller.aborted) this.#exchange.sent();
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Record<string, unknown>): void {
    if (status >= 200) this.#exchange.head(status, flatten(headers));
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#exchange.data(chunk);
  }

  onResponseEnd(): void {
    this.#exchange.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#exchange.fail(error);
  }
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

function flatten(headers: Record<string, unknown>): HeaderFields {
  const flat: HeaderFields = {};
  for (const name in headers) {
    const value = headers[name];
    flat[name] = typeof value === 'string' ? value : Array.isArray(value) ? value.join(', ') : String(value);
  }
  return flat;
}
