import { performance } from 'node:perf_hooks';
import type { UpstreamFailure } from '../domain/failure.js';
import type { Lifeline } from '../domain/lifeline.js';
import type { HeaderFields } from '../domain/provider.js';
import { type TakePart, UpstreamBrokenError, type UpstreamCall } from '../domain/upstream.js';
import type { LentBlocks } from './block-pool.js';
import type { Carrier } from './carrier.js';
import type { Deadline, Deadlines } from './deadlines.js';
import { failureFromError } from './failure.js';
import { asError, timeoutError } from './protocol-error.js';

/** Bytes of an answer held here before the provider is told to wait. */
const HIGH_WATER_BYTES = 256 * 1024;

const NO_HEADERS: HeaderFields = {};
/** What is queued where nothing is. Nothing is added to it. */
const NOTHING: Buffer[] = [];

/** Who waits for what comes. Told once, and then no reader until it says that it waits again. */
interface Reader {
  arrived(part: Buffer): void;
  ended(): void;
  failed(error: unknown): void;
}

/** One call: what its carrier says in, the answer's parts out, with the deadlines of the call. */
export class Exchange {
  /** On `performance.now()`'s clock. */
  readonly begunAt = performance.now();
  status = 0;
  headers: HeaderFields = NO_HEADERS;
  /** What came instead of an answer, or of its end; null for nothing. */
  error: unknown = null;
  /** What a whole answer was read to; null where that was copied. */
  lent: LentBlocks | null = null;
  readonly #life: Lifeline;
  readonly #limits: UpstreamCall['limits'];
  readonly #secrets: readonly string[];
  readonly #idleMs: number;
  /** Null once it was called: it holds the call, and with it a body that was sent long ago. */
  #onStart: (() => void) | null;
  readonly #onLifeEnd: () => void;
  readonly #deadlines: Deadlines;
  readonly #deadline: Deadline;
  #carrier: Carrier | null = null;
  #isSent = false;
  #isPaused = false;
  /** Made by the first who has to wait: most answers come with their head. */
  #idle: NodeJS.Timeout | null = null;
  /** When a reader last began to wait. */
  #waitingSince = 0;
  #queue: Buffer[] = NOTHING;
  #queuedBytes = 0;
  #ended = false;
  #isBodyLate = false;
  #reader: Reader | null = null;

  /** `onStart` is called once: when an answer's head is there, or when `error` is what came instead. */
  constructor(call: UpstreamCall, deadlines: Deadlines, onStart: () => void) {
    const { life, firstByteMs } = call;
    this.#life = life;
    this.#limits = call.limits;
    this.#secrets = call.secrets;
    this.#idleMs = call.idleMs;
    this.#onStart = onStart;
    this.#onLifeEnd = () => this.fail(life.reason);
    life.onEnd(this.#onLifeEnd);
    this.#deadlines = deadlines;
    this.#deadline = deadlines.start(firstByteMs, () => this.#lookAtHead(firstByteMs), this.begunAt);
  }

  /** From now on `carrier` is what ends with the call. */
  carriedBy(carrier: Carrier): void {
    if (this.#ended) carrier.abort(asError(this.error));
    else this.#carrier = carrier;
  }

  /** The request goes out now. */
  sent(): void {
    this.#limits.sent();
    this.#isSent = true;
  }

  /** The answer's head is there: that of the answer itself, and not one of those with a status below 200. */
  head(status: number, headers: HeaderFields): void {
    if (this.#ended) return;
    this.status = status;
    this.headers = headers;
    this.#deadlines.stop(this.#deadline);
    this.#start();
  }

  data(part: Buffer): void {
    if (this.#ended) return;
    const reader = this.#reader;
    if (reader !== null) {
      this.#reader = null;
      reader.arrived(part);
      return;
    }
    this.#keep(part);
    if (this.#queuedBytes <= HIGH_WATER_BYTES || this.#isPaused) return;
    this.#isPaused = true;
    this.#carrier?.pause();
  }

  /** The answer is whole. */
  end(): void {
    if (this.#ended) return;
    this.#finish();
    const reader = this.#reader;
    this.#reader = null;
    reader?.ended();
  }

  fail(error: unknown): void {
    if (this.#ended) return;
    this.error = error ?? new Error('aborted');
    const carrier = this.#carrier;
    this.#finish();
    this.#start();
    const reader = this.#reader;
    this.#reader = null;
    reader?.failed(this.#broken());
    carrier?.abort(asError(this.error));
  }

  /** Whether the request's next part is still to come; from when it came the time to the first byte begins anew. */
  bodyIsLate(isLate: boolean): void {
    this.#isBodyLate = isLate;
    if (!isLate) this.#deadlines.restart(this.#deadline);
  }

  /** True when nothing more comes of it, for whatever reason. */
  get isOver(): boolean {
    return this.#ended;
  }

  /** What came instead of an answer, or of its end, as it is told. */
  get failure(): UpstreamFailure {
    return failureFromError(this.error, { secrets: this.#secrets, isSent: this.#isSent });
  }

  /** True when the answer has come to its good end: what is left of it is taken without waiting. */
  get isWhole(): boolean {
    return this.#ended && this.error === null;
  }

  /** What has come since the last call, as it came. */
  takenParts(): readonly Buffer[] {
    const parts = this.#queue;
    this.#queue = NOTHING;
    this.#queuedBytes = 0;
    return parts;
  }

  /**
   * Everything until the end; null when it is more than `maxBytes`, and then the call is ended.
   * @throws as `next`
   */
  collect(maxBytes: number): Promise<readonly Buffer[] | null> {
    if (this.error !== null) return Promise.reject(this.#broken());
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.#queuedBytes > maxBytes) {
          this.cancel();
          resolve(null);
        } else if (this.#ended) resolve(this.takenParts());
        else this.#wait(reader);
      };
      const arrived = (part: Buffer) => {
        this.#keep(part);
        look();
      };
      const reader: Reader = { arrived, ended: look, failed: reject };
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
    if (this.error !== null) return Promise.reject(this.#broken());
    if (this.#ended) return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      this.#wait({ arrived: resolve, ended: () => resolve(null), failed: reject });
    });
  }

  /**
   * Hands over what comes until the end, or until `take` wants no more. What was kept meanwhile is one part. While
   * `take` waits, the provider is told to when too much is kept.
   * @throws UpstreamBrokenError or the lifeline's reason, and what `take` throws
   */
  pipe(take: TakePart): Promise<void> {
    return new Promise((resolve, reject) => {
      const goOn = () => {
        if (!this.#ended) this.#wait(reader);
        else if (this.error === null) resolve();
        else reject(this.#broken());
      };
      const arrived = (part: Buffer) => {
        try {
          const isMore = take(part);
          if (isMore === true) goOn();
          else if (isMore === false) resolve();
          else isMore.then((more) => (more ? read() : resolve()), reject);
        } catch (error) {
          reject(error);
        }
      };
      const reader: Reader = { arrived, ended: resolve, failed: reject };
      const read = () => {
        const part = this.#taken();
        if (part === null) goOn();
        else arrived(part);
        if (this.#reader !== null) this.#goOn();
      };
      read();
    });
  }

  cancel(): void {
    this.fail(new Error('the call was ended by the reader'));
  }

  #start(): void {
    const onStart = this.#onStart;
    this.#onStart = null;
    onStart?.();
  }

  #keep(part: Buffer): void {
    if (this.#queuedBytes === 0) this.#queue = [part];
    else this.#queue.push(part);
    this.#queuedBytes += part.length;
  }

  /** The same as `takenParts`, joined; null when there is nothing. */
  #taken(): Buffer | null {
    const size = this.#queuedBytes;
    if (size === 0) return null;
    const parts = this.takenParts();
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, size);
  }

  /** Undici hands over what it held back before this returns. */
  #goOn(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#carrier?.resume();
  }

  /** From now on something has to come within the idle time. */
  #wait(reader: Reader): void {
    this.#reader = reader;
    this.#waitingSince = performance.now();
    this.#idle ??= setTimeout(() => this.#lookAtIdle(), this.#idleMs);
  }

  #lookAtIdle(): void {
    const ms = this.#idleMs;
    // Nobody waiting means that the client is slow, not the provider: the next to wait starts the time anew.
    const leftMs = this.#reader === null ? ms : this.#waitingSince + ms - performance.now();
    if (leftMs <= 0) this.fail(timeoutError('UND_ERR_BODY_TIMEOUT', `nothing more came for ${ms} ms`));
    else this.#idle = setTimeout(() => this.#lookAtIdle(), leftMs);
  }

  #lookAtHead(ms: number): void {
    // Only a body that is sent as it is made is ever late: its next part begins the time anew.
    if (this.#isBodyLate) this.#deadlines.join(this.#deadline);
    else this.fail(timeoutError('UND_ERR_HEADERS_TIMEOUT', `no answer within ${ms} ms`));
  }

  /** What a reader is told: the reason of the request's end, or how the answer broke. */
  #broken(): unknown {
    if (this.#life.isEnded) return this.#life.reason;
    return new UpstreamBrokenError(this.failure, { cause: this.error });
  }

  #finish(): void {
    this.#ended = true;
    this.#carrier = null;
    this.#deadlines.stop(this.#deadline);
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#life.offEnd(this.#onLifeEnd);
  }
}
