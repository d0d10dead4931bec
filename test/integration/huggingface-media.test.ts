import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writePng, writeWav } from '../../src/providers/sandbox/files.js';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';
import { type ErrorBody, IMPATIENT, recordOf } from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** OpenAI's routes of pictures and sound with Hugging Face behind them, through the built daemon. */

let upstream: ScriptedUpstream;
let daemon: Daemon;

const models = [
  { id: 'org/painter', tasks: ['image'], pricing: { image_cost: '0.01' } },
  { id: 'org/speaker', tasks: ['speech'], pricing: { character_cost: '0.00001' } },
  { id: 'org/ear', tasks: ['transcription'], pricing: { audio_minute_cost: '0.006' } },
];

beforeAll(async () => {
  upstream = await startUpstream([{}]);
  const hub = {
    id: 'hub',
    type: 'huggingface',
    base_url: `${upstream.url}/hf-inference`,
    api_keys: ['hf_key'],
    models,
  };
  daemon = await startDaemon({ config: { llm_providers: [hub], policy: IMPATIENT, server: { body_limit: '8mb' } } });
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

async function errorOf(response: Response) {
  return ((await response.json()) as ErrorBody).error;
}

function transcribe(milliseconds: number, more: Record<string, string> = {}) {
  const form = new FormData();
  form.append('model', 'org/ear');
  form.append('file', new Blob([new Uint8Array(writeWav(1, milliseconds))], { type: 'audio/wav' }), 'a.wav');
  for (const [name, value] of Object.entries(more)) form.append(name, value);
  const headers = { authorization: `Bearer ${CLIENT_KEY}` };
  return fetch(`${daemon.url}/v1/audio/transcriptions`, { method: 'POST', headers, body: form });
}

describe('an image', () => {
  it('comes as bytes, and is given in base64', async () => {
    const png = writePng(1);
    upstream.setScript([{ headers: { 'content-type': 'image/png' }, rawBytes: png }]);
    const response = await daemon.post('/v1/images/generations', {
      model: 'org/painter',
      prompt: 'a boat',
      size: '8x9',
    });
    const { data } = (await response.json()) as { data: Array<{ b64_json: string }> };
    expect(Buffer.from(data[0]?.b64_json ?? '', 'base64')).toEqual(png);
    expect(response.headers.get('x-waybill-cost-nano-usd')).toBe('10000000');
    const asked = upstream.requests.at(-1);
    expect(asked?.path).toBe('/hf-inference/models/org/painter');
    expect(JSON.parse(asked?.body ?? '')).toEqual({ inputs: 'a boat', parameters: { width: 8, height: 9 } });
    expect((await recordOf(daemon, response)).usage).toMatchObject({ images: 1, source: 'reported' });
  });

  it('is one: more are refused, and nothing is sent', async () => {
    const before = upstream.requests.length;
    const ask = { model: 'org/painter', prompt: 'a boat', n: 2 };
    expect(await errorOf(await daemon.post('/v1/images/generations', ask))).toMatchObject({ param: 'n' });
    const streamed = await daemon.post('/v1/images/generations', { ...ask, n: 1, stream: true });
    expect(streamed.status).toBe(400);
    expect(await errorOf(streamed)).toMatchObject({ code: 'invalid_request', param: 'stream' });
    expect(upstream.requests.length).toBe(before);
  });
});

it('speech is passed on as it comes', async () => {
  upstream.setScript([{ headers: { 'content-type': 'audio/flac' }, rawBytes: Buffer.from('fLaC…') }]);
  const response = await daemon.post('/v1/audio/speech', { model: 'org/speaker', input: 'Hello' });
  expect(response.headers.get('content-type')).toBe('audio/flac');
  expect(response.headers.get('x-waybill-cost-nano-usd')).toBe('50000');
  expect(await response.text()).toBe('fLaC…');
  expect(JSON.parse(upstream.requests.at(-1)?.body ?? '')).toEqual({ inputs: 'Hello' });
  const voiced = await daemon.post('/v1/audio/speech', { model: 'org/speaker', input: 'Hello', voice: 'alloy' });
  expect(await errorOf(voiced)).toMatchObject({ code: 'invalid_request', param: 'voice' });
});

describe('a transcription', () => {
  it.each([
    ['a small form', 2_000, 200_000],
    // Its length is not read: a second for every 4,000 of its 2,400,044 bytes.
    ['a form that is passed along', 300_000, 60_001_100],
  ])('of %s is the recording alone', async (_what, milliseconds, cost) => {
    upstream.setScript([{ body: { text: 'Good day', chunks: [] } }]);
    const response = await transcribe(milliseconds, { response_format: 'json' });
    expect(await response.json()).toEqual({ text: 'Good day', chunks: [] });
    const asked = upstream.requests.at(-1);
    expect(asked).toMatchObject({ path: '/hf-inference/models/org/ear' });
    expect(asked?.headers['content-type']).toBe('audio/wav');
    expect(asked?.body.startsWith('RIFF')).toBe(true);
    expect(asked?.body).not.toContain('form-data');
    const row = await recordOf(daemon, response);
    expect(row.cost_nano_usd).toBe(cost);
    expect(row.usage).toMatchObject({ source: 'estimated' });
  });

  it('as text is text', async () => {
    upstream.setScript([{ body: { text: 'Good day' } }]);
    const response = await transcribe(1_000, { response_format: 'text' });
    expect(response.headers.get('content-type')).toContain('text/plain');
    expect(await response.text()).toBe('Good day\n');
  });

  it.each([1_000, 300_000])('with a language is refused (%i ms)', async (milliseconds) => {
    upstream.setScript([{ body: { text: 'Good day' } }]);
    const response = await transcribe(milliseconds, { language: 'de' });
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({ code: 'invalid_request', param: 'language' });
  });
});
