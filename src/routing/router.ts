import type { WaybillError } from '../domain/errors.js';
import type { Random } from '../domain/ports.js';
import { costOf } from '../domain/pricing.js';
import type {
  Candidate,
  Exclusion,
  Forecast,
  Plan,
  RouteAsk,
  Router,
  Signals,
  Target,
  TargetHealth,
} from '../domain/route.js';
import { noCounts } from '../domain/usage.js';
import { broughtFirst, whyWithoutKey, withOwnKey } from './brought-keys.js';
import { Draws } from './draws.js';
import { noneAlive, notAllowed, taskNotSupported } from './refusals.js';
import type { Meaning, NameResolver, Preference, Resolution } from './resolve.js';
import { whyNotAllowed } from './resolve.js';
import {
  cheapestOutput,
  fastestOutput,
  type HybridWeights,
  hybrid,
  hybridParts,
  inOrder,
  leastLoaded,
  lowestCost,
  lowestLatency,
  roundRobin,
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
  /** How many calls a target may have under way, over all its keys; null where that is not limited. */
  capacity: (target: Target) => number | null;
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

/** What a plan is made of, or why there is none. */
interface Draft extends Plan {
  refusal: WaybillError | null;
  /** Everything that was ordered, before what is there twice or beyond the fallbacks was left out. */
  ordered: readonly Candidate[];
  /** True when the policy's algorithm ordered them. */
  isByPolicy: boolean;
}

/** What orders one draft: the turn and the draws, taken or only looked at. */
interface Chance {
  turnOf: (name: string) => number;
  random: Random;
}

/** Turns a name into the ordered list of targets to try. No I/O. */
export function createRouter(parts: RouterParts): Router {
  const turns = new Map<string, number>();
  const draws = new Draws(parts.random);
  const taken: Chance = {
    turnOf: (name) => {
      const turn = turns.get(name) ?? 0;
      turns.set(name, turn + 1);
      return turn;
    },
    random: draws.draw,
  };
  const { algorithm, hybridWeights } = parts.settings;
  const chosen = algorithm === 'hybrid' ? hybrid(hybridWeights) : STRATEGIES[algorithm];

  function plan(ask: RouteAsk): Plan {
    const drafted = draft(ask, taken);
    if (drafted.refusal !== null) throw drafted.refusal;
    return drafted;
  }

  function forecast(ask: RouteAsk): Forecast {
    const seen: Chance = { turnOf: (name) => turns.get(name) ?? 0, random: draws.look() };
    const { candidates, excluded, lastResorts, refusal, ordered, isByPolicy } = draft(ask, seen);
    const judged = ordered.flatMap(({ signals }) => signals ?? []);
    const parted = algorithm === 'hybrid' && isByPolicy ? hybridParts(hybridWeights, judged) : [];
    return {
      candidates: candidates.map((candidate) => {
        const { target, signals } = candidate;
        return {
          ...candidate,
          signals: signals ?? signalsOf({ target, weight: target.weight }, ask),
          parts: signals === null ? null : (parted[judged.indexOf(signals)] ?? null),
        };
      }),
      excluded,
      lastResorts,
      refusal,
    };
  }

  function draft(ask: RouteAsk, chance: Chance): Draft {
    const resolution = parts.resolver.resolve(ask.model);
    if (resolution === null) throw parts.resolver.unknown(ask.model, ask.access);
    const only = onlyWay(resolution, ask);
    if (only !== null) return only;
    const excluded: Exclusion[] = [];
    const allowed = withOwnKey(permit(resolution, ask, excluded), ask);
    if (allowed.meanings.length === 0 && allowed.fallbacks.length === 0)
      return refused(notAllowed(ask, excluded), excluded);
    const fit = allowed.meanings.filter(({ target }) => supports(target, ask, excluded));
    const fallbacks = allowed.fallbacks.filter((target) => supports(target, ask, excluded));
    if (fit.length === 0 && fallbacks.length === 0) return refused(taskNotSupported(ask), excluded);
    const alive = fit.filter(({ target }) => isAlive(target, excluded));
    const ordered = broughtFirst(order(alive, resolution.preference, ask, chance), ask);
    for (const target of fallbacks) {
      if (isAlive(target, excluded)) ordered.push({ target, score: null, reason: 'fallback', signals: null });
    }
    const isByPolicy = resolution.preference === 'none';
    const all = [...fit.map(({ target }) => target), ...fallbacks];
    const open = all.filter(isOpen);
    if (ordered.length === 1 && open.length === 0) {
      return { candidates: ordered, excluded, lastResorts: [], refusal: null, ordered, isByPolicy };
    }
    // Where there is nothing else, what failed is left alone; among several, one may be well again.
    if (ordered.length === 0 && new Set(open).size < 2) return refused(noneAlive(all, parts.health), excluded);
    const resorts = open
      .sort((one, other) => retryInMs(one) - retryInMs(other))
      .map((target) => ({ target, score: null, reason: 'last resort', signals: null }));
    const inReach = bounded(unique([...roomFirst(unique(ordered), ask), ...resorts]), excluded);
    const lastResorts = inReach.filter(({ target }) => open.includes(target)).map(({ target }) => target);
    const candidates = inReach.filter(({ target }) => ordered.length === 0 || !open.includes(target));
    return { candidates, excluded, lastResorts, refusal: null, ordered, isByPolicy };
  }

  /** The way of most requests: one target and nothing beside it, that may be used and is well. Null for any other. */
  function onlyWay({ meanings, fallbacks, preference }: Resolution, ask: RouteAsk): Draft | null {
    const { fallback } = parts.settings;
    const [only] = meanings;
    if (only === undefined || meanings.length > 1 || ask.brought !== undefined) return null;
    if (fallback.enabled && (fallbacks.length > 0 || fallback.providers.length > 0)) return null;
    const { target } = only;
    if (whyNotAllowed(target, ask.access, ask.region, ask.model) !== null || !does(target, ask)) return null;
    if (target.keys.readyInMs() === null || parts.health.isOpen(target.id)) return null;
    const candidates = [onlyCandidate(target)];
    const isByPolicy = preference === 'none';
    return { candidates, excluded: [], lastResorts: [], refusal: null, ordered: candidates, isByPolicy };
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
    return { meanings, fallbacks: named.filter(mayUse) };
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
        ? whyWithoutKey(target)
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

  function order(
    meanings: readonly Meaning[],
    preference: Preference,
    ask: RouteAsk,
    { turnOf, random }: Chance,
  ): Candidate[] {
    const [only] = meanings;
    if (only === undefined) return [];
    if (meanings.length === 1) return [onlyCandidate(only.target)];
    const strategy = preference === 'none' ? chosen : PREFERENCES[preference];
    const reason = preference === 'none' ? algorithm : preference;
    const capacityOf = comparableCapacity(meanings);
    const signals = meanings.map((meaning) => signalsOf(meaning, ask, capacityOf(meaning)));
    const candidates: Candidate[] = [];
    for (const { index, score } of strategy(signals, turnOf(ask.model), random)) {
      candidates.push({ target: (meanings[index] as Meaning).target, score, reason, signals: signals[index] ?? null });
    }
    return candidates;
  }

  /** What would have to wait comes after everything that need not, fallbacks too. */
  function roomFirst(candidates: Candidate[], ask: RouteAsk): Candidate[] {
    if (candidates.length === 1) return candidates;
    const tokens = ask.inputTokens + (ask.outputTokens ?? 0);
    const ready: Candidate[] = [];
    const waiting: Candidate[] = [];
    for (const candidate of candidates) {
      if (parts.hasRoom(candidate.target, tokens)) ready.push(candidate);
      else waiting.push({ ...candidate, reason: `${candidate.reason}, no room now` });
    }
    return waiting.length === 0 ? ready : [...ready, ...waiting];
  }

  /** Calls at once, where all of them are limited in that; otherwise their weights are all that can be compared. */
  function comparableCapacity(meanings: readonly Meaning[]): (meaning: Meaning) => number {
    const isLimited = meanings.every(({ target }) => parts.capacity(target) !== null);
    return ({ target, weight }) => (isLimited ? parts.capacity(target) : null) ?? weight;
  }

  function signalsOf({ target, weight }: Meaning, ask: RouteAsk, capacity: number = weight): Signals {
    const health = parts.health.snapshot(target.id);
    const counts = { ...noCounts(), input: ask.inputTokens, output: parts.expectedOutput(target, ask) };
    const cost = costOf(counts, target.price);
    return {
      weight,
      load: health.underWay / capacity,
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

  return {
    plan,
    forecast,
    list: (access) => parts.resolver.list(access),
    tasksOf: (model) => [
      ...new Set(parts.resolver.resolve(model)?.meanings.flatMap(({ target }) => target.tasks) ?? []),
    ],
  };
}

function supports(target: Target, ask: RouteAsk, excluded: Exclusion[]): boolean {
  const can = does(target, ask);
  if (!can) excluded.push({ provider: target.providerId, model: target.model, reason: `does not do ${ask.task}` });
  return can;
}

function does(target: Target, { task }: RouteAsk): boolean {
  return target.tasks.includes(task) && target.adapter.tasks[task] !== undefined;
}

function onlyCandidate(target: Target): Candidate {
  return { target, score: null, reason: 'only target', signals: null };
}

function unique(candidates: readonly Candidate[]): Candidate[] {
  const seen = new Set<string>();
  return candidates.filter(({ target }) => {
    if (seen.has(target.id)) return false;
    seen.add(target.id);
    return true;
  });
}

function refused(refusal: WaybillError, excluded: Exclusion[]): Draft {
  return { candidates: [], excluded, lastResorts: [], refusal, ordered: [], isByPolicy: false };
}
