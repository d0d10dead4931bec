import { crc32, inflateSync } from 'node:zlib';
import { parseBuffer } from 'music-metadata';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/composition/clock.js';
import type { TaskHelper } from '../../../src/domain/provider.js';
import { sandbox as adapter } from '../../../src/providers/sandbox/adapter.js';
import { writePng, writeWav } from '../../../src/providers/sandbox/files.js';
import { type RunningSandbox, startSandbox } from '../../../src/providers/sandbox/server.js';
import { createUpstreamClient } from '../../../src/upstream/client.js';
import { ask, requestOf } from '../../live/ask.js';
import { casesOf } from '../../live/cases.js';
import { openEntry } from '../../live/entry.js';
import { readAnswer } from '../../live/read.js';

let sandbox: RunningSandbox;
const client = createUpstreamClient({ clock: systemClock });

beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(async () => {
  await client.close();
  await sandbox.close();
});

async function post(path: string, body: unknown, headers: Record<string, string> = {}) {
  const isForm = body instanceof FormData;
  const response = await fetch(sandbox.url + path, {
    method: 'POST',
    headers: { ...(isForm ? {} : { 'content-type': 'application/json' }), ...headers },
    body: isForm ? body : JSON.stringify(body),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const type = response.headers.get('content-type') ?? '';
  // biome-ignore lint/suspicious/noExplicitAny: what came over the wire, looked into by the tests
  const json: any = type.includes('json') && bytes.at(0) !== undefined ? parse(bytes.toString()) : null;
  return { status: response.status, type, bytes, json };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const native = (task: string, inputs: unknown, parameters?: object) =>
  post(`/models/sandbox-x/pipeline/${task}`, { inputs, parameters });

describe('every task', () => {
  // A tool is called only where the script says so.
  const cases = casesOf(adapter).filter(({ name }) => !name.startsWith('tools'));

  it.each(cases.map((live) => [live.name, live] as const))('%s is answered in its own shape', async (_name, live) => {
    const entry = openEntry(adapter, sandbox.url, {});
    const outcome = await ask(entry, live, 'sandbox-small', client);
    if (outcome.kind !== 'answered') expect.unreachable(outcome.message);
    const { answer, target } = outcome.exchange;
    const request = requestOf(live, 'sandbox-small');
    const read = readAnswer({ helper: adapter.tasks[live.task] as TaskHelper, request, target }, answer);
    if (read.kind !== 'read') expect.unreachable('nothing was answered yet');
    const { reading, problems } = read;
    expect(problems).toEqual([]);
    if (reading === null) expect.unreachable('there is no answer');
    expect(live.check(reading)).toEqual([]);
  });
});

describe('Hugging Face’s tasks', () => {
  const words = expect.stringMatching(/^\S+( \S+){7}$/);
  const score = expect.closeTo(0.5, 0);
  const sure = (label: string) => ({ label, score: expect.any(Number) });

  it.each<[string, unknown, object | undefined, unknown]>([
    ['summarization', 'a', undefined, [{ summary_text: words }]],
    ['translation', 'a', undefined, [{ translation_text: words }]],
    ['image-to-text', 'a', undefined, [{ generated_text: words }]],
    ['image-text-to-text', 'a', undefined, [{ generated_text: words }]],
    ['sentence-similarity', { source_sentence: 'a', sentences: ['b', 'c'] }, undefined, [score, score]],
    [
      'fill-mask',
      'see a [MASK].',
      undefined,
      [{ score, token: expect.any(Number), token_str: 'lantern', sequence: 'see a lantern.' }],
    ],
    ['text-classification', 'a', undefined, [[sure('POSITIVE'), sure('NEGATIVE')]]],
    [
      'token-classification',
      'my name is Ada',
      undefined,
      [{ entity_group: 'PER', score: 0.9, word: 'Ada', start: 11, end: 14 }],
    ],
    [
      'zero-shot-classification',
      'a',
      { candidate_labels: ['x', 'y'] },
      { sequence: 'a', labels: ['x', 'y'], scores: [score, score] },
    ],
    ['zero-shot-classification', 'a', undefined, { sequence: 'a', labels: ['one', 'other'], scores: [score, score] }],
    ['question-answering', { question: 'q?', context: 'c' }, undefined, { answer: 'q?', score, start: 0, end: 1 }],
    [
      'table-question-answering',
      { query: 'how many', table: {} },
      undefined,
      expect.objectContaining({ answer: 'many' }),
    ],
    ['image-classification', 'AA==', undefined, [sure('harbour'), sure('meadow')]],
    ['audio-classification', 'AA==', undefined, [sure('harbour'), sure('meadow')]],
    [
      'object-detection',
      'AA==',
      undefined,
      [{ label: 'lantern', score: 0.9, box: { xmin: 1, ymin: 1, xmax: 5, ymax: 6 } }],
    ],
    [
      'image-segmentation',
      'AA==',
      undefined,
      [{ label: 'lantern', score: 0.9, mask: expect.stringMatching(/^iVBORw0K/) }],
    ],
    ['automatic-speech-recognition', 'AA==', undefined, { text: expect.stringMatching(/\w+/) }],
  ])('%s of %j has the documented shape', async (task, inputs, parameters, shape) => {
    expect((await native(task, inputs, parameters)).json).toEqual(shape);
  });

  it('are known by the name of the model too, and text is written where none is named', async () => {
    const named = (model: string) => post(`/models/${model}`, { inputs: 'My name is Ada' });
    expect((await named('sandbox-summarization')).json).toMatchObject([{ summary_text: words }]);
    for (const task of ['fill-mask', 'text-classification', 'token-classification', 'zero-shot-classification']) {
      expect((await named(`org/sandbox-${task}-2`)).json).toEqual((await native(task, 'My name is Ada')).json);
    }
    for (const task of ['image-classification', 'object-detection', 'translation', 'question-answering']) {
      expect((await named(`sandbox-${task}`)).json).toEqual((await native(task, 'My name is Ada')).json);
    }
    expect((await named('sandbox-text-to-speech')).type).toBe('audio/wav');
    expect((await named('sandbox-text-to-image')).type).toBe('image/png');
    expect((await named('sandbox-small')).json).toMatchObject([{ generated_text: expect.any(String) }]);
  });

  it('that are not known are answered with bytes, models that are not there and no inputs with an error', async () => {
    expect(await native('depth-estimation', 'a')).toMatchObject({ status: 200, type: 'application/octet-stream' });
    const missing = await post('/models/other-model/pipeline/summarization', { inputs: 'a' });
    expect(missing).toMatchObject({ status: 404, json: { error: 'Model other-model does not exist' } });
    expect(await native('summarization', undefined)).toMatchObject({ status: 422, json: { error_type: 'validation' } });
  });
});

describe('a script', () => {
  const form = (prompt: string) => {
    const body = new FormData();
    body.set('model', 'sandbox-x');
    body.set('file', new Blob([new Uint8Array(writeWav(1, 10))], { type: 'audio/wav' }), 'a.wav');
    body.set('prompt', prompt);
    return body;
  };
  const asks: ReadonlyArray<[string, (text: string) => ReturnType<typeof post>]> = [
    ['images', (prompt) => post('/v1/images/generations', { model: 'sandbox-x', prompt })],
    ['speech', (input) => post('/v1/audio/speech', { model: 'sandbox-x', input, voice: 'a' })],
    ['transcriptions', (prompt) => post('/v1/audio/transcriptions', form(prompt))],
    ['reranking', (query) => post('/v1/rerank', { model: 'sandbox-x', query, documents: ['a'] })],
    ['moderation', (input) => post('/v1/moderations', { model: 'sandbox-x', input })],
    ['a task of Hugging Face', (inputs) => native('summarization', inputs)],
    ['feature extraction', (inputs) => native('feature-extraction', inputs)],
    ['text generation', (inputs) => post('/models/sandbox-x', { inputs })],
  ];

  it.each(asks)('fails %s with a status', async (_what, asked) => {
    expect((await asked('[[status=429]] a')).status).toBe(429);
    expect((await asked('a')).status).toBe(200);
  });

  it.each(asks.filter(([what]) => what !== 'feature extraction'))(
    'puts an error into the 200 of %s',
    async (_what, asked) => {
      const { status, json } = await asked('[[error-in-stream]] a');
      expect(status).toBe(200);
      const message = json.error.message ?? json.error;
      expect(message).toBe('The sandbox failed, as it was told to.');
    },
  );

  it('spoils a recording', async () => {
    const { bytes } = await post('/v1/audio/speech', { model: 'sandbox-x', input: '[[malformed]] a', voice: 'a' });
    expect(bytes.toString('latin1', 0, 4)).not.toBe('RIFF');
  });
});

describe('OpenAI’s other tasks', () => {
  const rerank = (rest: object) =>
    post('/v1/rerank', {
      model: 'sandbox-x',
      query: 'a red boat',
      documents: ['bread', { text: 'boat' }, 'a red boat'],
      ...rest,
    });

  it('rank by the words that a document shares with the query, as many as are wanted', async () => {
    const ranks = ({ json }: Awaited<ReturnType<typeof post>>) =>
      json.results.map((one: { index: number }) => one.index);
    expect(ranks(await rerank({}))).toEqual([2, 1, 0]);
    expect(ranks(await rerank({ top_n: 1 }))).toEqual([2]);
    expect((await rerank({ return_documents: true })).json.results[1].document).toEqual({ text: 'boat' });
    expect((await rerank({})).json.results[0]).not.toHaveProperty('document');
  });

  it('flag the words that are to be flagged', async () => {
    const { json } = await post('/v1/moderations', { model: 'sandbox-x', input: ['I hate it', 'a fine day'] });
    expect(json.results).toMatchObject([
      { flagged: true, categories: { hate: true, violence: false }, category_scores: { hate: 0.9, violence: 0.01 } },
      { flagged: false, categories: { hate: false } },
    ]);
  });

  it.each([
    ['/v1/images/generations', {}, 'prompt'],
    ['/v1/images/generations', { prompt: 'a', n: 11 }, 'n'],
    ['/v1/audio/speech', { voice: 'a' }, 'input'],
    ['/v1/audio/transcriptions', {}, 'file'],
    ['/v1/rerank', { documents: ['a'] }, 'query'],
    ['/v1/rerank', { query: 'a', documents: [] }, 'documents'],
    ['/v1/moderations', {}, 'input'],
  ])('%s of %j are refused, with the name of what is wrong', async (path, body, param) => {
    expect(await post(path, { model: 'sandbox-x', ...body })).toMatchObject({
      status: 400,
      json: { error: { param } },
    });
  });

  it.each([
    ['text', /^\w.*\n$/],
    ['srt', /^1\n00:00:00,000 --> 00:00:01,000\n/],
    ['vtt', /^WEBVTT\n\n00:00\.000 --> /],
  ])('transcribe as %s', async (format, shape) => {
    const body = new FormData();
    body.set('model', 'sandbox-x');
    body.set('file', new Blob([new Uint8Array(writeWav(1, 500))], { type: 'audio/wav' }), 'a.wav');
    body.set('response_format', format);
    const { type, bytes } = await post('/v1/audio/transcriptions', body);
    expect(type).toContain('text/plain');
    expect(bytes.toString()).toMatch(shape);
  });
});

describe('files', () => {
  it('are recordings that others can read, a tone of their own each', async () => {
    const wav = writeWav(1, 1_500);
    const { format } = await parseBuffer(wav, 'audio/wav', { duration: true });
    expect(format).toMatchObject({ container: 'WAVE', codec: 'PCM', sampleRate: 8_000, numberOfChannels: 1 });
    expect(format).toMatchObject({ bitsPerSample: 8, duration: 1.5 });
    expect(wav.readUInt32LE(4)).toBe(wav.length - 8);
    expect(wav.readUInt32LE(28)).toBe(8_000);
    expect(new Set(wav.subarray(44))).toEqual(new Set([120, 136]));
    expect(writeWav(2, 1_500)).not.toEqual(wav);
  });

  it('are pictures that others can read, of their own colours each', () => {
    const png = writePng(1);
    expect(png.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
    const chunks: Array<[string, Buffer]> = [];
    for (let at = 8; at < png.length; ) {
      const end = at + 8 + png.readUInt32BE(at);
      expect(png.readUInt32BE(end)).toBe(crc32(png.subarray(at + 4, end)));
      chunks.push([png.toString('latin1', at + 4, at + 8), png.subarray(at + 8, end)]);
      at = end + 4;
    }
    expect(chunks.map(([name]) => name)).toEqual(['IHDR', 'IDAT', 'IEND']);
    // Eight by eight, eight bits, red green blue: https://www.w3.org/TR/png-3/#11IHDR
    expect([...(chunks[0]?.[1] ?? [])]).toEqual([0, 0, 0, 8, 0, 0, 0, 8, 8, 2, 0, 0, 0]);
    const rows = inflateSync(chunks[1]?.[1] ?? Buffer.alloc(0));
    expect(rows).toHaveLength(8 * 25);
    expect([0, 25, 50, 175].map((at) => rows[at])).toEqual([0, 0, 0, 0]);
    expect(new Set(rows).size).toBeGreaterThan(50);
    expect(writePng(2)).not.toEqual(png);
  });
});
