import type { LimitSettings, LimitSnapshot, PastTaking, StatedLimit } from '../domain/limit.js';
import { RollingWindow } from './window.js';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Windows roll, so a month is as long as the longest one: no calendar month sees more than the limit. */
const MONTH_MS = 31 * DAY_MS;
const DEFAULT_SESSION_MS = 3_600_000;

interface WindowKind {
  kind: 'requests' | 'tokens';
  limit: (settings: LimitSettings) => number | null | undefined;
  windowMs: (settings: LimitSettings) => number;
}

/** Every limit that counts over time; concurrency is the one that does not. */
const WINDOW_KINDS: readonly WindowKind[] = [
  { kind: 'requests', limit: (settings) => settings.reqPerMin, windowMs: () => MINUTE_MS },
  { kind: 'tokens', limit: (settings) => settings.tokensPerMin, windowMs: () => MINUTE_MS },
  { kind: 'requests', limit: (settings) => settings.reqPerDay, windowMs: () => DAY_MS },
  { kind: 'requests', limit: (settings) => settings.reqPerMonth, windowMs: () => MONTH_MS },
  {
    kind: 'tokens',
    limit: (settings) => settings.sessionTokens,
    windowMs: (settings) => settings.sessionMs ?? DEFAULT_SESSION_MS,
  },
];

/** A limit that settings set, with what it means. */
interface SetLimit {
  /** Position in `WINDOW_KINDS`. */
  nth: number;
  kind: 'requests' | 'tokens';
  limit: number;
  windowMs: number;
}

/** What the provider last said is left, less what was taken since. */
interface Stated {
  remaining: number;
  at: number;
  until: number;
}

/** True when a request of this size fits into these limits at all. */
export function canEverFit(settings: LimitSettings, tokens: number): boolean {
  if (settings.concurrency != null && settings.concurrency < 1) return false;
  for (const kind of WINDOW_KINDS) {
    const limit = kind.limit(settings);
    if (limit != null && weightOf(kind, tokens) > limit) return false;
  }
  return true;
}

/** How far back these limits count, in milliseconds; 0 where none counts over time. */
export function longestWindowMs(settings: LimitSettings): number {
  const counted = WINDOW_KINDS.filter((kind) => kind.limit(settings) != null);
  return Math.max(0, ...counted.map((kind) => kind.windowMs(settings)));
}

/**
 * The counters of one holder of limits. Settings come with each question, so a reload changes limits and keeps counts.
 * All instants are those of one clock that never goes back.
 */
export class ScopeState {
  /** The pass in which a waiter that needs this scope found no room in it: nobody else may take from it then. */
  claimedInPass = -1;
  #running = 0;
  #windows: Array<RollingWindow | null> = WINDOW_KINDS.map(() => null);
  /** Settings are the same from call to call, but for a reload: their limits are listed once. */
  #settings: LimitSettings | null = null;
  #set: readonly SetLimit[] = [];
  #statedRequests: Stated | null = null;
  #statedTokens: Stated | null = null;

  hasRoom(settings: LimitSettings, tokens: number, now: number): boolean {
    if (settings.concurrency != null && this.#running >= settings.concurrency) return false;
    for (const set of this.#setBy(settings)) {
      const used = this.#windowOf(set)?.used(now) ?? 0;
      if (used + weightOf(set, tokens) > set.limit) return false;
    }
    return this.#statedRoomAt('requests', 1, now) <= now && this.#statedRoomAt('tokens', tokens, now) <= now;
  }

  /** The first instant at which time alone gives room; `now` when only a running call stands in the way. */
  roomAt(settings: LimitSettings, tokens: number, now: number): number {
    let instant = Math.max(this.#statedRoomAt('requests', 1, now), this.#statedRoomAt('tokens', tokens, now));
    for (const set of this.#setBy(settings)) {
      instant = Math.max(instant, this.#windowOf(set)?.fallsTo(set.limit - weightOf(set, tokens), now) ?? now);
    }
    return instant;
  }

  take(settings: LimitSettings, tokens: number, now: number): void {
    this.#running += 1;
    this.#count(settings, 1, tokens, now);
    if (this.#statedRequests !== null) this.#statedRequests.remaining -= 1;
    if (this.#statedTokens !== null) this.#statedTokens.remaining -= tokens;
  }

  /** Counts what was taken before; what lies in the future, by a clock that was set back, as taken now. */
  restore(settings: LimitSettings, { at, requests, tokens }: PastTaking, now: number): void {
    this.#count(settings, requests, tokens, Math.min(at, now));
  }

  /** Corrects the tokens taken at `at` by `delta`; `settings` are those they were taken with. */
  correctTokens(settings: LimitSettings, delta: number, at: number, now: number): void {
    this.#correct('tokens', settings, delta, at, now);
  }

  /** Gives back a request that was never sent. Its concurrency is given back by `release`. */
  undo(settings: LimitSettings, tokens: number, at: number, now: number): void {
    this.#correct('requests', settings, -1, at, now);
    this.#correct('tokens', settings, -tokens, at, now);
  }

  /** What was taken at `at` counts from `now`: a provider that said in between what is left did not know of it. */
  move(settings: LimitSettings, tokens: number, at: number, now: number): void {
    for (const set of this.#setBy(settings)) this.#windowOf(set)?.move(at, now, weightOf(set, tokens));
    for (const kind of ['requests', 'tokens'] as const) {
      const stated = this.#standing(kind, now);
      if (stated !== null && at < stated.at) stated.remaining -= kind === 'requests' ? 1 : tokens;
    }
  }

  release(): void {
    this.#running -= 1;
  }

  observe({ kind, remaining, resetMs }: StatedLimit, now: number): void {
    this.#believe(kind, resetMs > 0 ? { remaining, at: now, until: now + resetMs } : null);
  }

  snapshot(settings: LimitSettings, now: number): LimitSnapshot[] {
    const rows: LimitSnapshot[] = [];
    for (const set of this.#setBy(settings)) {
      const { kind, windowMs, limit } = set;
      const window = this.#windowOf(set);
      const own = limit - (window?.used(now) ?? 0);
      const stated = windowMs === MINUTE_MS ? this.#standing(kind, now) : null;
      const isStated = stated !== null && stated.remaining < own;
      rows.push({
        kind,
        windowMs,
        limit,
        remaining: Math.max(0, isStated ? stated.remaining : own),
        resetMs: Math.max((window?.emptyAt(now) ?? now) - now, isStated ? stated.until - now : 0),
      });
    }
    if (settings.concurrency != null) {
      const remaining = Math.max(0, settings.concurrency - this.#running);
      rows.push({ kind: 'concurrency', windowMs: null, limit: settings.concurrency, remaining, resetMs: 0 });
    }
    return rows;
  }

  /** True when forgetting this state changes nothing. */
  isIdle(now: number): boolean {
    if (this.#running > 0 || this.#standing('requests', now) !== null || this.#standing('tokens', now) !== null) {
      return false;
    }
    return this.#windows.every((window) => window === null || window.used(now) === 0);
  }

  #count(settings: LimitSettings, requests: number, tokens: number, at: number): void {
    for (const set of this.#setBy(settings)) {
      let window = this.#windowOf(set);
      if (window === null) {
        window = new RollingWindow(set.windowMs);
        this.#windows[set.nth] = window;
      }
      window.add(at, set.kind === 'requests' ? requests : tokens);
    }
  }

  #correct(which: 'requests' | 'tokens', settings: LimitSettings, delta: number, at: number, now: number): void {
    for (const { kind, nth } of this.#setBy(settings)) {
      if (kind === which) this.#windows[nth]?.correct(at, delta, now);
    }
    const stated = this.#standing(which, now);
    if (stated !== null && at >= stated.at) stated.remaining -= delta;
  }

  /** The window of a kind; null before its first request. Settings with another length take its takings along. */
  #windowOf({ nth, windowMs }: SetLimit): RollingWindow | null {
    const known = this.#windows[nth] ?? null;
    if (known === null) return null;
    if (known.windowMs === windowMs) return known;
    const resized = known.resized(windowMs);
    this.#windows[nth] = resized;
    return resized;
  }

  #setBy(settings: LimitSettings): readonly SetLimit[] {
    if (this.#settings === settings) return this.#set;
    this.#settings = settings;
    this.#set = WINDOW_KINDS.flatMap(({ kind, limit, windowMs }, nth) => {
      const set = limit(settings);
      return set == null ? [] : [{ nth, kind, limit: set, windowMs: windowMs(settings) }];
    });
    return this.#set;
  }

  #statedRoomAt(kind: 'requests' | 'tokens', weight: number, now: number): number {
    const stated = this.#standing(kind, now);
    return stated === null || stated.remaining >= weight ? now : stated.until;
  }

  #standing(kind: 'requests' | 'tokens', now: number): Stated | null {
    const stated = kind === 'requests' ? this.#statedRequests : this.#statedTokens;
    if (stated === null || stated.until > now) return stated;
    this.#believe(kind, null);
    return null;
  }

  #believe(kind: 'requests' | 'tokens', stated: Stated | null): void {
    if (kind === 'requests') this.#statedRequests = stated;
    else this.#statedTokens = stated;
  }
}

function weightOf(kind: Pick<WindowKind, 'kind'>, tokens: number): number {
  return kind.kind === 'requests' ? 1 : tokens;
}

const FIRST_SWEEP = 4_096;

/** All scopes by id. Those that hold nothing any more are forgotten when there are many. */
export class ScopeStates {
  readonly #states = new Map<string, ScopeState>();
  #sweepAt = FIRST_SWEEP;

  get(id: string, now: number): ScopeState {
    const known = this.#states.get(id);
    if (known !== undefined) return known;
    if (this.#states.size >= this.#sweepAt) this.#sweep(now);
    const state = new ScopeState();
    this.#states.set(id, state);
    return state;
  }

  #sweep(now: number): void {
    for (const [id, state] of this.#states) {
      if (state.isIdle(now)) this.#states.delete(id);
    }
    this.#sweepAt = Math.max(FIRST_SWEEP, this.#states.size * 2);
  }
}
