import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writePng, writeWav } from '../../src/providers/sandbox/files.js';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';
import type { LedgerRequest } from '../support/failing-providers.js';

/** Streams and forms of pictures and sound by the official package, unmodified, against the built daemon. */

let daemon: Daemon;
let openai: OpenAI;

const models = [
  { id: 'sandbox-image', tasks: ['image', 'image-edit', 'image-variation'], pricing: { image_cost: '0.04' } },
  { id: 'sandbox-voice', tasks: ['speech'], pricing: { character_cost: '0.000015' } },
  {
    id: 'sandbox-token-voice',
    tasks: ['speech'],
    pricing: { unit: '1m_tokens', input_token_cost: 1, output_token_cost: 10 },
  },
  { id: 'sandbox-ear', tasks: ['transcription', 'audio-translation'], pricing: { audio_minute_cost: '0.006' } },
];

beforeAll(async () => {
  daemon = await startDaemon({
    config: {
      llm_providers: [{ id: 'box', type: 'sandbox', models }],
      model_aliases: { 'dall-e-2': { targets: [{ model: 'sandbox-image' }] } },
    },
  });
  openai = new OpenAI({ apiKey: CLIENT_KEY, baseURL: `${daemon.url}/v1`, maxRetries: 0 });
});
afterAll(async () => {
  await daemon?.stop();
});

const wav = (ms: number) => toFile(writeWav(1, ms), 'speech.wav', { type: 'audio/wav' });
const png = (name: string) => toFile(writePng(1), name, { type: 'image/png' });

async function newest(): Promise<LedgerRequest & { task?: string; endpoint?: string }> {
  return (await daemon.admin<{ requests: LedgerRequest[] }>('/requests?limit=1')).requests[0] as LedgerRequest;
}

describe('the openai package', () => {
  it('reads speech as it is made', async () => {
    const answer = await openai.audio.speech.create({ model: 'sandbox-voice', input: 'Hello', voice: 'alloy' });
    const parts: Buffer[] = [];
    for await (const part of answer.body as unknown as AsyncIterable<Uint8Array>) parts.push(Buffer.from(part));
    // 300 ms at 8 kHz.
    expect(Buffer.concat(parts)).toHaveLength(44 + 2_400);
    expect(Buffer.concat(parts).toString('latin1', 0, 4)).toBe('RIFF');
    expect(answer.headers.get('x-waybill-cost-nano-usd')).toBe('75000');
    expect(await newest()).toMatchObject({ outcome: 'ok', cost_nano_usd: 75_000 });
  });

  it('reads speech as events', async () => {
    const answer = await openai.audio.speech.create({
      model: 'sandbox-token-voice',
      input: 'Hello',
      voice: 'alloy',
      stream_format: 'sse',
    });
    const events = (await answer.text())
      .split('\n\n')
      .flatMap((part) =>
        part.startsWith('data: {') ? [JSON.parse(part.slice(6)) as { type: string; audio?: string }] : [],
      );
    const audio = Buffer.concat(events.map((event) => Buffer.from(event.audio ?? '', 'base64')));
    expect(audio.toString('latin1', 0, 4)).toBe('RIFF');
    expect(audio).toHaveLength(44 + 2_400);
    expect(events.at(-1)).toMatchObject({ type: 'speech.audio.done', usage: { input_tokens: 1, output_tokens: 6 } });
    expect(await newest()).toMatchObject({ cost_nano_usd: 61_000, usage: { input: 1, output: 6, source: 'reported' } });
  });

  it('reads a transcription word by word', async () => {
    const stream = await openai.audio.transcriptions.create({
      model: 'sandbox-ear',
      file: await wav(3_000),
      stream: true,
    });
    let heard = '';
    let text = '';
    for await (const event of stream) {
      if (event.type === 'transcript.text.delta') heard += event.delta;
      if (event.type === 'transcript.text.done') text = event.text;
    }
    expect(text.split(' ')).toHaveLength(7);
    expect(heard).toBe(text);
    expect(await newest()).toMatchObject({ cost_nano_usd: 300_000, usage: { audio_ms: 3_000, source: 'reported' } });
  });

  it('translates speech', async () => {
    const { text } = await openai.audio.translations.create({ model: 'sandbox-ear', file: await wav(2_000) });
    expect(text.split(' ')).toHaveLength(5);
    expect(await newest()).toMatchObject({
      task: 'audio-translation',
      endpoint: '/v1/audio/translations',
      cost_nano_usd: 200_000,
    });
    const asked = { model: 'sandbox-ear', file: await wav(1_000), response_format: 'srt' } as const;
    expect(await openai.audio.translations.create(asked)).toContain('-->');
  });

  it('sees an image come', async () => {
    const stream = await openai.images.generate({
      model: 'sandbox-image',
      prompt: 'a boat',
      stream: true,
      partial_images: 2,
    });
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    expect(types).toEqual([
      'image_generation.partial_image',
      'image_generation.partial_image',
      'image_generation.completed',
    ]);
    expect(await newest()).toMatchObject({ cost_nano_usd: 40_000_000, usage: { images: 1, source: 'reported' } });
  });

  it('edits images, one and several, whole and streamed', async () => {
    const one = { model: 'sandbox-image', prompt: 'a red boat' };
    const { data } = await openai.images.edit({ ...one, image: await png('a.png'), mask: await png('m.png'), n: 2 });
    expect(data).toHaveLength(2);
    expect(await newest()).toMatchObject({ task: 'image-edit', cost_nano_usd: 80_000_000, usage: { images: 2 } });
    const several = [await png('a.png'), await png('b.png')];
    const stream = await openai.images.edit({ ...one, image: several, stream: true });
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    expect(types).toEqual(['image_edit.completed']);
    expect(await newest()).toMatchObject({ cost_nano_usd: 40_000_000 });
  });

  it('varies an image, the model left out', async () => {
    const { data } = await openai.images.createVariation({ image: await png('a.png') });
    expect(data).toHaveLength(1);
    expect(await newest()).toMatchObject({ task: 'image-variation', model: 'dall-e-2', cost_nano_usd: 40_000_000 });
  });

  it('is told of an error within a stream', async () => {
    const stream = await openai.images.generate({
      model: 'sandbox-image',
      prompt: '[[error-in-stream=1]] x',
      stream: true,
      partial_images: 2,
    });
    const read = async () => {
      for await (const _event of stream);
    };
    await expect(read()).rejects.toMatchObject({ code: 'upstream_interrupted' });
    expect(await newest()).toMatchObject({ outcome: 'failed', usage: { images: 0, source: 'lower-bound' } });
  });
});
