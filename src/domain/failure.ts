/**
 * What a failed upstream call was, and what that means for the next step. Deciding is data; the dispatcher's loop acts.
 */
export type FailureKind =
  /** The provider answered with an error status, or with an error inside a 200. */
  | 'status'
  /** The connection was refused, or the name did not resolve: nothing was sent. */
  | 'connect'
  /** The connection broke before the first byte of the answer. */
  | 'reset'
  /** No first byte, or no further byte, in time. */
  | 'timeout'
  /** An answer that is not what was asked: no JSON, wrong shape, cut before the first content. */
  | 'malformed';

/** The code of an attempt that failed by its adapter, and not by its provider. */
export const ADAPTER_FAILED = 'adapter_failed';

export interface UpstreamFailure {
  kind: FailureKind;
  /** The provider's status, or the one its error stands for (an error inside a 200); null when there was no answer. */
  status: number | null;
  /** The provider's own error code, e.g. `context_length_exceeded`; numbers as text. */
  code: string | null;
  param: string | null;
  /** The provider's error type, e.g. `insufficient_quota`. */
  type: string | null;
  /** What the provider said, secrets removed. */
  message: string;
  /** What `Retry-After` and its like asked for. */
  retryAfterMs: number | null;
  /** A model that is loading says how long: Hugging Face's `estimated_time`. */
  loadingMs: number | null;
  /** `x-should-retry` as the provider sent it. */
  shouldRetry: boolean | null;
  /** True when the request may have reached the provider, so that it may cost something. */
  sent: boolean;
}

export type Verdict =
  /** Same target again, another key first: after `afterMs`, or after the back-off where that is null. */
  | { action: 'retry'; afterMs: number | null }
  /** Same target and key again after `afterMs`; a fallback that is ready comes first. The model is loading. */
  | { action: 'wait'; afterMs: number }
  /** Leave this key alone for `cooldownMs` (null: doubling back-off) and use another. */
  | { action: 'rotate-key'; cooldownMs: number | null; disable?: boolean }
  /** Not this target: the next one. */
  | { action: 'fall-back' }
  /** The caller's mistake: tell it. */
  | { action: 'reject' };

/** Out of credit and bad keys stay out for this long, or until a reload. */
export const DISABLED_KEY_MS = 3_600_000;

const RETRIED_STATUS = new Set([408, 425, 500, 502, 503, 504, 520, 522, 524, 529]);

/** The shared table. An adapter's `classify` is asked first. */
export function defaultVerdict(failure: UpstreamFailure): Verdict {
  if (isRedirect(failure)) return { action: 'fall-back' };
  if (failure.kind !== 'status' || failure.status === null) return { action: 'retry', afterMs: null };
  const { status } = failure;
  if (status === 402 || (status === 429 && isOutOfCredit(failure))) {
    return { action: 'rotate-key', cooldownMs: DISABLED_KEY_MS, disable: true };
  }
  if (status === 429) return { action: 'rotate-key', cooldownMs: failure.retryAfterMs };
  if (status === 401 || status === 403) return { action: 'rotate-key', cooldownMs: DISABLED_KEY_MS, disable: true };
  if (status === 503 && failure.loadingMs !== null) return { action: 'wait', afterMs: failure.loadingMs };
  if (RETRIED_STATUS.has(status) || status >= 500) return { action: 'retry', afterMs: failure.retryAfterMs };
  if (status === 404 || status === 410) return { action: 'fall-back' };
  if (isContextLength(failure)) return { action: 'fall-back' };
  return { action: 'reject' };
}

/** What undici says of a header or an address that it does not send. */
const UNSENDABLE = 'UND_ERR_INVALID_ARG';

/** True when the provider was not there: of that no key is the cause, unless it was one that cannot be sent. */
export function isUnreachable({ kind, code }: Pick<UpstreamFailure, 'kind' | 'code'>): boolean {
  return kind === 'connect' && code !== UNSENDABLE;
}

/** Redirects are not followed: whoever asks again is sent the same way. */
function isRedirect({ status }: UpstreamFailure): boolean {
  return status !== null && status >= 300 && status < 400;
}

/** An account without credit, in the spellings of the providers that answer it with 429. */
export function isOutOfCredit(failure: Pick<UpstreamFailure, 'code' | 'type'>): boolean {
  const out = /insufficient_quota|billing_hard_limit_reached|insufficient_(balance|credit)/;
  return out.test(failure.code ?? '') || out.test(failure.type ?? '');
}

/** A prompt that does not fit the model's window, in the spellings met so far. */
export function isContextLength(failure: Pick<UpstreamFailure, 'status' | 'code' | 'message'>): boolean {
  if (failure.status !== 400 && failure.status !== 413 && failure.status !== 422) return false;
  if (failure.code === 'context_length_exceeded') return true;
  return /context (length|window)|maximum context|max_new_tokens` must be <=|prompt is too long|too many tokens/i.test(
    failure.message,
  );
}
