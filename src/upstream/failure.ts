import type { FailureKind, UpstreamFailure } from '../domain/failure.js';
import type { HeaderFields } from '../domain/provider.js';
import { readErrorBody } from '../wire/error-body.js';
import { scrub } from '../wire/scrub.js';
import { readRetryAfter } from './retry-after.js';

/** Statuses whose `x-ratelimit-reset-*` headers say when to come back; on others they are only news. */
const WAITING_STATUS = new Set([429, 503, 529]);

/** Codes of Node.js and undici: nothing was sent. */
const CONNECT_CODES = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
  'ERR_INVALID_URL',
  'UND_ERR_INVALID_ARG',
]);
const TIMEOUT_CODES = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT', 'ESOCKETTIMEDOUT']);
/** Certificates and TLS alerts: the connection never came to be. */
const TLS_CODE = /^(ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH)/;
/** Bytes that are no answer: HTTP that does not parse, a compressed body that does not unpack. */
const MALFORMED_CODE = /^(HPE_|Z_|ERR_BROTLI_|ERR_BUFFER_TOO_LARGE|ERR_STRING_TOO_LONG|UND_ERR_HEADERS_OVERFLOW)/;

/**
 * An answer with an error status, or with a redirect, which is no answer at all. `x-error-message` and `x-error-code` (Hugging Face's router), and
 * `x-amzn-errortype` (AWS), stand in for a body that says nothing.
 */
export function failureFromStatus(answer: {
  status: number;
  headers: HeaderFields;
  body: Buffer;
  secrets: readonly string[];
  /** Epoch milliseconds. */
  now: number;
}): UpstreamFailure {
  const { status, headers, secrets } = answer;
  // Before it is read, too: a message is cut at its bound, and half a key is still too much.
  const info = readErrorBody(scrub(answer.body.toString('utf8'), secrets));
  const isElsewhere = status >= 300 && status < 400;
  const message = isElsewhere
    ? redirectMessage(status, headers['location'])
    : info.message || headers['x-error-message'] || `the provider answered ${status} and said no more`;
  return {
    // A status that is neither an answer nor an error is nothing a client can act on.
    kind: isElsewhere ? 'malformed' : 'status',
    status,
    code: cleaned(info.code ?? headers['x-error-code'] ?? amazonErrorType(headers['x-amzn-errortype']), secrets),
    param: cleaned(info.param, secrets),
    type: cleaned(info.type ?? info.errorType, secrets),
    message: scrub(message, secrets),
    retryAfterMs:
      readRetryAfter(WAITING_STATUS.has(status) ? headers : withoutResets(headers), answer.now) ?? info.retryAfterMs,
    loadingMs: status === 503 ? info.estimatedTimeMs : null,
    shouldRetry: toBoolean(headers['x-should-retry']),
    sent: true,
  };
}

/** Names the host only: what follows it may hold a signature or a key. */
function redirectMessage(status: number, location: string | undefined): string {
  const host = /^(?:https?:)?\/\/(?:[^/?#]*@)?([^/?#]+)/i.exec(location ?? '')?.[1];
  if (host !== undefined) return `the provider redirects to ${host} (${status}); redirects are not followed`;
  return location === undefined
    ? `the provider answered ${status}, which is no answer`
    : `the provider redirects (${status}); redirects are not followed`;
}

/** `ThrottlingException:http://…`, `com.amazon.coral#ThrottlingException`: the name alone. */
function amazonErrorType(header: string | undefined): string | null {
  return /^(?:[^:#]*#)?([^:#]+)/.exec(header ?? '')?.[1]?.trim() ?? null;
}

/** A call that got no answer, or an answer that broke. `isSent`: some of the request may have left. */
export function failureFromError(
  error: unknown,
  options: { secrets: readonly string[]; isSent: boolean },
): UpstreamFailure {
  const { code, syscall } = codeOf(error);
  const kind = syscall === 'connect' ? 'connect' : kindOf(code);
  return {
    kind,
    status: null,
    code,
    param: null,
    type: null,
    message: scrub(messageOf(error), options.secrets),
    retryAfterMs: null,
    loadingMs: null,
    shouldRetry: null,
    sent: options.isSent && kind !== 'connect',
  };
}

function kindOf(code: string | null): FailureKind {
  if (code === null) return 'reset';
  if (CONNECT_CODES.has(code) || TLS_CODE.test(code)) return 'connect';
  if (TIMEOUT_CODES.has(code)) return 'timeout';
  if (MALFORMED_CODE.test(code)) return 'malformed';
  // ECONNRESET, EPIPE, UND_ERR_SOCKET and whatever else ends a connection: the request may have got through.
  return 'reset';
}

/** The first code along the causes; of an aggregate (one error per address) the first error's. */
function codeOf(error: unknown): { code: string | null; syscall: unknown } {
  let current: unknown = error;
  for (let depth = 0; depth < 5 && typeof current === 'object' && current !== null; depth += 1) {
    const { code, syscall, cause, errors } = current as Record<'code' | 'syscall' | 'cause' | 'errors', unknown>;
    if (typeof code === 'string' && code !== '') return { code, syscall };
    current = cause ?? (Array.isArray(errors) ? errors[0] : undefined);
  }
  return { code: null, syscall: null };
}

function messageOf(error: unknown): string {
  const { code } = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  // An aggregate's message is empty: its errors are what it says.
  if (message === '') return code ?? 'the call to the provider failed';
  return code === null || message.includes(code) ? message : `${message} (${code})`;
}

function withoutResets(headers: HeaderFields): HeaderFields {
  const kept: HeaderFields = {};
  for (const name of ['retry-after', 'retry-after-ms', 'x-ms-retry-after-ms']) {
    const value = headers[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

function cleaned(text: string | null, secrets: readonly string[]): string | null {
  return text === null ? null : scrub(text, secrets);
}

function toBoolean(text: string | undefined): boolean | null {
  if (text === 'true') return true;
  return text === 'false' ? false : null;
}
