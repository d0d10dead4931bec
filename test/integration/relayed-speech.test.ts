import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';
import { IMPATIENT, recordOf } from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** Speech reaches the client as it is made, through the built daemon. */

let upstream: ScriptedUpstream;
let daemon: Daemon;

beforeAll(async () => {
  upstream = await startUpstream([{}]);
  const entry = (id: string, rest: object = {}) => ({
    id,
    type: 'openai_compatible',
    base_url: `${upstream.url}/v1`,
    api_keys: [`key-of-${id}`],
    models: [{ id: 'a-voice', tasks: ['speech'], pricing: { character_cost: '0.000015' } }],
    ...rest,
  });
  // What fails is left alone for a while: each failure has an entry of its own.
  const faulty = ['json', 'nothing', 'page', 'flaky'].map((id) => entry(id));
  daemon = await startDaemon({
    config: {
      llm_providers: [entry('one'), entry('reader', { on_disconnect: 'drain' }), ...faulty],
      policy: IMPATIENT,
    },
  });
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

const SPEECH = { model: 'one:a-voice', input: 'Hello there', voice: 'alloy' };
const AUDIO = { 'content-type': 'audio/mpeg' };

async function row(response: Response) {
  return recordOf(daemon, response);
}

describe('speech', () => {
  it('reaches the client while it is still being made, its cost told at once', async () => {
    const whole = Buffer.from(Array.from({ length: 40 }, (_, index) => index));
    upstream.setScript([{ headers: AUDIO, rawBytes: whole, splitAt: 10, chunkDelayMs: 150 }]);
    const response = await daemon.post('/v1/audio/speech', SPEECH);
    expect(response.headers.get('content-type')).toBe('audio/mpeg');
    expect(response.headers.get('x-waybill-cost-nano-usd')).toBe('165000');
    const began = Date.now();
    const parts: number[] = [];
    const bytes: Buffer[] = [];
    for await (const part of response.body as unknown as AsyncIterable<Uint8Array>) {
      parts.push(Date.now() - began);
      bytes.push(Buffer.from(part));
    }
    expect(Buffer.concat(bytes)).toEqual(whole);
    expect(parts.length).toBeGreaterThan(2);
    expect((parts.at(-1) as number) - (parts[0] as number)).toBeGreaterThan(200);
    expect(await row(response)).toMatchObject({
      outcome: 'ok',
      cost_nano_usd: 165_000,
      usage: { characters: 11, source: 'estimated' },
    });
  });

  it('slows the provider down where the client reads slowly', async () => {
    const size = 32 * 1024 * 1024;
    upstream.setScript([{ headers: AUDIO, rawBytes: Buffer.alloc(size, 7), splitAt: 256 * 1024 }]);
    const response = await daemon.post('/v1/audio/speech', SPEECH);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let read = (await reader.read()).value?.length ?? 0;
    let isOver = false;
    void upstream.requests.at(-1)?.closed.then(() => {
      isOver = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(isOver).toBe(false);
    for (let part = await reader.read(); !part.done; part = await reader.read()) read += part.value.length;
    expect(read).toBe(size);
  });

  it('that breaks off is broken off for the client too, and costs what went in', async () => {
    upstream.setScript([
      { headers: AUDIO, rawBytes: Buffer.alloc(40), splitAt: 10, chunkDelayMs: 20, cutAfterBytes: 20 },
    ]);
    const response = await daemon.post('/v1/audio/speech', SPEECH);
    expect(response.status).toBe(200);
    await expect(response.arrayBuffer()).rejects.toThrow();
    expect(await row(response)).toMatchObject({
      outcome: 'failed',
      error_code: 'upstream_interrupted',
      cost_nano_usd: 165_000,
      usage: { characters: 11, source: 'lower-bound' },
    });
  });

  it.each([
    ['one', 'lower-bound'],
    ['reader', 'estimated'],
  ])('is ended at %s when its client leaves: %s', async (provider, source) => {
    const isDrained = provider === 'reader';
    const hang = isDrained ? {} : { hang: true };
    upstream.setScript([{ headers: AUDIO, rawBytes: Buffer.alloc(100), splitAt: 10, chunkDelayMs: 30, ...hang }]);
    const leave = new AbortController();
    const response = await fetch(`${daemon.url}/v1/audio/speech`, {
      method: 'POST',
      headers: { authorization: `Bearer ${CLIENT_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ ...SPEECH, model: `${provider}:a-voice` }),
      signal: leave.signal,
    });
    await (response.body as ReadableStream).getReader().read();
    leave.abort();
    const asked = upstream.requests.at(-1);
    await asked?.closed;
    expect(asked?.aborted).toBe(!isDrained);
    await expect.poll(async () => (await row(response)).outcome).toBe('cancelled');
    expect((await row(response)).usage).toMatchObject({ characters: 11, source });
  });

  it.each([
    ['json', { body: { error: { message: 'busy' } } }, 503],
    ['nothing', { headers: AUDIO, rawBytes: '' }, 502],
    ['page', { headers: { 'content-type': 'text/html' }, rawBytes: '<html>' }, 502],
  ])('that is %s is an error', async (provider, step, status) => {
    upstream.setScript([step]);
    const response = await daemon.post('/v1/audio/speech', { ...SPEECH, model: `${provider}:a-voice` });
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toContain('json');
  });

  it('is tried again until its first byte', async () => {
    upstream.setScript([
      { headers: AUDIO, rawBytes: Buffer.alloc(8), cutAfterBytes: 0 },
      { headers: AUDIO, rawBytes: Buffer.from('sound') },
    ]);
    const response = await daemon.post('/v1/audio/speech', { ...SPEECH, model: 'flaky:a-voice' });
    expect(await response.text()).toBe('sound');
    expect(response.headers.get('x-waybill-attempts')).toBe('2');
    // The first call was sent, and costs its characters as well.
    expect(response.headers.get('x-waybill-cost-nano-usd')).toBe('330000');
    expect((await row(response)).cost_nano_usd).toBe(330_000);
  });

  it('with an Idempotency-Key is made once', async () => {
    upstream.setScript([{ headers: AUDIO, rawBytes: Buffer.from([1, 0xff, 3]) }]);
    const ask = () => daemon.post('/v1/audio/speech', SPEECH, { 'idempotency-key': 'speech-1' });
    const first = Buffer.from(await (await ask()).arrayBuffer());
    const before = upstream.requests.length;
    expect(Buffer.from(await (await ask()).arrayBuffer())).toEqual(first);
    expect(upstream.requests.length).toBe(before);
  });
});
