/** Every error a client can get. One table: status, type and code of each; docs/errors.md is made to match it by a test. */
export const ERROR_TABLE = {
  invalid_request: { status: 400, type: 'invalid_request_error' },
  task_not_supported: { status: 400, type: 'invalid_request_error' },
  unpriced_model: { status: 400, type: 'invalid_request_error' },
  request_exceeds_limit: { status: 400, type: 'invalid_request_error' },
  invalid_api_key: { status: 401, type: 'authentication_error' },
  model_not_allowed: { status: 403, type: 'permission_error' },
  model_not_found: { status: 404, type: 'invalid_request_error' },
  not_found: { status: 404, type: 'invalid_request_error' },
  method_not_allowed: { status: 405, type: 'invalid_request_error' },
  conflict: { status: 409, type: 'invalid_request_error' },
  body_too_large: { status: 413, type: 'invalid_request_error' },
  rate_limit_exceeded: { status: 429, type: 'rate_limit_error' },
  budget_exceeded: { status: 429, type: 'insufficient_quota' },
  upstream_rate_limited: { status: 429, type: 'rate_limit_error' },
  upstream_rejected: { status: 400, type: 'invalid_request_error' },
  internal_error: { status: 500, type: 'server_error' },
  upstream_credentials_exhausted: { status: 502, type: 'upstream_error' },
  upstream_malformed: { status: 502, type: 'upstream_error' },
  upstream_interrupted: { status: 502, type: 'upstream_error' },
  no_target_available: { status: 503, type: 'upstream_error' },
  ledger_unavailable: { status: 503, type: 'server_error' },
  shutting_down: { status: 503, type: 'server_error' },
  upstream_timeout: { status: 504, type: 'upstream_error' },
} as const satisfies Record<string, { status: number; type: string }>;

export type ErrorCode = keyof typeof ERROR_TABLE;

/** The longest wait an answer ever promises: openai-node ignores a Retry-After above 60 s. */
export const MAX_RETRY_AFTER_MS = 60_000;

export interface WaybillErrorOptions {
  message: string;
  param?: string | null;
  /** Overrides the table's status: only for what a provider rejected. */
  status?: number;
  /** Overrides the code in the body: only for what a provider rejected. */
  upstreamCode?: string | null;
  retryAfterMs?: number | null;
  /** `x-should-retry`, where the answer says it. */
  shouldRetry?: boolean;
  cause?: unknown;
}

/** An error with an answer: one middleware turns it into status, headers and body. */
export class WaybillError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly type: string;
  readonly param: string | null;
  readonly upstreamCode: string | null;
  readonly retryAfterMs: number | null;
  readonly shouldRetry: boolean | null;

  constructor(code: ErrorCode, options: WaybillErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'WaybillError';
    this.code = code;
    this.status = options.status ?? ERROR_TABLE[code].status;
    this.type = ERROR_TABLE[code].type;
    this.param = options.param ?? null;
    this.upstreamCode = options.upstreamCode ?? null;
    this.retryAfterMs = options.retryAfterMs == null ? null : Math.min(options.retryAfterMs, MAX_RETRY_AFTER_MS);
    this.shouldRetry = options.shouldRetry ?? null;
  }

  /** The answer's body, in OpenAI's shape. */
  toBody(): { error: { message: string; type: string; param: string | null; code: string } } {
    return {
      error: { message: this.message, type: this.type, param: this.param, code: this.upstreamCode ?? this.code },
    };
  }
}

/** A function of an adapter failed that a module brought: the request may still go elsewhere. */
export class AdapterError extends WaybillError {
  constructor(message: string, options: { cause: unknown }) {
    super('internal_error', { message, cause: options.cause });
    this.name = 'AdapterError';
  }
}

/**
 * A mistake of the person at the command line or in a file: printed as it is, without a stack, with exit code 2.
 */
export class UserError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'UserError';
  }
}
