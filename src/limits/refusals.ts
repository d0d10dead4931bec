import { type LimitAsk, LimitWaitError } from '../domain/limit.js';
import { canEverFit } from './scopes.js';

/** What is said of a wait that ends when some running call does: nobody knows when. */
const UNKNOWN_WAIT_MS = 1_000;

/** When room is expected, counting time alone, and the scope that has none until then. */
export interface Expected {
  at: number;
  scopeId: string;
}

export function neverFits(ask: LimitAsk): LimitWaitError {
  const lacking = ask.options.flatMap(({ scopes }) => scopes).find(({ settings }) => !canEverFit(settings, ask.tokens));
  return new LimitWaitError({
    reason: 'never-fits',
    retryAfterMs: null,
    scopeId: lacking?.id ?? ask.queue,
    message: `A request of ${ask.tokens} tokens is larger than the whole limit of ${nameOf(lacking?.id ?? ask.queue)}.`,
  });
}

export function tooLong(ask: LimitAsk, expected: Expected, now: number): LimitWaitError {
  return new LimitWaitError({
    reason: 'too-long',
    retryAfterMs: expected.at > now ? Math.ceil(expected.at - now) : UNKNOWN_WAIT_MS,
    scopeId: expected.scopeId,
    message: `The limits of ${nameOf(expected.scopeId)} leave no room within ${ask.maxWaitMs} ms.`,
  });
}

export function queueFull(ask: LimitAsk, expected: Expected, now: number): LimitWaitError {
  return new LimitWaitError({
    reason: 'queue-full',
    retryAfterMs: expected.at > now ? Math.ceil(expected.at - now) : UNKNOWN_WAIT_MS,
    scopeId: expected.scopeId,
    message: `Too many requests wait already, the last for ${nameOf(ask.queue)}.`,
  });
}

/** Bottleneck ended a wait that should have ended by itself. */
export function outOfRoom(ask: LimitAsk, cause: Error): LimitWaitError {
  const error = new LimitWaitError({
    reason: 'too-long',
    retryAfterMs: UNKNOWN_WAIT_MS,
    scopeId: ask.queue,
    message: `The wait for room outlasted ${ask.maxWaitMs} ms.`,
  });
  error.cause = cause;
  return error;
}

/** What a client is told of a scope: its own it knows, the ids of keys and entries are none of its business. */
function nameOf(scopeId: string): string {
  return scopeId.startsWith('client:') ? 'this API key' : 'the provider';
}
