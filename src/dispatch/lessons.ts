import type { UpstreamFailure, Verdict } from '../domain/failure.js';
import { isUnreachable } from '../domain/failure.js';
import type { TargetHealth } from '../domain/route.js';
import type { AttemptPlan } from './attempt-plan.js';

/**
 * What the breaker and the averages of a target learn from an attempt that failed. With a brought key, little: whose key it
 * is decides what the provider says and how fast, and the breaker is everybody's. Only that nobody is there is the same
 * for all.
 */
export function learnFromFailure(
  health: TargetHealth,
  { target, sentAt }: Pick<AttemptPlan, 'target' | 'sentAt'>,
  { failure, verdict, now }: { failure: UpstreamFailure; verdict: Verdict; now: number },
): void {
  const isOfKey = target.isBrought === true && !isUnreachable(failure);
  // What an adapter could not send tells nothing of the provider.
  const isOfAdapter = !failure.sent && failure.kind === 'malformed';
  if (isOfKey || isOfAdapter) health.abandonProbe(target.id);
  // Whoever says what is wrong with a request, or with a key, is alive.
  else if (verdict.action !== 'retry') health.proofOfLife(target.id);
  else {
    // One that is too slow to answer in time is at least so slow.
    const firstByteMs = failure.kind === 'timeout' ? now - sentAt : null;
    health.record(target.id, { ok: false, firstByteMs });
  }
}

/** The same from a stream that broke off. */
export function learnFromBreak(health: TargetHealth, { target }: Pick<AttemptPlan, 'target'>): void {
  if (target.isBrought === true) health.abandonProbe(target.id);
  else health.record(target.id, { ok: false, firstByteMs: null });
}
