import { describe, expect, it } from 'vitest';
import { type Exhaustion, exhaustedError, rejectedError } from '../../../src/dispatch/exhausted.js';
import { defaultVerdict, type UpstreamFailure } from '../../../src/domain/failure.js';

function aFailure(rest: Partial<UpstreamFailure> = {}): UpstreamFailure {
  return {
    kind: 'status',
    status: 500,
    code: null,
    param: null,
    type: null,
    message: 'it said no',
    retryAfterMs: null,
    loadingMs: null,
    shouldRetry: null,
    sent: true,
    ...rest,
  };
}

function errorAfter(failures: Array<Partial<UpstreamFailure>>, rest: Partial<Exhaustion> = {}) {
  const failed = failures.map((given) => {
    const failure = aFailure(given);
    return { failure, verdict: defaultVerdict(failure) };
  });
  return exhaustedError({
    failed,
    broughtFor: null,
    allKeysDisabled: false,
    someKeyCooling: false,
    retryAfterMs: null,
    ...rest,
  });
}

const timeout = { kind: 'timeout', status: null } as const;
const malformed = { kind: 'malformed', status: null } as const;
const connect = { kind: 'connect', status: null } as const;

describe('when nothing is left to try, the client is told', () => {
  it.each([
    ['all timed out', [timeout, timeout], 504, 'upstream_timeout'],
    ['all timed out or answered 504', [timeout, { status: 504 }], 504, 'upstream_timeout'],
    ['all were malformed', [malformed, malformed], 502, 'upstream_malformed'],
    ['all were rate limited', [{ status: 429 }, { status: 429 }], 429, 'upstream_rate_limited'],
    ['some timed out and some were rate limited', [timeout, { status: 429 }], 503, 'no_target_available'],
    ['some timed out and some were malformed', [timeout, malformed], 503, 'no_target_available'],
    ['all failed', [{ status: 500 }, { status: 502 }], 503, 'no_target_available'],
    ['none could be reached', [connect, connect], 503, 'no_target_available'],
    ['the model is still loading', [{ status: 503, loadingMs: 20_000 }], 503, 'no_target_available'],
    ['nothing could be tried', [], 503, 'no_target_available'],
  ] as const)('%s', (_what, failures, status, code) => {
    expect(errorAfter([...failures])).toMatchObject({ status, code });
  });

  it('that every key is disabled, whatever else happened', () => {
    for (const failures of [[], [{ status: 401 }], [{ status: 429 }, { status: 402 }], [timeout]]) {
      expect(errorAfter(failures, { allKeysDisabled: true })).toMatchObject({
        status: 502,
        code: 'upstream_credentials_exhausted',
        shouldRetry: false,
      });
    }
  });

  it('that keys are rate limited also when none was asked, since all cool down', () => {
    expect(errorAfter([], { someKeyCooling: true, retryAfterMs: 9_000 })).toMatchObject({
      status: 429,
      code: 'upstream_rate_limited',
      retryAfterMs: 9_000,
    });
  });

  it('what the provider said of a model it dropped, with its status', () => {
    expect(errorAfter([{ status: 404, message: 'no such model', code: 'model_gone' }])).toMatchObject({
      status: 404,
      code: 'upstream_rejected',
      upstreamCode: 'model_gone',
      message: 'no such model',
      shouldRetry: false,
    });
    expect(errorAfter([{ status: 404 }, { status: 500 }])).toMatchObject({ status: 503 });
  });

  it('when to come again: as known, else as the provider asked, and never later than in a minute', () => {
    expect(errorAfter([{ status: 429, retryAfterMs: 5_000 }]).retryAfterMs).toBe(5_000);
    expect(errorAfter([{ status: 429, retryAfterMs: 5_000 }], { retryAfterMs: 2_000 }).retryAfterMs).toBe(2_000);
    expect(errorAfter([{ status: 503, loadingMs: 20_000 }]).retryAfterMs).toBe(20_000);
    expect(errorAfter([{ status: 500 }]).retryAfterMs).toBe(1_000);
    expect(errorAfter([{ status: 429, retryAfterMs: 3_600_000 }]).retryAfterMs).toBe(60_000);
  });
});

describe('what a provider rejects', () => {
  it.each([400, 404, 409, 410, 413, 422, 451])('keeps its status %i, message, code and param', (status) => {
    const error = rejectedError(aFailure({ status, code: 'their_code', param: 'messages', message: 'too long' }));
    expect(error.status).toBe(status);
    expect(error.toBody()).toEqual({
      error: { message: 'too long', type: 'invalid_request_error', param: 'messages', code: 'their_code' },
    });
    expect(error.shouldRetry).toBe(false);
  });

  it('has our code where it gives none', () => {
    expect(rejectedError(aFailure({ status: 422 })).toBody().error.code).toBe('upstream_rejected');
  });
});
