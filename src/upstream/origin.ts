import type Pool from 'undici/lib/dispatcher/pool.js';
import type { UpstreamCall } from '../domain/upstream.js';
import { ConnectionPool, type PoolParts } from './connection-pool.js';
import type { Exchange } from './exchange.js';
import { type Address, parseAddress } from './open-socket.js';
import { requestText } from './request-text.js';
import { createUndiciPool, dispatchByUndici } from './undici-way.js';

/** What undici takes for a path, and so do we. */
const PATH = /^\/[!-\xff]*$/;

/** All connections to one origin that are made within one time. */
export class Origin {
  readonly #origin: string;
  readonly #connectMs: number;
  readonly #address: Address | null;
  readonly #pool: ConnectionPool | null;
  #undici: Pool | null = null;

  /** @throws what undici says of an origin that is none */
  constructor(origin: string, connectMs: number, parts: PoolParts) {
    this.#origin = origin;
    this.#connectMs = connectMs;
    this.#address = parseAddress(origin);
    this.#pool = this.#address === null ? null : new ConnectionPool(this.#address, connectMs, parts);
    if (this.#address === null) this.#undici = createUndiciPool(origin, connectMs);
  }

  /** Makes the call: on a connection of ours, or by undici what is not as plain as nearly all calls are. */
  dispatch(path: string, call: UpstreamCall, exchange: Exchange): void {
    const request = this.#plain(path, call);
    if (request !== null) {
      this.#pool?.dispatch(exchange, request);
      return;
    }
    this.#undici ??= createUndiciPool(this.#origin, this.#connectMs);
    dispatchByUndici(this.#undici, path, call, exchange);
  }

  /** Closes what is idle, and the rest as its call ends; resolves then. */
  async close(): Promise<void> {
    const pool = this.#pool;
    await Promise.all([
      pool === null ? null : new Promise<void>((unused) => pool.close(unused)),
      this.#undici?.close(),
    ]);
  }

  /** Closes everything, and fails what is under way. */
  async destroy(): Promise<void> {
    await Promise.all([this.#pool?.destroy(), this.#undici?.destroy()]);
  }

  #plain(path: string, { route, headers, payload }: UpstreamCall): ReturnType<typeof requestText> {
    if (this.#address === null || !PATH.test(path) || payload?.kind === 'stream') return null;
    return requestText({
      method: route.method,
      path,
      host: this.#address.host,
      headers,
      body: payload === null ? null : payload.body,
    });
  }
}
