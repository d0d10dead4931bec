import type { ProviderKey } from '../domain/keys.js';
import type { Lifeline } from '../domain/lifeline.js';
import type { LimitAsk, Limiter, LimitOption, LimitScope, Reservation } from '../domain/limit.js';
import type { Target } from '../domain/route.js';

/** A key that may be used now, with room taken in all its limits. */
export interface Lease {
  key: ProviderKey;
  reservation: Reservation;
}

export interface LeaseAsk {
  target: Target;
  /** Keys this request has used already: only used again when no other is free. */
  used: ReadonlySet<string>;
  limiter: Limiter;
  tokensFor: (scopes: readonly LimitScope[]) => number;
  client: string;
  maxWaitMs: number;
  life: Lifeline;
}

/**
 * The first usable key with room, in the pool's order; waits in the target's line where none has any. Null when every
 * key cools down or is disabled.
 * @throws LimitWaitError when the wait would be too long
 */
export async function leaseKey(ask: LeaseAsk): Promise<Lease | null> {
  const turn = ask.target.keys.turn(ask.used);
  if (turn === null) return null;
  // Of thousands of keys most calls need to know one.
  const reserved = ask.limiter.tryReserve(limitAsk(ask, [turn.first]));
  if (reserved !== null) return { key: turn.first, reservation: reserved };
  const keys = [turn.first, ...turn.others()];
  const all = limitAsk(ask, keys);
  const reservation = ask.limiter.tryReserve(all) ?? (await ask.limiter.reserve({ ...all, signal: ask.life.signal }));
  return { key: keys.find((key) => key.id === reservation.option) ?? turn.first, reservation };
}

function limitAsk(ask: LeaseAsk, keys: readonly ProviderKey[]): LimitAsk {
  const options: LimitOption[] = keys.map((key) => ({ option: key.id, scopes: scopesOf(ask.target, key) }));
  return {
    queue: `provider:${ask.target.providerId}`,
    client: ask.client,
    options,
    tokens: ask.tokensFor(options.flatMap((option) => option.scopes)),
    maxWaitMs: ask.maxWaitMs,
  };
}

/** What a call with this key counts against: the key's own limits, and the model's. A brought key has none here. */
export function scopesOf(target: Target, key: ProviderKey): LimitScope[] {
  if (target.isBrought === true) return [];
  return target.modelScope === null ? [keyScope(key)] : [keyScope(key), target.modelScope];
}

/** The limits of one provider key. */
export function keyScope(key: ProviderKey): LimitScope {
  return { id: `key:${key.id}`, settings: key.limits };
}
