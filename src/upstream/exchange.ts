import { performance } from 'node:perf_hooks';
import type { Dispatcher } from 'undici';
import type { HeaderFields } from '../domain/provider.js';
import { type TakePart, UpstreamBrokenError, type UpstreamCall } from '../domain/upstream.js';
import { failureFromError } from './failure.js';

/** Bytes of an answer held here before the provider is told to wait. */
const HIGH_WATER_BYTES = 256 * 1024;

/** Who gets what comes. Without one it is kept. */
interface Reader {
  /** Something came; it is in the queue. */
  arrived(): void;
  ended(): void;
  failed(error: unknown): void;
}

/** One dispatch: undici's callbacks in, the answer's parts out, with the deadlines of the call. */
export class Exchange implements Dispatcher.DispatchHandler {
  /** @throws what came instead of an answer's head, as undici says it */
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
  /** When a reader last began to wait. */
  #waitingSince = 0;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #ended = false;
  #isBodyLate = false;
  #error: unknown = null;
  #reader: Reader | null = null;

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

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#ended) return;
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
    if (this.#reader !== null) this.#reader.arrived();
    else if (this.#queuedBytes > HIGH_WATER_BYTES) controller.pause();
  }

  onResponseEnd(): void {
    this.#finish();
    this.#reader?.ended();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error);
  }

  /** True when the answer has come to its good end: what is left of it is taken without waiting. */
  get isWhole(): boolean {
    return this.#ended && this.#error === null;
  }

  /** What has come since the last call, as it came. */
  takenParts(): Buffer[] {
    const parts = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    return parts;
  }

  /**
   * Everything until the end; null when it is more than `maxBytes`, and then the call is ended.
   * @throws as `next`
   */
  collect(maxBytes: number): Promise<Buffer[] | null> {
    if (this.#error !== null) return Promise.reject(this.#broken());
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.#queuedBytes > maxBytes) {
          this.#reader = null;
          this.cancel();
          resolve(null);
        } else if (this.#ended) resolve(this.takenParts());
        else this.#wait(reader);
      };
      const reader: Reader = { arrived: look, ended: look, failed: reject };
      look();
      this.#goOn();
    });
  }

  /**
   * Everything that has come since the last call, or the next part; null at the end.
   * @throws UpstreamBrokenError or the lifeline's reason
   */
  next(): Promise<Buffer | null> {
    const part = this.#taken();
    if (part !== null) {
      this.#goOn();
      return Promise.resolve(part);
    }
    if (this.#error !== null) return Promise.reject(this.#broken());
    if (this.#ended) return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      const read = () => {
        this.#reader = null;
        resolve(this.#taken());
      };
      this.#wait({ arrived: read, ended: read, failed: reject });
    });
  }

  /**
   * Hands over what comes until the end, or until `take` wants no more. What comes together, in one turn of the event
   * loop, is one part. While `take` waits, the provider is told to when too much is kept.
   * @throws UpstreamBrokenError or the lifeline's reason, and what `take` throws
   */
  pipe(take: TakePart): Promise<void> {
    return new Promise((resolve, reject) => {
      let isDue = false;
      const give = () => {
        isDue = false;
        try {
          for (let part = this.#taken(); part !== null; part = this.#taken()) {
            const goOn = take(part);
            if (goOn === true) continue;
            this.#reader = null;
            if (goOn === false) resolve();
            else goOn.then((isMore) => (isMore ? read() : resolve()), reject);
            return;
          }
        } catch (error) {
          this.#reader = null;
          reject(error);
          return;
        }
        if (!this.#ended) this.#wait(reader);
        else if (this.#error === null) resolve();
        else reject(this.#broken());
      };
      const due = () => {
        if (isDue) return;
        isDue = true;
        process.nextTick(give);
      };
      const reader: Reader = { arrived: due, ended: due, failed: due };
      const read = () => {
        give();
        if (this.#reader !== null) this.#goOn();
      };
      read();
    });
  }

  /** The same, joined; null when there is nothing. */
  #taken(): Buffer | null {
    const size = this.#queuedBytes;
    const parts = this.takenParts();
    return parts.length < 2 ? (parts[0] ?? null) : Buffer.concat(parts, size);
  }

  cancel(): void {
    if (!this.#ended) this.#fail(new Error('the call was ended by the reader'));
  }

  /** Undici hands over what it held back before this returns. */
  #goOn(): void {
    if (this.#controller?.paused === true) this.#controller.resume();
  }

  /** From now on something has to come within the idle time. */
  #wait(reader: Reader): void {
    this.#reader = reader;
    this.#waitingSince = performance.now();
    this.#idle ??= setTimeout(() => this.#lookAtIdle(), this.#call.idleMs);
  }

  #lookAtIdle(): void {
    const { idleMs } = this.#call;
    // Nobody waiting means that the client is slow, not the provider: the next to wait starts the time anew.
    const leftMs = this.#reader === null ? idleMs : this.#waitingSince + idleMs - performance.now();
    if (leftMs <= 0) this.#fail(timeoutError('UND_ERR_BODY_TIMEOUT', `nothing more came for ${idleMs} ms`));
    else this.#idle = setTimeout(() => this.#lookAtIdle(), leftMs);
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    this.#error = error ?? new Error('aborted');
    this.#finish();
    this.#rejectStarted(this.#error);
    this.started.catch(() => {});
    this.#reader?.failed(this.#broken());
    this.#controller?.abort(asError(this.#error));
  }

  /** What a reader is told: the reason of the request's end, or how the answer broke. */
  #broken(): unknown {
    const { life, secrets } = this.#call;
    if (life.isEnded) return life.reason;
    return new UpstreamBrokenError(failureFromError(this.#error, { secrets }), { cause: this.#error });
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
