import type { Clock } from '../domain/ports.js';
import type { Plan, Target, TargetHealth } from '../domain/route.js';

/**
 * What a request has seen of its targets, and which of them are worth a second look before it fails: those whose breaker
 * is open, and those that said when they will be ready.
 */
export class SecondChances {
  readonly #health: TargetHealth;
  readonly #clock: Clock;
  #tried: readonly Target[] = [];
  /** When targets that could not answer will be ready: a model is loaded then, or the first key has cooled down. */
  #readyAt: Map<Target, number> | null = null;

  constructor({ health, clock }: { health: TargetHealth; clock: Clock }) {
    this.#health = health;
    this.#clock = clock;
  }

  tried(target: Target): void {
    this.#tried = this.#tried.length === 0 ? [target] : [...this.#tried, target];
    this.#readyAt?.delete(target);
  }

  /** The target could not answer now, and is ready again so soon. */
  readyIn(target: Target, ms: number): void {
    this.#readyAt ??= new Map();
    this.#readyAt.set(target, this.#clock.now() + ms);
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
      if (inMs !== null && inMs <= withinMs && (best === null || inMs < best.inMs)) best = { target, inMs };
    }
    return best;
  }

  /** True when a target that was tried is ready sooner. */
  isOtherSooner(than: Target, readyInMs: number): boolean {
    return this.#tried.some((target) => {
      const inMs = target === than ? null : this.#readyInMs(target);
      return inMs !== null && inMs < readyInMs;
    });
  }

  /** Until the target's keys have cooled down and its model is loaded, 0 once they are; null where it waited for neither. */
  #readyInMs(target: Target): number | null {
    if (this.#health.isOpen(target.id)) return null;
    const keysInMs = target.keys.readyInMs();
    if (keysInMs === null) return null;
    const at = this.#readyAt?.get(target);
    if (at === undefined) return keysInMs === 0 ? null : keysInMs;
    return Math.max(keysInMs, at - this.#clock.now(), 0);
  }
}
