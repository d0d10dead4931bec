import { ClientGoneError } from '../domain/dispatch.js';

/** The request took longer than its target's `timeout.total`. */
export class TotalTimeoutError extends Error {
  constructor(ms: number) {
    super(`the request took longer than ${ms} ms in all`);
    this.name = 'TotalTimeoutError';
  }
}

/**
 * Everything of one request that may be under way ends by this signal: the client left, the daemon stops, the total
 * time is over. A stream whose upstream call is to be read to its end outlives its client.
 */
export class Flight {
  readonly signal: AbortSignal;
  /** True once the client left, whether or not the call goes on. */
  clientGone = false;
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #onOuterAbort: () => void;
  #timer: NodeJS.Timeout | null = null;
  #drains = false;

  constructor(outer: AbortSignal) {
    this.signal = this.#controller.signal;
    this.#outer = outer;
    this.#onOuterAbort = () => this.#outerAborted();
    if (outer.aborted) this.#outerAborted();
    else outer.addEventListener('abort', this.#onOuterAbort, { once: true });
  }

  /** From now on the client's leaving does not end the upstream call. */
  drainWhenClientLeaves(): void {
    this.#drains = true;
  }

  /** The total deadline; a later call replaces it. */
  endAfter(ms: number, total: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(new TotalTimeoutError(total)), Math.max(0, ms));
  }

  /** Must be called at the end: takes timer and listener away. */
  land(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#outer.removeEventListener('abort', this.#onOuterAbort);
  }

  #outerAborted(): void {
    const reason: unknown = this.#outer.reason;
    if (reason instanceof ClientGoneError) {
      this.clientGone = true;
      if (this.#drains) return;
    }
    this.#controller.abort(reason);
  }
}
