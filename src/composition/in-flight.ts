import { ShutdownError } from '../domain/dispatch.js';
import type { UnderWay } from '../http/routed.js';
import { shuttingDown } from '../http/server.js';

/** Requests that have not ended: a stop refuses new ones, waits for these, and cuts what is left. */
export class InFlight implements UnderWay {
  readonly #controllers = new Set<AbortController>();
  #draining = false;
  #onIdle: (() => void) | null = null;

  get isDraining(): boolean {
    return this.#draining;
  }

  get count(): number {
    return this.#controllers.size;
  }

  enter(): AbortController {
    if (this.#draining) throw shuttingDown();
    const controller = new AbortController();
    this.#controllers.add(controller);
    return controller;
  }

  leave(controller: AbortController): void {
    this.#controllers.delete(controller);
    if (this.#controllers.size === 0) this.#onIdle?.();
  }

  /** From now on nothing enters. */
  drain(): void {
    this.#draining = true;
  }

  /** Ends everything under way. */
  cut(): void {
    for (const controller of this.#controllers) controller.abort(new ShutdownError());
  }

  /** True when all have ended within `ms`; a signal ends the wait sooner. */
  async idleWithin(ms: number, hurry?: AbortSignal): Promise<boolean> {
    if (this.#controllers.size === 0) return true;
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
