import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_KEY, type Daemon } from '../support/daemon.js';
import {
  abortable,
  answer,
  chatBody,
  type ErrorBody,
  failure,
  IMPATIENT,
  type LedgerRequest,
  provider,
  startRouter,
} from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** Limits from the outside: what a provider key is asked for, what a client is told, and that nothing stays taken. */

let daemon: Daemon;
let upstream: ScriptedUpstream;

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
});
afterEach(async () => {
  await daemon.stop();
  upstream.requests.length = 0;
  upstream.setScript([answer()]);
});
afterAll(() => upstream?.close());

interface Limits {
  provider?: object;
  client?: object;
  keys?: string[];
  models?: object[];
  queue?: object;
}

async function start({ provider: key = {}, client = {}, keys = ['one'], models, queue }: Limits): Promise<void> {
  daemon = await startRouter(
    [provider('a', upstream.url, { api_keys: keys, limits: key, ...(models === undefined ? {} : { models }) })],
    {
      api_keys: [
        { id: 'tester', key: CLIENT_KEY, limits: client },
        { id: 'other', key: 'other-key' },
      ],
      policy: { ...IMPATIENT, queue: { max_wait: '60ms', max_length: 1_000, ...queue } },
    },
  );
}

interface Asked {
  response: Response;
  status: number;
  body: ErrorBody;
}

async function ask(body: object = chatBody(), headers: Record<string, string> = {}): Promise<Asked> {
  const response = await daemon.post('/v1/chat/completions', body, headers);
  return { response, status: response.status, body: (await response.json()) as ErrorBody };
}

/** The answer says that a limit is reached, and for how long to wait: never longer than a client listens to. */
function expectLimited({ response, status, body }: Asked): void {
  expect(status).toBe(429);
  expect(body.error).toMatchObject({ type: 'rate_limit_error', code: 'rate_limit_exceeded', param: null });
  const seconds = Number(response.headers.get('retry-after'));
  const milliseconds = Number(response.headers.get('retry-after-ms'));
  expect(seconds).toBeGreaterThanOrEqual(1);
  expect(seconds).toBeLessThanOrEqual(60);
  expect(milliseconds).toBeGreaterThan(0);
  expect(milliseconds).toBeLessThanOrEqual(60_000);
}

async function lastRow(): Promise<LedgerRequest> {
  const { requests } = await daemon.admin<{ requests: LedgerRequest[] }>('/requests?limit=1');
  return requests[0] as LedgerRequest;
}

describe('requests per minute of a key', () => {
  it('spread over its keys, and are refused when all are used up', async () => {
    await start({ provider: { req_per_min: 3 }, keys: ['one', 'two'] });
    const asked: Asked[] = [];
    for (let i = 0; i < 6; i += 1) asked.push(await ask());
    expect(asked.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    const keys = upstream.requests.map((request) => request.headers['authorization']);
    expect(keys.filter((key) => key === 'Bearer one')).toHaveLength(3);
    expect(keys.filter((key) => key === 'Bearer two')).toHaveLength(3);
    expectLimited(await ask());
    expect(upstream.requests).toHaveLength(6);
    expect(await lastRow()).toMatchObject({ outcome: 'refused', status: 429, cost_nano_usd: 0 });
  });

  it('hold for requests that come at once', async () => {
    await start({ provider: { req_per_min: 5 } });
    const asked = await Promise.all(Array.from({ length: 40 }, () => ask()));
    expect(asked.filter(({ status }) => status === 200)).toHaveLength(5);
    for (const refused of asked.filter(({ status }) => status !== 200)) expectLimited(refused);
    expect(upstream.requests).toHaveLength(5);
  });

  it('may be set for one key', async () => {
    daemon = await startRouter(
      [provider('a', upstream.url, { api_keys: [{ key: 'one', limits: { req_per_min: 1 } }, 'two'] })],
      { policy: { ...IMPATIENT, queue: { max_wait: '60ms' } } },
    );
    for (let i = 0; i < 8; i += 1) expect((await ask()).status).toBe(200);
    const keys = upstream.requests.map((request) => request.headers['authorization']);
    expect(keys.filter((key) => key === 'Bearer one')).toHaveLength(1);
  });

  it('count for a model where it has limits of its own', async () => {
    await start({ models: [{ id: 'm', limits: { req_per_min: 1 } }, { id: 'free' }] });
    expect((await ask()).status).toBe(200);
    expectLimited(await ask());
    for (let i = 0; i < 3; i += 1) expect((await ask(chatBody({ model: 'free' }))).status).toBe(200);
  });

  it('are not what a client is told of who has limits of its own', async () => {
    await start({ provider: { req_per_min: 7, tokens_per_min: 7_000 } });
    const theirs = (await ask(chatBody({ max_tokens: 20 }))).response.headers;
    expect(theirs.get('x-ratelimit-limit-requests')).toBe('7');
    expect(theirs.get('x-ratelimit-remaining-requests')).toBe('6');
    expect(theirs.get('x-ratelimit-limit-tokens')).toBe('7000');
    await daemon.stop();
    await start({ provider: { req_per_min: 7 }, client: { req_per_min: 3 } });
    expect((await ask()).response.headers.get('x-ratelimit-limit-requests')).toBe('3');
  });
});

describe('limits of a client', () => {
  it('hold for that client alone', async () => {
    await start({ client: { req_per_min: 2 } });
    expect((await ask()).status).toBe(200);
    expect((await ask()).status).toBe(200);
    const refused = await ask();
    expectLimited(refused);
    expect(await lastRow()).toMatchObject({ outcome: 'refused', client: 'tester' });
    expect((await ask(chatBody(), { authorization: 'Bearer other-key' })).status).toBe(200);
    expect(upstream.requests).toHaveLength(3);
  });

  it('are told with every answer, a refusal too', async () => {
    await start({ client: { req_per_min: 2, tokens_per_min: 1_000 } });
    const first = (await ask(chatBody({ max_tokens: 100 }))).response.headers;
    expect(first.get('x-ratelimit-limit-requests')).toBe('2');
    expect(first.get('x-ratelimit-remaining-requests')).toBe('1');
    expect(first.get('x-ratelimit-reset-requests')).toMatch(/^(59|60|61)s$/);
    expect(first.get('x-ratelimit-limit-tokens')).toBe('1000');
    expect(Number(first.get('x-ratelimit-remaining-tokens'))).toBeLessThanOrEqual(985);
    expect(first.get('x-ratelimit-reset-tokens')).toMatch(/^(59|60|61)s$/);
    await ask(chatBody({ max_tokens: 100 }));
    const refused = (await ask(chatBody({ max_tokens: 100 }))).response.headers;
    expect(refused.get('x-ratelimit-remaining-requests')).toBe('0');
    // 10 tokens in and 5 out were used by each of the two, whatever was reserved for them.
    expect(refused.get('x-ratelimit-remaining-tokens')).toBe('970');
  });

  it('count a request once, however many attempts it needs', async () => {
    await start({ client: { req_per_min: 2 }, keys: ['one', 'two'] });
    upstream.setScript([failure(500), failure(500), answer()]);
    expect((await ask()).status).toBe(200);
    expect((await ask()).status).toBe(200);
    expect(upstream.requests).toHaveLength(4);
    expectLimited(await ask());
  });
});

describe('tokens per minute', () => {
  it('refuse at once what is larger than the whole limit, without waiting', async () => {
    await start({ provider: { tokens_per_min: 500 }, queue: { max_wait: '30s' } });
    const before = Date.now();
    const { status, body } = await ask(chatBody({ max_tokens: 501 }));
    expect(Date.now() - before).toBeLessThan(2_000);
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ type: 'invalid_request_error', code: 'request_exceeds_limit' });
    expect(upstream.requests).toHaveLength(0);
    expect(await lastRow()).toMatchObject({ outcome: 'refused', status: 400 });
    // And nothing of it stands in the way of the next.
    expect((await ask(chatBody({ max_tokens: 20 }))).status).toBe(200);
  });

  it('refuse at once a prompt larger than the whole limit of the client', async () => {
    await start({ client: { tokens_per_min: 300 }, queue: { max_wait: '30s' } });
    const messages = [{ role: 'user', content: 'one word and another '.repeat(200) }];
    const { status, body } = await ask(chatBody({ messages, max_tokens: 1 }));
    expect(status).toBe(400);
    expect(body.error.code).toBe('request_exceeds_limit');
  });

  it('are reserved by estimate and given back by usage', async () => {
    await start({ provider: { tokens_per_min: 300 } });
    // Each reserves more than 200 and uses 15: without the correction the second would find no room.
    for (let i = 0; i < 5; i += 1) expect((await ask(chatBody({ max_tokens: 200 }))).status).toBe(200);
    expectLimited(await ask(chatBody({ max_tokens: 280 })));
  });

  it('are taken beyond the estimate where more was used', async () => {
    await start({ provider: { tokens_per_min: 200 } });
    const heavy = answer();
    const usage = { prompt_tokens: 100, completion_tokens: 90, total_tokens: 190 };
    upstream.setScript([{ ...heavy, body: JSON.stringify({ ...JSON.parse(String(heavy.body)), usage }) }, answer()]);
    expect((await ask(chatBody({ max_tokens: 10 }))).status).toBe(200);
    expectLimited(await ask(chatBody({ max_tokens: 10 })));
  });

  it('are free again after a request that was refused', async () => {
    await start({ provider: { tokens_per_min: 300 } });
    upstream.setScript([failure(400), failure(400), failure(400), answer()]);
    for (const status of [400, 400, 400, 200]) {
      expect((await ask(chatBody({ max_tokens: 250 }))).status).toBe(status);
    }
  });
});

describe('concurrency', () => {
  it('lets so many run at once, the others wait, and all are answered', async () => {
    await start({ provider: { concurrency: 2 }, queue: { max_wait: '10s' } });
    let running = 0;
    let most = 0;
    upstream.setScript(async (request) => {
      running += 1;
      most = Math.max(most, running);
      void request.closed.then(() => {
        running -= 1;
      });
      return { ...answer(), delayMs: 20 };
    });
    const asked = await Promise.all(Array.from({ length: 12 }, () => ask()));
    expect(asked.every(({ status }) => status === 200)).toBe(true);
    expect(most).toBe(2);
  });

  it('is refused after queue.max_wait when nothing comes free', async () => {
    await start({ provider: { concurrency: 1 } });
    upstream.setScript([{ hang: true }, answer()]);
    const holding = abortable(daemon, chatBody());
    const held = expect(holding.response).rejects.toThrow();
    await upstream.waitForRequests(1);
    const before = Date.now();
    expectLimited(await ask());
    expect(Date.now() - before).toBeGreaterThanOrEqual(55);
    holding.abort();
    await held;
    await upstream.requests[0]?.closed;
    await expect.poll(async () => (await ask()).status).toBe(200);
  });

  it('of a client holds too', async () => {
    await start({ client: { concurrency: 1 } });
    upstream.setScript([{ hang: true }, answer()]);
    const holding = abortable(daemon, chatBody());
    const held = expect(holding.response).rejects.toThrow();
    await upstream.waitForRequests(1);
    expectLimited(await ask());
    expect((await ask(chatBody(), { authorization: 'Bearer other-key' })).status).toBe(200);
    holding.abort();
    await held;
    await expect.poll(async () => (await ask()).status).toBe(200);
  });

  it('passes on to the next who waits when a client leaves, be it running or waiting', async () => {
    await start({ provider: { concurrency: 1 }, queue: { max_wait: '10s' } });
    upstream.setScript([{ hang: true }, answer()]);
    const running = abortable(daemon, chatBody());
    const waiting = abortable(daemon, chatBody({ user: 'leaves' }));
    const left = Promise.all([running, waiting].map(({ response }) => expect(response).rejects.toThrow()));
    await upstream.waitForRequests(1);
    const next = ask(chatBody({ user: 'stays' }));
    waiting.abort();
    running.abort();
    await left;
    expect((await next).status).toBe(200);
    expect(upstream.requests.map(({ body }) => body.includes('leaves'))).toEqual([false, false]);
  });

  it('is refused at once when the queue is full', async () => {
    await start({ provider: { concurrency: 1 }, queue: { max_wait: '20s', max_length: 1 } });
    upstream.setScript([{ hang: true }, answer()]);
    const holding = [abortable(daemon, chatBody())];
    await upstream.waitForRequests(1);
    const asked = Array.from({ length: 3 }, () => ask());
    const first = await Promise.race(asked);
    expectLimited(first);
    holding[0]?.abort();
    await expect(holding[0]?.response).rejects.toThrow();
    const statuses = (await Promise.all(asked)).map(({ status }) => status).sort();
    expect(statuses).toEqual([200, 429, 429]);
  });
});
