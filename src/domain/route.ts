import type { WaybillError } from './errors.js';
import type { BroughtKey, KeyPool } from './keys.js';
import type { LimitScope } from './limit.js';
import type { Price } from './pricing.js';
import type { ProviderAdapter, UpstreamTarget } from './provider.js';
import type { Task } from './task.js';

/** Milliseconds an attempt may take, part by part. */
export interface TimeoutSettings {
  connectMs: number;
  firstByteMs: number;
  idleMs: number;
  totalMs: number;
}

/** A provider and one of its models, with everything an attempt needs. Built at load, shared by all requests. */
export interface Target {
  /** `provider:model`, the name of the breaker and of the target's statistics. */
  id: string;
  providerId: string;
  /** The model's name here. */
  model: string;
  adapter: ProviderAdapter;
  upstream: UpstreamTarget;
  tasks: readonly Task[];
  keys: KeyPool;
  /** Limits of the model itself, beside those of the key; null when it has none. */
  modelScope: LimitScope | null;
  price: Price | null;
  contextWindow: number | null;
  region: string | null;
  weight: number;
  timeouts: TimeoutSettings;
  onDisconnect: 'abort' | 'drain';
  /** The entry has no key of its own, and serves requests that bring one. */
  needsBroughtKey?: true;
  /** As one request sees it that brought a key: no limits of ours, and its owner pays. */
  isBrought?: true;
}

/** A target as the request sees it that brought a key for its provider. The same for any other. */
export function withBroughtKey(target: Target, { providerId, keys, price }: BroughtKey): Target {
  if (target.providerId !== providerId) return target;
  return { ...target, keys, price, modelScope: null, isBrought: true };
}

/** What a strategy knows of a candidate. Null is not known. */
export interface Signals {
  weight: number;
  /** Calls under way against the target's weight. */
  load: number;
  /** The used share of its request limits at the key with most room; null without such a limit. */
  reqRatio: number | null;
  /** The same of its token limits. */
  tokenRatio: number | null;
  /** Decayed share of failed attempts, from 0 to 1. */
  errorRate: number;
  /** This request's estimated cost in nano-USD. */
  cost: number | null;
  /** Decayed average of the time to first byte. */
  firstByteMs: number | null;
  /** Decayed average of output tokens a second, for `:fastest`. */
  outputPerSecond: number | null;
  /** Output price, for `:cheapest`. */
  outputRate: number | null;
}

/** What each signal adds to a score of `hybrid`. Together they are the score. */
export interface ScoreParts {
  tokenRatio: number;
  reqRatio: number;
  errorScore: number;
  latency: number;
  costRatio: number;
}

export interface Candidate {
  target: Target;
  /** Lower is better; null when the strategy gives none. */
  score: number | null;
  /** Why it stands where it stands, for `/explain` and the record. */
  reason: string;
  /** What it was judged by; null where there was nothing to choose between. */
  signals: Signals | null;
}

export interface Exclusion {
  provider: string;
  model: string;
  reason: string;
}

export interface Plan {
  /** In the order to try. Never empty: a plan without candidates is an error. */
  candidates: readonly Candidate[];
  excluded: readonly Exclusion[];
  /**
   * Targets whose breaker is open, the soonest first: each is probed before a request fails that has been tried on, or
   * could have gone to, another.
   */
  lastResorts: readonly Target[];
}

/** What a client may use. Patterns are globs; an absent region is no constraint. */
export interface Access {
  allowedProviders: readonly string[];
  allowedModels: readonly string[];
  region: string | null;
}

export interface RouteAsk {
  model: string;
  task: Task;
  access: Access;
  /** The request's own `x-waybill-region`. */
  region: string | null;
  /** What the request is expected to use: for limits and for the cheapest target. */
  inputTokens: number;
  /** The request's own output bound; null when it gives none. */
  outputTokens: number | null;
  /** A key that the request brought: the targets of its provider are asked with it, and before others. */
  brought?: BroughtKey | undefined;
}

/** One model a client may use, for `/v1/models`. */
export interface ListedModel {
  id: string;
  targets: readonly Target[];
}

/** The plan that the next request of this kind would get, with everything it comes from. */
export interface Forecast extends Plan {
  /** Empty where the request would be refused. */
  candidates: ReadonlyArray<Candidate & { signals: Signals; parts: ScoreParts | null }>;
  /** What the request would be told instead; null where it has a plan. */
  refusal: WaybillError | null;
}

export interface Router {
  /**
   * Ordered candidates. No I/O.
   * @throws WaybillError model_not_found, model_not_allowed, task_not_supported, no_target_available
   */
  plan(ask: RouteAsk): Plan;
  /**
   * What `plan` would answer if it were asked now. Takes no turn and no draw, so that the next plan is this one.
   * @throws WaybillError model_not_found
   */
  forecast(ask: RouteAsk): Forecast;
  /** Every name this client may ask for, aliases too. */
  list(access: Access): ListedModel[];
  /** The tasks of everything a name means; empty for a name that means nothing. */
  tasksOf(model: string): readonly Task[];
}

/** What the breaker and the averages learn from each attempt. */
export interface TargetHealth {
  /** Counts a call as under way until the returned function is called, with the speed of its answer where it has one. */
  begin(targetId: string): (outputPerSecond?: number) => void;
  /** Until an open breaker lets a probe through; 0 when it is closed. */
  retryInMs(targetId: string): number;
  isOpen(targetId: string): boolean;
  /** Takes the one probe an open breaker lets through; false when it is taken, or not due and not asked for `early`. */
  tryProbe(targetId: string, early?: boolean): boolean;
  record(targetId: string, outcome: { ok: boolean; firstByteMs: number | null }): void;
  /** The target answered, if only to refuse: closes its breaker. The averages learn nothing from it. */
  proofOfLife(targetId: string): void;
  /** The call that took the probe ended without telling anything: the next may take it at once. */
  abandonProbe(targetId: string): void;
  /** Drops what is known of targets that are not in the config any more, or stand elsewhere now. */
  forget(isGone: (targetId: string) => boolean): void;
  snapshot(targetId: string): {
    state: 'closed' | 'open' | 'half-open';
    errorRate: number;
    firstByteMs: number | null;
    /** Output tokens a second, from sending to the end. */
    outputPerSecond: number | null;
    underWay: number;
  };
}
