import { Lifeline, ShutdownError } from '../domain/lifeline.js';
import type { UnderWay } from '../http/routed.js';
import { shuttingDown } from '../http/server.js';

/** Requests that have not ended: a stop refuses new ones, waits for these, and cuts what is left. */
export class InFlight implements UnderWay {
  readonly #lives = new Set<Lifeline>();
  #draining = false;
  #onIdle: (() => void) | null = null;

  get isDraining(): boolean {
    return this.#draining;
  }

  get count(): number {
    return this.#lives.size;
  }

  enter(): Lifeline {
    if (this.#draining) throw shuttingDown();
    const life = new Lifeline();
    this.#lives.add(life);
    return life;
  }

  leave(life: Lifeline): void {
    this.#lives.delete(life);
    if (this.#lives.size === 0) this.#onIdle?.();
  }

  /** From now on nothing enters. */
  drain(): void {
    this.#draining = true;
  }

  /** Ends everything under way. */
  cut(): void {
    for (const life of this.#lives) life.end(new ShutdownError());
  }

  /** True when all have ended within `ms`; a signal ends the wait sooner. */
  async idleWithin(ms: number, hurry?: AbortSignal): Promise<boolean> {
    if (this.#lives.size === 0) return true;
    return new Promise((resolve) => {
      const done = (idle: boolean) => {
        clearTimeout(timer);
        hurry?.removeEventListener('abort', onHurry);
        this.#onIdle = null;
        resolve(idle);
      };
      const onHurry = () => done(false);
      const timer = setTimeout(() => done(false), ms);
      this.#onIdle = () => done(true);
      if (hurry?.aborted === true) onHurry();
      else hurry?.addEventListener('abort', onHurry, { once: true });
    });
  }
}
