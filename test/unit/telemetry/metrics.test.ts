import { describe, expect, it } from 'vitest';
import { noCounts } from '../../../src/domain/usage.js';
import { createMetrics, type RequestRecord } from '../../../src/telemetry/metrics.js';

function aRequest(overrides: Partial<RequestRecord> = {}): RequestRecord {
  return {
    client: 'team-search',
    endpoint: '/v1/chat/completions',
    provider: 'huggingface',
    model: 'llama',
    outcome: 'ok',
    status: 200,
    durationMs: 120,
    firstByteMs: 40,
    overheadMs: 0.4,
    ...overrides,
  };
}

/** Samples of one name: labels as printed → value as printed. */
async function samplesOf(metrics: ReturnType<typeof createMetrics>, name: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const line of (await metrics.metricsText()).split('\n')) {
    const match = /^([a-z_]+)(\{.*\})? (\S+)$/.exec(line);
    if (match?.[1] === name) found.set(match[2] ?? '', match[3] ?? '');
  }
  return found;
}

describe('metrics', () => {
  it('has every metric an operator may count on, from the start', async () => {
    const text = await createMetrics({ process: false }).metricsText();
    for (const name of [
      'waybill_requests_total',
      'waybill_attempts_total',
      'waybill_request_duration_seconds',
      'waybill_time_to_first_byte_seconds',
      'waybill_overhead_seconds',
      'waybill_tokens_total',
      'waybill_cost_nano_usd_total',
      'waybill_unpriced_requests_total',
      'waybill_key_state',
      'waybill_limit_remaining',
      'waybill_queue_depth',
      'waybill_budget_remaining_nano_usd',
      'waybill_ledger_commit_seconds',
      'waybill_config_generation',
    ]) {
      expect(text).toContain(`# TYPE ${name} `);
    }
  });

  it('counts requests by client, endpoint, provider, model, outcome and status', async () => {
    const metrics = createMetrics({ process: false });
    metrics.recordRequest(aRequest());
    metrics.recordRequest(aRequest());
    metrics.recordRequest(aRequest({ provider: null, outcome: 'refused', status: 429, overheadMs: null }));
    const samples = await samplesOf(metrics, 'waybill_requests_total');
    const at = (provider: string, outcome: string, status: number) =>
      samples.get(
        `{client="team-search",endpoint="/v1/chat/completions",provider="${provider}",model="llama",outcome="${outcome}",status="${status}"}`,
      );
    expect(at('huggingface', 'ok', 200)).toBe('2');
    expect(at('none', 'refused', 429)).toBe('1');
  });

  it('puts a duration in every bucket it fits, in seconds', async () => {
    const metrics = createMetrics({ process: false });
    metrics.recordRequest(aRequest({ durationMs: 100 }));
    metrics.recordRequest(aRequest({ durationMs: 1_000_000 }));
    const labels = 'endpoint="/v1/chat/completions",provider="huggingface",model="llama"';
    const buckets = await samplesOf(metrics, 'waybill_request_duration_seconds_bucket');
    expect(buckets.get(`{${labels},le="0.05"}`)).toBe('0');
    expect(buckets.get(`{${labels},le="0.1"}`)).toBe('1');
    expect(buckets.get(`{${labels},le="300"}`)).toBe('1');
    expect(buckets.get(`{${labels},le="+Inf"}`)).toBe('2');
    expect((await samplesOf(metrics, 'waybill_request_duration_seconds_sum')).get(`{${labels}}`)).toBe('1000.1');
  });

  it('leaves out of the timings what never happened', async () => {
    const metrics = createMetrics({ process: false });
    metrics.recordRequest(aRequest({ firstByteMs: null, overheadMs: null }));
    const labels = '{endpoint="/v1/chat/completions",provider="huggingface",model="llama"}';
    expect((await samplesOf(metrics, 'waybill_time_to_first_byte_seconds_count')).get(labels)).toBe('0');
    expect((await samplesOf(metrics, 'waybill_request_duration_seconds_count')).get(labels)).toBe('1');
  });

  it('counts a reported zero and leaves the unknown out', async () => {
    const metrics = createMetrics({ process: false });
    metrics.recordUsage({ counts: { ...noCounts(), input: 12, output: 0 }, source: 'reported' });
    metrics.recordUsage({ counts: { ...noCounts(), input: 5 }, source: 'estimated' });
    expect(Object.fromEntries(await samplesOf(metrics, 'waybill_tokens_total'))).toEqual({
      '{class="input",source="reported"}': '12',
      '{class="output",source="reported"}': '0',
      '{class="input",source="estimated"}': '5',
    });
  });

  it('adds costs without drifting beyond 2^53, and counts an unknown cost apart', async () => {
    const metrics = createMetrics({ process: false });
    const whose = { client: 'a', provider: 'p', model: 'm' };
    metrics.recordCost({ ...whose, nanoUsd: 2n ** 53n });
    // In doubles each of these would be lost.
    for (let count = 0; count < 1000; count += 1) metrics.recordCost({ ...whose, nanoUsd: 1n });
    metrics.recordCost({ ...whose, nanoUsd: null });
    const labels = '{client="a",provider="p",model="m"}';
    expect((await samplesOf(metrics, 'waybill_cost_nano_usd_total')).get(labels)).toBe('9007199254741992');
    expect((await samplesOf(metrics, 'waybill_unpriced_requests_total')).get(labels)).toBe('1');
  });

  it('calls the clients and models beyond the bound "other", and still counts each request', async () => {
    const metrics = createMetrics({ process: false, maxLabelValues: 3 });
    for (let count = 0; count < 50; count += 1) {
      metrics.recordRequest(aRequest({ client: `client-${count}`, model: `model-${count}` }));
    }
    const samples = await samplesOf(metrics, 'waybill_requests_total');
    expect(samples.size).toBe(4);
    expect([...samples.values()].map(Number).reduce((sum, value) => sum + value, 0)).toBe(50);
    expect([...samples].find(([labels]) => labels.includes('client="other"'))?.[1]).toBe('47');
  });

  it('bounds the label sets of one metric too', async () => {
    const metrics = createMetrics({ process: false, maxSeries: 5 });
    for (let count = 0; count < 40; count += 1)
      metrics.recordAttempt({ provider: 'p', model: `m${count}`, outcome: 'ok', status: 200 });
    const samples = await samplesOf(metrics, 'waybill_attempts_total');
    expect(samples.size).toBe(6);
    expect(samples.get('{provider="other",model="other",outcome="other",status="other"}')).toBe('35');
  });

  it('reads gauges when it is scraped, from the parts in use then', async () => {
    const metrics = createMetrics({ process: false });
    let state: 'ready' | 'cooling' = 'ready';
    const sources = {
      keyStates: () => [{ provider: 'hf', key: 'hf:0123456789ab', state }],
      limits: () => [
        {
          scope: 'key:hf',
          limit: { kind: 'requests' as const, windowMs: 60_000, limit: 10, remaining: 7, resetMs: 1 },
        },
      ],
      queueDepth: () => 3,
      budgets: () => [{ client: 'a', remainingNanoUsd: 5_000_000_000n }],
      configGeneration: () => 4,
    };
    metrics.observe(sources);
    state = 'cooling';
    const keys = await samplesOf(metrics, 'waybill_key_state');
    expect(keys.get('{provider="hf",key="hf:0123456789ab",state="cooling"}')).toBe('1');
    expect(keys.get('{provider="hf",key="hf:0123456789ab",state="ready"}')).toBe('0');
    expect(
      (await samplesOf(metrics, 'waybill_limit_remaining')).get('{scope="key:hf",kind="requests",window="60s"}'),
    ).toBe('7');
    expect((await samplesOf(metrics, 'waybill_queue_depth')).get('')).toBe('3');
    expect((await samplesOf(metrics, 'waybill_budget_remaining_nano_usd')).get('{client="a"}')).toBe('5000000000');
    metrics.observe({ ...sources, configGeneration: () => 5 });
    expect((await samplesOf(metrics, 'waybill_config_generation')).get('')).toBe('5');
  });

  it('keeps quotes and line ends in a label from breaking the page', async () => {
    const metrics = createMetrics({ process: false });
    metrics.recordRequest(aRequest({ model: 'a"b\nc\\d' }));
    const text = await metrics.metricsText();
    expect(text).toContain('model="a\\"b\\nc\\\\d"');
  });

  it('keeps two registries apart', async () => {
    const one = createMetrics({ process: false });
    const other = createMetrics({ process: false });
    one.recordCommit(2);
    expect((await samplesOf(one, 'waybill_ledger_commit_seconds_count')).get('')).toBe('1');
    expect((await samplesOf(other, 'waybill_ledger_commit_seconds_count')).get('')).toBe('0');
  });
});
