import { type Candidate, type RouteAsk, type Target, withBroughtKey } from '../domain/route.js';
import type { Resolution } from './resolve.js';

/** The targets of the provider that the request brought a key for, with that key. */
export function withOwnKey(
  allowed: Pick<Resolution, 'meanings' | 'fallbacks'>,
  { brought }: RouteAsk,
): Pick<Resolution, 'meanings' | 'fallbacks'> {
  if (brought === undefined) return allowed;
  return {
    meanings: allowed.meanings.map((meaning) => ({ ...meaning, target: withBroughtKey(meaning.target, brought) })),
    fallbacks: allowed.fallbacks.map((target) => withBroughtKey(target, brought)),
  };
}

/** Whoever brings a key means it to be used. */
export function broughtFirst(candidates: Candidate[], { brought }: RouteAsk): Candidate[] {
  if (brought === undefined) return candidates;
  const isOwn = ({ target }: Candidate) => target.isBrought === true;
  return [...candidates.filter(isOwn), ...candidates.filter((candidate) => !isOwn(candidate))];
}

/** Why a target without a usable key is passed over. */
export function whyWithoutKey({ needsBroughtKey }: Target): string {
  return needsBroughtKey === true ? 'it takes only keys that requests bring' : 'every key is disabled';
}
