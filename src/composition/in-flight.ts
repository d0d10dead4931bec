import { Lifeline, ShutdownError } from '../domain/lifeline.js';
import type { UnderWay } from '../http/routed.js';
import { shuttingDown } from '../http/shutting-down.js';

/** Those who entered between two reloads. */
interface Cohort {
  size: number;
  /** Set once nobody enters any more. */
  onGone: (() => void) | null;
}

/**
 * A life with its place among all: a list in which places change hands, since the tables of a Set or Map that things
 * come to and leave all the time keep what they once held from being collected young.
 */
class TrackedLife extends Lifeline {
  readonly cohort: Cohort;
  /** -1 once it has left. */
  place: number;

  constructor(cohort: Cohort, place: number) {
    super();
    this.cohort = cohort;
    this.place = place;
  }
}

/** Requests that have not ended: a stop refuses new ones, waits for these, and cuts what is left. */
export class InFlight implements UnderWay {
  readonly #lives: TrackedLife[] = [];
  #cohort: Cohort = { size: 0, onGone: null };
  #draining = false;
  #onIdle: (() => void) | null = null;

  get isDraining(): boolean {
    return this.#draining;
  }

  get count(): number {
    return this.#lives.length;
  }

  enter(): Lifeline {
    if (this.#draining) throw shuttingDown();
    const life = new TrackedLife(this.#cohort, this.#lives.length);
    this.#lives.push(life);
    this.#cohort.size += 1;
    return life;
  }

  leave(life: Lifeline): void {
    if (!(life instanceof TrackedLife) || this.#lives[life.place] !== life) return;
    const { cohort, place } = life;
    const last = this.#lives.pop() as TrackedLife;
    if (last !== life) {
      this.#lives[place] = last;
      last.place = place;
    }
    life.place = -1;
    cohort.size -= 1;
    if (cohort.size === 0) cohort.onGone?.();
    if (this.#lives.length === 0) this.#onIdle?.();
  }

  /** Resolves once those have left who entered since the last call; whoever enters from now on is not waited for. */
  turnOver(): Promise<void> {
    const cohort = this.#cohort;
    this.#cohort = { size: 0, onGone: null };
    if (cohort.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      cohort.onGone = resolve;
    });
  }

  /** From now on nothing enters. */
  drain(): void {
    this.#draining = true;
  }

  /** Ends everything under way. */
  cut(): void {
    for (const life of [...this.#lives]) life.end(new ShutdownError());
  }

  /** True when all have ended within `ms`; a signal ends the wait sooner. */
  async idleWithin(ms: number, hurry?: AbortSignal): Promise<boolean> {
    if (this.#lives.length === 0) return true;
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
