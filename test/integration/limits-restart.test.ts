import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_KEY, type Daemon } from '../support/daemon.js';
import {
  abortable,
  answer,
  chatBody,
  type ErrorBody,
  IMPATIENT,
  provider,
  startRouter,
} from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** Limits over a restart of the built daemon: nobody gets a second allowance by it, however it ended. */

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

async function start(limits: { key?: object; client?: object; model?: object }): Promise<void> {
  daemon = await startRouter(
    [
      provider('a', upstream.url, {
        limits: limits.key ?? {},
        models: [{ id: 'm', limits: limits.model ?? {} }],
      }),
    ],
    {
      api_keys: [{ id: 'tester', key: CLIENT_KEY, limits: limits.client ?? {} }],
      policy: { ...IMPATIENT, queue: { max_wait: '60ms' } },
    },
  );
}

async function ask(body: object = chatBody({ max_tokens: 20 })): Promise<{ response: Response; body: ErrorBody }> {
  const response = await daemon.post('/v1/chat/completions', body);
  return { response, body: (await response.json()) as ErrorBody };
}

async function restart(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  daemon.kill(signal);
  await daemon.waitForExit();
  await daemon.restart();
}

async function expectRefused(): Promise<number> {
  const asked = upstream.requests.length;
  const { response, body } = await ask();
  expect(response.status, JSON.stringify(body)).toBe(429);
  expect(body.error.code).toBe('rate_limit_exceeded');
  expect(upstream.requests).toHaveLength(asked);
  return Number(response.headers.get('retry-after-ms'));
}

describe('after a new start', () => {
  it.each([
    ['a session of a key', 'SIGKILL', { key: { session_limit: 50, session_type: '1m' } }],
    ['a session of a client', 'SIGTERM', { client: { session_limit: 50, session_type: '1m' } }],
    ['a session of a model', 'SIGKILL', { model: { session_limit: 50, session_type: '1m' } }],
    ['a minute', 'SIGKILL', { key: { req_per_min: 2 } }],
    ['the tokens of a minute', 'SIGTERM', { client: { tokens_per_min: 50 } }],
    ['a day', 'SIGKILL', { key: { req_per_day: 2 } }],
    ['a month', 'SIGTERM', { client: { req_per_month: 2 } }],
  ] as const)('%s is as used up as it was (%s)', async (what, signal, limits) => {
    await start(limits);
    // 15 tokens each; the third would need about 30 more.
    for (let i = 0; i < 2; i += 1) expect((await ask()).response.status).toBe(200);
    await expectRefused();
    await restart(signal);
    const waitMs = await expectRefused();
    // Room comes at the same instant as before; a wait of more than a minute is told as one of a minute.
    if (/day|month/.test(what)) expect(waitMs).toBe(60_000);
    else expect(Math.abs(Date.now() + waitMs - 60_500 - (upstream.requests[0]?.time ?? 0))).toBeLessThan(2_500);
  });
});

it('counts what was in flight at a kill -9 as it was estimated', async () => {
  await start({ key: { session_limit: 1_000, session_type: '1h' } });
  upstream.setScript([{ hang: true }, answer()]);
  const holding = abortable(daemon, chatBody({ max_tokens: 950 }));
  const held = expect(holding.response).rejects.toThrow();
  await upstream.waitForRequests(1);
  await restart('SIGKILL');
  await held;
  expect((await ask(chatBody({ max_tokens: 100 }))).response.status).toBe(429);
  expect((await ask(chatBody({ max_tokens: 5 }))).response.status).toBe(200);
});

it('gives a client back what its request did not use', async () => {
  await start({ client: { tokens_per_min: 300 } });
  upstream.setScript([
    ...Array.from({ length: 3 }, () => ({ status: 400, body: { error: { message: 'no' } } })),
    answer(),
  ]);
  for (const status of [400, 400, 400, 200]) {
    expect((await ask(chatBody({ max_tokens: 250 }))).response.status).toBe(status);
  }
});
