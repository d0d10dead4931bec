import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_KEY, type Daemon } from '../support/daemon.js';
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
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** `Idempotency-Key` through the built daemon: what counts is what the provider was asked, and what the ledger says. */

let daemon: Daemon;
let upstream: ScriptedUpstream;

const OTHER_KEY = 'other-client-key';
const CLIENTS = [
  { id: 'tester', key: CLIENT_KEY },
  { id: 'other', key: OTHER_KEY },
];

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
  daemon = await startRouter([provider('a', upstream.url)], { api_keys: CLIENTS });
});
afterEach(() => {
  upstream.requests.length = 0;
  upstream.setScript([answer()]);
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

interface Answer {
  status: number;
  text: string;
  headers: Headers;
  response: Response;
}

async function ask(
  key: string,
  body: unknown = chatBody(),
  path = '/v1/chat/completions',
  headers = {},
): Promise<Answer> {
  const response = await daemon.post(path, body, { 'idempotency-key': key, ...headers });
  return { status: response.status, text: await response.text(), headers: response.headers, response };
}

/** Every row of the ledger. */
async function rows(): Promise<Array<{ inference_id: string }>> {
  return (await daemon.admin<{ requests: Array<{ inference_id: string }> }>('/requests?limit=1000')).requests;
}

/** Headers that say whose answer it is and what it cost. */
function named(headers: Headers): Record<string, string> {
  return Object.fromEntries(
    [...headers].filter(([name]) => /^(inference-id|x-request-id|x-waybill-|content-|openai-)/.test(name)),
  );
}

describe('a repetition', () => {
  it.each([
    ['a chat', '/v1/chat/completions', chatBody(), answer()],
    ['a chat at the other prefix', '/api/v1/chat/completions', chatBody(), answer()],
    ['a stream', '/v1/chat/completions', chatBody({ stream: true, stream_options: { include_usage: true } }), stream()],
    ['a stream without usage', '/v1/chat/completions', chatBody({ stream: true }), stream()],
    [
      'embeddings',
      '/v1/embeddings',
      { model: 'm', input: 'x' },
      {
        status: 200,
        headers: { 'content-type': 'application/json', 'openai-version': '1' },
        body: '{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":9007199254740993}}',
      },
    ],
  ])('of %s gets the first answer, byte for byte, and is charged once', async (_name, path, body, step) => {
    upstream.setScript([step]);
    const before = await rows();
    const key = randomUUID();
    const first = await ask(key, body, path);
    upstream.setScript([failure(500)]);
    const again = await ask(key, body, path);
    expect(first.status).toBe(200);
    expect(again.status).toBe(200);
    expect(again.text).toBe(first.text);
    expect(named(again.headers)).toEqual({ ...named(first.headers), 'x-waybill-idempotent-replay': 'true' });
    expect(first.headers.get('x-waybill-idempotent-replay')).toBeNull();
    expect(upstream.requests).toHaveLength(1);
    expect(await rows()).toHaveLength(before.length + 1);
    expect((await recordOf(daemon, again.response)).outcome).toBe('ok');
  });

  it('with another body is 409, also while the first is under way; another client’s is its own', async () => {
    const key = randomUUID();
    upstream.setScript([{ ...answer(), delayMs: 150 }]);
    const first = ask(key);
    await upstream.waitForRequests(1);
    for (const moment of ['while the first is under way', 'after it']) {
      const { status, text, headers } = await ask(key, chatBody({ max_tokens: 5 }));
      expect(status, moment).toBe(409);
      expect((JSON.parse(text) as ErrorBody).error).toMatchObject({ code: 'conflict', param: 'Idempotency-Key' });
      expect(headers.get('x-should-retry')).toBe('false');
      await first;
    }
    expect(upstream.requests).toHaveLength(1);
    const other = await ask(key, chatBody({ max_tokens: 5 }), '/v1/chat/completions', {
      authorization: `Bearer ${OTHER_KEY}`,
    });
    expect(other.status).toBe(200);
    expect(upstream.requests).toHaveLength(2);
  });

  it('is answered from the ledger after the process was killed', async () => {
    const [whole, streamed] = [randomUUID(), randomUUID()];
    const first = await ask(whole);
    upstream.setScript([stream()]);
    const firstStream = await ask(streamed, chatBody({ stream: true }));
    daemon.kill('SIGKILL');
    await daemon.restart();
    upstream.setScript([failure(500)]);
    expect(await ask(whole)).toMatchObject({ status: 200, text: first.text });
    expect(await ask(streamed, chatBody({ stream: true }))).toMatchObject({ status: 200, text: firstStream.text });
    expect(upstream.requests).toHaveLength(2);
  });

  it('of any answer that was seen to end is answered again, whenever the process is killed', async () => {
    upstream.setScript((request, index) => {
      const isStream = (JSON.parse(request.body) as { stream?: boolean }).stream === true;
      return { ...(isStream ? stream({ chunkDelayMs: 2 }) : answer()), delayMs: index % 7 };
    });
    for (let round = 0; round < 3; round += 1) {
      const seen = new Map<string, string>();
      const clients = Array.from({ length: 12 }, async (_, client) => {
        for (let n = 0; ; n += 1) {
          const key = `${round}-${client}-${n}`;
          const { text } = await ask(key, chatBody({ stream: client % 2 === 0 }));
          if (client % 2 === 1 || text.endsWith('data: [DONE]\n\n')) seen.set(key, text);
          if (seen.size === 20 + 13 * round) daemon.kill('SIGKILL');
        }
      });
      await Promise.allSettled(clients);
      await daemon.restart();
      expect(seen.size).toBeGreaterThanOrEqual(20);
      const sent = upstream.requests.length;
      for (const [key, text] of seen) {
        const again = await ask(key, chatBody({ stream: Number(key.split('-')[1]) % 2 === 0 }));
        expect(again.text, key).toBe(text);
      }
      expect(upstream.requests).toHaveLength(sent);
    }
  });

  it('of what the process’s death cut is sent again', async () => {
    const key = randomUUID();
    upstream.setScript([{ hang: true }]);
    const cut = expect(ask(key)).rejects.toThrow();
    await upstream.waitForRequests(1);
    daemon.kill('SIGKILL');
    await cut;
    await daemon.restart();
    upstream.setScript([answer()]);
    const { status, headers } = await ask(key);
    expect(status).toBe(200);
    expect(headers.get('x-waybill-idempotent-replay')).toBeNull();
    expect(upstream.requests).toHaveLength(2);
  });
});

describe('repetitions at once', () => {
  it.each([
    ['whole', chatBody({ max_tokens: 7 }), answer()],
    ['streamed', chatBody({ max_tokens: 7, stream: true }), stream({ chunkDelayMs: 20 })],
  ])('make one call and one row, %s', async (_name, body, step) => {
    upstream.setScript([{ ...step, delayMs: 100 }]);
    const before = (await rows()).length;
    const key = randomUUID();
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask(key, body)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(new Set(answers.map(({ headers }) => headers.get('inference-id'))).size).toBe(1);
    expect(answers.filter(({ headers }) => headers.get('x-waybill-idempotent-replay') === null)).toHaveLength(1);
    expect(upstream.requests).toHaveLength(1);
    expect(await rows()).toHaveLength(before + 1);
  });

  it('go on when the first one’s client leaves', async () => {
    upstream.setScript((_request, index) => (index === 0 ? { hang: true } : answer()));
    const key = randomUUID();
    const leaver = new AbortController();
    const left = fetch(`${daemon.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${CLIENT_KEY}`, 'idempotency-key': key },
      body: JSON.stringify(chatBody()),
      signal: leaver.signal,
    });
    await upstream.waitForRequests(1);
    const second = ask(key);
    leaver.abort();
    await expect(left).rejects.toThrow();
    expect((await second).status).toBe(200);
    expect(upstream.requests).toHaveLength(2);
  });
});

describe('a retry with the same key', () => {
  it.each([
    ['a failure', chatBody(), failure(500), 503],
    ['a limit', chatBody(), failure(429), 429],
    ['a mistake the provider rejects', chatBody(), failure(422), 422],
  ])('is sent again after %s', async (_name, body, step, status) => {
    const own = await startRouter([provider('a', upstream.url)], { api_keys: CLIENTS });
    try {
      upstream.setScript([{ ...step, headers: { ...step.headers, 'retry-after-ms': '1' } }]);
      const post = () => own.post('/v1/chat/completions', body, { 'idempotency-key': 'k' });
      const first = await post();
      await first.arrayBuffer();
      expect(first.status).toBe(status);
      upstream.setScript([answer()]);
      const again = await post();
      await again.arrayBuffer();
      expect(again.status).toBe(200);
      expect(again.headers.get('x-waybill-idempotent-replay')).toBeNull();
    } finally {
      await own.stop();
    }
  });

  it('is sent again after a stream that broke', async () => {
    const key = randomUUID();
    upstream.setScript([stream({ cutAfterBytes: 500 })]);
    expect((await ask(key, chatBody({ stream: true }))).text).toContain('upstream_interrupted');
    upstream.setScript([stream()]);
    const again = await ask(key, chatBody({ stream: true }));
    expect(again.text.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(again.headers.get('x-waybill-idempotent-replay')).toBeNull();
    expect(upstream.requests).toHaveLength(2);
  });

  it('is sent again where the first answer was too large to keep', async () => {
    const key = randomUUID();
    upstream.setScript([answer('x'.repeat(5 * 1024 * 1024))]);
    const first = await ask(key);
    expect(first.text.length).toBeGreaterThan(5 * 1024 * 1024);
    await ask(key);
    expect(upstream.requests).toHaveLength(2);
    await expect.poll(() => daemon.output()).toContain('too large to be kept');
  });
});

describe('the key', () => {
  it('is 1 to 255 printable characters', async () => {
    expect((await ask('k'.repeat(255))).status).toBe(200);
    for (const key of ['k'.repeat(256), '', 'a\tb', 'ü']) {
      const { status, text } = await ask(key);
      expect(status, key).toBe(400);
      expect((JSON.parse(text) as ErrorBody).error).toMatchObject({
        code: 'invalid_request',
        param: 'Idempotency-Key',
      });
    }
    expect(upstream.requests).toHaveLength(1);
  });

  it('that is absent changes nothing: the same request twice is two', async () => {
    for (const _ of [1, 2]) await (await daemon.post('/v1/chat/completions', chatBody())).arrayBuffer();
    expect(upstream.requests).toHaveLength(2);
  });

  it('works in open mode, where everybody is one client', async () => {
    const open = await startRouter([provider('a', upstream.url)], { api_keys: undefined });
    try {
      for (const _ of [1, 2]) {
        const response = await open.post('/v1/chat/completions', chatBody(), { 'idempotency-key': 'k' });
        expect(response.status).toBe(200);
        await response.arrayBuffer();
      }
      expect(upstream.requests).toHaveLength(1);
    } finally {
      await open.stop();
    }
  });
});
