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
  stream,
} from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream, type UpstreamStep } from '../support/scripted-upstream.js';

/** Every row of the failure table, from the outside: a scripted provider, a second one beside it, the built daemon. */

let daemon: Daemon;
let upstream: ScriptedUpstream;
let spare: ScriptedUpstream;

async function start(providers: object[], rest: { [key: string]: unknown } = {}): Promise<void> {
  daemon = await startRouter(providers, rest);
}

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
  spare = await startUpstream([answer('from the spare')]);
});
afterEach(async () => {
  await daemon.stop();
  upstream.requests.length = 0;
  spare.requests.length = 0;
  spare.setScript([answer('from the spare')]);
});
afterAll(async () => {
  await upstream?.close();
  await spare?.close();
});

const keysAsked = () => upstream.requests.map((request) => request.headers['authorization']);

async function ask(steps: UpstreamStep[], body: object = chatBody()): Promise<{ response: Response; body: ErrorBody }> {
  upstream.setScript(steps);
  const response = await daemon.post('/v1/chat/completions', body);
  return { response, body: (await response.json()) as ErrorBody };
}

const twoKeys = () => provider('a', upstream.url, { api_keys: ['one', 'two'] });

describe('429', () => {
  it('uses the second key, and leaves the first alone for what Retry-After says', async () => {
    await start([twoKeys()]);
    const { response } = await ask([failure(429, undefined, { 'retry-after': '30' }), answer()]);
    expect(response.status).toBe(200);
    expect(new Set(keysAsked()).size).toBe(2);
    const cooled = keysAsked()[0];
    for (let i = 0; i < 4; i += 1) expect((await ask([answer()])).response.status).toBe(200);
    expect(keysAsked().filter((key) => key === cooled)).toHaveLength(1);
    const record = await recordOf(daemon, response);
    expect(record).toMatchObject({ outcome: 'ok', cost_nano_usd: 20_000 });
    expect(record.attempts).toMatchObject([
      { outcome: 'failed', status: 429, cost_nano_usd: 0, usage: null },
      { outcome: 'ok', status: 200, cost_nano_usd: 20_000 },
    ]);
  });

  it('goes to the next target when no key is left', async () => {
    await start([provider('a', upstream.url), provider('b', spare.url)]);
    const { response } = await ask([failure(429)]);
    expect(response.status).toBe(200);
    expect(response.headers.get('x-waybill-provider')).toBe('b');
    expect(response.headers.get('x-waybill-attempts')).toBe('2');
  });

  it('waits for a short Retry-After when nothing else is left', async () => {
    await start([provider('a', upstream.url)]);
    const { response } = await ask([failure(429, undefined, { 'retry-after-ms': '100' }), answer()]);
    expect(response.status).toBe(200);
    const [first, second] = upstream.requests;
    expect((second?.time ?? 0) - (first?.time ?? 0)).toBeGreaterThanOrEqual(95);
  });

  it('tells the client when Retry-After is longer than it may wait', async () => {
    await start([provider('a', upstream.url)]);
    const { response, body } = await ask([failure(429, undefined, { 'retry-after': '300' })]);
    expect(response.status).toBe(429);
    expect(body.error).toMatchObject({ type: 'rate_limit_error', code: 'upstream_rate_limited' });
    expect(Number(response.headers.get('retry-after'))).toBeLessThanOrEqual(60);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(upstream.requests).toHaveLength(1);
    // While it cools nothing is sent, and the answer is the same.
    expect((await ask([answer()])).response.status).toBe(429);
    expect(upstream.requests).toHaveLength(1);
  });
});

describe('credentials', () => {
  it.each([
    [401, { error: 'Invalid username or password.' }],
    [403, { error: { message: 'no access', type: 'permission_error' } }],
    [402, { error: 'You have exceeded your monthly included credits' }],
    [429, { error: { message: 'quota', type: 'insufficient_quota', code: 'insufficient_quota' } }],
  ])('%i disables the key and uses another', async (status, error) => {
    await start([twoKeys()]);
    expect((await ask([failure(status, error), answer()])).response.status).toBe(200);
    const bad = keysAsked()[0];
    for (let i = 0; i < 3; i += 1) await ask([answer()]);
    expect(keysAsked().filter((key) => key === bad)).toHaveLength(1);
    const { providers } = await daemon.admin<{ providers: Array<{ status: string; keys: Array<{ state: string }> }> }>(
      '/providers',
    );
    expect(providers[0]?.keys.map((key) => key.state).sort()).toEqual(['disabled', 'ready']);
    expect(providers[0]?.status).toBe('degraded');
  });

  it('answers upstream_credentials_exhausted when every key is refused, and then without asking', async () => {
    await start([twoKeys()]);
    for (const asked of [2, 2]) {
      const { response, body } = await ask([failure(401)]);
      expect(response.status).toBe(502);
      expect(response.headers.get('x-should-retry')).toBe('false');
      expect(body.error).toMatchObject({ type: 'upstream_error', code: 'upstream_credentials_exhausted' });
      expect(upstream.requests).toHaveLength(asked);
    }
  });
});

describe('where no target is ready', () => {
  it('waits for the one that is ready first, whichever was tried last', async () => {
    await start([provider('a', upstream.url), provider('b', spare.url)], {
      policy: { algorithm: 'round_robin', retry: { max_attempts: 4, interval: '1ms', max_wait: '30s' } },
    });
    spare.setScript([failure(429, undefined, { 'retry-after': '25' })]);
    const { response } = await ask([failure(429, undefined, { 'retry-after-ms': '300' }), answer()]);
    expect(response.status).toBe(200);
    expect(response.headers.get('x-waybill-provider')).toBe('a');
    expect((upstream.requests[1]?.time ?? 0) - (upstream.requests[0]?.time ?? 0)).toBeGreaterThanOrEqual(290);
    expect(spare.requests).toHaveLength(1);
  });

  it('comes back to a model that was loading when the others failed', async () => {
    await start([provider('a', upstream.url), provider('b', spare.url)], {
      policy: { algorithm: 'round_robin', retry: { max_attempts: 4, interval: '1ms', max_wait: '30s' } },
    });
    spare.setScript([failure(401)]);
    const loading = failure(503, { error: 'Model m is currently loading', estimated_time: 0.3 });
    const { response } = await ask([loading, answer()]);
    expect(response.status).toBe(200);
    expect(response.headers.get('x-waybill-provider')).toBe('a');
    expect((upstream.requests[1]?.time ?? 0) - (upstream.requests[0]?.time ?? 0)).toBeGreaterThanOrEqual(290);
  });
});

describe('model loading', () => {
  const loading = (seconds: number) => failure(503, { error: 'Model m is currently loading', estimated_time: seconds });

  it('waits for the estimated time on the same target', async () => {
    await start([provider('a', upstream.url, { type: 'huggingface', base_url: `${upstream.url}/v1` })]);
    const { response } = await ask([loading(0.15), answer()]);
    expect(response.status).toBe(200);
    const [first, second] = upstream.requests;
    expect((second?.time ?? 0) - (first?.time ?? 0)).toBeGreaterThanOrEqual(145);
  });

  it('uses a fallback target that is ready first', async () => {
    await start([provider('a', upstream.url), provider('b', spare.url)]);
    const { response } = await ask([loading(20)]);
    expect(response.headers.get('x-waybill-provider')).toBe('b');
  });

  it('waits no longer than max_wait leaves, then says when to come again', async () => {
    await start([provider('a', upstream.url)]);
    const { response, body } = await ask([loading(200)]);
    expect(response.status).toBe(503);
    expect(body.error.code).toBe('no_target_available');
    expect(Number(response.headers.get('retry-after'))).toBeLessThanOrEqual(60);
  });
});

describe('server errors', () => {
  it.each([500, 502, 503, 504, 529])('%i is retried, with another key first', async (status) => {
    await start([twoKeys()]);
    expect((await ask([failure(status), answer()])).response.status).toBe(200);
    expect(new Set(keysAsked()).size).toBe(2);
  });

  it('goes to the next target after the attempts of the first, keeping one back for it', async () => {
    await start([provider('a', upstream.url), provider('b', spare.url)]);
    const { response } = await ask([failure(500)]);
    expect(response.status).toBe(200);
    expect(upstream.requests).toHaveLength(2);
    expect(spare.requests).toHaveLength(1);
  });

  it('never makes more attempts than max_attempts', async () => {
    await start([provider('a', upstream.url, { api_keys: ['1', '2', '3', '4', '5'] })]);
    const { response, body } = await ask([failure(500)]);
    expect(response.status).toBe(503);
    expect(body.error).toMatchObject({ type: 'upstream_error', code: 'no_target_available' });
    expect(response.headers.get('retry-after')).not.toBeNull();
    expect(upstream.requests).toHaveLength(3);
    const record = await recordOf(daemon, response);
    expect(record.attempts).toHaveLength(3);
    expect(record).toMatchObject({ outcome: 'failed', status: 503, cost_nano_usd: 0 });
  });

  it('steps over a target that cannot be reached', async () => {
    const gone = await startUpstream([answer()]);
    await gone.close();
    await start([provider('a', gone.url), provider('b', spare.url)]);
    const response = await daemon.post('/v1/chat/completions', chatBody());
    expect(response.headers.get('x-waybill-provider')).toBe('b');
    await response.arrayBuffer();
  });

  it('answers 504 when every attempt was too slow, and counts the prompt as a lower bound', async () => {
    await start([provider('a', upstream.url)], {
      policy: { retry: { max_attempts: 2, timeout: '100ms', interval: '1ms', max_wait: '100ms' } },
    });
    const { response, body } = await ask([{ hang: true }]);
    expect(response.status).toBe(504);
    expect(body.error).toMatchObject({ type: 'upstream_error', code: 'upstream_timeout' });
    const record = await recordOf(daemon, response);
    expect(record.attempts).toHaveLength(2);
    for (const attempt of record.attempts) {
      expect(attempt.usage).toMatchObject({ source: 'lower-bound' });
      expect(attempt.cost_nano_usd).toBeGreaterThan(0);
    }
  });

  it('opens a breaker after repeated failures, and closes it by a probe', async () => {
    await start([provider('a', upstream.url), provider('b', spare.url)], {
      policy: {
        algorithm: 'round_robin',
        retry: { max_attempts: 2, interval: '1ms', max_wait: '100ms' },
        cooldown: { failures: 2, window: '10s', open: '300ms' },
      },
    });
    for (let i = 0; i < 4; i += 1) expect((await ask([failure(500)])).response.status).toBe(200);
    const failed = upstream.requests.length;
    expect(failed).toBe(2);
    for (let i = 0; i < 4; i += 1) expect((await ask([answer()])).response.status).toBe(200);
    expect(upstream.requests).toHaveLength(failed);
    await new Promise((resolve) => setTimeout(resolve, 320));
    for (let i = 0; i < 4; i += 1) expect((await ask([answer()])).response.status).toBe(200);
    expect(upstream.requests.length).toBeGreaterThan(failed);
  });

  it('probes a target that is left alone before a request fails, and lets others wait for what comes of it', async () => {
    await start([provider('a', upstream.url), provider('b', spare.url)], {
      policy: {
        algorithm: 'round_robin',
        retry: { max_attempts: 3, interval: '200ms', max_wait: '5s' },
        cooldown: { failures: 1, window: '10s', open: '60s' },
      },
    });
    spare.setScript([failure(500)]);
    expect((await ask([failure(500)])).response.status).toBe(503);
    upstream.setScript([{ ...answer(), delayMs: 30 }]);
    const asked = await Promise.all(Array.from({ length: 8 }, () => daemon.post('/v1/chat/completions', chatBody())));
    expect(asked.map((response) => response.status)).toEqual(Array.from({ length: 8 }, () => 200));
    expect(asked.map((response) => response.headers.get('x-waybill-provider'))).toEqual(
      Array.from({ length: 8 }, () => 'a'),
    );
  });
});

describe('the caller’s mistakes', () => {
  it.each([400, 409, 413, 422, 418])('%i is told at once, with the provider’s code and param', async (status) => {
    await start([twoKeys(), provider('b', spare.url)], { policy: { algorithm: 'round_robin' } });
    const error = { message: 'temperature is too high', type: 'x', param: 'temperature', code: 'too_high' };
    const { response, body } = await ask([failure(status, { error })]);
    expect(response.status).toBe(status);
    expect(response.headers.get('x-should-retry')).toBe('false');
    expect(body.error).toEqual({
      message: 'temperature is too high',
      type: 'invalid_request_error',
      param: 'temperature',
      code: 'too_high',
    });
    expect(upstream.requests).toHaveLength(1);
    expect(spare.requests).toHaveLength(0);
  });

  it('an error without a code of its own is upstream_rejected', async () => {
    await start([provider('a', upstream.url)]);
    const { body } = await ask([failure(422, 'Failed to deserialize the JSON body')]);
    expect(body.error).toMatchObject({ code: 'upstream_rejected', message: 'Failed to deserialize the JSON body' });
  });

  it.each([404, 410])('%i falls back to another target, and is told when there is none', async (status) => {
    await start([provider('a', upstream.url), provider('b', spare.url)]);
    expect((await ask([failure(status)])).response.headers.get('x-waybill-provider')).toBe('b');
    await daemon.stop();
    await start([provider('a', upstream.url)]);
    const { response, body } = await ask([failure(status, { error: 'Model m does not exist' })]);
    expect(response.status).toBe(status);
    expect(body.error.message).toContain('Model m does not exist');
  });

  it('a prompt too long for one window goes to a larger one, and never to a smaller', async () => {
    const tooLong = failure(400, {
      error: { message: 'maximum context length is 10', code: 'context_length_exceeded' },
    });
    const windowed = (id: string, url: string, context_window: number) =>
      provider(id, url, { models: [{ id: 'm', context_window }] });
    await start([windowed('a', upstream.url, 1_000), windowed('b', spare.url, 100_000)], {
      policy: { algorithm: 'round_robin' },
    });
    expect((await ask([tooLong])).response.headers.get('x-waybill-provider')).toBe('b');
    await daemon.stop();
    await start([windowed('a', upstream.url, 1_000), windowed('b', spare.url, 500)], {
      policy: { algorithm: 'round_robin' },
    });
    spare.requests.length = 0;
    const { response, body } = await ask([tooLong]);
    expect(response.status).toBe(400);
    expect(body.error.code).toBe('context_length_exceeded');
    expect(spare.requests).toHaveLength(0);
  });
});

describe('a 200 that is none', () => {
  it.each([
    ['an error body', failure(200, { error: { message: 'overloaded', type: 'overloaded_error' } })],
    ['no JSON', failure(200, 'hello')],
    ['an empty body', failure(200, '')],
    ['no choices', failure(200, { id: 'x' })],
  ])('%s is retried', async (_name, step) => {
    await start([provider('a', upstream.url)]);
    expect((await ask([step, answer()])).response.status).toBe(200);
    expect(upstream.requests).toHaveLength(2);
  });

  it('answers upstream_malformed when every attempt was nonsense', async () => {
    await start([provider('a', upstream.url)]);
    const { response, body } = await ask([failure(200, 'hello')]);
    expect(response.status).toBe(502);
    expect(body.error.code).toBe('upstream_malformed');
  });

  it.each([
    ['whose first event is an error', { sse: [JSON.stringify({ error: { message: 'busy' } })] }],
    ['that is cut before its first content', { ...stream(), cutAfterBytes: 120 }],
    ['that ends without anything', { sse: [] }],
  ])('a stream %s falls back', async (_name, step) => {
    await start([provider('a', upstream.url), provider('b', spare.url)], {
      policy: { algorithm: 'round_robin', retry: { max_attempts: 2, interval: '1ms' } },
    });
    spare.setScript([stream()]);
    upstream.setScript([step]);
    const response = await daemon.post('/v1/chat/completions', chatBody({ stream: true }));
    expect(response.status).toBe(200);
    expect(response.headers.get('x-waybill-provider')).toBe('b');
    const text = await response.text();
    expect(text).toContain('three');
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
    spare.setScript([answer('from the spare')]);
  });

  it('a validation error inside a 200 is the caller’s mistake', async () => {
    await start([provider('a', upstream.url, { type: 'huggingface' })]);
    upstream.setScript([{ sse: [JSON.stringify({ error: 'Input validation error', error_type: 'validation' })] }]);
    const response = await daemon.post('/v1/chat/completions', chatBody({ stream: true }));
    expect(response.status).toBe(422);
    expect(((await response.json()) as ErrorBody).error.message).toContain('Input validation error');
  });
});

it('two keys, the first answering 429, then loading, then 401: each request succeeds, each attempt has its row', async () => {
  await start([twoKeys()]);
  let turn = 0;
  const troubles = [
    failure(429, undefined, { 'retry-after-ms': '50' }),
    failure(503, { error: 'loading', estimated_time: 0.05 }),
    failure(401, { error: 'Invalid username or password.' }),
  ];
  upstream.setScript((request) => {
    if (request.headers['authorization'] !== 'Bearer one') return answer();
    const trouble = troubles[turn] ?? failure(500);
    turn += 1;
    return trouble;
  });
  const outcomes: Array<[number, number[]]> = [];
  for (let i = 0; i < 12; i += 1) {
    const response = await daemon.post('/v1/chat/completions', chatBody());
    await response.arrayBuffer();
    const record = await recordOf(daemon, response);
    outcomes.push([response.status, record.attempts.map((attempt) => attempt.status ?? 0)]);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(outcomes.every(([status]) => status === 200)).toBe(true);
  expect(outcomes.flatMap(([, statuses]) => statuses).filter((status) => status !== 200)).toEqual([429, 503, 401]);
  // Refused once, the first key stays out: exactly the three calls were made with it.
  expect(turn).toBe(3);
});
