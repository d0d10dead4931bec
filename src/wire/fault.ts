import type { UpstreamFailure } from '../domain/failure.js';
import type { AnswerFault } from '../domain/provider.js';
import type { JsonObject } from '../domain/task.js';
import { type ErrorInfo, readErrorValue } from './error-body.js';
import { scrub } from './scrub.js';

/** What an error stands for when it carries no status of its own. */
const SERVER_ERROR = 500;

/** Kinds of errors that say as much as a status: Text Generation Inference's, and OpenAI's and Anthropic's types. */
const STATUS_BY_KIND: Readonly<Record<string, number>> = {
  validation: 422,
  overloaded: 503,
  overloaded_error: 529,
  invalid_request_error: 400,
  context_length_exceeded: 400,
  authentication_error: 401,
  permission_error: 403,
  billing_error: 402,
  not_found_error: 404,
  conflict_error: 409,
  request_too_large: 413,
  timeout_error: 504,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  insufficient_quota: 429,
};

/**
 * The error inside a 2xx answer or a stream's event; null when there is none. A body with `choices` or `data` is an
 * answer unless its `error` has something to say.
 */
export function faultIn(value: JsonObject, eventName: string | null = null): AnswerFault | null {
  if (eventName === 'error' || says(value['error']) || value['object'] === 'error' || value['type'] === 'error') {
    return statusFault(value);
  }
  if (value['choices'] !== undefined || value['data'] !== undefined) return null;
  // Servers that answer `{"detail": …}` or a flat `{"message": …}`, also with a 200.
  return says(value['detail']) || (typeof value['message'] === 'string' && value['message'] !== '')
    ? statusFault(value)
    : null;
}

/** The fault an error stands for. */
export function statusFault(value: unknown): AnswerFault {
  const info = readErrorValue(value);
  return {
    kind: 'status',
    status: info.status ?? statusByKind(info),
    code: info.code,
    type: info.type ?? info.errorType,
    param: info.param,
    message: info.message || 'the provider reported an error and said no more',
    retryAfterMs: info.retryAfterMs,
    loadingMs: info.estimatedTimeMs,
  };
}

/** An answer that is not what was asked. */
export function malformed(message: string): AnswerFault {
  return { kind: 'malformed', status: null, code: null, type: null, param: null, message };
}

/** A 2xx answer that is a failure all the same, as a failure; secrets removed. */
export function failureFromFault(fault: AnswerFault, secrets: readonly string[]): UpstreamFailure {
  return {
    kind: fault.kind,
    status: fault.kind === 'status' ? (fault.status ?? 500) : null,
    code: cleaned(fault.code, secrets),
    param: cleaned(fault.param, secrets),
    type: cleaned(fault.type, secrets),
    message: scrub(fault.message, secrets),
    retryAfterMs: fault.retryAfterMs ?? null,
    loadingMs: fault.status === 503 ? (fault.loadingMs ?? null) : null,
    shouldRetry: null,
    sent: true,
  };
}

function cleaned(text: string | null, secrets: readonly string[]): string | null {
  return text === null ? null : scrub(text, secrets);
}

function statusByKind(info: ErrorInfo): number {
  for (const kind of [info.errorType, info.code, info.type]) {
    const status = kind === null ? undefined : STATUS_BY_KIND[kind];
    if (status !== undefined) return status;
  }
  return info.message === 'overloaded' ? 503 : SERVER_ERROR;
}

/** False for null, an empty text, an empty list and an empty object. */
function says(value: unknown): boolean {
  if (typeof value === 'string') return value !== '';
  if (typeof value !== 'object' || value === null) return false;
  return Array.isArray(value) ? value.length > 0 : Object.keys(value).length > 0;
}
