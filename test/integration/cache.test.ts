import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_KEY, CLIENT_KEY, type Daemon } from '../support/daemon.js';
import {
  abortable,
  answer,
  chatBody,
  failure,
  IMPATIENT,
  provider,
  startRouter,
  stream,
} from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** `policy.cache` through the built daemon. */

const OTHER_KEY = 'other-client-key';
const LIMITED_KEY = 'limited-client-key';
const BUDGETED_KEY = 'budgeted-client-key';
const CLIENTS = [
  { id: 'tester', key: CLIENT_KEY },
  { id: 'other', key: OTHER_KEY },
  { id: 'limited', key: LIMITED_KEY, limits: { req_per_min: 2 } },
  { id: 'budgeted', key: BUDGETED_KEY, budget: { usd: '1', per: 'total' } },
];
/** What `answer()` costs at `PRICE`. */
const COST = 20_000;

let daemon: Daemon;
let upstream: ScriptedUpstream;
let asked = 0;

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
  const eu = provider('eu', upstream.url, { region: 'eu' });
  daemon = await startRouter([provider('a', upstream.url), eu], {
    api_keys: CLIENTS,
    policy: { ...IMPATIENT, algorithm: 'round_robin', cache: { enabled: true, ttl_seconds: 3_600 } },
    model_aliases: { nick: 'a:m' },
  });
});
afterEach(() => {
  upstream.requests.length = 0;
  upstream.setScript([answer()]);
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

/** A request that nobody has asked before. */
function fresh(rest: object = {}): { [name: string]: unknown } {
  asked += 1;
  return chatBody({ model: 'a:m', seed: asked, ...rest }) as { [name: string]: unknown };
}

interface Row {
  inference_id: string;
  outcome: string;
  status: number;
  cost_nano_usd: number | null;
  cache_hit: boolean;
  provider: string | null;
  decision: { cache_hit?: { inference_id: string; provider: string; model: string } } | null;
}

async function ask(
  body: unknown,
  { headers = {}, path = '/v1/chat/completions' }: { headers?: Record<string, string>; path?: string } = {},
) {
  const response = await daemon.post(path, body, headers);
  const text = await response.text();
  const of = (name: string) => response.headers.get(name);
  return {
    status: response.status,
    text,
    cache: of('x-waybill-cache'),
    cost: of('x-waybill-cost-nano-usd'),
    id: of('inference-id') as string,
    provider: of('x-waybill-provider'),
    attempts: of('x-waybill-attempts'),
    replay: of('x-waybill-idempotent-replay'),
    contentType: of('content-type'),
    get usage() {
      return (JSON.parse(text) as { usage: { [name: string]: number } }).usage;
    },
  };
}

const rowOf = (id: string) => daemon.admin<Row & { attempts: unknown[] }>(`/requests/${id}`);
const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

describe('a cached answer', () => {
  it('is the first one at no cost, with a row of its own', async () => {
    const body = fresh();
    const first = await ask(body);
    expect(first).toMatchObject({ status: 200, cache: 'miss', cost: String(COST), attempts: '1' });
    const again = await ask(body);
    expect(again).toMatchObject({ status: 200, cache: 'hit', cost: '0', provider: 'a', attempts: '0' });
    expect(upstream.requests).toHaveLength(1);
    expect(again.usage).toEqual({ ...first.usage, cost: 0, cost_nano_usd: 0 });
    const without = (text: string) => ({ ...(JSON.parse(text) as object), usage: null });
    expect(without(again.text)).toEqual(without(first.text));
    expect(again.id).not.toBe(first.id);
    expect(await rowOf(again.id)).toMatchObject({
      outcome: 'ok',
      status: 200,
      cost_nano_usd: 0,
      attempts: [],
      cache_hit: true,
      provider: null,
      usage: null,
      decision: { cache_hit: { inference_id: first.id, provider: 'a', model: 'm' } },
    });
    const { requests } = await daemon.admin<{ requests: Array<Row & { attempts: number }> }>('/requests?limit=2');
    expect(requests.map((row) => [row.inference_id, row.cache_hit, row.attempts, row.cost_nano_usd])).toEqual([
      [again.id, true, 0, 0],
      [first.id, false, 1, COST],
    ]);
    const billed = await ask({ requestIds: [first.id, again.id] }, { path: '/v1/billing' });
    expect(JSON.parse(billed.text)).toEqual({
      requests: [
        { requestId: first.id, costNanoUsd: COST },
        { requestId: again.id, costNanoUsd: 0 },
      ],
    });
  });

  it('is for the same request however it is written, and whatever its tags', async () => {
    const body = fresh({ seed: '@' });
    const { model, messages } = body;
    const text = JSON.stringify(body).replace('"@"', '9007199254740993');
    const shuffled = JSON.stringify({ messages, seed: '@', model }, null, 3).replace('"@"', '9007199254740993');
    expect((await ask(text)).cache).toBe('miss');
    expect((await ask(shuffled, { headers: { 'x-waybill-tags': 'team=a' } })).cache).toBe('hit');
    expect((await ask(shuffled, { path: '/api/v1/chat/completions' })).cache).toBe('hit');
    // The same double, another number.
    expect((await ask(text.replace('0993', '0992'))).cache).toBe('miss');
  });

  it('is for no other client, endpoint, region, model or way of answering', async () => {
    const body = fresh({ model: 'm' });
    const prompt = { ...body, prompt: 'How many?' };
    expect((await ask(prompt)).cache).toBe('miss');
    upstream.setScript((request) => (request.body.includes('"stream":true') ? stream() : answer()));
    for (const [what, how] of [
      [prompt, bearer(OTHER_KEY)],
      [prompt, { headers: { 'x-waybill-region': 'eu' } }],
      [prompt, { path: '/v1/completions' }],
      [{ ...prompt, model: 'nick' }, {}],
      [{ ...prompt, stream: true }, {}],
      [{ ...prompt, temperature: 0 }, {}],
    ] as const) {
      expect((await ask(what, how)).cache).toBe('miss');
      expect((await ask(what, how)).cache).toBe('hit');
    }
    expect(upstream.requests).toHaveLength(7);
  });

  it('that was a stream is a stream again, its usage chunk at no cost', async () => {
    upstream.setScript([stream()]);
    for (const options of [{}, { stream_options: { include_usage: true } }]) {
      const body = fresh({ stream: true, ...options });
      const first = await ask(body);
      expect(first).toMatchObject({ status: 200, cache: 'miss', cost: null });
      const again = await ask(body);
      expect(again).toMatchObject({ status: 200, cache: 'hit', cost: '0', contentType: first.contentType });
      const atNoCost = first.text
        .replace('"cost":0.00002', '"cost":0')
        .replace('"cost_nano_usd":20000', '"cost_nano_usd":0');
      expect(again.text).toBe(atNoCost);
      expect(again.text.endsWith('data: [DONE]\n\n')).toBe(true);
      expect(again.text === first.text).toBe(!('stream_options' in options));
      expect(await rowOf(again.id)).toMatchObject({ outcome: 'ok', cost_nano_usd: 0, cache_hit: true, attempts: [] });
    }
    expect(upstream.requests).toHaveLength(2);
  });

  it('may be vectors', async () => {
    // Large ones pass through the router as bytes.
    for (const length of [2, 20_000]) {
      const embedding = Array.from({ length }, (_, nth) => nth / 7 - 1e-7);
      const vectors = { object: 'list', data: [{ object: 'embedding', index: 0, embedding }] };
      upstream.setScript([{ body: { ...vectors, model: 'm', usage: { prompt_tokens: 4, total_tokens: 4 } } }]);
      const body = { model: 'a:m', input: [`x${length}`] };
      const first = await ask(body, { path: '/v1/embeddings' });
      const again = await ask(body, { path: '/v1/embeddings' });
      expect([first.cache, again.cache]).toEqual(['miss', 'hit']);
      expect(JSON.parse(again.text)).toMatchObject(vectors);
      expect(first.usage).toEqual({ prompt_tokens: 4, total_tokens: 4, cost: 0.000004, cost_nano_usd: 4_000 });
      expect(again.usage).toEqual({ prompt_tokens: 4, total_tokens: 4, cost: 0, cost_nano_usd: 0 });
    }
  });

  it('is never one that failed or broke off', async () => {
    const body = fresh();
    upstream.setScript([failure(400)]);
    expect(await ask(body)).toMatchObject({ status: 400 });
    upstream.setScript([answer()]);
    expect(await ask(body)).toMatchObject({ status: 200, cache: 'miss' });
    const streamed = fresh({ stream: true });
    upstream.setScript([stream({ cutAfterBytes: 400 })]);
    expect((await ask(streamed)).text).toContain('upstream_interrupted');
    upstream.setScript([stream()]);
    expect(await ask(streamed)).toMatchObject({ cache: 'miss' });
    expect(await ask(streamed)).toMatchObject({ cache: 'hit' });
  });

  it('is not taken for `no-cache`, which renews it, nor kept for `no-store`', async () => {
    const body = fresh();
    const now = (wish: string) => ask(body, { headers: { 'cache-control': wish } });
    upstream.setScript([answer('unstored'), answer('old'), answer('new')]);
    expect((await now('no-store')).cache).toBe('bypass');
    expect(await ask(body)).toMatchObject({ cache: 'miss', text: expect.stringContaining('old') });
    expect(await now('No-Cache')).toMatchObject({ cache: 'bypass', text: expect.stringContaining('new') });
    expect(await ask(body)).toMatchObject({ cache: 'hit', text: expect.stringContaining('new') });
    expect((await now('max-age=0')).cache).toBe('bypass');
    expect(upstream.requests).toHaveLength(4);
  });

  it('counts for the client’s requests, and not for its budget', async () => {
    const body = fresh();
    expect((await ask(body, bearer(LIMITED_KEY))).cache).toBe('miss');
    expect((await ask(body, bearer(LIMITED_KEY))).cache).toBe('hit');
    const refused = await ask(body, bearer(LIMITED_KEY));
    expect(refused).toMatchObject({ status: 429, text: expect.stringContaining('rate_limit_exceeded') });
    expect(await rowOf(refused.id)).toMatchObject({ outcome: 'refused', status: 429, attempts: [] });
    const spent = async () => {
      const { budgets } = await daemon.admin<{ budgets: Array<{ spent_nano_usd: number; held_nano_usd: number }> }>(
        '/budgets',
      );
      return budgets.map((budget) => [budget.spent_nano_usd, budget.held_nano_usd]);
    };
    await ask(body, bearer(BUDGETED_KEY));
    expect(await spent()).toEqual([[COST, 0]]);
    expect((await ask(body, bearer(BUDGETED_KEY))).cache).toBe('hit');
    expect(await spent()).toEqual([[COST, 0]]);
  });

  it('goes with idempotency keys', async () => {
    const body = fresh();
    const first = await ask(body, { headers: { 'idempotency-key': 'one' } });
    const replayed = await ask(body, { headers: { 'idempotency-key': 'one' } });
    expect(replayed).toMatchObject({ id: first.id, replay: 'true', cost: String(COST), text: first.text });
    const other = await ask(body, { headers: { 'idempotency-key': 'two' } });
    expect(other).toMatchObject({ cache: 'hit', cost: '0', replay: null });
    expect(await ask(body, { headers: { 'idempotency-key': 'two' } })).toMatchObject({
      id: other.id,
      replay: 'true',
      cost: '0',
    });
    expect(upstream.requests).toHaveLength(1);
  });
});

describe('the same request many times at once', () => {
  it('is sent once, whole and streamed', async () => {
    for (const isStream of [false, true]) {
      upstream.setScript([{ ...(isStream ? stream() : answer()), delayMs: 50 }]);
      const body = fresh({ stream: isStream });
      const before = upstream.requests.length;
      const answers = await Promise.all(Array.from({ length: 8 }, () => ask(body)));
      expect(upstream.requests.length - before).toBe(1);
      expect(answers.map(({ cache }) => cache).sort()).toEqual([...Array(7).fill('hit'), 'miss']);
      expect(new Set(answers.map(({ id }) => id)).size).toBe(8);
      const rows = await Promise.all(answers.map(({ id }) => rowOf(id)));
      expect(rows.map(({ cost_nano_usd: cost }) => cost).sort()).toEqual([...Array(7).fill(0), COST]);
    }
  });

  it('fails for nobody because the first client left', async () => {
    const body = fresh();
    upstream.setScript([{ hang: true }, answer()]);
    const first = abortable(daemon, body);
    const told = first.response.catch((error: Error) => error.name);
    await upstream.waitForRequests(1);
    const others = [ask(body), ask(body)];
    first.abort();
    expect(await told).toBe('AbortError');
    const answers = await Promise.all(others);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(answers.map(({ cache }) => cache).sort()).toEqual(['hit', 'miss']);
    expect(upstream.requests).toHaveLength(2);
  });
});

describe('the ledger', () => {
  it('adds up and verifies with cached answers in it', async () => {
    const { total } = await daemon.admin<{ total: { requests: number; attempts: number; cost_nano_usd: string } }>(
      '/reports/costs',
    );
    const { requests } = await daemon.admin<{ requests: Array<Row & { attempts: number }> }>('/requests?limit=1000');
    expect(requests.filter((row) => row.cache_hit).length).toBeGreaterThan(10);
    expect(total.requests).toBe(requests.length);
    expect(total.attempts).toBe(requests.reduce((sum, row) => sum + row.attempts, 0));
    expect(Number(total.cost_nano_usd)).toBe(requests.reduce((sum, row) => sum + (row.cost_nano_usd ?? 0), 0));
    const verified = await daemon.post('/api/admin/v1/ledger/verify', '', { authorization: `Bearer ${ADMIN_KEY}` });
    expect(await verified.json()).toMatchObject({ ok: true, differences: [] });
  });
});

describe('without a cache', () => {
  it('every request goes upstream, and no answer speaks of one', async () => {
    const plain = await startRouter([provider('a', upstream.url)]);
    try {
      for (let nth = 0; nth < 2; nth += 1) {
        const response = await plain.post('/v1/chat/completions', chatBody());
        await response.arrayBuffer();
        expect(response.headers.get('x-waybill-cache')).toBeNull();
      }
      expect(upstream.requests).toHaveLength(2);
    } finally {
      await plain.stop();
    }
  });
});
