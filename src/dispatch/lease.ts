import { type ProviderKey, scopeOfKey } from '../domain/keys.js';
import type { Lifeline } from '../domain/lifeline.js';
import type { Limiter, LimitOption, LimitScope, Reservation } from '../domain/limit.js';
import type { Target } from '../domain/route.js';
import type { Expectation } from './expectation.js';

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
  expectation: Pick<Expectation, 'tokensFor'>;
  client: string;
  maxWaitMs: number;
  life: Lifeline;
}

/**
 * The first usable key with room, in the pool's order; waits in the target's line where none has any, and is a promise
 * only then. Null when every key cools down or is disabled.
 * @throws LimitWaitError when the wait would be too long
 */
export function leaseKey(ask: LeaseAsk): Lease | null | Promise<Lease> {
  const turn = ask.target.keys.turn(ask.used);
  if (turn === null) return null;
  // Of thousands of keys most calls need to know one.
  const first = optionOf(ask.target, turn.first);
  const reserved = ask.limiter.tryReserve({
    options: [first],
    tokens: ask.expectation.tokensFor(ask.target, first.scopes),
  });
  if (reserved !== null) return { key: turn.first, reservation: reserved };
  return leaseAny(ask, [turn.first, ...turn.others()]);
}

/** The first of these with room, or the first that gets some. */
async function leaseAny(ask: LeaseAsk, keys: readonly ProviderKey[]): Promise<Lease> {
  const options = keys.map((key) => optionOf(ask.target, key));
  const scopes = options.flatMap((option) => option.scopes);
  const tokens = ask.expectation.tokensFor(ask.target, scopes);
  const { client, maxWaitMs } = ask;
  const queue = `provider:${ask.target.providerId}`;
  const reservation =
    ask.limiter.tryReserve({ options, tokens }) ??
    (await ask.limiter.reserve({ queue, client, options, tokens, maxWaitMs, signal: ask.life.signal }));
  const key = keys.find(({ id }) => id === reservation.option) ?? (keys[0] as ProviderKey);
  return { key, reservation };
}

function optionOf(target: Target, key: ProviderKey): LimitOption {
  return { option: key.id, scopes: scopesOf(target, key) };
}

/** What a call with this key counts against: the key's own limits, and the model's. A brought key has none here. */
export function scopesOf(target: Target, key: ProviderKey): LimitScope[] {
  if (target.isBrought === true) return [];
  return target.modelScope === null ? [keyScope(key)] : [keyScope(key), target.modelScope];
}

/** The limits of one provider key. */
export function keyScope(key: ProviderKey): LimitScope {
  return key.scope ?? scopeOfKey(key);
}
