import { describe, expect, it } from 'vitest';
import { type AttemptEnd, type SettledCall, settleCall } from '../../../src/dispatch/settlement.js';
import type { RoutedRequest } from '../../../src/domain/dispatch.js';
import type { UpstreamFailure } from '../../../src/domain/failure.js';
import type { CountedInput, Meter } from '../../../src/domain/metering.js';
import { noCounts, type UsageReport } from '../../../src/domain/usage.js';
import { createMeter } from '../../../src/metering/meter.js';
import { aTarget } from '../routing/builders.js';

/** What every end of an upstream call becomes: outcome, usage, cost. 1 USD in and 2 USD out a million tokens. */

const PRICE = { id: 'p1', origin: 'test', rates: { input: 1_000_000_000n, output: 2_000_000_000n }, tiers: [] };
const meter: Meter = createMeter({});
const request = { inferenceId: 'i', ask: { task: 'chat' } } as unknown as RoutedRequest;
const prompt: CountedInput = { texts: ['one two three four five'], messages: 1, tokens: 0 };

function settle(end: AttemptEnd, rest: Partial<SettledCall> = {}) {
  const call = {
    request,
    target: aTarget('a:m', { price: PRICE }),
    attempt: 1,
    firstByteAt: null,
    input: () => prompt,
  };
  return settleCall({ ...call, ...rest }, end, meter, 1_000).settlement;
}

const report: UsageReport = { counts: { ...noCounts(), input: 10, output: 5 }, providerCostUsd: '0.1', problems: [] };
const outputTexts = () => ['six seven eight'];

function aFailure(rest: Partial<UpstreamFailure>): AttemptEnd {
  const failure: UpstreamFailure = {
    kind: 'status',
    status: 500,
    code: null,
    param: null,
    type: null,
    message: '',
    retryAfterMs: null,
    loadingMs: null,
    shouldRetry: null,
    sent: true,
    ...rest,
  };
  return { kind: 'failed', failure, report: null };
}

describe('an answer', () => {
  it('costs what the provider reported', () => {
    expect(settle({ kind: 'answered', status: 200, report, outputTexts })).toMatchObject({
      outcome: 'ok',
      usage: { source: 'reported', counts: { input: 10, output: 5 } },
      costNanoUsd: 20_000n,
      priceId: 'p1',
      providerCostUsd: '0.1',
      unpricedReason: null,
    });
  });

  it('without a report is estimated, and says so', () => {
    const { usage, costNanoUsd } = settle({ kind: 'answered', status: 200, report: null, outputTexts });
    expect(usage).toMatchObject({ source: 'estimated', counts: { output: 3 } });
    expect(costNanoUsd).toBeGreaterThan(6_000n);
  });

  it('without a price has an unknown cost, never zero', () => {
    const target = aTarget('a:m');
    expect(settle({ kind: 'answered', status: 200, report, outputTexts }, { target })).toMatchObject({
      costNanoUsd: null,
      unpricedReason: 'no-price',
      components: [],
    });
  });

  it('that was read to its end for a client that left is cancelled, at its true cost', () => {
    expect(settle({ kind: 'drained', status: 200, report, outputTexts })).toMatchObject({
      outcome: 'cancelled',
      errorCode: 'client_gone',
      costNanoUsd: 20_000n,
    });
  });
});

describe('a call without a whole answer', () => {
  it('that was refused or never connected costs nothing, and used nothing', () => {
    const nothing = { outcome: 'failed', usage: null, costNanoUsd: 0n };
    for (const status of [400, 401, 404, 429, 500, 503]) expect(settle(aFailure({ status }))).toMatchObject(nothing);
    for (const kind of ['connect', 'timeout', 'reset'] as const) {
      expect(settle(aFailure({ kind, status: null, sent: false }))).toMatchObject(nothing);
    }
  });

  it.each(['chat', 'image'])('that was given up before any of it was sent costs nothing: %s', (task) => {
    const end = { kind: 'abandoned', outcome: 'cancelled', errorCode: 'client_gone', wasSent: false } as const;
    const asked = { inferenceId: 'i', ask: { task } } as unknown as RoutedRequest;
    expect(settle(end, { request: asked })).toMatchObject({ outcome: 'cancelled', usage: null, costNanoUsd: 0n });
  });

  it.each(['timeout', 'reset', 'malformed'] as const)(
    'that was sent and ended by %s costs its input at least',
    (kind) => {
      const { usage, costNanoUsd } = settle(aFailure({ kind, status: null }));
      expect(usage).toMatchObject({ source: 'lower-bound', counts: { output: null } });
      expect(costNanoUsd).toBe(BigInt(usage?.counts.input ?? 0) * 1_000n);
      expect(costNanoUsd).toBeGreaterThan(0n);
    },
  );

  it('that failed with a usage report costs what it says', () => {
    const end = { ...(aFailure({ kind: 'malformed' }) as Extract<AttemptEnd, { kind: 'failed' }>), report };
    expect(settle(end)).toMatchObject({ outcome: 'failed', costNanoUsd: 20_000n });
  });

  it('that was cut costs what was seen of it, as a lower bound', () => {
    const end = { kind: 'cut', outcome: 'interrupted', status: 200, errorCode: 'shutting_down', report: null } as const;
    expect(settle({ ...end, outputTexts })).toMatchObject({
      outcome: 'interrupted',
      errorCode: 'shutting_down',
      usage: { source: 'lower-bound', counts: { output: 3 } },
    });
  });

  it('that was given up before an answer costs its input, as a lower bound', () => {
    expect(settle({ kind: 'abandoned', outcome: 'cancelled', errorCode: 'client_gone', wasSent: true })).toMatchObject({
      outcome: 'cancelled',
      status: null,
      usage: { source: 'lower-bound', counts: { output: null } },
    });
  });
});
