import type { Clock } from '../domain/ports.js';
import type { Plan, Target, TargetHealth } from '../domain/route.js';

/**
 * What a request has seen of its targets, and which of them are worth a second look before it fails: those whose breaker
 * is open, and those that said when they will be ready.
 */
export class SecondChances {
  readonly #health: TargetHealth;
  readonly #clock: Clock;
  readonly #tried: Target[] = [];
  /** When models that are loading say that they will be ready. */
  #loadedAt: Map<Target, number> | null = null;

  constructor({ health, clock }: { health: TargetHealth; clock: Clock }) {
    this.#health = health;
    this.#clock = clock;
  }

  tried(target: Target): void {
    this.#tried.push(target);
    this.#loadedAt?.delete(target);
  }

  /** The target's model says that it is loading. */
  loading(target: Target, forMs: number): void {
    this.#loadedAt ??= new Map();
    this.#loadedAt.set(target, this.#clock.now() + forMs);
  }

  /** Targets that were not tried, then those whose breaker is open; none where there is only one target. */
  leftAlone({ candidates, lastResorts }: Plan): readonly Target[] {
    const all = new Set([...lastResorts, ...candidates.map(({ target }) => target)]);
    if (all.size < 2) return [];
    const untried = [...all].filter((target) => !this.#tried.includes(target));
    // One that was left alone when the plan was made may be well by now: others have probed it.
    return [...untried, ...this.#tried.filter(({ id }) => this.#health.isOpen(id))];
  }

  /** The target that says it is ready the soonest, and within so many milliseconds. */
  soonest({ candidates }: Plan, withinMs: number): { target: Target; inMs: number } | null {
    let best: { target: Target; inMs: number } | null = null;
    for (const { target } of candidates) {
      const inMs = this.#readyInMs(target);
      if (inMs > 0 && inMs <= withinMs && (best === null || inMs < best.inMs)) best = { target, inMs };
    }
    return best;
  }

  /** True when a target that was tried is ready sooner. */
  isOtherSooner(readyInMs: number): boolean {
    return this.#tried.some((target) => {
      const inMs = this.#readyInMs(target);
      return inMs > 0 && inMs < readyInMs;
    });
  }

  /** Until the target's keys have cooled down, or its model is loaded; 0 where it waits for neither. */
  #readyInMs(target: Target): number {
    if (this.#health.isOpen(target.id)) return 0;
    const loadedInMs = (this.#loadedAt?.get(target) ?? 0) - this.#clock.now();
    return Math.max(target.keys.readyInMs() ?? 0, loadedInMs);
  }
}
