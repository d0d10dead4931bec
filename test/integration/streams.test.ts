import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_KEY, type Daemon } from '../support/daemon.js';
import {
  abortable,
  chatBody,
  chunk,
  type LedgerRequest,
  provider,
  recordOf,
  startRouter,
  stream,
} from '../support/failing-providers.js';
import { openLine } from '../support/raw-http.js';
import { type ScriptedUpstream, startUpstream, type UpstreamStep } from '../support/scripted-upstream.js';

let daemon: Daemon;
let upstream: ScriptedUpstream;

beforeAll(async () => {
  upstream = await startUpstream([stream()]);
  daemon = await startRouter([
    provider('a', upstream.url),
    provider('draining', upstream.url, { models: [{ id: 'drained' }], on_disconnect: 'drain' }),
  ]);
});
afterEach(() => {
  upstream.requests.length = 0;
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

async function ask(step: UpstreamStep, rest: object = {}): Promise<{ response: Response; text: string }> {
  upstream.setScript([step]);
  const response = await daemon.post('/v1/chat/completions', chatBody({ stream: true, ...rest }));
  return { response, text: await response.text() };
}

function dataOf(text: string): string[] {
  return text
    .split('\n\n')
    .filter((part) => part !== '')
    .map((part) => part.replace(/^data: /, ''));
}

/** Waits until the ledger has settled what is asked for; bounded, and the last answer is what the test sees. */
async function settled(inferenceId: string): Promise<LedgerRequest> {
  const deadline = Date.now() + 5_000;
  for (;;) {
    const record = await daemon.admin<LedgerRequest>(`/requests/${inferenceId}`);
    if (record.outcome !== 'in_flight' || Date.now() > deadline) return record;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('a stream that ends well', () => {
  it('asks the provider for usage, and keeps the usage chunk from a client that did not ask', async () => {
    const { response, text } = await ask(stream());
    expect(JSON.parse(upstream.requests[0]?.body ?? '')).toMatchObject({ stream_options: { include_usage: true } });
    expect(text).not.toContain('prompt_tokens');
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(await recordOf(daemon, response)).toMatchObject({
      outcome: 'ok',
      cost_nano_usd: 20_000,
      usage: { input: 10, output: 5, source: 'reported' },
    });
  });

  it('gives the usage chunk with the cost to a client that asked', async () => {
    const { text } = await ask(stream(), { stream_options: { include_usage: true } });
    const last = JSON.parse(dataOf(text).at(-2) ?? '') as { choices: unknown[]; usage: object };
    expect(last.choices).toEqual([]);
    expect(last.usage).toEqual({
      prompt_tokens: 10,
      completion_tokens: 5,
      total_tokens: 15,
      cost: 0.00002,
      cost_nano_usd: 20_000,
    });
  });

  it('adds [DONE] where the provider leaves it out, and a usage chunk where it gives none, marked as estimated', async () => {
    const sse = [chunk({ role: 'assistant', content: 'some words' }), chunk({}, { finish_reason: 'eos_token' })];
    const { response, text } = await ask({ sse }, { stream_options: { include_usage: true } });
    const data = dataOf(text);
    expect(data.at(-1)).toBe('[DONE]');
    expect(JSON.parse(data[1] ?? '')).toMatchObject({ choices: [{ finish_reason: 'eos_token' }] });
    const { usage } = JSON.parse(data.at(-2) ?? '') as { usage: { [name: string]: unknown } };
    expect(usage).toMatchObject({ source: 'estimated', completion_tokens: 2 });
    const record = await recordOf(daemon, response);
    expect(record.usage).toMatchObject({ source: 'estimated', output: 2 });
    expect(record.cost_nano_usd).toBe(usage['cost_nano_usd']);
  });

  it('survives every byte arriving alone, CRLF, comments, named events and split UTF-8', async () => {
    const text = [
      ': hello\r\n\r\n',
      `event: message\r\ndata:${chunk({ role: 'assistant', content: 'Grüße 👋' })}\r\n\r\n`,
      ': keep-alive\r\n\r\n',
      `data: ${chunk({ content: ' 9007199254740993' }, { seed: '@' }).replace('"@"', '9007199254740993')}\r\n\r\n`,
      `data: ${chunk({}, { finish_reason: 'stop' })}\r\n\r\ndata: [DONE]\r\n\r\n`,
    ].join('');
    const { text: got } = await ask({
      headers: { 'content-type': 'text/event-stream' },
      rawBytes: Buffer.from(text),
      splitAt: 1,
    });
    const data = dataOf(got);
    expect(data).toHaveLength(4);
    expect(JSON.parse(data[0] ?? '')).toMatchObject({ choices: [{ delta: { content: 'Grüße 👋' } }] });
    expect(data[1]).toContain('"seed":9007199254740993');
    expect(data.at(-1)).toBe('[DONE]');
  });
});

describe('a stream that the provider breaks', () => {
  it.each([
    ['by closing the socket', { ...stream(), cutAfterBytes: 450 }],
    ['by ending without a finish reason', { sse: [chunk({ role: 'assistant', content: 'half a' })] }],
    [
      'by an error event',
      {
        sse: [chunk({ role: 'assistant', content: 'half a' }), JSON.stringify({ error: { message: 'it fell over' } })],
      },
    ],
  ])('%s ends with an error event and no [DONE], and is not tried again', async (_name, step) => {
    const { response, text } = await ask(step);
    expect(response.status).toBe(200);
    expect(text).not.toContain('[DONE]');
    const last = JSON.parse(dataOf(text).at(-1) ?? '') as { error: { type: string; code: string } };
    expect(last.error).toMatchObject({ type: 'upstream_error', code: 'upstream_interrupted' });
    expect(upstream.requests).toHaveLength(1);
    const record = await recordOf(daemon, response);
    expect(record).toMatchObject({ outcome: 'failed', usage: { source: 'lower-bound' } });
    expect(record.usage?.['output']).toBeGreaterThan(0);
    expect(record.cost_nano_usd).toBeGreaterThan(0);
  });
});

describe('a client that leaves', () => {
  it('ends the upstream call at once, mid-stream, and what was seen is a lower bound', async () => {
    upstream.setScript([stream({ chunkDelayMs: 200 })]);
    const call = abortable(daemon, chatBody({ stream: true }));
    const response = await call.response;
    const reader = response.body?.getReader();
    await reader?.read();
    const leftAt = Date.now();
    call.abort();
    await upstream.requests[0]?.closed;
    expect(Date.now() - leftAt).toBeLessThan(150);
    expect(upstream.requests[0]?.aborted).toBe(true);
    const record = await settled(response.headers.get('inference-id') ?? '');
    expect(record).toMatchObject({ outcome: 'cancelled', usage: { source: 'lower-bound' } });
    expect(record.cost_nano_usd).toBeGreaterThan(0);
  });

  it('ends the upstream call before the first byte too', async () => {
    upstream.setScript([{ hang: true }]);
    const call = abortable(daemon, chatBody());
    const failed = expect(call.response).rejects.toThrow();
    await upstream.waitForRequests(1);
    const leftAt = Date.now();
    call.abort();
    await failed;
    await upstream.requests[0]?.closed;
    expect(Date.now() - leftAt).toBeLessThan(150);
    const { requests } = await daemon.admin<{ requests: LedgerRequest[] }>('/requests?limit=1');
    expect(await settled(requests[0]?.inference_id ?? '')).toMatchObject({
      outcome: 'cancelled',
      usage: { source: 'lower-bound' },
    });
  });

  it('does not end the upstream call where the entry says drain, so that the true usage is known', async () => {
    upstream.setScript([stream({ chunkDelayMs: 30 })]);
    const call = abortable(daemon, chatBody({ stream: true, model: 'drained' }));
    const response = await call.response;
    await response.body?.getReader().read();
    call.abort();
    await upstream.requests[0]?.closed;
    expect(upstream.requests[0]?.aborted).toBe(false);
    const record = await settled(response.headers.get('inference-id') ?? '');
    expect(record).toMatchObject({
      outcome: 'cancelled',
      usage: { input: 10, output: 5, source: 'reported' },
      cost_nano_usd: 20_000,
    });
  });
});

it('a slow client slows the provider instead of filling memory', async () => {
  const big = chunk({ content: 'x'.repeat(64 * 1024) });
  const events = [chunk({ role: 'assistant', content: 'a' }), ...Array.from({ length: 600 }, () => big)];
  upstream.setScript([{ sse: [...events, chunk({}, { finish_reason: 'stop' }), '[DONE]'] }]);
  const response = await daemon.post('/v1/chat/completions', chatBody({ stream: true }));
  const reader = response.body?.getReader();
  await reader?.read();
  await new Promise((resolve) => setTimeout(resolve, 500));
  let bytes = 0;
  for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) bytes += part.value.length;
  expect(bytes).toBeGreaterThan(600 * 64 * 1024 * 0.9);
});

it.each([
  ['that ends well', '', stream()],
  ['that is broken off', '', { sse: [chunk({ content: 'Hi' }), JSON.stringify({ error: { message: 'broken' } })] }],
  ['that is kept for its key', 'Idempotency-Key: {}\r\n', stream()],
])('a stream %s comes to its end with its last event, in one write', async (_how, line, step) => {
  upstream.setScript([step]);
  const body = JSON.stringify(chatBody({ stream: true }));
  for (let round = 0; round < 20; round += 1) {
    const { socket, until } = await openLine(daemon.url);
    const pieces: string[] = [];
    socket.on('data', (piece) => pieces.push(piece.toString()));
    const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer ${CLIENT_KEY}\r\n`;
    socket.write(`${head}${line.replace('{}', String(round))}Content-Length: ${body.length}\r\n\r\n${body}`);
    await until('\r\n0\r\n\r\n');
    expect(pieces.at(-1)).toMatch(/\r\ndata: .*\n\n\r\n0\r\n\r\n$/);
    socket.destroy();
  }
});
