import { request as httpRequest } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_KEY, CLIENT_KEY, type Daemon } from '../support/daemon.js';
import {
  answer,
  chatBody,
  type ErrorBody,
  type LedgerRequest,
  provider,
  startRouter,
} from '../support/failing-providers.js';
import { openLine, postHead, type RawAnswer, sendRaw } from '../support/raw-http.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** Requests that are refused: the table's answer, nothing sent upstream, a row where there is something to record. */

const BODY_LIMIT = 64 * 1024;
const CHAT = '/v1/chat/completions';
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

let daemon: Daemon;
let upstream: ScriptedUpstream;

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
  daemon = await startRouter(
    [
      provider('a', upstream.url, {
        models: [
          { id: 'm', tasks: ['chat', 'completion', 'embedding'] },
          { id: 'embed-only', tasks: ['embedding'] },
          { id: 'hidden-llama' },
        ],
      }),
      provider('b', upstream.url, { region: 'eu', models: [{ id: 'open-llama' }] }),
    ],
    {
      server: { body_limit: '64kb' },
      logging: { level: 'info' },
      api_keys: [
        { id: 'tester', key: CLIENT_KEY },
        { id: 'narrow', key: 'narrow-key', allowed_providers: ['b'], allowed_models: ['open-*'] },
        { id: 'european', key: 'european-key', region: 'eu' },
        { id: 'expired', key: 'expired-key', expires_at: '2020-01-01T00:00:00Z' },
      ],
    },
  );
});
afterEach(() => {
  upstream.requests.length = 0;
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

interface Sent {
  path?: string;
  method?: string;
  key?: string | null;
  headers?: { [name: string]: string };
  body?: string | Uint8Array | object;
}

function send({ path = CHAT, method = 'POST', key = CLIENT_KEY, headers = {}, body }: Sent): Promise<RawAnswer> {
  const bytes =
    body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
  return sendRaw(daemon.url, {
    method,
    path,
    headers: {
      'content-type': 'application/json',
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...headers,
    },
    ...(bytes === undefined ? {} : { body: bytes }),
  });
}

interface Refusal {
  status: number;
  type: string;
  code: string;
  param?: string | null;
}

const INVALID = { status: 400, type: 'invalid_request_error', code: 'invalid_request' };
const NO_KEY = { status: 401, type: 'authentication_error', code: 'invalid_api_key' };
const NOT_ALLOWED = { status: 403, type: 'permission_error', code: 'model_not_allowed', param: 'model' };
const TOO_LARGE = { status: 413, type: 'invalid_request_error', code: 'body_too_large' };

/** The answer has the shape and the headers of every error, and nothing went upstream. Gives the message. */
function expectRefusal({ status, headers, text }: RawAnswer, wanted: Refusal): string {
  expect(text).not.toBe('');
  const body = JSON.parse(text) as ErrorBody;
  expect({ status, body }).toEqual({
    status: wanted.status,
    body: {
      error: {
        message: expect.stringMatching(/./),
        type: wanted.type,
        param: wanted.param === undefined ? expect.toSatisfy((param) => param === null || param !== '') : wanted.param,
        code: wanted.code,
      },
    },
  });
  expect(headers['content-type']).toMatch(/^application\/json/);
  expect(headers['inference-id']).toMatch(UUID_V7);
  expect(headers['x-request-id']).toBe(headers['inference-id']);
  expect(upstream.requests).toHaveLength(0);
  expect(body.error.message).not.toMatch(/node_modules|\.js:\d|\.ts:\d/);
  return body.error.message;
}

/** The ledger's row of an answer; null where it has none. */
async function rowOf({ headers }: RawAnswer): Promise<LedgerRequest | null> {
  const response = await fetch(`${daemon.url}/api/admin/v1/requests/${headers['inference-id']}`, {
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
  });
  const body = (await response.json()) as LedgerRequest;
  return response.status === 404 ? null : body;
}

describe.each(['/v1', '/api/v1'])('under %s', (prefix) => {
  it.each([
    ['nothing', ''],
    ['no JSON', 'model=m&messages=hello'],
    ['JSON cut short', '{"model":"m","messages":[{"role":"user","content":"hel'],
    ['an array', '[{"model":"m"}]'],
    ['a string', '"m"'],
    ['null', 'null'],
    ['two objects', '{"model":"m"}{"model":"m"}'],
    ['a trailing comma', '{"model":"m",}'],
    ['NaN', '{"model":"m","temperature":NaN}'],
  ])('refuses a body that is %s', async (_what, body) => {
    for (const route of ['/chat/completions', '/completions', '/embeddings']) {
      expectRefusal(await send({ path: prefix + route, body }), { ...INVALID, param: 'body' });
    }
  });

  it.each([
    ['chat/completions', {}, 'model'],
    ['chat/completions', { model: 5, messages: [] }, 'model'],
    ['chat/completions', { model: '', messages: [] }, 'model'],
    ['chat/completions', { model: null }, 'model'],
    ['chat/completions', { model: 'x'.repeat(2_000), messages: [{ role: 'user', content: 'hi' }] }, 'model'],
    ['chat/completions', { model: 'm' }, 'messages'],
    ['chat/completions', { model: 'm', messages: 'hello' }, 'messages'],
    ['chat/completions', { model: 'm', messages: [] }, 'messages'],
    ['chat/completions', { model: 'm', messages: ['hello'] }, 'messages[0]'],
    ['chat/completions', { model: 'm', messages: [{ content: 'hello' }] }, 'messages[0].role'],
    ['chat/completions', chatBody({ stream: 'yes' }), 'stream'],
    ['chat/completions', chatBody({ n: 0 }), 'n'],
    ['chat/completions', chatBody({ n: 1.5 }), 'n'],
    ['chat/completions', chatBody({ max_tokens: 'ten' }), 'max_tokens'],
    ['chat/completions', chatBody({ stream: true, stream_options: true }), 'stream_options'],
    ['completions', { model: 'm' }, 'prompt'],
    ['completions', { model: 'm', prompt: { text: 'hello' } }, 'prompt'],
    ['embeddings', { model: 'm' }, 'input'],
    ['embeddings', { model: 'm', input: '' }, 'input'],
    ['embeddings', { model: 'm', input: [] }, 'input'],
    ['embeddings', { model: 'm', input: ['a', 1] }, 'input'],
    ['embeddings', { model: 'm', input: 'a', stream: true }, 'stream'],
  ])('names the parameter of %s that is wrong in %j', async (route, body, param) => {
    expectRefusal(await send({ path: `${prefix}/${route}`, body }), { ...INVALID, param });
  });

  it('answers 405 with Allow for a wrong method, and 404 for a path that is none', async () => {
    for (const [method, route, allow] of [
      ['GET', '/chat/completions', 'POST'],
      ['DELETE', '/embeddings', 'POST'],
      ['PUT', '/completions', 'POST'],
      ['POST', '/models', 'GET'],
      ['DELETE', '/models/m', 'GET'],
    ] as const) {
      const answered = await send({ method, path: prefix + route });
      expectRefusal(answered, { status: 405, type: 'invalid_request_error', code: 'method_not_allowed', param: null });
      expect(answered.headers['allow']?.split(', ')).toContain(allow);
    }
    for (const path of ['/nothing', '/chat', '/chat/completions/extra', '']) {
      const answered = await send({ path: prefix + path, body: chatBody() });
      expectRefusal(answered, { status: 404, type: 'invalid_request_error', code: 'not_found', param: null });
    }
  });

  it('knows no path but by its own name: no trailing dots, doubled slashes or encoded ways around', async () => {
    for (const path of [`/${prefix}/chat/completions`, `${prefix}/../v1/chat/completions`, '/%2e%2e/v1/models', '/%']) {
      const { status } = await send({ path, body: chatBody() });
      expect(status).toBe(404);
    }
  });
});

describe('a body', () => {
  it('is refused by its announced length before a byte of it is sent', async () => {
    const line = await openLine(daemon.url);
    line.socket.write(postHead(CHAT, CLIENT_KEY, ['content-length: 100000000000']));
    const head = await line.until('body_too_large');
    expect(head).toMatch(/^HTTP\/1\.1 413 /);
    line.socket.destroy();
    await line.closed;
    expect(upstream.requests).toHaveLength(0);
  });

  it('one byte above the limit is refused, and at the limit is taken', async () => {
    const filled = (size: number) => {
      const empty = JSON.stringify(chatBody({ user: '' }));
      return JSON.stringify(chatBody({ user: 'x'.repeat(size - empty.length) }));
    };
    expectRefusal(await send({ body: filled(BODY_LIMIT + 1) }), TOO_LARGE);
    expect((await send({ body: filled(BODY_LIMIT) })).status).toBe(200);
  });

  it('that comes in chunks is refused as soon as it is too large, however long it goes on', async () => {
    const { hostname, port } = new URL(daemon.url);
    const answered = await new Promise<RawAnswer>((resolve, reject) => {
      const sent = httpRequest(
        {
          hostname,
          port,
          method: 'POST',
          path: CHAT,
          agent: false,
          headers: { authorization: `Bearer ${CLIENT_KEY}` },
        },
        (response) => {
          let text = '';
          response.on('data', (part) => {
            text += part;
          });
          response.on('end', () => {
            clearInterval(timer);
            sent.destroy();
            resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
          });
        },
      );
      sent.on('error', reject);
      sent.write('{"model":"m","messages":[{"role":"user","content":"');
      // The body never ends: only an answer that does not wait for its end is one.
      const timer = setInterval(() => sent.write('x'.repeat(16 * 1024)), 1);
    });
    expectRefusal(answered, TOO_LARGE);
  });

  it('that a usual client sends whole is refused with an answer that the client sees', async () => {
    const response = await daemon.post(CHAT, chatBody({ user: 'x'.repeat(4 * 1024 * 1024) }));
    expect(response.status).toBe(413);
    expect(((await response.json()) as ErrorBody).error.code).toBe('body_too_large');
    expect((await daemon.post(CHAT, chatBody())).status).toBe(200);
  });

  it.each([
    ['arrays', `{"model":"m","messages":${'['.repeat(20_000)}${']'.repeat(20_000)}}`],
    ['objects', `{"model":"m","messages":${'{"a":'.repeat(8_000)}1${'}'.repeat(8_000)}}`],
    ['arrays that never end', '['.repeat(60_000)],
  ])('of deeply nested %s is refused', async (_what, body) => {
    expectRefusal(await send({ body }), { ...INVALID, param: 'body' });
  });

  it('that is not UTF-8 is refused, not repaired', async () => {
    for (const bad of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
      const [before, after] = JSON.stringify(chatBody()).split('How many?') as [string, string];
      const body = Buffer.concat([Buffer.from(before), Buffer.from(bad), Buffer.from(after)]);
      expectRefusal(await send({ body }), { ...INVALID, param: 'body' });
    }
  });

  it('that is compressed is refused', async () => {
    const answered = await send({ body: Buffer.from([0x1f, 0x8b, 8, 0]), headers: { 'content-encoding': 'gzip' } });
    expect(expectRefusal(answered, INVALID)).toContain('gzip');
  });

  it('whose model is named twice is routed by the name that is sent', async () => {
    const body = '{"model":"hidden-llama","messages":[{"role":"user","content":"hi"}],"mod\\u0065l":"open-llama"}';
    const answered = await send({ body, key: 'narrow-key' });
    expect(answered.status).toBe(200);
    expect(answered.headers['x-waybill-model']).toBe('open-llama');
    const sent = upstream.requests[0]?.body ?? '';
    expect(sent.match(/"model"/g)).toHaveLength(1);
    expect(sent).not.toContain('hidden-llama');
    upstream.requests.length = 0;
    const swapped = '{"model":"open-llama","model":"hidden-llama","messages":[{"role":"user","content":"hi"}]}';
    expectRefusal(await send({ body: swapped, key: 'narrow-key' }), NOT_ALLOWED);
  });
});

describe('a key', () => {
  it.each([
    ['none', { key: null }],
    ['a wrong one', { key: 'wrong-key' }],
    ['an empty one', { key: '' }],
    ['one that expired', { key: 'expired-key' }],
    ['the admin key', { key: ADMIN_KEY }],
    ['a wrong one in x-api-key', { key: null, headers: { 'x-api-key': 'wrong-key' } }],
    ['a right one in another scheme', { key: null, headers: { authorization: `Basic ${CLIENT_KEY}` } }],
    ['a right one with more behind it', { key: `${CLIENT_KEY}x` }],
  ])('that is %s leaves a log line and no row', async (_what, sent) => {
    for (const path of [CHAT, '/api/v1/embeddings', '/v1/completions']) {
      const answered = await send({ ...sent, path, body: chatBody() });
      expectRefusal(answered, { ...NO_KEY, param: null });
      expect(await rowOf(answered)).toBeNull();
      await expect.poll(() => daemon.output()).toContain(answered.headers['inference-id']);
    }
    expectRefusal(await send({ ...sent, method: 'GET', path: '/v1/models' }), NO_KEY);
    expectRefusal(await send({ ...sent, method: 'GET', path: '/v1/models/m' }), NO_KEY);
    expect(daemon.output()).not.toContain('wrong-key');
  });

  it('is looked at before the body', async () => {
    expectRefusal(await send({ key: 'wrong-key', body: 'no JSON' }), NO_KEY);
  });

  it('may come as x-api-key', async () => {
    const answered = await send({ key: null, headers: { 'x-api-key': CLIENT_KEY }, body: chatBody() });
    expect(answered.status).toBe(200);
  });

  it('of a client opens no operators’ route', async () => {
    for (const path of ['/config', '/requests', '/providers', '/reports/costs', '/budgets']) {
      expectRefusal(await send({ method: 'GET', path: `/api/admin/v1${path}` }), NO_KEY);
      expectRefusal(await send({ method: 'GET', path: `/api/admin/v1${path}`, key: null }), NO_KEY);
    }
  });
});

describe('a model', () => {
  const ask = (model: string, rest: Sent = {}) => send({ ...rest, body: chatBody({ model }) });

  it('that is unknown is answered with near names, and leaves a refused row', async () => {
    const answered = await ask('opn-llama');
    const refusal = { status: 404, type: 'invalid_request_error', code: 'model_not_found', param: 'model' };
    expect(expectRefusal(answered, refusal)).toContain('open-llama');
    expect(await rowOf(answered)).toMatchObject({
      outcome: 'refused',
      status: 404,
      error_code: 'model_not_found',
      client: 'tester',
      model: 'opn-llama',
      provider: null,
      cost_nano_usd: 0,
      attempts: [],
    });
  });

  it('that is unknown is answered only with names that this client may use', async () => {
    const message = expectRefusal(await ask('hidden-llam', { key: 'narrow-key' }), {
      status: 404,
      type: 'invalid_request_error',
      code: 'model_not_found',
    });
    expect(message).not.toContain('hidden-llama');
    expect(JSON.parse((await ask('hidden-llam')).text).error.message).toContain('hidden-llama');
  });

  it.each([
    ['a provider and model', 'm', { key: 'narrow-key' }],
    ['a model pinned to its provider', 'a:m', { key: 'narrow-key' }],
    ['a model', 'a:hidden-llama', { key: 'narrow-key' }],
    ['a region', 'm', { key: 'european-key' }],
    ['a region by its request', 'm', { headers: { 'x-waybill-region': 'eu' } }],
    ['a region nobody is in', 'open-llama', { headers: { 'x-waybill-region': 'mars' } }],
  ])('is refused by %s that the client may not use, with a row', async (_what, model, sent) => {
    const answered = await ask(model, sent);
    expectRefusal(answered, NOT_ALLOWED);
    expect(await rowOf(answered)).toMatchObject({ outcome: 'refused', status: 403, cost_nano_usd: 0 });
  });

  it('is held back on every route', async () => {
    for (const [path, body] of [
      ['/v1/embeddings', { model: 'm', input: 'a' }],
      ['/api/v1/completions', { model: 'm', prompt: 'a' }],
    ] as const) {
      expectRefusal(await send({ path, body, key: 'narrow-key' }), NOT_ALLOWED);
    }
  });

  it('that does not do the task is refused, with a row', async () => {
    const answered = await ask('embed-only');
    expectRefusal(answered, {
      status: 400,
      type: 'invalid_request_error',
      code: 'task_not_supported',
      param: 'model',
    });
    expect(await rowOf(answered)).toMatchObject({ outcome: 'refused', status: 400 });
  });

  it('in a path that is no percent-encoding is refused', async () => {
    for (const path of ['/v1/models/%E0%A4%A', '/api/v1/models/100%', '/v1/models/%ff']) {
      expectRefusal(await send({ method: 'GET', path }), { ...INVALID, param: 'model' });
    }
  });
});

it.each([
  'team',
  '=a',
  'team=a,,env=b',
  `team=${'x'.repeat(200)}`,
  Array.from({ length: 20 }, (_, i) => `t${i}=1`).join(),
])('refuses the tags %j', async (tags) => {
  const answered = await send({ body: chatBody(), headers: { 'x-waybill-tags': tags } });
  expectRefusal(answered, { ...INVALID, param: 'x-waybill-tags' });
});

it('answers bytes that are no HTTP with 400, and lives on', async () => {
  const line = await openLine(daemon.url);
  line.socket.write('\x16\x03\x01\x02\x00garbage\r\n\r\n');
  await line.closed;
  expect(line.received()).toMatch(/^HTTP\/1\.1 400 /);
  expect((await send({ body: chatBody() })).status).toBe(200);
});
