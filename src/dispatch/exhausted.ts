import { WaybillError } from '../domain/errors.js';
import type { UpstreamFailure, Verdict } from '../domain/failure.js';

/** One failed attempt, and what was made of it. */
export interface FailedAttempt {
  failure: UpstreamFailure;
  verdict: Verdict;
}

export interface Exhaustion {
  failed: readonly FailedAttempt[];
  /** The provider that was asked with a key of the request's own, where no other could be; otherwise null. */
  broughtFor: string | null;
  /** True when no target has a key left that is not disabled. */
  allKeysDisabled: boolean;
  /** True when a key is left alone after a 429. */
  someKeyCooling: boolean;
  /** When one of the targets may be ready again; null when not known. */
  retryAfterMs: number | null;
}

/** What the client is told when nothing is left to try. */
export function exhaustedError({
  failed,
  broughtFor,
  allKeysDisabled,
  someKeyCooling,
  retryAfterMs,
}: Exhaustion): WaybillError {
  const last = failed.at(-1)?.failure ?? null;
  const said = last === null ? '' : ` The last one said: ${last.message}`;
  if (last?.kind === 'status' && failed.every(({ verdict }) => verdict.action === 'fall-back')) {
    return rejectedError(last);
  }
  if (allKeysDisabled) {
    return new WaybillError('upstream_credentials_exhausted', {
      message:
        broughtFor === null
          ? `Every provider key for this model was refused or is out of credit.${said}`
          : `The key that this request brought for \`${broughtFor}\` was refused or is out of credit.${said}`,
      shouldRetry: false,
    });
  }
  if (failed.length > 0 && failed.every(({ failure }) => failure.kind === 'timeout' || failure.status === 504)) {
    return new WaybillError('upstream_timeout', { message: `No provider answered in time.${said}` });
  }
  if (failed.length > 0 && failed.every(({ failure }) => failure.kind === 'malformed')) {
    return new WaybillError('upstream_malformed', { message: `The provider's answer could not be read.${said}` });
  }
  if ((failed.length > 0 || someKeyCooling) && failed.every(({ failure }) => failure.status === 429)) {
    return new WaybillError('upstream_rate_limited', {
      message: `Every provider key for this model is rate limited.${said}`,
      retryAfterMs: retryAfterMs ?? last?.retryAfterMs ?? 1_000,
    });
  }
  return new WaybillError('no_target_available', {
    message: `No provider could answer.${said}`,
    retryAfterMs: retryAfterMs ?? last?.retryAfterMs ?? last?.loadingMs ?? 1_000,
  });
}

/** The provider found a mistake in the request: its status, message, code and param go to the client. */
export function rejectedError(failure: UpstreamFailure): WaybillError {
  return new WaybillError('upstream_rejected', {
    message: failure.message,
    status: failure.status ?? 400,
    param: failure.param,
    upstreamCode: failure.code,
    shouldRetry: false,
  });
}
