import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_KEY, type Daemon } from '../support/daemon.js';
import {
  answer,
  chatBody,
  type ErrorBody,
  IMPATIENT,
  provider,
  startRouter,
  stream,
} from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** Budgets through the built daemon: what counts is what the provider was asked for, and what the ledger says. */

interface BudgetRow {
  client: string;
  spent_nano_usd: number;
  held_nano_usd: number;
  left_nano_usd: number;
  resets_at: string | null;
}

let daemon: Daemon;
let upstream: ScriptedUpstream;

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
});
afterEach(async () => {
  await daemon.stop();
  upstream.requests.length = 0;
});
afterAll(() => upstream?.close());

/** Output only is priced, at 2,000 nano-USD a token, so that `max_tokens` alone is the worst case. */
const OUTPUT_PRICED = { input_token_cost: '0', output_token_cost: '0.000002' };

function start(usd: string, budget: object = {}, rest: object = {}): Promise<void> {
  return startRouter([provider('a', upstream.url, { pricing: OUTPUT_PRICED, ...rest })], {
    // A busy machine is no failing provider.
    policy: { retry: { ...IMPATIENT.retry, timeout: '60s' }, queue: { max_wait: '20s', max_length: 5_000 } },
    api_keys: [{ id: 'tester', key: CLIENT_KEY, budget: { usd, per: 'total', ...budget } }],
  }).then((started) => {
    daemon = started;
  });
}

async function budgetNow(): Promise<BudgetRow> {
  const { budgets } = await daemon.admin<{ budgets: BudgetRow[] }>('/budgets');
  return budgets[0] as BudgetRow;
}

async function ask(body: object): Promise<{ status: number; body: ErrorBody; response: Response }> {
  const response = await daemon.post('/v1/chat/completions', body);
  return { status: response.status, body: (await response.json()) as ErrorBody, response };
}

describe('a budget under load', () => {
  it('lets exactly as many of 2,000 requests through as fit, and is never passed, also after kill -9', async () => {
    // 5 output tokens a request: 10,000 nano-USD; a hundred of them fit.
    await start('0.001');
    upstream.setScript(() => ({ ...answer(), delayMs: 20 }));
    let sampling = true;
    const samples: BudgetRow[] = [];
    const sampler = (async () => {
      while (sampling) samples.push(await budgetNow());
    })();
    const results = await Promise.all(Array.from({ length: 2_000 }, () => ask(chatBody({ max_tokens: 5 }))));
    sampling = false;
    await sampler;
    const succeeded = results.filter(({ status }) => status === 200);
    const refused = results.filter(({ status }) => status === 429);
    expect(succeeded).toHaveLength(100);
    expect(refused).toHaveLength(1_900);
    expect(refused.every(({ body }) => body.error.code === 'budget_exceeded')).toBe(true);
    expect(upstream.requests).toHaveLength(100);
    expect(samples.length).toBeGreaterThan(0);
    for (const { spent_nano_usd, held_nano_usd } of samples) {
      expect(spent_nano_usd + held_nano_usd).toBeLessThanOrEqual(1_000_000);
    }
    expect(await budgetNow()).toMatchObject({ spent_nano_usd: 1_000_000, held_nano_usd: 0, left_nano_usd: 0 });
    daemon.kill('SIGKILL');
    await daemon.restart();
    expect(await budgetNow()).toMatchObject({ spent_nano_usd: 1_000_000, held_nano_usd: 0, left_nano_usd: 0 });
    expect((await ask(chatBody({ max_tokens: 5 }))).status).toBe(429);
    expect(upstream.requests).toHaveLength(100);
  }, 60_000);

  it('counts what was in flight when the process died as it was held', async () => {
    await start('0.001');
    upstream.setScript([{ hang: true }]);
    const hanging = expect(ask(chatBody({ max_tokens: 30 }))).rejects.toThrow();
    await upstream.waitForRequests(1);
    expect(await budgetNow()).toMatchObject({ spent_nano_usd: 0, held_nano_usd: 60_000 });
    daemon.kill('SIGKILL');
    await hanging;
    await daemon.restart();
    expect(await budgetNow()).toMatchObject({ spent_nano_usd: 60_000, held_nano_usd: 0 });
  });
});

describe('a call of unknown cost', () => {
  it('counts as it was held, after a restart too', async () => {
    await start('0.001');
    const usage = { prompt_tokens: 10, completion_tokens: 5, prompt_tokens_details: { cache_write_tokens: 3 } };
    const body = JSON.stringify({ ...JSON.parse(answer().body as string), usage });
    // No price for writing to a cache: the cost is unknown, and what was held for 30 tokens of output stands.
    upstream.setScript([{ ...answer(), body }]);
    expect((await ask(chatBody({ max_tokens: 30 }))).status).toBe(200);
    expect(await budgetNow()).toMatchObject({ spent_nano_usd: 60_000, held_nano_usd: 0 });
    daemon.kill('SIGTERM');
    await daemon.waitForExit();
    await daemon.restart();
    expect(await budgetNow()).toMatchObject({ spent_nano_usd: 60_000, held_nano_usd: 0 });
  });
});

describe('a budgeted request', () => {
  it('is refused with the reset time and x-should-retry: false, and nothing is sent', async () => {
    await start('0.000001', { per: 'month', timezone: 'Europe/Berlin' });
    const { status, body, response } = await ask(chatBody({ max_tokens: 100 }));
    expect(status).toBe(429);
    expect(body.error).toMatchObject({ type: 'insufficient_quota', code: 'budget_exceeded' });
    expect(body.error.message).toMatch(/begins anew at \d{4}-\d\d-\d\dT/);
    expect(response.headers.get('x-should-retry')).toBe('false');
    expect(upstream.requests).toHaveLength(0);
    expect((await budgetNow()).resets_at).toMatch(/T2[23]:00:00\.000Z$/);
  });

  it('without an output bound gets one that the budget can pay for', async () => {
    // 100,000 nano-USD are 50 tokens of output.
    await start('0.0001');
    upstream.setScript([answer()]);
    expect((await ask(chatBody())).status).toBe(200);
    expect(JSON.parse(upstream.requests[0]?.body ?? '')).toMatchObject({ max_tokens: 50 });
    expect(await budgetNow()).toMatchObject({ spent_nano_usd: 10_000, held_nano_usd: 0 });
  });

  it('to a model without a price is refused, since its cost would be unknown', async () => {
    await start('1', {}, { pricing: null });
    const { status, body } = await ask(chatBody({ max_tokens: 5 }));
    expect(status).toBe(400);
    expect(body.error.code).toBe('unpriced_model');
    expect(upstream.requests).toHaveLength(0);
  });

  it('is let through, and recorded, where on_exceed says warn', async () => {
    await start('0.000001', { on_exceed: 'warn' });
    upstream.setScript([answer()]);
    expect((await ask(chatBody({ max_tokens: 100 }))).status).toBe(200);
    expect(await budgetNow()).toMatchObject({ spent_nano_usd: 10_000, left_nano_usd: 0 });
    await expect.poll(() => daemon.output()).toContain('budget exceeded');
  });

  it('that fails, streams, or is left by its client leaves nothing held', async () => {
    await start('0.01');
    upstream.setScript([{ status: 500, body: '{}' }]);
    expect((await ask(chatBody({ max_tokens: 5 }))).status).toBe(503);
    upstream.setScript([stream()]);
    const streamed = await daemon.post('/v1/chat/completions', chatBody({ stream: true, max_tokens: 5 }));
    await streamed.text();
    upstream.setScript([stream({ chunkDelayMs: 100 })]);
    const left = await daemon.post('/v1/chat/completions', chatBody({ stream: true, max_tokens: 5 }));
    await left.body?.cancel();
    await upstream.requests.at(-1)?.closed;
    await expect.poll(async () => (await budgetNow()).held_nano_usd).toBe(0);
    expect((await budgetNow()).spent_nano_usd).toBeGreaterThanOrEqual(10_000);
  });
});
