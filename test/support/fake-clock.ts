import type { Clock } from '../../src/domain/ports.js';

interface Sleeper {
  at: number;
  wake(): void;
}

/** A clock that stands still until it is told to go on. */
export class FakeClock implements Clock {
  #now: number;
  readonly #sleepers = new Set<Sleeper>();

  constructor(now = 1_700_000_000_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason);
        return;
      }
      const onAbort = () => {
        this.#sleepers.delete(sleeper);
        reject(signal?.reason);
      };
      const sleeper: Sleeper = {
        at: this.#now + ms,
        wake: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#sleepers.add(sleeper);
    });
  }

  /** How many sleep. */
  get sleeping(): number {
    return this.#sleepers.size;
  }

  /** Sets the time without waking anybody, as a change of the machine's clock does. */
  jumpTo(now: number): void {
    this.#now = now;
  }

  /** Goes on by `ms`, waking every sleeper at its own instant and letting what follows from that happen first. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settled();
    for (let next = this.#next(end); next !== null; next = this.#next(end)) {
      this.#now = Math.max(this.#now, next.at);
      this.#sleepers.delete(next);
      next.wake();
      await settled();
    }
    this.#now = end;
    await settled();
  }

  #next(end: number): Sleeper | null {
    let soonest: Sleeper | null = null;
    for (const sleeper of this.#sleepers) {
      if (sleeper.at <= end && (soonest === null || sleeper.at < soonest.at)) soonest = sleeper;
    }
    return soonest;
  }
}

/** Lets every promise that can settle do so; timers are not waited for. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
