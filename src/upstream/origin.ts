import type { UpstreamCall } from '../domain/upstream.js';
import { ConnectionPool, type PoolParts } from './connection-pool.js';
import type { Exchange } from './exchange.js';
import { type Address, parseAddress } from './open-socket.js';
import { type RequestText, RequestTexts } from './request-text.js';
import type { UndiciWay } from './undici-way.js';

/**
 * The ways to one origin: connections of our own, and undici for what they do not carry. Calls that leave a connection
 * another time to be made have an `Origin` of their own.
 */
export class Origin {
  readonly #origin: string;
  readonly #connectMs: number;
  readonly #address: Address;
  readonly #pool: ConnectionPool;
  /** Loaded by the first call that needs it: it takes 50 ms and 9 MB. */
  #undici: Promise<UndiciWay> | null = null;

  /** @throws Error for what is no origin */
  constructor(origin: string, connectMs: number, parts: PoolParts) {
    this.#origin = origin;
    this.#connectMs = connectMs;
    this.#address = parseAddress(origin);
    this.#pool = new ConnectionPool(this.#address, connectMs, parts);
  }

  /** The requests to one of its paths. */
  to(path: string): RequestTexts {
    return new RequestTexts(path, this.#address.host);
  }

  /** Makes the call: on a connection of ours, or by undici what is not as plain as nearly all calls are. */
  dispatch(texts: RequestTexts, call: UpstreamCall, exchange: Exchange): void {
    const request = plainRequest(texts, call);
    if (request !== null) this.#pool.dispatch(exchange, request, exchange.begunAt);
    else void this.#dispatchByUndici(texts.path, call, exchange);
  }

  /** Closes what is idle, and the rest as its call ends; resolves then. */
  async close(): Promise<void> {
    const closed = new Promise<void>((unused) => this.#pool.close(unused));
    const undici = await this.#undici;
    await Promise.all([closed, undici?.close()]);
  }

  /** Closes everything, and fails what is under way. */
  async destroy(): Promise<void> {
    const destroyed = this.#pool.destroy();
    const undici = await this.#undici;
    await Promise.all([destroyed, undici?.destroy()]);
  }

  async #dispatchByUndici(path: string, call: UpstreamCall, exchange: Exchange): Promise<void> {
    try {
      this.#undici ??= this.#loadUndici();
      const undici = await this.#undici;
      // Meanwhile its time was over, or its client left: no connection is made for it, and no body begun.
      if (exchange.isOver) return;
      undici.dispatch(path, call, exchange);
    } catch (error) {
      exchange.fail(error);
    }
  }

  async #loadUndici(): Promise<UndiciWay> {
    const { UndiciWay } = await import('./undici-way.js');
    return new UndiciWay(this.#origin, this.#connectMs);
  }
}

function plainRequest(
  texts: RequestTexts,
  { route, headers, payload, isBrought = false }: UpstreamCall,
): RequestText | null {
  if (payload?.kind === 'stream') return null;
  return texts.of({ method: route.method, headers, body: payload === null ? null : payload.body, isBrought });
}
