import type { Lifeline } from '../domain/lifeline.js';

/** The request took longer than its target's `timeout.total`. */
export class TotalTimeoutError extends Error {
  constructor(ms: number) {
    super(`the request took longer than ${ms} ms in all`);
    this.name = 'TotalTimeoutError';
  }
}

/** Ends a request's life when all of it took too long. */
export class TotalDeadline {
  readonly #timer: NodeJS.Timeout;

  constructor(life: Lifeline, ms: number) {
    this.#timer = setTimeout(() => life.end(new TotalTimeoutError(ms)), ms);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}
