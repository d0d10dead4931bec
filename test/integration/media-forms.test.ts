import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writePng, writeWav } from '../../src/providers/sandbox/files.js';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';
import { type ErrorBody, IMPATIENT, recordOf } from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** Translations, edits and variations through the built daemon to a scripted upstream. */

let upstream: ScriptedUpstream;
let daemon: Daemon;

beforeAll(async () => {
  upstream = await startUpstream([{}]);
  daemon = await startDaemon({
    config: {
      llm_providers: [
        {
          id: 'one',
          type: 'openai_compatible',
          base_url: `${upstream.url}/v1`,
          api_keys: ['key-of-one'],
          models: [
            { id: 'an-ear', tasks: ['audio-translation'], pricing: { audio_minute_cost: '0.006' } },
            { id: 'dall-e-2', tasks: ['image-edit', 'image-variation'], pricing: { image_cost: '0.04' } },
            { id: 'chat-only', tasks: ['chat'] },
          ],
        },
      ],
      api_keys: [
        { id: 'tester', key: CLIENT_KEY },
        { id: 'poor', key: 'poor-key', budget: { usd: '0.05', per: 'total' } },
      ],
      policy: IMPATIENT,
      server: { body_limit: '8mb' },
    },
  });
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

const WAV = new Blob([new Uint8Array(writeWav(1, 2_000))], { type: 'audio/wav' });
const PNG = new Blob([new Uint8Array(writePng(1))], { type: 'image/png' });

function post(path: string, fields: ReadonlyArray<readonly [string, string | Blob]>, key = CLIENT_KEY) {
  const form = new FormData();
  for (const [name, value] of fields) {
    if (typeof value === 'string') form.append(name, value);
    else form.append(name, value, 'a-file');
  }
  return fetch(daemon.url + path, { method: 'POST', headers: { authorization: `Bearer ${key}` }, body: form });
}

async function errorOf(response: Response) {
  return ((await response.json()) as ErrorBody).error;
}

const DRAWN = { body: { created: 1, data: [{ b64_json: 'AA==' }, { b64_json: 'AA==' }] } };

describe('a translation', () => {
  it('goes to its own endpoint, and is charged by the minute', async () => {
    upstream.setScript([{ body: { text: 'Good day' } }]);
    const response = await post('/api/v1/audio/translations', [
      ['file', WAV],
      ['model', 'an-ear'],
      ['prompt', 'harbour'],
    ]);
    expect(await response.json()).toEqual({ text: 'Good day' });
    expect(upstream.requests.at(-1)).toMatchObject({ path: '/v1/audio/translations' });
    expect(upstream.requests.at(-1)?.body).toContain('name="prompt"\r\n\r\nharbour');
    const row = await recordOf(daemon, response);
    expect(row).toMatchObject({ task: 'audio-translation', cost_nano_usd: 200_000 });
    expect(row.usage).toMatchObject({ audio_ms: 2_000, source: 'estimated' });
  });

  it('does not stream', async () => {
    const asked = await post('/v1/audio/translations', [
      ['model', 'an-ear'],
      ['stream', 'true'],
      ['file', WAV],
    ]);
    expect(asked.status).toBe(400);
    expect(await errorOf(asked)).toMatchObject({ code: 'invalid_request', param: 'stream' });
  });
});

describe('an edit', () => {
  it('passes its files and fields, and is charged by the image', async () => {
    upstream.setScript([DRAWN]);
    const response = await post('/v1/images/edits', [
      ['image[]', PNG],
      ['image[]', PNG],
      ['mask', PNG],
      ['model', 'dall-e-2'],
      ['prompt', 'a red boat'],
      ['n', '2'],
    ]);
    expect(response.headers.get('x-waybill-cost-nano-usd')).toBe('80000000');
    const { path, body } = upstream.requests.at(-1) ?? { path: '', body: '' };
    expect(path).toBe('/v1/images/edits');
    expect(body.split('name="image[]"; filename="a-file"')).toHaveLength(3);
    expect(body).toContain('name="mask"');
    expect((await recordOf(daemon, response)).usage).toMatchObject({ images: 2, source: 'reported' });
  });

  it('in JSON names its images by address', async () => {
    upstream.setScript([DRAWN]);
    const body = { model: 'dall-e-2', prompt: 'a red boat', images: [{ image_url: 'https://a.test/b.png' }] };
    const response = await daemon.post('/v1/images/edits', body);
    expect(response.status).toBe(200);
    expect(JSON.parse(upstream.requests.at(-1)?.body ?? '')).toEqual(body);
    const none = await daemon.post('/v1/images/edits', { ...body, images: [] });
    expect(await errorOf(none)).toMatchObject({ code: 'invalid_request', param: 'images' });
  });

  it('holds every image its form asks for, wherever the form says so', async () => {
    upstream.setScript([DRAWN]);
    const fields = (n: string) =>
      [
        ['model', 'dall-e-2'],
        ['image', PNG],
        ['prompt', 'a boat'],
        ['n', n],
      ] as const;
    const response = await post('/v1/images/edits', fields('2'), 'poor-key');
    expect(response.status).toBe(429);
    expect(await errorOf(response)).toMatchObject({ code: 'budget_exceeded' });
  });

  it.each([
    [
      'no image',
      [
        ['prompt', 'a'],
        ['model', 'dall-e-2'],
      ],
      'image',
    ],
    [
      'no prompt',
      [
        ['image', PNG],
        ['model', 'dall-e-2'],
      ],
      'prompt',
    ],
    [
      'no model',
      [
        ['image', PNG],
        ['prompt', 'a'],
      ],
      'model',
    ],
    [
      'no number of images',
      [
        ['image', PNG],
        ['prompt', 'a'],
        ['model', 'dall-e-2'],
        ['n', 'two'],
      ],
      'n',
    ],
  ] as const)('with %s is refused', async (_what, fields, param) => {
    const before = upstream.requests.length;
    const response = await post('/v1/images/edits', fields);
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({ code: 'invalid_request', param });
    expect(upstream.requests.length).toBe(before);
  });
});

describe('a variation', () => {
  it('is of dall-e-2 where no model is named', async () => {
    upstream.setScript([DRAWN]);
    const response = await post('/v1/images/variations', [['image', PNG]]);
    expect(response.status).toBe(200);
    const { path, body } = upstream.requests.at(-1) ?? { path: '', body: '' };
    expect(path).toBe('/v1/images/variations');
    expect(body).toContain('name="model"\r\n\r\ndall-e-2');
    expect(await recordOf(daemon, response)).toMatchObject({ task: 'image-variation', cost_nano_usd: 80_000_000 });
  });

  it('of a model that lacks the task is refused before anything is sent', async () => {
    const before = upstream.requests.length;
    const response = await post('/v1/images/variations', [
      ['image', PNG],
      ['model', 'chat-only'],
    ]);
    expect(await errorOf(response)).toMatchObject({ code: 'task_not_supported' });
    const wrong = await daemon.post('/v1/images/variations', { model: 'dall-e-2' });
    expect(await errorOf(wrong)).toMatchObject({ code: 'invalid_request', param: 'body' });
    expect(upstream.requests.length).toBe(before);
  });
});
