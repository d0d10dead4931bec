import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeWav } from '../../src/providers/sandbox/files.js';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';
import { type ErrorBody, failure, IMPATIENT, recordOf } from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** The events of speech, transcriptions and images, through the built daemon. */

let upstream: ScriptedUpstream;
let daemon: Daemon;

const TASKS = ['image', 'image-edit', 'speech', 'transcription'];
const pricing = {
  'a-voice': { character_cost: '0.000015' },
  'a-token-voice': { unit: '1m_tokens', input_token_cost: 1, output_token_cost: 12 },
  'an-ear': { audio_minute_cost: '0.006' },
  'a-token-ear': { unit: '1m_tokens', input_token_cost: 2, audio_input_token_cost: 6, output_token_cost: 10 },
  'an-image': { image_cost: '0.04' },
  'a-token-image': { unit: '1m_tokens', input_token_cost: 5, output_token_cost: 40 },
};

beforeAll(async () => {
  upstream = await startUpstream([{}]);
  const models = Object.entries(pricing).map(([id, price]) => ({ id, tasks: TASKS, pricing: price }));
  const entry = (id: string) => ({
    id,
    type: 'openai_compatible',
    base_url: `${upstream.url}/v1`,
    api_keys: [`key-of-${id}`],
    models,
  });
  daemon = await startDaemon({
    config: {
      llm_providers: [entry('one'), entry('cut'), entry('faulty')],
      policy: IMPATIENT,
      server: { body_limit: '8mb' },
    },
  });
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

const SPEECH = { input: 'Hello there', voice: 'alloy' };

function event(type: string, rest: object): string {
  return JSON.stringify({ type, ...rest });
}

/** The data of each event. */
async function eventsOf(response: Response): Promise<string[]> {
  const text = await response.text();
  return text
    .split('\n\n')
    .filter((part) => part.startsWith('data: '))
    .map((part) => part.slice('data: '.length));
}

function transcribe(more: Record<string, string>, { bytes = writeWav(1, 2_000), last = false } = {}) {
  const form = new FormData();
  form.append('model', more['model'] ?? 'one:an-ear');
  const add = () => form.append('file', new Blob([new Uint8Array(bytes)], { type: 'audio/wav' }), 'a.wav');
  if (last) add();
  for (const [name, value] of Object.entries(more)) if (name !== 'model') form.append(name, value);
  if (!last) add();
  const headers = { authorization: `Bearer ${CLIENT_KEY}` };
  return fetch(`${daemon.url}/v1/audio/transcriptions`, { method: 'POST', headers, body: form });
}

async function row(response: Response) {
  return recordOf(daemon, response);
}

const SPOKEN = [
  event('speech.audio.delta', { audio: 'AAAA' }),
  event('speech.audio.delta', { audio: 'BBBB' }),
  event('speech.audio.done', { usage: { input_tokens: 14, output_tokens: 101, total_tokens: 115 } }),
];
const WRITTEN = [
  event('transcript.text.delta', { delta: 'Good ' }),
  event('transcript.text.delta', { delta: 'morning' }),
  event('transcript.text.done', {
    text: 'Good morning',
    usage: {
      type: 'tokens',
      input_tokens: 14,
      input_token_details: { text_tokens: 4, audio_tokens: 10 },
      output_tokens: 2,
      total_tokens: 16,
    },
  }),
];
const PAINTED = [
  event('image_generation.partial_image', { b64_json: 'AA==', partial_image_index: 0 }),
  event('image_generation.completed', {
    b64_json: 'AAAA',
    usage: { input_tokens: 10, output_tokens: 1000, total_tokens: 1010 },
  }),
];

const speak = (model: string) => daemon.post('/v1/audio/speech', { ...SPEECH, model, stream_format: 'sse' });
const paint = (model: string) =>
  daemon.post('/v1/images/generations', { model, prompt: 'a boat', stream: true, partial_images: 1 });
const write = (model: string) => transcribe({ model, stream: 'true' });

describe('events', () => {
  it.each([
    ['speech by the character', speak, 'a-voice', SPOKEN, 165_000, { characters: 11, source: 'estimated' }],
    [
      'speech by tokens',
      speak,
      'a-token-voice',
      SPOKEN,
      14_000 + 1_212_000,
      { input: 14, output: 101, source: 'reported' },
    ],
    [
      'a transcription by tokens',
      write,
      'a-token-ear',
      WRITTEN,
      8_000 + 60_000 + 20_000,
      { input: 4, audio_input: 10, output: 2, source: 'reported' },
    ],
    ['a transcription by the minute', write, 'an-ear', WRITTEN, 200_000, { audio_ms: 2_000, source: 'estimated' }],
    ['an image', paint, 'an-image', PAINTED, 40_000_000, { images: 1, source: 'reported' }],
    [
      'an image by tokens',
      paint,
      'a-token-image',
      PAINTED,
      50_000 + 40_000_000,
      { input: 10, output: 1000, source: 'reported' },
    ],
  ])('of %s pass as they came, and are charged by the last', async (_what, ask, model, sse, cost, usage) => {
    upstream.setScript([{ sse }]);
    const response = await ask(`one:${model}`);
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    expect(upstream.requests.length).toBeGreaterThan(0);
    expect(await eventsOf(response)).toEqual([...sse, '[DONE]']);
    const record = await row(response);
    expect(record).toMatchObject({ outcome: 'ok', cost_nano_usd: cost });
    expect(record.usage).toMatchObject(usage);
  });

  it.each([
    ['speech', speak, 'a-voice', SPOKEN, { characters: 11 }, 165_000],
    // Two tokens in; what came out is not known.
    ['speech by tokens', speak, 'a-token-voice', SPOKEN, { input: 2, output: null }, 2_000],
    // The prompt is empty; a word was seen.
    ['a transcription', write, 'a-token-ear', WRITTEN, { output: 2 }, 20_000],
    ['an image', paint, 'an-image', PAINTED, { images: 0 }, 0],
    ['an image by tokens', paint, 'a-token-image', PAINTED, { input: 2, output: null }, 10_000],
  ])('of %s that break off say so, and are a lower bound', async (_what, ask, model, sse, usage, cost) => {
    const seen = sse.slice(0, 1);
    upstream.setScript([{ sse: seen }]);
    const response = await ask(`cut:${model}`);
    const events = await eventsOf(response);
    expect(events.slice(0, -1)).toEqual(seen);
    expect((JSON.parse(events.at(-1) as string) as ErrorBody).error.code).toBe('upstream_interrupted');
    const record = await row(response);
    expect(record).toMatchObject({ outcome: 'failed', cost_nano_usd: cost });
    expect(record.usage).toMatchObject({ ...usage, source: 'lower-bound' });
  });

  it('tell an error within them, and one before them with its status', async () => {
    const error = JSON.stringify({ type: 'error', error: { message: 'no more paint', code: 'gone' } });
    upstream.setScript([{ sse: [PAINTED[0] as string, error] }]);
    const [, told] = await eventsOf(await paint('faulty:an-image'));
    expect((JSON.parse(told as string) as ErrorBody).error.message).toContain('no more paint');
    upstream.setScript([failure(400, { error: { message: 'no', code: 'bad_prompt', param: 'prompt' } })]);
    const refused = await paint('faulty:an-image');
    expect(refused.status).toBe(400);
    expect(((await refused.json()) as ErrorBody).error).toMatchObject({ code: 'bad_prompt', param: 'prompt' });
  });

  it('are made of a whole transcription by a model that takes no notice of `stream`', async () => {
    upstream.setScript([{ body: { text: 'Good morning', usage: { type: 'duration', seconds: 2 } } }]);
    const response = await write('one:an-ear');
    const [done, end] = await eventsOf(response);
    expect(JSON.parse(done as string)).toEqual({
      type: 'transcript.text.done',
      text: 'Good morning',
      usage: { type: 'duration', seconds: 2 },
    });
    expect(end).toBe('[DONE]');
    expect((await row(response)).usage).toMatchObject({ audio_ms: 2_000, source: 'reported' });
  });

  it('come where a large form asks for them behind its file', async () => {
    upstream.setScript([{ sse: WRITTEN }]);
    const response = await transcribe({ stream: 'true' }, { bytes: writeWav(1, 300_000), last: true });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    expect(await eventsOf(response)).toEqual([...WRITTEN, '[DONE]']);
    expect(upstream.requests.at(-1)?.body).toContain('name="stream"\r\n\r\ntrue');
  });

  it('are given again for an Idempotency-Key', async () => {
    upstream.setScript([{ sse: PAINTED }]);
    const body = { model: 'one:an-image', prompt: 'again', stream: true };
    const ask = () => daemon.post('/v1/images/generations', body, { 'idempotency-key': 'painted' });
    const first = await eventsOf(await ask());
    const before = upstream.requests.length;
    expect(await eventsOf(await ask())).toEqual(first);
    expect(upstream.requests.length).toBe(before);
  });
});
