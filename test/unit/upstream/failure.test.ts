import { connect, createServer } from 'node:net';
import { Agent, request } from 'undici';
import { describe, expect, it } from 'vitest';
import { defaultVerdict } from '../../../src/domain/failure.js';
import { failureFromError, failureFromStatus } from '../../../src/upstream/failure.js';
import { failureFromFault, faultIn, malformed } from '../../../src/wire/fault.js';

const NOW = Date.parse('2026-01-15T12:00:00Z');
const KEY = 'hf_verySecretKey12345';

function fromStatus(status: number, body: unknown, headers: Record<string, string> = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return failureFromStatus({ status, headers, body: Buffer.from(text), secrets: [KEY], now: NOW });
}

describe('failureFromStatus', () => {
  it('says what the provider said', () => {
    expect(fromStatus(400, { error: { message: 'bad', type: 't', param: 'p', code: 'c' } })).toEqual({
      kind: 'status',
      status: 400,
      code: 'c',
      param: 'p',
      type: 't',
      message: 'bad',
      retryAfterMs: null,
      loadingMs: null,
      shouldRetry: null,
      sent: true,
    });
  });

  it('knows how long a model is loading, and that overload is not loading', () => {
    expect(fromStatus(503, { error: 'Model x is currently loading', estimated_time: 20.0 })).toMatchObject({
      loadingMs: 20_000,
    });
    expect(fromStatus(503, { error: 'overloaded' })).toMatchObject({ loadingMs: null, message: 'overloaded' });
  });

  it('reads when to come back, and takes limits for it only where they are the reason', () => {
    const headers = { 'x-ratelimit-reset-requests': '9s', 'x-ratelimit-remaining-requests': '0' };
    expect(fromStatus(429, {}, headers).retryAfterMs).toBe(9000);
    expect(fromStatus(400, {}, headers).retryAfterMs).toBeNull();
    expect(fromStatus(400, {}, { 'retry-after': '1' }).retryAfterMs).toBe(1000);
  });

  it('falls back on the headers of a body that says nothing, and then on the status', () => {
    expect(
      fromStatus(401, '', { 'x-error-message': 'Invalid username or password', 'x-error-code': 'E' }),
    ).toMatchObject({
      message: 'Invalid username or password',
      code: 'E',
    });
    expect(fromStatus(502, '').message).toContain('502');
  });

  it.each([{}, [], { error: {} }, { error: null, detail: [''] }])('says that %j says nothing', (body) => {
    expect(fromStatus(500, body).message).toBe('the provider answered 500 and said no more');
  });

  it.each([
    ['https://user:pw@other.test:8443/v1/x?sig=secret', 'other.test:8443'],
    ['//other.test/x', 'other.test'],
    ['/elsewhere?sig=secret', null],
  ])('takes a redirect to %s for no answer, and names the host at most', (location, host) => {
    const failure = fromStatus(307, {}, { location });
    expect(failure).toMatchObject({ kind: 'malformed', status: 307 });
    expect(failure.message).toContain(host ?? 'the provider redirects (307)');
    expect(failure.message).not.toMatch(/secret|pw|elsewhere|\/x/);
    expect(defaultVerdict(failure).action).toBe('fall-back');
  });

  it('repeats no secret', () => {
    const failure = fromStatus(401, { error: { message: `bad key ${KEY}`, code: KEY, type: KEY, param: KEY } });
    expect(JSON.stringify(failure)).not.toContain('verySecret');
  });

  it('repeats no part of a secret that lies where the message is cut', () => {
    for (let before = 1960; before < 2000; before += 1) {
      const { message } = fromStatus(400, { error: `${'x'.repeat(before)}${KEY}` });
      expect(message).not.toContain('hf_');
    }
  });

  it('reads x-should-retry', () => {
    expect(fromStatus(500, '', { 'x-should-retry': 'false' }).shouldRetry).toBe(false);
    expect(fromStatus(500, '', { 'x-should-retry': 'true' }).shouldRetry).toBe(true);
  });
});

describe('failureFromError', () => {
  it('knows a refused connection, which sent nothing', async () => {
    const port = await freePort();
    const error = await request(`http://127.0.0.1:${port}/`).catch((reason: unknown) => reason);
    expect(failureFromError(error, { secrets: [], isSent: true })).toMatchObject({
      kind: 'connect',
      code: 'ECONNREFUSED',
      sent: false,
    });
  });

  it('knows a connection that broke after sending', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const agent = new Agent();
    const { port } = server.address() as { port: number };
    const error = await request(`http://127.0.0.1:${port}/`, { dispatcher: agent }).catch((reason: unknown) => reason);
    expect(failureFromError(error, { secrets: [], isSent: true })).toMatchObject({ kind: 'reset', sent: true });
    await agent.close();
    await new Promise((resolve) => server.close(resolve));
  });

  it.each([
    ['ENOTFOUND', 'connect', false],
    ['UND_ERR_CONNECT_TIMEOUT', 'connect', false],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'connect', false],
    ['UND_ERR_HEADERS_TIMEOUT', 'timeout', true],
    ['UND_ERR_BODY_TIMEOUT', 'timeout', true],
    ['ECONNRESET', 'reset', true],
    ['EPIPE', 'reset', true],
    ['UND_ERR_SOCKET', 'reset', true],
    ['HPE_INVALID_CONSTANT', 'malformed', true],
    ['Z_DATA_ERROR', 'malformed', true],
  ])('takes %s for %s', (code, kind, sent) => {
    const error = Object.assign(new Error('went wrong'), { code });
    const expected = { kind, sent, code, status: null, message: `went wrong (${code})` };
    expect(failureFromError(error, { secrets: [], isSent: true })).toMatchObject(expected);
    expect(
      failureFromError(new TypeError('fetch failed', { cause: error }), { secrets: [], isSent: true }),
    ).toMatchObject({
      kind,
      sent,
      code,
    });
  });

  it('looks into an error for each address', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED ::1:1'), { code: 'ECONNREFUSED' });
    expect(failureFromError(new AggregateError([refused]), { secrets: [], isSent: true })).toMatchObject({
      kind: 'connect',
      message: 'ECONNREFUSED',
    });
  });

  it('takes a time-out of the connection itself for one that sent nothing', () => {
    const error = Object.assign(new Error('connect ETIMEDOUT'), { code: 'ETIMEDOUT', syscall: 'connect' });
    expect(failureFromError(error, { secrets: [], isSent: true })).toMatchObject({ kind: 'connect', sent: false });
  });

  it('knows that nothing was sent where nothing was, whatever ended the call', () => {
    for (const code of ['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_DESTROYED', 'ECONNRESET']) {
      const error = Object.assign(new Error('went wrong'), { code });
      expect(failureFromError(error, { secrets: [], isSent: false })).toMatchObject({ code, sent: false });
    }
  });

  it('makes a failure of anything', () => {
    expect(failureFromError('boom', { secrets: [], isSent: true })).toMatchObject({ kind: 'reset', message: 'boom' });
  });
});

describe('failureFromFault', () => {
  it.each([
    [{ error: { message: 'x', code: 429 } }, 429],
    [{ error: { message: 'x', type: 'server_error' } }, 500],
    [{ error: { message: 'x', type: 'overloaded_error' } }, 529],
    [{ type: 'error', error: { message: 'x', type: 'billing_error' } }, 402],
    [{ type: 'error', error: { message: 'x', type: 'conflict_error' } }, 409],
    [{ type: 'error', error: { message: 'x', type: 'request_too_large' } }, 413],
    [{ type: 'error', error: { message: 'x', type: 'timeout_error' } }, 504],
    [{ error: 'Input validation error', error_type: 'validation' }, 422],
    [{ error: 'Model is overloaded', error_type: 'overloaded' }, 503],
    [{ error: 'overloaded' }, 503],
    [{ error: 'Request failed during generation', error_type: 'generation' }, 500],
    [{ detail: 'Internal error' }, 500],
    [{ object: 'error', message: 'no such model', code: 404 }, 404],
  ])('gives the error inside a 200 the status it carries or stands for: %j', (value, status) => {
    const fault = faultIn(value);
    expect(fault && failureFromFault(fault, [])).toMatchObject({ kind: 'status', status, sent: true });
  });

  it.each([{ choices: [], error: null }, { choices: [], error: {} }, { data: [], message: 'ok' }, { type: 'ping' }])(
    'finds no error in %j',
    (value) => {
      expect(faultIn(value)).toBeNull();
    },
  );

  it('has no status for an answer that is none', () => {
    expect(failureFromFault(malformed(`no JSON: ${KEY}`), [KEY])).toMatchObject({
      kind: 'malformed',
      status: null,
      message: 'no JSON: [redacted]',
      sent: true,
    });
  });
});

/** A port nothing listens on. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  await new Promise<void>((resolve) => connect(port, '127.0.0.1').on('error', () => resolve()));
  return port;
}
