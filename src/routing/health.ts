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
  errorRate: number;
  underWay: number;
  /** Which use of any target was the last of this one. */
  touched: number;
}

/** How much the newest attempt counts in a decayed average. */
const DECAY = 0.2;

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
  let touches = 0;

  function stateOf(id: string): TargetState {
    const known = states.get(id);
    if (known !== undefined) {
      known.touched = touches += 1;
      return known;
    }
    if (states.size >= MAX_STATES) forgetOldestIdle();
    const state: TargetState = {
      failedAt: [],
      openUntil: null,
      probing: false,
      firstByteMs: null,
      errorRate: 0,
      underWay: 0,
      touched: (touches += 1),
    };
    states.set(id, state);
    return state;
  }

  function forgetOldestIdle(): void {
    let oldest: string | null = null;
    let oldestTouch = Number.POSITIVE_INFINITY;
    for (const [id, { underWay, touched }] of states) {
      if (underWay > 0 || touched >= oldestTouch) continue;
      oldest = id;
      oldestTouch = touched;
    }
    if (oldest !== null) states.delete(oldest);
  }

  function close(state: TargetState): void {
    state.failedAt.length = 0;
    state.openUntil = null;
    state.probing = false;
  }

  return {
    begin(id) {
      const state = stateOf(id);
      state.underWay += 1;
      let ended = false;
      return () => {
        if (ended) return;
        ended = true;
        state.underWay -= 1;
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
    tryProbe(id) {
      const state = states.get(id);
      if (state === undefined || state.openUntil === null) return true;
      if (clock.now() < state.openUntil) return false;
      state.probing = true;
      state.openUntil = clock.now() + settings().openMs;
      return true;
    },
    record(id, { ok, firstByteMs }) {
      const state = stateOf(id);
      const now = clock.now();
      state.errorRate += DECAY * ((ok ? 0 : 1) - state.errorRate);
      if (firstByteMs !== null) {
        state.firstByteMs =
          state.firstByteMs === null ? firstByteMs : state.firstByteMs + DECAY * (firstByteMs - state.firstByteMs);
      }
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
      if (state === undefined) return { state: 'closed', errorRate: 0, firstByteMs: null, underWay: 0 };
      const open = state.openUntil === null ? 'closed' : clock.now() >= state.openUntil ? 'half-open' : 'open';
      return { state: open, errorRate: state.errorRate, firstByteMs: state.firstByteMs, underWay: state.underWay };
    },
  };
}
