import { describe, expect, it } from 'vitest';
import { createObserver } from '../../../src/composition/observer.js';
import type { AttemptReport } from '../../../src/domain/dispatch.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';

const PROMPT = 'the patient of room four';

const FAILED: AttemptReport = {
  inferenceId: 'i',
  attempt: 1,
  provider: 'p',
  providerModel: 'm',
  key: 'k',
  outcome: 'failed',
  status: 422,
  errorCode: 'invalid_request_error',
  message: `messages.0: value is not valid: ${PROMPT}`,
  durationMs: 5,
  firstByteMs: null,
  usage: null,
  costNanoUsd: 0n,
};

function logged(report: Partial<AttemptReport>, prompts = false): unknown {
  const lines: object[] = [];
  const log = (fields: object) => {
    lines.push(fields);
  };
  const logger = { line: () => undefined, warn: log };
  createObserver({ logger, metrics: createMetrics(), prompts }).attemptEnded({ ...FAILED, ...report });
  expect(lines).toHaveLength(1);
  return lines[0];
}

describe('the line of a failed attempt', () => {
  it.each<[string, Partial<AttemptReport>]>([
    ['a refusal', {}],
    ['an error whose code is the name of one of our failures', { status: 504, errorCode: 'timeout' }],
    ['an error within a stream', { status: 200, errorCode: 'upstream_interrupted' }],
    ['an adapter that would not build the request', { status: null, errorCode: 'invalid_request' }],
  ])('has the code, and not a word that may quote a prompt: %s', (_, report) => {
    const line = logged(report);
    expect(line).toMatchObject({ errorCode: report.errorCode ?? 'invalid_request_error', provider: 'p' });
    expect(JSON.stringify(line)).not.toContain(PROMPT);
  });

  it('says all of it with logging.prompts', () => {
    expect(logged({}, true)).toMatchObject({ reason: FAILED.message });
  });

  it.each(['ECONNREFUSED', 'UND_ERR_SOCKET', 'reset', 'timeout', 'malformed'])(
    'says what we saw ourselves: %s',
    (errorCode) => {
      const message = 'connect ECONNREFUSED 127.0.0.1:1';
      expect(logged({ status: null, errorCode, message })).toMatchObject({ reason: message });
    },
  );
});
