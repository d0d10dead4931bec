import { WaybillError } from '../domain/errors.js';
import { ClientGoneError, ShutdownError } from '../domain/lifeline.js';
import { LimitWaitError } from '../domain/limit.js';
import type { RequestEnd } from './record.js';
import { TotalTimeoutError } from './total-deadline.js';

/** What ended a call from our side is to be written down as. */
export interface Abandonment {
  outcome: 'failed' | 'cancelled' | 'interrupted';
  errorCode: string;
}

/** The client left, the daemon stops, the time is over; anything else is a fault of ours. */
export function abandonmentOf(cause: unknown): Abandonment {
  if (cause instanceof ClientGoneError) return { outcome: 'cancelled', errorCode: 'client_gone' };
  if (cause instanceof ShutdownError) return { outcome: 'interrupted', errorCode: 'shutting_down' };
  if (cause instanceof TotalTimeoutError) return { outcome: 'failed', errorCode: 'upstream_timeout' };
  return { outcome: 'failed', errorCode: cause instanceof WaybillError ? cause.code : 'internal_error' };
}

/** What a request's end is written down as that was ended by `cause`, and its client told `error`. */
export function refusedEnd(cause: unknown, error: WaybillError, wasSent: boolean): RequestEnd {
  // 499, as proxies write it: nobody was there to be told of a fault.
  if (cause instanceof ClientGoneError) return { outcome: 'cancelled', status: 499, errorCode: 'client_gone' };
  const { status, code: errorCode } = error;
  if (cause instanceof ShutdownError) return { outcome: 'interrupted', status, errorCode };
  return { outcome: wasSent ? 'failed' : 'refused', status, errorCode };
}

/** What the client is told of whatever ended its request before a first byte. */
export function toWaybillError(cause: unknown): WaybillError {
  if (cause instanceof WaybillError) return cause;
  if (cause instanceof LimitWaitError) return limitError(cause);
  return endedBy(cause, 'upstream_timeout');
}

/** The same within a stream. */
export function toStreamError(cause: unknown): WaybillError {
  return cause instanceof WaybillError ? cause : endedBy(cause, 'upstream_interrupted');
}

function endedBy(cause: unknown, timeoutCode: 'upstream_timeout' | 'upstream_interrupted'): WaybillError {
  if (cause instanceof TotalTimeoutError) return new WaybillError(timeoutCode, { message: `${cause.message}.` });
  if (cause instanceof ShutdownError) {
    return new WaybillError('shutting_down', { message: 'The router is stopping.', retryAfterMs: 1_000 });
  }
  const isGone = cause instanceof ClientGoneError;
  return new WaybillError('internal_error', {
    message: isGone ? cause.message : 'Something went wrong inside the router.',
    cause,
  });
}

function limitError(error: LimitWaitError): WaybillError {
  if (error.reason === 'never-fits') {
    return new WaybillError('request_exceeds_limit', { message: error.message, cause: error });
  }
  const retryAfterMs = error.retryAfterMs ?? 1_000;
  return new WaybillError('rate_limit_exceeded', { message: error.message, retryAfterMs, cause: error });
}
