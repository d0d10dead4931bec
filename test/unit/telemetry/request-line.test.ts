import { describe, expect, it } from 'vitest';
import type { RequestReport } from '../../../src/domain/dispatch.js';
import { QuotedNames, requestLine } from '../../../src/telemetry/request-line.js';

const REPORT: RequestReport = {
  inferenceId: '01890000-0000-7000-8000-000000000001',
  client: 'team "a"',
  endpoint: '/v1/chat/completions',
  model: 'm\n\u2028',
  provider: 'p',
  providerModel: 'org/model',
  stream: false,
  outcome: 'ok',
  status: 200,
  errorCode: null,
  attempts: 1,
  durationMs: 12.5,
  firstByteMs: 3,
  upstreamMs: 12,
  costNanoUsd: 9_007_199_254_740_993n,
};
const TIME = '2026-01-02T03:04:05.678Z';

describe('requestLine', () => {
  it('is one line of JSON with every field as it was reported', () => {
    const line = requestLine(REPORT, TIME);
    expect(line.indexOf('\n')).toBe(line.length - 1);
    const { upstreamMs: _, ...logged } = REPORT;
    expect(JSON.parse(line)).toEqual({
      ...logged,
      level: 'info',
      time: TIME,
      costNanoUsd: '9007199254740993',
      msg: 'request',
    });
  });

  it('writes what is not known as null', () => {
    const unknown = { ...REPORT, provider: null, providerModel: null, firstByteMs: null, costNanoUsd: null };
    expect(JSON.parse(requestLine(unknown, TIME))).toMatchObject({
      provider: null,
      providerModel: null,
      firstByteMs: null,
      costNanoUsd: null,
    });
  });

  it('is the same with names that are kept, the first time and any other', () => {
    const names = new QuotedNames();
    const secret = 'sk-abcdefghijklmnopqrstuvwx';
    for (let round = 0; round < 2; round += 1) {
      for (const model of ['m', `x ${secret}`, 'n'.repeat(500), '\u2028"']) {
        const report = { ...REPORT, model, provider: null };
        expect(requestLine(report, TIME, (name) => names.of(name))).toBe(requestLine(report, TIME));
      }
    }
    for (let nth = 0; nth < 3_000; nth += 1) expect(names.of(`name ${nth}`)).toBe(`"name ${nth}"`);
  });

  it('takes credentials out of what a client or a provider chose', () => {
    const secret = 'sk-abcdefghijklmnopqrstuvwx';
    const line = requestLine({ ...REPORT, model: `x ${secret}`, errorCode: `Bearer ${secret}` }, TIME);
    expect(line).not.toContain(secret);
    expect(JSON.parse(line)).toMatchObject({ model: 'x [redacted]', errorCode: 'Bearer [redacted]' });
  });
});
