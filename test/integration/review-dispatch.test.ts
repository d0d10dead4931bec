import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.js';
import {
  answer,
  chatBody,
  type ErrorBody,
  failure,
  provider,
  recordOf,
  startRouter,
} from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** What a request costs and counts when its attempts do not all go well. */

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

const usage = { prompt_tokens: 1_000, completion_tokens: 500, total_tokens: 1_500 };

describe('a failed attempt that reports usage', () => {
  it.each([
    ['a 200 without choices', failure(200, { id: 'x', choices: [], usage })],
    ['an error inside a 200', failure(200, { error: { message: 'no', code: 500 }, usage })],
    ['a 500', failure(500, { error: { message: 'no' }, usage })],
  ])('%s is charged what it reported', async (_name, step) => {
    daemon = await startRouter([provider('a', upstream.url)]);
    upstream.setScript([step]);
    const response = await daemon.post('/v1/chat/completions', chatBody());
    await response.arrayBuffer();
    const record = await recordOf(daemon, response);
    expect(record.attempts).toHaveLength(3);
    for (const attempt of record.attempts) {
      expect(attempt).toMatchObject({
        outcome: 'failed',
        cost_nano_usd: 2_000_000,
        usage: { input: 1_000, output: 500, source: 'reported' },
      });
    }
    expect(record.cost_nano_usd).toBe(6_000_000);
  });

  it('is in the cost that the client is told', async () => {
    daemon = await startRouter([provider('a', upstream.url)]);
    upstream.setScript([failure(500, { error: { message: 'no' }, usage }), answer()]);
    const response = await daemon.post('/v1/chat/completions', chatBody());
    const body = (await response.json()) as { usage: { cost_nano_usd: number; prompt_tokens: number } };
    expect(body.usage).toMatchObject({ cost_nano_usd: 2_020_000, prompt_tokens: 10 });
    expect(response.headers.get('x-waybill-cost-nano-usd')).toBe('2020000');
    expect((await recordOf(daemon, response)).cost_nano_usd).toBe(2_020_000);
  });
});

describe('a breaker', () => {
  it('is closed by a probe that the provider answers with the caller’s mistake', async () => {
    daemon = await startRouter([provider('a', upstream.url)], {
      policy: {
        retry: { max_attempts: 1, interval: '1ms', max_wait: '10ms' },
        cooldown: { failures: 2, window: '10s', open: '200ms' },
      },
    });
    upstream.setScript([failure(500)]);
    for (let i = 0; i < 2; i += 1) await (await daemon.post('/v1/chat/completions', chatBody())).arrayBuffer();
    upstream.setScript([failure(400), answer()]);
    await new Promise((resolve) => setTimeout(resolve, 220));
    expect((await daemon.post('/v1/chat/completions', chatBody())).status).toBe(400);
    expect((await daemon.post('/v1/chat/completions', chatBody())).status).toBe(200);
  });
});

describe('what an adapter cannot send', () => {
  it('is refused without an attempt, and goes to a target that can', async () => {
    const hub = {
      type: 'huggingface',
      base_url: `${upstream.url}/hf-inference`,
      models: [{ id: 'e', tasks: ['embedding'] }],
    };
    daemon = await startRouter([provider('hub', upstream.url, hub)]);
    const ask = { model: 'e', input: 'x', dimensions: 3 };
    const response = await daemon.post('/v1/embeddings', ask);
    expect(response.status).toBe(400);
    expect(((await response.json()) as ErrorBody).error.param).toBe('dimensions');
    expect(upstream.requests).toHaveLength(0);
    expect(await recordOf(daemon, response)).toMatchObject({ outcome: 'refused', attempts: [], cost_nano_usd: 0 });
    await daemon.stop();
    daemon = await startRouter([
      provider('hub', upstream.url, hub),
      provider('other', upstream.url, { models: [{ id: 'e', tasks: ['embedding'] }] }),
    ]);
    const data = [{ object: 'embedding', index: 0, embedding: [1, 2, 3] }];
    upstream.setScript([
      failure(200, { object: 'list', data, model: 'e', usage: { prompt_tokens: 1, total_tokens: 1 } }),
    ]);
    for (let i = 0; i < 2; i += 1) {
      expect((await daemon.post('/v1/embeddings', ask)).headers.get('x-waybill-provider')).toBe('other');
    }
  });
});

describe('limits on tokens', () => {
  it('do not refuse a small request for an output that was only guessed', async () => {
    daemon = await startRouter([provider('a', upstream.url, { limits: { tokens_per_min: 900 } })]);
    upstream.setScript([answer()]);
    expect((await daemon.post('/v1/chat/completions', chatBody())).status).toBe(200);
    expect((await daemon.post('/v1/chat/completions', chatBody({ max_tokens: 950 }))).status).toBe(400);
  });
});
