import type { Clock, Random } from '../domain/ports.js';

/** All the waiting a request may do between its attempts. */
export class WaitBudget {
  #leftMs: number;
  readonly #clock: Clock;

  constructor(maxWaitMs: number, clock: Clock) {
    this.#leftMs = maxWaitMs;
    this.#clock = clock;
  }

  get leftMs(): number {
    return this.#leftMs;
  }

  /** @throws the signal's reason when it aborts */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    const waited = Math.min(ms, this.#leftMs);
    this.#leftMs -= waited;
    await this.#clock.sleep(waited, signal);
  }
}

/** The n-th back-off (from 0): doubled each time, bounded, with full jitter in its upper half. */
export function backoffMs(
  retry: number,
  settings: { intervalMs: number; maxIntervalMs: number },
  random: Random,
): number {
  const whole = Math.min(settings.intervalMs * 2 ** retry, settings.maxIntervalMs);
  return whole * (0.5 + random() / 2);
}
