/** The client closed its connection before its answer ended. */
export class ClientGoneError extends Error {
  constructor() {
    super('the client closed the connection');
    this.name = 'ClientGoneError';
  }
}

/** The daemon stops and cuts what has not ended within its grace. */
export class ShutdownError extends Error {
  constructor() {
    super('the daemon is stopping');
    this.name = 'ShutdownError';
  }
}

/** Of a life that nobody waits for the end of. Nothing is added to it. */
const NONE: Array<() => void> = [];

/**
 * What one request hangs on: everything of it that is under way ends when this does. An AbortSignal is made only for
 * whoever waits for something; most requests never do.
 */
export class Lifeline {
  #isEnded = false;
  #isOver = false;
  #reason: unknown = null;
  #clientGone = false;
  #outlivesClient = false;
  #callbacks: Array<() => void> = NONE;
  #controller: AbortController | null = null;

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Why it ended: ClientGoneError, ShutdownError, … */
  get reason(): unknown {
    return this.#reason;
  }

  /** True once the client left, whether or not the request goes on. */
  get clientGone(): boolean {
    return this.#clientGone;
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#isEnded) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** From now on the client's leaving ends nothing: the upstream answer is read to its end. */
  outliveClient(): void {
    this.#outlivesClient = true;
  }

  /** The connection closed, which it does after every answer too: only what is under way is told. */
  clientLeft(): void {
    if (this.#isOver) return;
    this.#clientGone = true;
    if (!this.#outlivesClient) this.end(new ClientGoneError());
  }

  /** The answer was given: nothing is under way that could end. */
  over(): void {
    this.#isOver = true;
  }

  /** The first reason stands. */
  end(reason: unknown): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#reason = reason;
    const callbacks = this.#callbacks;
    this.#callbacks = NONE;
    for (const callback of callbacks) callback();
    this.#controller?.abort(reason);
  }

  /** Calls back at the end; not at all when it has ended already. */
  onEnd(callback: () => void): void {
    // A list that is made whole has no room to spare: nearly every life has one who waits for its end.
    if (this.#callbacks.length === 0) this.#callbacks = [callback];
    else this.#callbacks.push(callback);
  }

  offEnd(callback: () => void): void {
    const at = this.#callbacks.indexOf(callback);
    if (at === -1) return;
    if (this.#callbacks.length === 1) this.#callbacks = NONE;
    else this.#callbacks.splice(at, 1);
  }
}
