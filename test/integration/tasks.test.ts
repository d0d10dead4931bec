import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeWav } from '../../src/providers/sandbox/files.js';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';
import { type ErrorBody, failure, IMPATIENT, type LedgerRequest, recordOf } from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** The tasks beside text and vectors, through the built daemon to scripted upstreams. */

let upstream: ScriptedUpstream;
let second: ScriptedUpstream;
let daemon: Daemon;

const MEBIBYTE = 1024 * 1024;
const pricing = {
  'an-image': { image_cost: '0.04' },
  'a-token-image': { unit: '1m_tokens', input_token_cost: 5, output_token_cost: 40 },
  'a-dear-image': { image_cost: '0.04', unit: '1m_tokens', input_token_cost: 5, output_token_cost: 40 },
  'a-voice': { character_cost: '0.000015' },
  'an-ear': { audio_minute_cost: '0.006' },
  'a-token-ear': { unit: '1m_tokens', input_token_cost: 2, audio_input_token_cost: 6, output_token_cost: 10 },
  'a-ranker': { search_unit_cost: '0.002' },
  'a-token-ranker': { unit: '1m_tokens', input_token_cost: '0.05' },
  'a-judge': { request_cost: '0.0001' },
  'no-price': null,
} as const;

const TASKS = ['image', 'speech', 'transcription', 'rerank', 'moderation'];

beforeAll(async () => {
  upstream = await startUpstream([{}]);
  second = await startUpstream([{}]);
  const models = Object.entries(pricing).map(([id, price]) => ({
    id,
    tasks: TASKS,
    ...(price === null ? {} : { pricing: price }),
  }));
  const entry = (id: string, url: string, rest: object = {}) => ({
    id,
    type: 'openai_compatible',
    base_url: `${url}/v1`,
    api_keys: [`key-of-${id}`],
    ...rest,
  });
  daemon = await startDaemon({
    config: {
      llm_providers: [
        entry('one', upstream.url, { models: [...models, { id: 'chat-only', tasks: ['chat'] }] }),
        entry('two', second.url, { models: [{ id: 'other-ear', tasks: TASKS, pricing: pricing['an-ear'] }] }),
      ],
      model_aliases: { ears: { targets: [{ model: 'one:an-ear' }], fallback: ['two:other-ear'] } },
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
  await second?.close();
});

function json(body: unknown, headers: Record<string, string> = {}) {
  return { headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
}

async function used(response: Response): Promise<LedgerRequest> {
  return recordOf(daemon, response);
}

function formOf(
  model: string,
  file: Buffer,
  { fileFirst = false, more = {} as Record<string, string> } = {},
): FormData {
  const form = new FormData();
  const add = () => form.append('file', new Blob([new Uint8Array(file)], { type: 'audio/wav' }), 'speech.wav');
  if (fileFirst) add();
  form.append('model', model);
  for (const [name, value] of Object.entries(more)) form.append(name, value);
  if (!fileFirst) add();
  return form;
}

function transcribe(form: FormData, headers: Record<string, string> = {}, path = '/v1/audio/transcriptions') {
  return fetch(daemon.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${CLIENT_KEY}`, ...headers },
    body: form,
  });
}

describe('images', () => {
  const images = (usage?: object) => [json({ created: 1, data: [{ url: 'a' }, { url: 'b' }], usage })];

  it('are charged each, the answer as it came', async () => {
    upstream.setScript(images());
    const response = await daemon.post('/v1/images/generations', { model: 'an-image', prompt: 'a boat', n: 2 });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ created: 1, data: [{ url: 'a' }, { url: 'b' }] });
    expect(response.headers.get('x-waybill-cost-nano-usd')).toBe('80000000');
    expect(upstream.requests.at(-1)).toMatchObject({ path: '/v1/images/generations' });
    const row = await used(response);
    expect(row).toMatchObject({ outcome: 'ok', cost_nano_usd: 80_000_000 });
    expect(row.usage).toMatchObject({ images: 2, source: 'reported' });
  });

  const tokens = { input_tokens: 10, output_tokens: 1000, total_tokens: 1010 };
  it.each([
    ['a-token-image', 50_000 + 40_000_000, { images: null, input: 10, output: 1000 }],
    ['an-image', 80_000_000, { images: 2, input: null, output: null }],
    ['a-dear-image', 80_000_000 + 50_000 + 40_000_000, { images: 2, input: 10, output: 1000 }],
  ])('that tell tokens too are charged in what the price of %s names', async (model, cost, usage) => {
    upstream.setScript(images(tokens));
    const response = await daemon.post('/v1/images/generations', { model, prompt: 'a boat' });
    const row = await used(response);
    expect(row.cost_nano_usd).toBe(cost);
    expect(row.usage).toMatchObject({ ...usage, source: 'reported' });
  });

  it('without a price have an unknown cost, never 0', async () => {
    upstream.setScript(images());
    const response = await daemon.post('/v1/images/generations', { model: 'no-price', prompt: 'a boat' });
    expect(response.headers.get('x-waybill-cost-nano-usd')).toBe('unknown');
    expect((await used(response)).cost_nano_usd).toBeNull();
  });
});

describe('speech', () => {
  const bytes = Buffer.from([0xff, 0xfb, 0x00, 0xc3, 0x28, 0x80]);
  const voiced = { headers: { 'content-type': 'audio/mpeg' }, rawBytes: bytes };

  it('is answered byte for byte, and charged by the character', async () => {
    upstream.setScript([voiced]);
    const response = await daemon.post('/api/v1/audio/speech', { model: 'a-voice', input: 'Hé 😀', voice: 'alloy' });
    expect(response.headers.get('content-type')).toBe('audio/mpeg');
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes);
    const row = await used(response);
    expect(row).toMatchObject({ cost_nano_usd: 4 * 15_000 });
    expect(row.usage).toMatchObject({ characters: 4, source: 'estimated' });
  });

  it('is answered again from its idempotency key, byte for byte, and charged once', async () => {
    upstream.setScript([voiced]);
    const before = upstream.requests.length;
    const ask = { model: 'a-voice', input: 'Once', voice: 'alloy' };
    const headers = { 'idempotency-key': 'speech-1' };
    const first = await daemon.post('/v1/audio/speech', ask, headers);
    await first.arrayBuffer();
    const again = await daemon.post('/v1/audio/speech', ask, headers);
    expect(again.headers.get('x-waybill-idempotent-replay')).toBe('true');
    expect(again.headers.get('content-type')).toBe('audio/mpeg');
    expect(again.headers.get('inference-id')).toBe(first.headers.get('inference-id'));
    expect(Buffer.from(await again.arrayBuffer())).toEqual(bytes);
    expect(upstream.requests.length).toBe(before + 1);
  });

  it('that comes as JSON is no speech', async () => {
    upstream.setScript([json({ hello: 'world' })]);
    const response = await daemon.post('/v1/audio/speech', { model: 'a-voice', input: 'x', voice: 'alloy' });
    expect(response.status).toBe(502);
    expect(((await response.json()) as ErrorBody).error.code).toBe('upstream_malformed');
  });
});

describe('transcription', () => {
  const second1 = writeWav(1, 1_000);
  const heard = (rest: object = {}) => json({ text: 'Hi', ...rest });

  it('sends the form with the provider’s key and every field, and charges the length the answer tells', async () => {
    upstream.setScript([heard({ usage: { type: 'duration', seconds: 90 } })]);
    const response = await transcribe(formOf('an-ear', second1, { more: { language: 'en' } }));
    expect(await response.json()).toEqual({ text: 'Hi', usage: { type: 'duration', seconds: 90 } });
    const sent = upstream.requests.at(-1);
    expect(sent?.headers['authorization']).toBe('Bearer key-of-one');
    expect(sent?.headers['content-type']).toMatch(/^multipart\/form-data; boundary=waybill-/);
    expect(sent?.body).toMatch(/name="language"\r\n\r\nen\r\n/);
    expect(sent?.body).toContain('filename="speech.wav"\r\ncontent-type: audio/wav');
    const row = await used(response);
    expect(row.cost_nano_usd).toBe(9_000_000);
    expect(row.usage).toMatchObject({ audio_ms: 90_000, source: 'reported' });
  });

  it('takes the length from the recording where the answer does not tell it', async () => {
    upstream.setScript([heard()]);
    const row = await used(await transcribe(formOf('an-ear', writeWav(1, 2_500))));
    expect(row.usage).toMatchObject({ audio_ms: 2_500, source: 'estimated' });
    expect(row.cost_nano_usd).toBe(250_000);
  });

  it('estimates it by the file’s size where nothing tells it', async () => {
    upstream.setScript([heard()]);
    const row = await used(await transcribe(formOf('an-ear', Buffer.alloc(8_000))));
    expect(row.usage).toMatchObject({ audio_ms: 2_000, source: 'estimated' });
  });

  it('is charged in tokens where the price names those', async () => {
    const usage = { type: 'tokens', input_tokens: 14, output_tokens: 2, total_tokens: 16 };
    upstream.setScript([heard({ usage: { ...usage, input_token_details: { text_tokens: 4, audio_tokens: 10 } } })]);
    const row = await used(await transcribe(formOf('a-token-ear', second1)));
    expect(row.usage).toMatchObject({ audio_ms: null, input: 4, audio_input: 10, output: 2, source: 'reported' });
    expect(row.cost_nano_usd).toBe(4 * 2_000 + 10 * 6_000 + 2 * 10_000);
  });

  it('gives subtitles as they came', async () => {
    upstream.setScript([{ headers: { 'content-type': 'text/plain; charset=utf-8' }, body: '1\nHi\n' }]);
    const response = await transcribe(formOf('an-ear', second1, { more: { response_format: 'srt' } }));
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(await response.text()).toBe('1\nHi\n');
  });

  it('passes a large file along while it still comes', async () => {
    upstream.setScript([heard({ usage: { type: 'duration', seconds: 60 } })]);
    const before = second.requests.length;
    const slow = slowForm([
      ['model', 'an-ear'],
      ['language', 'en'],
    ]);
    // More than is kept, so that it must have gone on.
    for (let sent = 0; sent < 3 * MEBIBYTE; sent += 64 * 1024) await slow.write(Buffer.alloc(64 * 1024, 7));
    await slow.end();
    const { status, body } = await slow.answer;
    expect(body).toMatchObject({ text: 'Hi' });
    expect(status).toBe(200);
    const sent = upstream.requests.at(-1);
    expect(sent?.headers['transfer-encoding']).toBe('chunked');
    expect(sent?.body.split(String.fromCharCode(7))).toHaveLength(3 * MEBIBYTE + 1);
    expect(second.requests.length).toBe(before);
  });

  it('reaches the provider before the client has sent all of it', async () => {
    let seen: () => void = () => {};
    const early = new Promise<void>((resolve) => {
      seen = resolve;
    });
    const listening = await startEcho(seen);
    const other = await startDaemon({
      config: {
        llm_providers: [
          {
            id: 'e',
            type: 'openai_compatible',
            base_url: listening.url,
            models: [{ id: 'an-ear', tasks: ['transcription'], pricing: pricing['an-ear'] }],
          },
        ],
      },
    });
    try {
      const slow = slowForm([['model', 'an-ear']], other.url);
      for (let sent = 0; sent < 2 * MEBIBYTE; sent += 64 * 1024) await slow.write(Buffer.alloc(64 * 1024, 7));
      await early;
      await slow.end();
      expect((await slow.answer).status).toBe(200);
    } finally {
      await other.stop();
      await listening.close();
    }
  });

  it('of a file before its model is read whole, and so can be sent again', async () => {
    upstream.setScript([failure(503), heard({ usage: { type: 'duration', seconds: 1 } })]);
    const before = upstream.requests.length;
    const response = await transcribe(formOf('an-ear', Buffer.alloc(3 * MEBIBYTE, 7), { fileFirst: true }));
    expect(response.status).toBe(200);
    const [first, again] = upstream.requests.slice(before);
    expect(upstream.requests.length).toBe(before + 2);
    expect(again?.body).toBe(first?.body);
  });

  it('that was passed along and is gone is not sent again', async () => {
    upstream.setScript([failure(503)]);
    const before = [upstream.requests.length, second.requests.length];
    const response = await transcribe(formOf('ears', Buffer.alloc(3 * MEBIBYTE, 7)));
    expect(response.status).toBe(503);
    expect(((await response.json()) as ErrorBody).error.code).toBe('no_target_available');
    expect([upstream.requests.length, second.requests.length]).toEqual([(before[0] as number) + 1, before[1]]);
  });

  it('of a small file falls back to the next target', async () => {
    upstream.setScript([failure(404)]);
    second.setScript([heard()]);
    const response = await transcribe(formOf('ears', second1));
    expect(response.status).toBe(200);
    expect(response.headers.get('x-waybill-provider')).toBe('two');
    expect(second.requests.at(-1)?.body).toContain('RIFF');
  });

  it('is answered once for its idempotency key, and another file with it is a conflict', async () => {
    upstream.setScript([heard()]);
    const headers = { 'idempotency-key': 'transcription-1' };
    const before = upstream.requests.length;
    const first = await transcribe(formOf('an-ear', second1), headers);
    const again = await transcribe(formOf('an-ear', second1), headers);
    expect(await again.text()).toBe(await first.text());
    expect(again.headers.get('x-waybill-idempotent-replay')).toBe('true');
    expect((await transcribe(formOf('an-ear', writeWav(2, 1_000)), headers)).status).toBe(409);
    expect(upstream.requests.length).toBe(before + 1);
  });

  it('never lets a file write a field of the form', async () => {
    upstream.setScript([heard()]);
    const evil = Buffer.from(
      '\r\n--waybill-x\r\ncontent-disposition: form-data; name="model"\r\n\r\na-dear-model\r\n--waybill-x--\r\n',
    );
    await transcribe(formOf('an-ear', evil));
    const sent = upstream.requests.at(-1);
    const boundary = /boundary=(.+)$/.exec(sent?.headers['content-type'] ?? '')?.[1] as string;
    expect(
      sent?.body.split(`--${boundary}`).filter((part) => part.includes('name="model"\r\n\r\nan-ear')),
    ).toHaveLength(1);
    expect(evil.toString()).not.toContain(boundary);
  });

  it('takes a file without a name', async () => {
    upstream.setScript([heard()]);
    const body =
      '--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nan-ear\r\n--b\r\ncontent-disposition: form-data; name="file"\r\ncontent-type: application/octet-stream\r\n\r\nxyz\r\n--b--\r\n';
    const headers = { 'content-type': 'multipart/form-data; boundary=b' };
    expect((await daemon.post('/v1/audio/transcriptions', body, headers)).status).toBe(200);
    expect(upstream.requests.at(-1)?.body).toContain(
      'filename="blob"\r\ncontent-type: application/octet-stream\r\n\r\nxyz',
    );
  });

  it('says of a field behind the file what is wrong with it', async () => {
    const response = await transcribe(formOf('an-ear', second1, { fileFirst: true, more: { stream: 'perhaps' } }));
    expect(response.status).toBe(400);
    expect(((await response.json()) as ErrorBody).error).toMatchObject({ code: 'invalid_request', param: 'stream' });
  });

  it.each([
    ['no form', { 'content-type': 'application/json' }, '{"model":"an-ear"}', 'body'],
    ['a form without a boundary', { 'content-type': 'multipart/form-data' }, 'x', 'body'],
    ['a form that breaks off', { 'content-type': 'multipart/form-data; boundary=b' }, '--b\r\ncontent-disp', 'body'],
    [
      'a form without a model',
      { 'content-type': 'multipart/form-data; boundary=b' },
      '--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n',
      'model',
    ],
    [
      'a form without a file',
      { 'content-type': 'multipart/form-data; boundary=b' },
      '--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nan-ear\r\n--b--\r\n',
      'file',
    ],
  ])('refuses %s', async (_what, headers, body, param) => {
    const before = upstream.requests.length;
    const response = await daemon.post('/v1/audio/transcriptions', body, headers);
    expect(response.status).toBe(400);
    expect(((await response.json()) as ErrorBody).error).toMatchObject({ code: 'invalid_request', param });
    expect(upstream.requests.length).toBe(before);
  });

  it('refuses a form that is too large before it is read, and one that turns out to be while it is', async () => {
    const announced = await transcribe(formOf('an-ear', Buffer.alloc(9 * MEBIBYTE)));
    expect(announced.status).toBe(413);
    const slow = slowForm([['model', 'an-ear']]);
    for (let sent = 0; sent < 9 * MEBIBYTE; sent += 256 * 1024) await slow.write(Buffer.alloc(256 * 1024));
    expect(await slow.answer).toMatchObject({ status: 413, body: { error: { code: 'body_too_large' } } });
  });

  it('ends the upstream call when the client leaves in the middle of its file', async () => {
    upstream.setScript([heard()]);
    const slow = slowForm([['model', 'an-ear']]);
    for (let sent = 0; sent < 2 * MEBIBYTE; sent += 64 * 1024) await slow.write(Buffer.alloc(64 * 1024));
    slow.destroy();
    await slow.answer.catch(() => {});
    await expect
      .poll(async () => (await daemon.admin<{ requests: LedgerRequest[] }>('/requests?limit=1')).requests[0]?.outcome)
      .toBe('cancelled');
  });
});

describe('reranking', () => {
  const ask = { query: 'boat', documents: ['a car', 'a boat'], top_n: 1 };

  it('is charged by the search unit that the answer bills', async () => {
    const results = [{ index: 1, relevance_score: 0.9 }];
    upstream.setScript([json({ results, meta: { billed_units: { search_units: 3 } } })]);
    const response = await daemon.post('/v1/rerank', { model: 'a-ranker', ...ask });
    expect(await response.json()).toMatchObject({ results });
    const row = await used(response);
    expect(row).toMatchObject({ cost_nano_usd: 6_000_000, usage: { search_units: 3, source: 'reported' } });
  });

  it('counts search units, or tokens, by itself where the answer tells none', async () => {
    upstream.setScript([json({ results: [{ index: 1, relevance_score: 0.9 }] })]);
    const units = await used(await daemon.post('/v1/rerank', { model: 'a-ranker', ...ask }));
    expect(units).toMatchObject({ cost_nano_usd: 2_000_000, usage: { search_units: 1, source: 'estimated' } });
    const tokens = await used(await daemon.post('/v1/rerank', { model: 'a-token-ranker', ...ask }));
    // Query and document, twice: 1 + 2 tokens each.
    expect(tokens.usage).toMatchObject({ search_units: null, input: 6, source: 'estimated' });
    expect(tokens.cost_nano_usd).toBe(300);
  });
});

describe('moderation', () => {
  it('is charged by the request, and names OpenAI’s model where the client names none', async () => {
    upstream.setScript([json({ id: 'm', model: 'x', results: [{ flagged: false }] })]);
    const response = await daemon.post('/v1/moderations', { model: 'a-judge', input: ['a', 'b'] });
    expect(response.status).toBe(200);
    expect(await used(response)).toMatchObject({ cost_nano_usd: 100_000 });
    const unnamed = await daemon.post('/v1/moderations', { input: 'a' });
    expect(((await unnamed.json()) as ErrorBody).error.message).toContain('omni-moderation-latest');
  });
});

describe('every task', () => {
  const asks: Array<[string, object]> = [
    ['/v1/images/generations', { prompt: 'a' }],
    ['/v1/audio/speech', { input: 'a', voice: 'b' }],
    ['/v1/rerank', { query: 'a', documents: ['b'] }],
    ['/v1/moderations', { input: 'a' }],
  ];

  it.each(asks)('%s is refused for a model that lacks it, before anything is sent', async (path, ask) => {
    const before = upstream.requests.length;
    const response = await daemon.post(path, { model: 'chat-only', ...ask });
    expect(response.status).toBe(400);
    expect(((await response.json()) as ErrorBody).error.code).toBe('task_not_supported');
    expect(upstream.requests.length).toBe(before);
  });

  it.each(asks)('%s is refused without what it needs', async (path, ask) => {
    for (const missing of ['model', Object.keys(ask)[0] as string]) {
      if (path === '/v1/moderations' && missing === 'model') continue;
      const body = { model: 'an-image', ...ask, [missing]: undefined };
      const response = await daemon.post(path, body);
      expect(response.status).toBe(400);
      expect(((await response.json()) as ErrorBody).error).toMatchObject({ code: 'invalid_request', param: missing });
    }
    // A word that is neither yes nor no; only images know the question.
    const streamed = await daemon.post(path, { model: 'an-image', ...ask, stream: path.includes('images') ? 1 : true });
    expect(((await streamed.json()) as ErrorBody).error).toMatchObject({ code: 'invalid_request', param: 'stream' });
  });

  it.each([
    [400, 400, 'bad_thing'],
    [422, 422, 'bad_thing'],
  ])('passes on a provider’s %i', async (status, expected, code) => {
    upstream.setScript([failure(status, { error: { message: 'no', code: 'bad_thing', param: 'size' } })]);
    const response = await daemon.post('/v1/images/generations', { model: 'an-image', prompt: 'a' });
    expect(response.status).toBe(expected);
    expect(((await response.json()) as ErrorBody).error).toMatchObject({ code, param: 'size' });
    expect((await used(response)).cost_nano_usd).toBe(0);
  });

  it('is tried again after 503, and every call has its row', async () => {
    upstream.setScript([failure(503), json({ data: [{ url: 'a' }] })]);
    const response = await daemon.post('/v1/images/generations', { model: 'an-image', prompt: 'a' });
    expect(response.headers.get('x-waybill-attempts')).toBe('2');
    const { attempts } = await used(response);
    expect(attempts.map(({ outcome, cost_nano_usd }) => [outcome, cost_nano_usd])).toEqual([
      ['failed', 0],
      ['ok', 40_000_000],
    ]);
  });

  it('that was sent and never answered costs what went in, as a lower bound', async () => {
    upstream.setScript([{ cutAfterBytes: 0 }]);
    const ask = { model: 'a-voice', input: 'twelve chars', voice: 'x' };
    const { attempts } = await used(await daemon.post('/v1/audio/speech', ask));
    for (const attempt of attempts) {
      expect(attempt).toMatchObject({ cost_nano_usd: 180_000, usage: { characters: 12, source: 'lower-bound' } });
    }
    const image = await used(await daemon.post('/v1/images/generations', { model: 'an-image', prompt: 'a' }));
    expect(image.attempts[0]).toMatchObject({ cost_nano_usd: 0, usage: { images: 0, source: 'lower-bound' } });
  });

  it('keeps within a budget by its worst case', async () => {
    upstream.setScript([json({ data: [{ url: 'a' }] })]);
    const poor = { authorization: 'Bearer poor-key' };
    const two = await daemon.post('/v1/images/generations', { model: 'an-image', prompt: 'a', n: 2 }, poor);
    expect(two.status).toBe(429);
    expect(((await two.json()) as ErrorBody).error.code).toBe('budget_exceeded');
    const one = await daemon.post('/v1/images/generations', { model: 'an-image', prompt: 'a' }, poor);
    expect(one.status).toBe(200);
    const unpriced = await daemon.post('/v1/images/generations', { model: 'no-price', prompt: 'a' }, poor);
    expect(((await unpriced.json()) as ErrorBody).error.code).toBe('unpriced_model');
    // 0.01 USD are left: 100 seconds by the minute, which a file of 2 MiB may exceed and one of a second does not.
    upstream.setScript([json({ text: 'Hi' })]);
    expect((await transcribe(formOf('an-ear', Buffer.alloc(2 * MEBIBYTE)), poor)).status).toBe(429);
    expect((await transcribe(formOf('an-ear', writeWav(1, 1_000)), poor)).status).toBe(200);
  });

  it('is priced without being sent', async () => {
    const before = upstream.requests.length;
    const quote = async (endpoint: string, request: object) => {
      const response = await daemon.post('/v1/price', { endpoint, request });
      return ((await response.json()) as { candidates: object[] }).candidates[0];
    };
    expect(await quote('/v1/images/generations', { model: 'an-image', prompt: 'a', n: 2 })).toMatchObject({
      min_cost_nano_usd: 80_000_000,
      max_cost_nano_usd: 80_000_000,
    });
    expect(await quote('/v1/moderations', { model: 'a-judge', input: 'a' })).toMatchObject({
      min_cost_nano_usd: 100_000,
      max_cost_nano_usd: 100_000,
    });
    const explained = await fetch(`${daemon.url}/api/admin/v1/explain?endpoint=moderations`, {
      method: 'POST',
      headers: { authorization: 'Bearer test-admin-key' },
      body: JSON.stringify({ model: 'a-judge', input: 'x' }),
    });
    expect(await explained.json()).toMatchObject({ candidates: [{ provider: 'one', model: 'a-judge' }] });
    expect(upstream.requests.length).toBe(before);
  });

  it('leaves a ledger that adds up', async () => {
    const response = await fetch(`${daemon.url}/api/admin/v1/ledger/verify`, {
      method: 'POST',
      headers: { authorization: 'Bearer test-admin-key' },
    });
    expect(await response.json()).toMatchObject({ ok: true, differences: [] });
  });
});

/** A form that is sent part by part, its length not announced. */
function slowForm(fields: ReadonlyArray<readonly [string, string]>, base = daemon.url) {
  const url = new URL(`${base}/v1/audio/transcriptions`);
  const request = httpRequest(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${CLIENT_KEY}`, 'content-type': 'multipart/form-data; boundary=slow' },
  });
  const answer = (async () => {
    const [response] = await once(request, 'response');
    const parts: Buffer[] = [];
    for await (const part of response) parts.push(part as Buffer);
    return { status: response.statusCode as number, body: JSON.parse(Buffer.concat(parts).toString()) as object };
  })();
  answer.catch(() => {});
  request.on('error', () => {}).setMaxListeners(0);
  const write = async (bytes: Buffer | string) => {
    if (request.destroyed || request.write(bytes)) return;
    await Promise.race([once(request, 'drain'), once(request, 'close'), answer]).catch(() => {});
  };
  for (const [name, value] of fields) {
    void write(`--slow\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`);
  }
  void write('--slow\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n');
  return {
    answer,
    write,
    end: async () => {
      await write('\r\n--slow--\r\n');
      request.end();
    },
    destroy: () => request.destroy(),
  };
}

/** Answers a transcription, and tells when the first bytes of a request's body have come. */
async function startEcho(onFirstBytes: () => void) {
  const { createServer } = await import('node:http');
  const server = createServer((request, response) => {
    request.once('data', onFirstBytes);
    request.resume().on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end('{"text":"Hi"}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}/v1`,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}
