import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_KEY, CLIENT_KEY, type Daemon } from '../support/daemon.js';
import { answer, chatBody, type ErrorBody, failure, provider, startRouter } from '../support/failing-providers.js';
import { type RawAnswer, sendRaw } from '../support/raw-http.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** Who is let in by what they send, what the log keeps to itself, and what a page in a browser may see. */

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

const start = async (rest: { [key: string]: unknown } = {}) => {
  daemon = await startRouter([provider('a', upstream.url)], rest);
};

const chat = (headers: object) =>
  sendRaw(daemon.url, {
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { 'content-type': 'text/plain', ...headers },
    body: JSON.stringify(chatBody()),
  });
const get = (path: string, headers: object = {}) => sendRaw(daemon.url, { method: 'GET', path, headers });
const port = () => new URL(daemon.url).port;

function expectTurnedAway({ status, text }: RawAnswer): void {
  expect(status, text).toBe(401);
  expect((JSON.parse(text) as ErrorBody).error.code).toBe('invalid_api_key');
}

const OPEN = { api_keys: undefined };
const WITHOUT_ADMIN_KEY = { server: { admin_api_key: '' } };
const LISTED = 'https://app.example.com';

describe('without api_keys', () => {
  it('programs on this machine are served, by every name it has', async () => {
    await start(OPEN);
    for (const host of ['127.0.0.1', 'localhost', 'LOCALHOST', 'waybill.localhost', '127.1.2.3', '[::1]']) {
      expect((await chat({ host: `${host}:${port()}` })).status, host).toBe(200);
    }
    expect((await chat({ host: 'localhost' })).status).toBe(200);
    // A page of this very address.
    const host = `localhost:${port()}`;
    expect((await chat({ host, origin: `http://${host}` })).status).toBe(200);
  });

  it('a web page is not: neither by a name made to resolve to this machine, nor by a request it may send to any', async () => {
    await start(OPEN);
    for (const host of ['evil.example', '127.0.0.1.evil.example', '127.evil.example', 'localhost.evil.example']) {
      expectTurnedAway(await chat({ host }));
    }
    for (const origin of ['http://evil.example', 'null', 'http://localhost:1', 'http://127.0.0.1.evil.example']) {
      expectTurnedAway(await chat({ origin }));
      expectTurnedAway(await get('/v1/models', { origin }));
    }
    for (const path of ['/v1/price', '/v1/billing', '/v1/embeddings', '/v1/completions']) {
      const headers = { origin: 'http://evil.example' };
      expectTurnedAway(await sendRaw(daemon.url, { method: 'POST', path, headers, body: '{}' }));
    }
    expect(upstream.requests).toHaveLength(0);
  });

  it('a page of an origin that CORS allows is served', async () => {
    await start({ ...OPEN, server: { cors: { enabled: true, allowed_origins: [LISTED] } } });
    expect((await chat({ origin: LISTED })).status).toBe(200);
    expectTurnedAway(await chat({ origin: 'https://other.example.com' }));
  });
});

it('with api_keys the key alone decides', async () => {
  await start();
  const headers = { authorization: `Bearer ${CLIENT_KEY}`, host: 'llm.example.com', origin: LISTED };
  expect((await chat(headers)).status).toBe(200);
});

describe('without an admin key', () => {
  const PATHS = ['/api/admin/v1/requests', '/api/admin/v1/config', '/metrics'];

  it('operators on this machine are let in', async () => {
    await start(WITHOUT_ADMIN_KEY);
    for (const path of PATHS) expect((await get(path)).status, path).toBe(200);
  });

  it.each([
    ['a name made to resolve to this machine', { host: 'evil.example' }],
    ['a page of another origin', { origin: 'http://evil.example' }],
    ['a proxy', { 'x-forwarded-for': '10.0.0.1' }],
    ['a proxy of the other kind', { forwarded: 'for=10.0.0.1' }],
  ])('%s is not', async (_, headers) => {
    await start(WITHOUT_ADMIN_KEY);
    for (const path of PATHS) expectTurnedAway(await get(path, headers));
  });

  it('an origin is let in by its name, not by `*`', async () => {
    const server = { admin_api_key: '', cors: { enabled: true, allowed_origins: ['*'] } };
    await start({ server });
    for (const path of PATHS) expectTurnedAway(await get(path, { origin: LISTED }));
    await daemon.stop();
    await start({ server: { ...server, cors: { enabled: true, allowed_origins: [LISTED] } } });
    for (const path of PATHS) expect((await get(path, { origin: LISTED })).status, path).toBe(200);
  });
});

it('with an admin key the key decides, through a proxy too; the metrics of others are behind it', async () => {
  await start();
  const strange = { host: 'llm.example.com', 'x-forwarded-for': '10.0.0.1' };
  const admin = { authorization: `Bearer ${ADMIN_KEY}` };
  for (const path of ['/api/admin/v1/requests', '/metrics']) {
    expectTurnedAway(await get(path, strange));
    expect((await get(path, { ...strange, ...admin })).status).toBe(200);
  }
  expect((await get('/metrics')).status).toBe(200);
});

describe('x-api-key', () => {
  it('counts beside an Authorization that is no Bearer key; a Bearer key comes first', async () => {
    await start();
    const key = { 'x-api-key': CLIENT_KEY };
    expect((await chat({ ...key, authorization: 'Basic dXNlcjpwYXNz' })).status).toBe(200);
    expect((await chat(key)).status).toBe(200);
    expectTurnedAway(await chat({ ...key, authorization: 'Bearer wrong' }));
    expectTurnedAway(await chat({ authorization: 'Basic dXNlcjpwYXNz' }));
  });
});

describe('the log', () => {
  const PROMPT = 'the patient of room four';
  const refusal = failure(422, { detail: [{ loc: ['body', 'messages', 0], msg: `value is not valid: ${PROMPT}` }] });

  it('has no text of a provider that quotes a prompt', async () => {
    await start({ logging: { level: 'trace' } });
    for (const step of [refusal, failure(500, `cannot parse: ${PROMPT}`)]) {
      upstream.setScript([step]);
      const { status, text } = await chat({ authorization: `Bearer ${CLIENT_KEY}` });
      expect(status).toBeGreaterThanOrEqual(400);
      if (status === 422) expect(text).toContain(PROMPT);
    }
    await daemon.kill('SIGTERM');
    await daemon.waitForExit();
    expect(daemon.output()).toContain('attempt ended without an answer');
    expect(daemon.output()).not.toContain(PROMPT);
  });

  it('has it with logging.prompts', async () => {
    await start({ logging: { level: 'warn', prompts: true } });
    upstream.setScript([refusal]);
    await chat({ authorization: `Bearer ${CLIENT_KEY}` });
    daemon.kill('SIGTERM');
    await daemon.waitForExit();
    expect(daemon.output()).toContain(PROMPT);
  });
});

it('a page may read every header of an answer that is ours', async () => {
  const server = { cors: { enabled: true, allowed_origins: [LISTED] } };
  const limits = { req_per_min: 50, tokens_per_min: 50_000 };
  await start({ server, api_keys: [{ id: 'tester', key: CLIENT_KEY, limits }] });
  const { headers } = await chat({ origin: LISTED, authorization: `Bearer ${CLIENT_KEY}` });
  const exposed = String(headers['access-control-expose-headers']).split(', ');
  const ours = Object.keys(headers).filter((name) => /^(x-(waybill|ratelimit|request)-|inference-id)/.test(name));
  expect(ours.length).toBeGreaterThanOrEqual(12);
  for (const name of [...ours, 'retry-after', 'retry-after-ms', 'x-should-retry']) expect(exposed).toContain(name);
});

it('a limit does not name the scopes inside the router', async () => {
  const limits = { req_per_min: 1 };
  await start({ api_keys: [{ id: 'team-secret', key: CLIENT_KEY, limits }], policy: { queue: { max_wait: '0s' } } });
  const key = { authorization: `Bearer ${CLIENT_KEY}` };
  expect((await chat(key)).status).toBe(200);
  const { status, text } = await chat(key);
  expect(status).toBe(429);
  expect(text).toContain('this API key');
  expect(text).not.toMatch(/client:|key:|team-secret/);
});
