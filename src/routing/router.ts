import { WaybillError } from '../domain/errors.js';
import type { Random } from '../domain/ports.js';
import { costOf } from '../domain/pricing.js';
import type { Candidate, Exclusion, Plan, RouteAsk, Router, Target, TargetHealth } from '../domain/route.js';
import { noCounts } from '../domain/usage.js';
import type { Meaning, NameResolver, Preference, Resolution } from './resolve.js';
import { whyNotAllowed } from './resolve.js';
import {
  cheapestOutput,
  fastestOutput,
  type HybridWeights,
  hybrid,
  inOrder,
  leastLoaded,
  lowestCost,
  lowestLatency,
  roundRobin,
  type Signals,
  type Strategy,
  weighted,
} from './strategies.js';

export interface RouterSettings {
  algorithm: 'round_robin' | 'weighted' | 'least_loaded' | 'lowest_cost' | 'lowest_latency' | 'hybrid';
  hybridWeights: HybridWeights;
  fallback: { enabled: boolean; maxProviders: number; providers: readonly string[] };
}

export interface RouterParts {
  resolver: NameResolver;
  health: TargetHealth;
  settings: RouterSettings;
  /** Targets of a provider that offer a model by this name. */
  offered: (providerId: string, model: string) => Target | null;
  /** True when a key of the target is free and has room for so many tokens now. */
  hasRoom: (target: Target, tokens: number) => boolean;
  /** Output tokens a request is expected to get from a target: within its bound, or what the model usually writes. */
  expectedOutput: (target: Target, ask: RouteAsk) => number;
  /** The used share of a target's limits at the key with most room; null where it has none. */
  used: (target: Target) => { reqRatio: number | null; tokenRatio: number | null };
  random: Random;
}

const STRATEGIES: Record<Exclude<RouterSettings['algorithm'], 'hybrid'>, Strategy> = {
  round_robin: roundRobin,
  weighted,
  least_loaded: leastLoaded,
  lowest_cost: lowestCost,
  lowest_latency: lowestLatency,
};

const PREFERENCES: Record<Exclude<Preference, 'none'>, Strategy> = {
  preferred: inOrder,
  cheapest: cheapestOutput,
  fastest: fastestOutput,
};

/** Turns a name into the ordered list of targets to try. No I/O. */
export function createRouter(parts: RouterParts): Router {
  const turns = new Map<string, number>();
  const { algorithm, hybridWeights } = parts.settings;
  const chosen = algorithm === 'hybrid' ? hybrid(hybridWeights) : STRATEGIES[algorithm];

  function plan(ask: RouteAsk): Plan {
    const resolution = parts.resolver.resolve(ask.model);
    if (resolution === null) throw parts.resolver.unknown(ask.model, ask.access);
    const excluded: Exclusion[] = [];
    const allowed = permit(resolution, ask, excluded);
    const fit = allowed.meanings.filter(({ target }) => supports(target, ask, excluded));
    const fallbacks = allowed.fallbacks.filter((target) => supports(target, ask, excluded));
    if (fit.length === 0 && fallbacks.length === 0) throw taskNotSupported(ask);
    const alive = fit.filter(({ target }) => isAlive(target, excluded));
    const ordered = [
      ...order(alive, resolution.preference, ask),
      ...fallbacks
        .filter((target) => isAlive(target, excluded))
        .map((target) => ({ target, score: null, reason: 'fallback' })),
    ];
    const all = [...fit.map(({ target }) => target), ...fallbacks];
    const open = all.filter(isOpen).sort((one, other) => retryInMs(one) - retryInMs(other));
    // Where there is nothing else, what failed is left alone; among several, one may be well again.
    if (ordered.length === 0 && new Set(open).size < 2) throw noneAlive(all, parts.health);
    const resorts = open.map((target) => ({ target, score: null, reason: 'last resort' }));
    const inReach = bounded(unique([...ordered, ...resorts]), excluded);
    const lastResorts = inReach.filter(({ target }) => open.includes(target)).map(({ target }) => target);
    const candidates = inReach.filter(({ target }) => ordered.length === 0 || !open.includes(target));
    return { candidates, excluded, lastResorts };
  }

  function permit(
    resolution: Resolution,
    ask: RouteAsk,
    excluded: Exclusion[],
  ): Pick<Resolution, 'meanings' | 'fallbacks'> {
    const mayUse = (target: Target) => {
      const reason = whyNotAllowed(target, ask.access, ask.region, ask.model);
      if (reason !== null) excluded.push({ provider: target.providerId, model: target.model, reason });
      return reason === null;
    };
    const meanings = resolution.meanings.filter((meaning) => mayUse(meaning.target));
    const named = parts.settings.fallback.enabled ? [...resolution.fallbacks, ...standIns(resolution)] : [];
    const fallbacks = named.filter(mayUse);
    if (meanings.length > 0 || fallbacks.length > 0) return { meanings, fallbacks };
    throw new WaybillError('model_not_allowed', {
      message: `The model \`${ask.model}\` may not be used: ${excluded[0]?.reason ?? 'not allowed for this client'}.`,
      param: 'model',
    });
  }

  /** Providers that `fallback.providers` lists and that offer the same model by name. */
  function standIns(resolution: Resolution): Target[] {
    const first = resolution.meanings[0]?.target;
    if (first === undefined) return [];
    return parts.settings.fallback.providers
      .map((providerId) => parts.offered(providerId, first.model))
      .filter((target): target is Target => target !== null);
  }

  function isAlive(target: Target, excluded: Exclusion[]): boolean {
    const readyInMs = target.keys.readyInMs();
    const reason =
      readyInMs === null
        ? 'every key is disabled'
        : parts.health.isOpen(target.id)
          ? `left alone for ${parts.health.retryInMs(target.id)} ms after repeated failures`
          : null;
    if (reason !== null) excluded.push({ provider: target.providerId, model: target.model, reason });
    return reason === null;
  }

  function isOpen(target: Target): boolean {
    return target.keys.readyInMs() !== null && parts.health.isOpen(target.id);
  }

  function retryInMs(target: Target): number {
    return parts.health.retryInMs(target.id);
  }

  function order(meanings: readonly Meaning[], preference: Preference, ask: RouteAsk): Candidate[] {
    const [only] = meanings;
    if (only === undefined) return [];
    if (meanings.length === 1) return [{ target: only.target, score: null, reason: 'only target' }];
    const turn = turns.get(ask.model) ?? 0;
    turns.set(ask.model, turn + 1);
    const strategy = preference === 'none' ? chosen : PREFERENCES[preference];
    const name = preference === 'none' ? algorithm : preference;
    const tokens = ask.inputTokens + (ask.outputTokens ?? 0);
    const scored = strategy(
      meanings.map((meaning) => signalsOf(meaning, ask)),
      turn,
      parts.random,
    );
    const candidates: Candidate[] = [];
    const waiting: Candidate[] = [];
    for (const { index, score } of scored) {
      const target = meanings[index]?.target;
      if (target === undefined) continue;
      if (parts.hasRoom(target, tokens)) candidates.push({ target, score, reason: name });
      else waiting.push({ target, score, reason: `${name}, no room now` });
    }
    return [...candidates, ...waiting];
  }

  function signalsOf({ target, weight }: Meaning, ask: RouteAsk): Signals {
    const health = parts.health.snapshot(target.id);
    const counts = { ...noCounts(), input: ask.inputTokens, output: parts.expectedOutput(target, ask) };
    const cost = costOf(counts, target.price);
    return {
      weight,
      load: health.underWay / weight,
      ...parts.used(target),
      errorRate: health.errorRate,
      cost: cost.known ? Number(cost.nanoUsd) : null,
      firstByteMs: health.firstByteMs,
      outputPerSecond: health.outputPerSecond,
      outputRate: target.price?.rates.output === undefined ? null : Number(target.price.rates.output),
    };
  }

  /** At most `max_providers` other providers are fallen back to; none when fallback is off. */
  function bounded(candidates: Candidate[], excluded: Exclusion[]): Candidate[] {
    const { enabled, maxProviders } = parts.settings.fallback;
    const providers = new Set<string>();
    return candidates.filter(({ target }, index) => {
      const isNew = !providers.has(target.providerId);
      if (enabled ? isNew && providers.size > maxProviders : index > 0) {
        const reason = enabled ? 'beyond fallback.max_providers' : 'fallback is off';
        excluded.push({ provider: target.providerId, model: target.model, reason });
        return false;
      }
      providers.add(target.providerId);
      return true;
    });
  }

  return { plan, list: (access) => parts.resolver.list(access) };
}

function supports(target: Target, ask: RouteAsk, excluded: Exclusion[]): boolean {
  const can = target.tasks.includes(ask.task) && target.adapter.tasks[ask.task] !== undefined;
  if (!can) excluded.push({ provider: target.providerId, model: target.model, reason: `does not do ${ask.task}` });
  return can;
}

function unique(candidates: readonly Candidate[]): Candidate[] {
  const seen = new Set<string>();
  return candidates.filter(({ target }) => {
    if (seen.has(target.id)) return false;
    seen.add(target.id);
    return true;
  });
}

function taskNotSupported(ask: RouteAsk): WaybillError {
  return new WaybillError('task_not_supported', {
    message: `The model \`${ask.model}\` does not do ${ask.task}.`,
    param: 'model',
  });
}

function noneAlive(targets: readonly Target[], health: TargetHealth): WaybillError {
  if (targets.every((target) => target.keys.readyInMs() === null)) {
    return new WaybillError('upstream_credentials_exhausted', {
      message: `Every key of ${[...new Set(targets.map((target) => target.providerId))].join(', ')} is missing, refused or out of credit.`,
      shouldRetry: false,
    });
  }
  // A target without a key comes back by a reload, not by waiting.
  const waiting = targets.filter((target) => target.keys.readyInMs() !== null);
  return new WaybillError('no_target_available', {
    message: 'Every target of this model failed repeatedly and is left alone for a while.',
    retryAfterMs: Math.min(...waiting.map((target) => health.retryInMs(target.id))),
  });
}
