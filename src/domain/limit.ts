/**
 * Limits: taken by estimate before a call, corrected by usage after it, concurrency given back at its end.
 */

/** What may be limited; a null or absent limit is none. */
export interface LimitSettings {
  reqPerMin?: number | null;
  tokensPerMin?: number | null;
  reqPerDay?: number | null;
  reqPerMonth?: number | null;
  /** Calls at once. */
  concurrency?: number | null;
  /** Tokens per session window. */
  sessionTokens?: number | null;
  sessionMs?: number | null;
}

/** One holder of limits: a provider key, a client, a model. State lives under `id` and survives a reload. */
export interface LimitScope {
  id: string;
  settings: LimitSettings;
}

/** Any one of these will do: for a target, one option per usable key. `option` is the caller's own name for it. */
export interface LimitOption {
  option: string;
  scopes: readonly LimitScope[];
}

/** What has to have room. */
export interface LimitDemand {
  /** In the caller's order of preference. */
  options: readonly LimitOption[];
  /** Tokens reserved: input estimate and output bound. */
  tokens: number;
}

export interface LimitAsk extends LimitDemand {
  /** Requests wait in the line of this name, fairly across `client`. */
  queue: string;
  client: string;
  maxWaitMs: number;
}

/** An ask of somebody who waits, until the signal aborts. */
export interface WaitingAsk extends LimitAsk {
  signal: AbortSignal;
}

export interface Reservation {
  /** The option that had room. */
  option: string;
  /** Tokens taken: the estimate, or what it was settled to. */
  readonly tokens: number;
  /** The call is being sent only now: what was taken counts from here. */
  sent(): void;
  /** Corrects the tokens taken; a null is unknown and changes nothing. A lower bound never gives back. */
  settle(tokens: number | null, isLowerBound: boolean): void;
  /** Ends concurrency. Safe to call twice. */
  release(): void;
}

export interface Limiter {
  /** Room now, or null. No promise on the way of a request that need not wait. */
  tryReserve(demand: LimitDemand): Reservation | null;
  /**
   * Waits its turn for at most `maxWaitMs`.
   * @throws LimitWaitError when the wait would be too long, the line is full, or the request can never fit
   * @throws the signal's reason when it aborts
   */
  reserve(ask: WaitingAsk): Promise<Reservation>;
  /** True when the scope has room for a request of this size now. */
  hasRoom(scopes: readonly LimitScope[], tokens: number): boolean;
  /** Used and left of each limit of a scope, for headers and operators. */
  snapshot(scope: LimitScope): LimitSnapshot[];
  /** What the provider said is left, believed over our own count. */
  observe(scope: LimitScope, stated: StatedLimit): void;
  /** Counts what was taken before this process began: oldest first, and before anything is reserved. */
  restore(scope: LimitScope, taking: PastTaking): void;
  /** Requests waiting. */
  queueDepth(): number;
  close(): Promise<void>;
}

/** What one call, or many together, took of a scope's windows; concurrency is over. */
export interface PastTaking {
  /** Epoch milliseconds; of many together, the last. */
  at: number;
  requests: number;
  tokens: number;
}

export interface LimitSnapshot {
  kind: 'requests' | 'tokens' | 'concurrency';
  windowMs: number | null;
  limit: number;
  remaining: number;
  /** Until the window has all its room again. */
  resetMs: number;
}

export interface StatedLimit {
  kind: 'requests' | 'tokens';
  remaining: number;
  resetMs: number;
}

/** Why a reservation was not given. */
export class LimitWaitError extends Error {
  readonly reason: 'too-long' | 'queue-full' | 'never-fits';
  /** When room is expected; null when never. */
  readonly retryAfterMs: number | null;
  /** The scope that had no room. */
  readonly scopeId: string;

  constructor(options: {
    reason: LimitWaitError['reason'];
    retryAfterMs: number | null;
    scopeId: string;
    message: string;
  }) {
    super(options.message);
    this.name = 'LimitWaitError';
    this.reason = options.reason;
    this.retryAfterMs = options.retryAfterMs;
    this.scopeId = options.scopeId;
  }
}
