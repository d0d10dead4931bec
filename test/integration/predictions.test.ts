import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.js';
import {
  abortable,
  answer,
  chatBody,
  type ErrorBody,
  type LedgerRequest,
  PRICE,
  provider,
  recordOf,
  startRouter,
} from '../support/failing-providers.js';
import {
  callOf,
  done,
  METRICS,
  PREDICTION_PATH,
  predicted,
  replicateScript,
  running,
  STREAM_PATH,
  streamed,
} from '../support/replicate-upstream.js';
import { type RecordedRequest, type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';
import { until } from '../support/until.js';

/** Asynchronous predictions from the outside: what the provider is asked, what the client gets, what is written down. */

let daemon: Daemon;
let upstream: ScriptedUpstream;
let spare: ScriptedUpstream;
let elsewhere: ScriptedUpstream;

const entry = (id: string, rest: object = {}) => ({
  id,
  type: 'replicate',
  base_url: upstream.url,
  api_keys: [`key-of-${id}`],
  models: [{ id: 'm', provider_model: 'vendor/m', tasks: ['chat'] }],
  pricing: PRICE,
  ...rest,
});

/** Of 10 tokens in and 5 out. */
const COST = 20_000;
/** Every entry is its own target, so that the failures of one test open no breaker for another. */
const ALONE = [
  'whole',
  'odd',
  'bare',
  'flaky',
  'gone',
  'held',
  'late',
  'total',
  'abroad',
  'stuck',
  'streams',
  'leaves',
  'plain',
  'told',
];

beforeAll(async () => {
  upstream = await startUpstream([{ status: 599 }]);
  spare = await startUpstream([answer('from the spare')]);
  elsewhere = await startUpstream([
    { rawBytes: streamed(['stolen']), headers: { 'content-type': 'text/event-stream' } },
  ]);
  daemon = await startRouter(
    [
      ...ALONE.map((id) => {
        if (id === 'late') return entry(id, { timeout: { first_byte: '700ms' } });
        return entry(id, id === 'total' ? { timeout: { total: '700ms' } } : {});
      }),
      entry('first', { models: [{ id: 'shared', provider_model: 'vendor/m', tasks: ['chat'] }], weight: 100 }),
      provider('second', spare.url, { models: [{ id: 'shared', tasks: ['chat'] }] }),
    ],
    {
      policy: {
        algorithm: 'round_robin',
        retry: { max_attempts: 2, timeout: '5s', interval: '1ms', max_interval: '5ms' },
      },
    },
  );
});
afterEach(() => {
  upstream.requests.length = 0;
  elsewhere.requests.length = 0;
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
  await spare?.close();
  await elsewhere?.close();
});

const calls = () => upstream.requests.map(callOf);
const countOf = (call: ReturnType<typeof callOf>) => calls().filter((each) => each === call).length;
const headersOf = (call: ReturnType<typeof callOf>) =>
  (upstream.requests.find((request) => callOf(request) === call) as RecordedRequest).headers;
const ask = (id: string, rest: object = {}) =>
  daemon.post('/v1/chat/completions', chatBody({ model: `${id}:m`, ...rest }));

/** The one row of an entry, once its end is written. */
async function rowOf(id: string): Promise<LedgerRequest> {
  let row: LedgerRequest | undefined;
  await until(`the row of ${id}`, async () => {
    const { requests } = await daemon.admin<{ requests: LedgerRequest[] }>(`/requests?provider=${id}`);
    [row] = requests;
    return row !== undefined && row.outcome !== 'in_flight';
  });
  return daemon.admin<LedgerRequest>(`/requests/${row?.inference_id}`);
}

describe('a prediction that takes its time', () => {
  it('is made, asked for until it has ended, and is one attempt', async () => {
    upstream.setScript(replicateScript({ ask: [running(), done()] }));
    const response = await ask('whole');
    expect(await response.json()).toMatchObject({
      choices: [{ message: { content: 'five words' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15, cost_nano_usd: COST, metrics: METRICS },
    });
    expect(calls()).toEqual(['make', 'ask', 'ask']);
    expect(headersOf('make')).toMatchObject({ prefer: 'wait=5', authorization: 'Bearer key-of-whole' });
    expect(headersOf('ask')).toMatchObject({ authorization: 'Bearer key-of-whole', accept: 'application/json' });
    expect(headersOf('ask')).not.toHaveProperty('prefer');
    const [first, second] = upstream.requests.slice(1).map(({ time }) => time) as [number, number];
    expect(second - first).toBeGreaterThanOrEqual(490);
    expect(await recordOf(daemon, response)).toMatchObject({
      outcome: 'ok',
      cost_nano_usd: COST,
      attempts: [{ attempt: 1, outcome: 'ok', status: 200, usage: { input: 10, output: 5, source: 'reported' } }],
    });
  });

  it('that ends while its call is held is not asked for', async () => {
    upstream.setScript(replicateScript({ make: done() }));
    expect((await ask('whole')).status).toBe(200);
    expect(calls()).toEqual(['make']);
  });

  it('is asked for again when that failed, and only then given up and cancelled', async () => {
    upstream.setScript(
      replicateScript({
        ask: [{ status: 503, body: { detail: 'busy' } }, { cutAfterBytes: 0 }, { body: '{"id":' }, done()],
      }),
    );
    const response = await ask('flaky');
    expect(response.status).toBe(200);
    expect(calls()).toEqual(['make', 'ask', 'ask', 'ask', 'ask']);
    expect((await recordOf(daemon, response)).attempts).toHaveLength(1);
  });

  it('that cannot be followed may have cost something, is cancelled, and another target is asked', async () => {
    upstream.setScript(replicateScript({ ask: { status: 502, body: { detail: 'bad gateway' } } }));
    const response = await answeredBySecond();
    expect(countOf('ask')).toBe(4);
    await until('the cancel', () => countOf('cancel') === 1);
    const { attempts } = await recordOf(daemon, response);
    expect(attempts).toMatchObject([
      { provider: 'first', outcome: 'failed', usage: { source: 'lower-bound', output: null } },
      { provider: 'second', outcome: 'ok' },
    ]);
    expect(attempts[0]?.cost_nano_usd).toBeGreaterThan(0);
  });

  it('that failed is answered by another target, and costs nothing it did not report', async () => {
    upstream.setScript(
      replicateScript({
        ask: predicted({ status: 'failed', error: 'CUDA out of memory', metrics: { predict_time: 1 } }),
      }),
    );
    const response = await answeredBySecond();
    expect(calls()).toEqual(expect.not.arrayContaining(['cancel']));
    const { attempts } = await recordOf(daemon, response);
    expect(attempts.at(-1)).toMatchObject({ provider: 'second', outcome: 'ok' });
    expect(attempts[0]).toMatchObject({ provider: 'first', outcome: 'failed', status: 500, cost_nano_usd: 0 });
  });

  it('that ended with something else than was asked costs what it used, and is neither asked again nor cancelled', async () => {
    upstream.setScript(replicateScript({ ask: done({ output: { text: 'five words' } }) }));
    const response = await ask('odd');
    expect([response.status, ((await response.json()) as ErrorBody).error.code]).toEqual([502, 'upstream_malformed']);
    expect(calls()).toEqual(['make', 'ask', 'make', 'ask']);
    const { attempts } = await recordOf(daemon, response);
    expect(attempts.map(({ cost_nano_usd }) => cost_nano_usd)).toEqual([COST, COST]);
  });

  it('whose stream has an address without a path is followed all the same', async () => {
    upstream.setScript((request, index) =>
      request.path === '/?id=1'
        ? { rawBytes: streamed(['five ', 'words']), headers: { 'content-type': 'text/event-stream' } }
        : replicateScript({ make: running({ urls: { stream: `${upstream.url}?id=1` } }) })(request, index),
    );
    const response = await ask('bare', { stream: true });
    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining('[DONE]')]);
  });

  it('whose input was refused is the caller’s to mend', async () => {
    const error = 'The input or output was flagged as sensitive. (E005)';
    upstream.setScript(replicateScript({ ask: predicted({ status: 'failed', error }) }));
    const response = await ask('told');
    expect(response.status).toBe(400);
    expect(((await response.json()) as ErrorBody).error).toMatchObject({
      message: expect.stringContaining('sensitive'),
    });
    expect(calls()).toEqual(['make', 'ask']);
  });
});

/** Both targets take turns: asked until the first of them had its turn. */
async function answeredBySecond(): Promise<Response> {
  for (let times = 0; times < 4; times += 1) {
    const response = await daemon.post('/v1/chat/completions', chatBody({ model: 'shared' }));
    expect(response.status).toBe(200);
    if (upstream.requests.length > 0) return response;
    await response.arrayBuffer();
  }
  return expect.unreachable('the first target was never asked');
}

describe('a prediction nobody waits for any more', () => {
  it('is cancelled at once when the client leaves between two askings', async () => {
    upstream.setScript(replicateScript({ make: running({ status: 'starting' }) }));
    const { response, abort } = abortable(daemon, chatBody({ model: 'gone:m' }));
    const failed = expect(response).rejects.toThrow();
    await upstream.waitForRequests(1);
    await sleep(100);
    const left = Date.now();
    abort();
    await failed;
    await until('the cancel', () => countOf('cancel') === 1);
    // It would have been asked for again after a second.
    expect((upstream.requests.at(-1) as RecordedRequest).time - left).toBeLessThan(850);
    expect(calls()).toEqual(['make', 'cancel']);
    expect(headersOf('cancel')).toMatchObject({ authorization: 'Bearer key-of-gone' });
    const row = await rowOf('gone');
    expect(row).toMatchObject({ outcome: 'cancelled', status: 499 });
    expect(row.attempts).toMatchObject([
      { attempt: 1, outcome: 'cancelled', error_code: 'client_gone', usage: { source: 'lower-bound', output: null } },
    ]);
    expect(row.attempts[0]?.usage?.['input']).toBeGreaterThan(0);
  });

  it('is cancelled when the client left before it had a name', async () => {
    upstream.setScript(replicateScript({ make: { ...running(), delayMs: 600 } }));
    const { response, abort } = abortable(daemon, chatBody({ model: 'held:m' }));
    const failed = expect(response).rejects.toThrow();
    await upstream.waitForRequests(1);
    abort();
    await failed;
    await until('the cancel', () => countOf('cancel') === 1);
    expect(upstream.requests[0]?.aborted).toBe(false);
    expect(await rowOf('held')).toMatchObject({ outcome: 'cancelled', attempts: [{ outcome: 'cancelled' }] });
  });

  it.each([
    ['the time until the first byte', 'late'],
    ['the time for everything', 'total'],
  ])('is cancelled when %s is over', async (_what, id) => {
    upstream.setScript(replicateScript({ ask: running() }));
    const response = await ask(id);
    expect(response.status).toBe(504);
    expect(((await response.json()) as ErrorBody).error.code).toBe('upstream_timeout');
    const made = countOf('make');
    await until('the cancels', () => countOf('cancel') === made);
    const { attempts } = await recordOf(daemon, response);
    expect(attempts).toHaveLength(made);
    for (const attempt of attempts) {
      expect(attempt).toMatchObject({ outcome: 'failed', usage: { source: 'lower-bound' } });
    }
  });

  it('is said to go on where it cannot be cancelled', async () => {
    upstream.setScript(replicateScript({ ask: running(), cancel: { status: 500, body: { detail: 'cannot cancel' } } }));
    const { response, abort } = abortable(daemon, chatBody({ model: 'stuck:m' }));
    const failed = expect(response).rejects.toThrow();
    await upstream.waitForRequests(2);
    abort();
    await failed;
    await until('the log', () => daemon.output().includes('could not be cancelled'));
    expect(daemon.output()).toContain('cannot cancel');
    expect(daemon.output()).not.toContain('key-of-stuck');
    expect((await rowOf('stuck')).outcome).toBe('cancelled');
  });

  it.each([false, true])('is cancelled when the daemon stops; streamed: %s', async (isStream) => {
    const stopping = await startRouter([entry('stopping')], { server: { shutdown_grace: '50ms' } });
    try {
      const headers = { 'content-type': 'text/event-stream' };
      upstream.setScript(
        replicateScript({
          make: running(isStream ? { urls: { stream: `${upstream.url}${STREAM_PATH}` } } : {}),
          stream: { rawBytes: streamed(['one '], null), headers, hang: true },
          ask: running(),
          cancel: { ...predicted({ status: 'canceled' }), delayMs: 400 },
        }),
      );
      const response = stopping
        .post('/v1/chat/completions', chatBody({ model: 'stopping:m', stream: isStream }))
        .then((answered) => answered.text())
        .catch(() => null);
      await upstream.waitForRequests(2);
      await sleep(50);
      stopping.kill('SIGTERM');
      await response;
      expect(await stopping.waitForExit()).toEqual({ code: 0, signal: null });
      const cancels = upstream.requests.filter((request) => callOf(request) === 'cancel');
      // Heard to its end: the process did not leave before.
      expect(cancels).toMatchObject([{ aborted: false }]);
    } finally {
      await stopping.stop();
    }
  });
});

describe('a prediction’s stream', () => {
  const sse = (text: string, rest: object = {}) => ({
    rawBytes: text,
    headers: { 'content-type': 'text/event-stream' },
    ...rest,
  });
  const withStream = (url = `${upstream.url}${STREAM_PATH}`) => running({ status: 'starting', urls: { stream: url } });
  const contentOf = (text: string) => [...text.matchAll(/"content":"([^"]*)"/g)].map(([, content]) => content).join('');

  it('is passed along, ends with its end mark, and costs what the prediction says afterwards', async () => {
    upstream.setScript(
      replicateScript({
        make: withStream(),
        // The connection stays open, as that of a stream may.
        stream: sse(streamed(['one ', 'two']), { hang: true }),
        ask: [running(), done()],
      }),
    );
    const response = await ask('streams', { stream: true, stream_options: { include_usage: true } });
    const text = await response.text();
    expect(contentOf(text)).toBe('one two');
    expect(text).toContain('"finish_reason":"stop"');
    expect(text).toContain('"prompt_tokens":10,"completion_tokens":5');
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(calls()).toEqual(['make', 'stream', 'ask', 'ask']);
    expect(headersOf('make')).not.toHaveProperty('prefer');
    expect(headersOf('stream')).toMatchObject({ accept: 'text/event-stream' });
    expect(await recordOf(daemon, response)).toMatchObject({
      outcome: 'ok',
      cost_nano_usd: COST,
      attempts: [{ attempt: 1, outcome: 'ok', usage: { input: 10, output: 5, source: 'reported' } }],
    });
  });

  it('is estimated where the prediction does not say, and that is logged', async () => {
    upstream.setScript(
      replicateScript({ make: withStream(), stream: sse(streamed(['one ', 'two'])), ask: { status: 500, body: {} } }),
    );
    const response = await ask('streams', { stream: true });
    expect(contentOf(await response.text())).toBe('one two');
    expect((await recordOf(daemon, response)).attempts).toMatchObject([
      { outcome: 'ok', usage: { source: 'estimated' } },
    ]);
    await until('the log', () => daemon.output().includes('the usage of a streamed prediction is estimated'));
  });

  it('is opened again when that failed', async () => {
    upstream.setScript(
      replicateScript({ make: withStream(), stream: [{ status: 503 }, sse(''), sse(streamed(['one']))] }),
    );
    const response = await ask('streams', { stream: true });
    expect(contentOf(await response.text())).toBe('one');
    expect(countOf('stream')).toBe(3);
    expect((await recordOf(daemon, response)).attempts).toHaveLength(1);
  });

  it('that the client leaves is a prediction to cancel', async () => {
    upstream.setScript(replicateScript({ make: withStream(), stream: sse(streamed(['one '], null), { hang: true }) }));
    const { response, abort } = abortable(daemon, chatBody({ model: 'leaves:m', stream: true }));
    const reader = ((await response).body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    abort();
    await until('the cancel', () => countOf('cancel') === 1);
    const row = await rowOf('leaves');
    expect(row).toMatchObject({ outcome: 'cancelled', attempts: [{ outcome: 'cancelled' }] });
    expect(row.attempts[0]?.usage).toMatchObject({ source: 'lower-bound', output: 2 });
  });

  it('that breaks off is never made to look whole, and is cancelled', async () => {
    upstream.setScript(replicateScript({ make: withStream(), stream: sse(streamed(['one '], null)) }));
    const response = await ask('streams', { stream: true });
    const text = await response.text();
    expect(text).toContain('upstream_interrupted');
    expect(text).not.toContain('[DONE]');
    await until('the cancel', () => countOf('cancel') === 1);
    expect((await recordOf(daemon, response)).outcome).toBe('failed');
  });

  it('at another host is not opened: the key stays where the prediction was made', async () => {
    upstream.setScript(replicateScript({ make: withStream(`${elsewhere.url}/x`) }));
    const response = await ask('abroad', { stream: true });
    expect(response.status).toBe(502);
    expect(await response.text()).toContain('another host');
    expect(elsewhere.requests).toHaveLength(0);
    await until('the cancel', () => countOf('cancel') === countOf('make'));
  });

  it('that only leads to itself is not asked for in a tight loop', async () => {
    upstream.setScript(replicateScript({ make: withStream(), stream: withStream() }));
    const response = await ask('late', { stream: true });
    expect(response.status).toBe(504);
    // Within 700 ms each: at once, every 250 ms, and once more as the time is over.
    expect(countOf('stream')).toBeGreaterThan(countOf('make'));
    expect(countOf('stream')).toBeLessThanOrEqual(4 * countOf('make'));
    // Left on its way, it would be seen by the next test.
    await until('the cancels', () => countOf('cancel') === countOf('make'));
  });

  it('of a model without one is its answer', async () => {
    upstream.setScript(replicateScript({ make: running(), ask: done() }));
    const response = await ask('plain', { stream: true, stream_options: { include_usage: true } });
    const text = await response.text();
    expect(contentOf(text)).toBe('five words');
    expect(text).toContain('"completion_tokens":5');
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(calls()).toEqual(['make', 'ask']);
    expect((await recordOf(daemon, response)).cost_nano_usd).toBe(COST);
  });
});

it('the addresses that a prediction gives for itself are not followed', async () => {
  upstream.setScript(
    replicateScript({ make: running({ urls: { get: `${elsewhere.url}/get`, cancel: `${elsewhere.url}/cancel` } }) }),
  );
  expect((await ask('whole')).status).toBe(200);
  expect(upstream.requests.map(({ path }) => path)).toEqual(['/v1/models/vendor/m/predictions', PREDICTION_PATH]);
  expect(elsewhere.requests).toHaveLength(0);
});
