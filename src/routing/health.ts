import type { Clock } from '../domain/ports.js';
import type { TargetHealth } from '../domain/route.js';

export interface BreakerSettings {
  /** Failures within the window that open it. */
  failures: number;
  windowMs: number;
  openMs: number;
}

interface TargetState {
  failedAt: number[];
  openUntil: number | null;
  probing: boolean;
  firstByteMs: number | null;
  outputPerSecond: number | null;
  errorRate: number;
  underWay: number;
  /** When something was last learned of it, … */
  learnedAt: number;
  /** … and after how many attempts on all targets. */
  learnedAfter: number;
}

/** How much the newest attempt counts in a decayed average, where the one before is fresh. */
const DECAY = 0.2;

/**
 * What was learned of a target that is not used any more counts half after so long and so many attempts on others: a slow
 * one is tried again, but never by more than a few in a hundred requests.
 */
const HALF_LIFE = { ms: 3_000, attempts: 20 };

/** With an entry that lists no models, callers choose the names of targets: more than this many are not kept. */
const MAX_STATES = 10_000;

/**
 * One breaker and the decayed averages of every target. A probe that never reports is given up after `openMs`.
 * Of more than 10,000 targets the ones untouched longest are forgotten, those with a call under way last.
 */
export function createTargetHealth({
  clock,
  settings,
}: {
  clock: Clock;
  settings: () => BreakerSettings;
}): TargetHealth {
  const states = new Map<string, TargetState>();
  let lastTouched: string | null = null;
  let attempts = 0;

  function stateOf(id: string): TargetState {
    const known = states.get(id);
    if (known !== undefined) {
      if (id === lastTouched) return known;
      lastTouched = id;
      // A Map keeps the order of insertion: the oldest untouched stands first.
      states.delete(id);
      states.set(id, known);
      return known;
    }
    lastTouched = id;
    if (states.size >= MAX_STATES) forgetOldestIdle();
    const state: TargetState = {
      failedAt: [],
      openUntil: null,
      probing: false,
      firstByteMs: null,
      outputPerSecond: null,
      errorRate: 0,
      underWay: 0,
      learnedAt: clock.now(),
      learnedAfter: attempts,
    };
    states.set(id, state);
    return state;
  }

  function forgetOldestIdle(): void {
    for (const [id, { underWay }] of states) {
      if (underWay > 0) continue;
      states.delete(id);
      return;
    }
  }

  /** What is left of an old figure, from 1 to 0. */
  function freshness({ learnedAt, learnedAfter }: TargetState, now: number): number {
    const halves = Math.min((now - learnedAt) / HALF_LIFE.ms, (attempts - learnedAfter) / HALF_LIFE.attempts);
    return 0.5 ** Math.max(0, halves);
  }

  function close(state: TargetState): void {
    // Setting a list's length costs more than looking at it, and there is nothing to forget but after failures.
    if (state.failedAt.length > 0) state.failedAt = [];
    state.openUntil = null;
    state.probing = false;
  }

  return {
    begin(id) {
      const state = stateOf(id);
      state.underWay += 1;
      let ended = false;
      return (outputPerSecond) => {
        if (ended) return;
        ended = true;
        state.underWay -= 1;
        if (outputPerSecond === undefined) return;
        const before = state.outputPerSecond ?? outputPerSecond;
        state.outputPerSecond = before + DECAY * (outputPerSecond - before);
      };
    },
    retryInMs(id) {
      const until = states.get(id)?.openUntil ?? null;
      return until === null ? 0 : Math.max(0, until - clock.now());
    },
    isOpen(id) {
      const state = states.get(id);
      if (state === undefined || state.openUntil === null) return false;
      return clock.now() < state.openUntil;
    },
    tryProbe(id, early = false) {
      const state = states.get(id);
      if (state === undefined || state.openUntil === null) return true;
      if (clock.now() < state.openUntil && (!early || state.probing)) return false;
      state.probing = true;
      state.openUntil = clock.now() + settings().openMs;
      return true;
    },
    record(id, { ok, firstByteMs }) {
      const state = stateOf(id);
      const now = clock.now();
      const share = Math.max(DECAY, 1 - freshness(state, now));
      state.errorRate += share * ((ok ? 0 : 1) - state.errorRate);
      if (firstByteMs !== null) {
        state.firstByteMs =
          state.firstByteMs === null ? firstByteMs : state.firstByteMs + share * (firstByteMs - state.firstByteMs);
      }
      attempts += 1;
      state.learnedAt = now;
      state.learnedAfter = attempts;
      if (ok) {
        close(state);
        return;
      }
      const { failures, windowMs, openMs } = settings();
      state.failedAt = state.failedAt.filter((at) => now - at < windowMs);
      state.failedAt.push(now);
      if (state.probing || state.failedAt.length >= failures) {
        state.openUntil = now + openMs;
        state.probing = false;
        state.failedAt.length = 0;
      }
    },
    proofOfLife(id) {
      const state = states.get(id);
      if (state !== undefined) close(state);
    },
    abandonProbe(id) {
      const state = states.get(id);
      if (state === undefined || !state.probing) return;
      state.probing = false;
      state.openUntil = clock.now();
    },
    forget(isGone) {
      for (const id of states.keys()) {
        if (isGone(id)) states.delete(id);
      }
    },
    snapshot(id) {
      const state = states.get(id);
      if (state === undefined) {
        return { state: 'closed', errorRate: 0, firstByteMs: null, outputPerSecond: null, underWay: 0 };
      }
      const open = state.openUntil === null ? 'closed' : clock.now() >= state.openUntil ? 'half-open' : 'open';
      // While one is under way to find out, the others go by what is known.
      const left = state.underWay > 0 ? 1 : freshness(state, clock.now());
      return {
        state: open,
        errorRate: state.errorRate * left,
        firstByteMs: state.firstByteMs === null ? null : state.firstByteMs * left,
        outputPerSecond: state.outputPerSecond === null ? null : state.outputPerSecond / left,
        underWay: state.underWay,
      };
    },
  };
}
