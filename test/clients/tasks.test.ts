import { InferenceClient } from '@huggingface/inference';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writePng, writeWav } from '../../src/providers/sandbox/files.js';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';
import { type ErrorBody, type LedgerRequest, recordOf } from '../support/failing-providers.js';

/** The official packages, unmodified, against the built daemon with the sandbox behind it. */

let daemon: Daemon;
let openai: OpenAI;

const priced = {
  'sandbox-image': { tasks: ['image', 'image-edit', 'image-variation'], pricing: { image_cost: '0.04' } },
  'sandbox-voice': { tasks: ['speech'], pricing: { character_cost: '0.000015' } },
  'sandbox-ear': { tasks: ['transcription', 'audio-translation'], pricing: { audio_minute_cost: '0.006' } },
  'sandbox-judge': { tasks: ['moderation'], pricing: { request_cost: '0.0001' } },
  'sandbox-ranker': { tasks: ['rerank'], pricing: { search_unit_cost: '0.002' } },
  'sandbox-chat': { tasks: ['chat'], pricing: { input_token_cost: '0.000001', output_token_cost: '0.000002' } },
  'org/sandbox-summary': {
    tasks: ['summarization'],
    pricing: { input_token_cost: '0.000001', output_token_cost: '0.000002' },
  },
  'sandbox-labels': { tasks: ['text-classification'], pricing: { input_token_cost: '0.000001' } },
  'sandbox-two': { tasks: ['text-classification', 'summarization'], pricing: { request_cost: '0.001' } },
  'sandbox-picture': { tasks: ['text-to-image'], pricing: { image_cost: '0.01' } },
  'sandbox-listener': { tasks: ['automatic-speech-recognition'], pricing: { audio_minute_cost: '0.006' } },
  'sandbox-eye': { tasks: ['image-classification'], pricing: { request_cost: '0.001' } },
  'sandbox-speaker': { tasks: ['text-to-speech'], pricing: { character_cost: '0.00001' } },
};

beforeAll(async () => {
  daemon = await startDaemon({
    config: {
      llm_providers: [
        { id: 'box', type: 'sandbox', models: Object.entries(priced).map(([id, rest]) => ({ id, ...rest })) },
        { id: 'open', type: 'sandbox', pricing: { request_cost: '0.002' } },
      ],
    },
  });
  openai = new OpenAI({ apiKey: CLIENT_KEY, baseURL: `${daemon.url}/v1`, maxRetries: 0 });
});
afterAll(async () => {
  await daemon?.stop();
});

const hf = () => new InferenceClient(CLIENT_KEY);
const at = (model: string, query = '') => ({ model, endpointUrl: `${daemon.url}/api/inference/${model}${query}` });

async function newest(): Promise<LedgerRequest & { task?: string; endpoint?: string; model?: string }> {
  return (await daemon.admin<{ requests: LedgerRequest[] }>('/requests?limit=1')).requests[0] as LedgerRequest;
}

describe('the openai package', () => {
  it('makes images', async () => {
    const { data, response } = await openai.images
      .generate({ model: 'sandbox-image', prompt: 'a boat', n: 2 })
      .withResponse();
    const [first, second] = data.data ?? [];
    expect(
      Buffer.from(first?.b64_json ?? '', 'base64')
        .subarray(1, 4)
        .toString(),
    ).toBe('PNG');
    expect(second?.b64_json).not.toBe(first?.b64_json);
    expect(response.headers.get('x-waybill-cost-nano-usd')).toBe('80000000');
  });

  it('speaks', async () => {
    const answer = await openai.audio.speech.create({ model: 'sandbox-voice', input: 'Hello', voice: 'alloy' });
    expect(answer.headers.get('content-type')).toBe('audio/wav');
    const bytes = Buffer.from(await answer.arrayBuffer());
    expect(bytes.toString('latin1', 0, 4)).toBe('RIFF');
    // 300 ms at 8 kHz.
    expect(bytes).toHaveLength(44 + 2_400);
    expect(answer.headers.get('x-waybill-cost-nano-usd')).toBe('75000');
  });

  it('writes down what is said, the file before the model or after it', async () => {
    const file = await toFile(writeWav(1, 3_000), 'speech.wav', { type: 'audio/wav' });
    const first = await openai.audio.transcriptions.create({ file, model: 'sandbox-ear' });
    const second = await openai.audio.transcriptions.create({ model: 'sandbox-ear', file });
    expect(first.text.split(' ')).toHaveLength(7);
    expect(second.text).toBe(first.text);
    expect(await newest()).toMatchObject({ cost_nano_usd: 300_000, usage: { audio_ms: 3_000, source: 'reported' } });
    const verbose = await openai.audio.transcriptions.create({
      file,
      model: 'sandbox-ear',
      response_format: 'verbose_json',
    });
    expect(verbose.duration).toBe(3);
    const srt = await openai.audio.transcriptions.create({ file, model: 'sandbox-ear', response_format: 'srt' });
    expect(srt).toContain('-->');
    expect(await newest()).toMatchObject({ usage: { audio_ms: 3_000, source: 'estimated' } });
  });

  it('writes down a file larger than is kept', async () => {
    const file = await toFile(writeWav(1, 300_000), 'speech.wav', { type: 'audio/wav' });
    for (const ask of [
      { model: 'sandbox-ear', file },
      { file, model: 'sandbox-ear' },
    ]) {
      const { text } = await openai.audio.transcriptions.create(ask);
      expect(text.split(' ')).toHaveLength(601);
      expect(await newest()).toMatchObject({ cost_nano_usd: 30_000_000, usage: { audio_ms: 300_000 } });
    }
  });

  it('moderates', async () => {
    const { results } = await openai.moderations.create({ model: 'sandbox-judge', input: ['I hate it', 'fine'] });
    expect(results.map(({ flagged }) => flagged)).toEqual([true, false]);
    expect(await newest()).toMatchObject({ cost_nano_usd: 100_000 });
  });

  it('is told of a provider’s failure', async () => {
    const ask = { model: 'sandbox-image', prompt: '[[status=400 code=bad_prompt]] x' };
    await expect(openai.images.generate(ask)).rejects.toMatchObject({ status: 400, code: 'bad_prompt' });
    const denied = { model: 'sandbox-chat', prompt: 'x' };
    await expect(openai.images.generate(denied)).rejects.toMatchObject({ status: 400, code: 'task_not_supported' });
  });
});

describe('the @huggingface/inference package', () => {
  it('summarises, classifies and answers in the task’s own shape', async () => {
    const summary = await hf().summarization({ ...at('org/sandbox-summary'), inputs: 'A long text.' });
    expect(summary.summary_text.split(' ')).toHaveLength(8);
    expect(await newest()).toMatchObject({ task: 'summarization', endpoint: '/api/inference', outcome: 'ok' });
    const labels = await hf().textClassification({ ...at('sandbox-labels'), inputs: 'Fine weather' });
    expect(labels[0]).toEqual({ label: 'POSITIVE', score: 0.75 });
    // Two tokens in, none out.
    expect(await newest()).toMatchObject({ cost_nano_usd: 2_000, usage: { input: 2, output: null } });
  });

  it('makes pictures and speech', async () => {
    const picture = await hf().textToImage({ ...at('sandbox-picture'), inputs: 'A boat' }, { outputType: 'blob' });
    expect((picture as unknown as Blob).type).toBe('image/png');
    expect(await newest()).toMatchObject({ cost_nano_usd: 10_000_000, usage: { images: 1, source: 'reported' } });
    const speech = await hf().textToSpeech({ ...at('sandbox-speaker'), inputs: 'Hello' });
    expect(speech.type).toBe('audio/wav');
    expect(await newest()).toMatchObject({ cost_nano_usd: 50_000, usage: { characters: 5 } });
  });

  it('listens, and looks', async () => {
    const audio = new Blob([new Uint8Array(writeWav(1, 2_000))], { type: 'audio/wav' });
    const heard = await hf().automaticSpeechRecognition({ ...at('sandbox-listener'), data: audio });
    expect(heard.text.split(' ')).toHaveLength(5);
    expect(await newest()).toMatchObject({ cost_nano_usd: 200_000, usage: { audio_ms: 2_000, source: 'estimated' } });
    const image = new Blob([new Uint8Array(writePng(1))], { type: 'image/png' });
    const seen = await hf().imageClassification({ ...at('sandbox-eye'), data: image });
    expect(seen[0]).toEqual({ label: 'harbour', score: 0.8 });
    expect(await newest()).toMatchObject({ cost_nano_usd: 1_000_000 });
  });
});

describe('POST /api/inference', () => {
  const json = (response: Response) => response.json() as Promise<ErrorBody & { [key: string]: unknown }>;

  it('takes the task that is named, and a model’s id percent-encoded', async () => {
    const path = '/api/inference/org%2Fsandbox-summary?task=summarization';
    expect((await daemon.post(path, { inputs: 'x' })).status).toBe(200);
    const other = await daemon.post('/api/inference/org/sandbox-summary?task=text-to-image', { inputs: 'x' });
    expect((await json(other)).error).toMatchObject({ code: 'task_not_supported' });
  });

  it('asks which task is meant where the config lists several', async () => {
    const response = await daemon.post('/api/inference/sandbox-two', { inputs: 'x' });
    expect(response.status).toBe(400);
    expect((await json(response)).error).toMatchObject({ code: 'invalid_request', param: 'task' });
    expect((await daemon.post('/api/inference/sandbox-two?task=summarization', { inputs: 'x' })).status).toBe(200);
  });

  it('sends messages to a chat, whole and streamed, with usage and cost', async () => {
    const messages = [{ role: 'user', content: 'Hello there' }];
    const whole = await json(await daemon.post('/api/inference/sandbox-chat', { messages }));
    expect(whole).toMatchObject({ model: 'sandbox-chat', usage: { cost_nano_usd: 34_000 } });
    const stream = await daemon.post('/api/inference/sandbox-chat?task=chat', { messages, stream: true });
    expect((await stream.text()).trimEnd().endsWith('data: [DONE]')).toBe(true);
    expect((await daemon.post('/api/inference/sandbox-chat', { messages: [] })).status).toBe(400);
  });

  it('passes a task through that it does not know, bytes in and bytes out, and pins a provider', async () => {
    const response = await fetch(`${daemon.url}/api/inference/sandbox-depth?task=depth-estimation`, {
      method: 'POST',
      headers: { authorization: `Bearer ${CLIENT_KEY}`, 'content-type': 'image/png', 'x-waybill-provider': 'open' },
      body: new Uint8Array(writePng(1)),
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/octet-stream');
    expect(await response.text()).toMatch(/^other \d+\n$/);
    expect(response.headers.get('x-waybill-provider')).toBe('open');
    expect(await recordOf(daemon, response)).toMatchObject({ cost_nano_usd: 2_000_000 });
  });

  it('refuses what it cannot read', async () => {
    const post = (body: string, type: string) =>
      daemon.post('/api/inference/sandbox-labels', body, { 'content-type': type });
    expect((await json(await post('{"inputs":', 'application/json'))).error.code).toBe('invalid_request');
    expect((await json(await post('', 'audio/wav'))).error.param).toBe('body');
    const streamed = await daemon.post('/api/inference/sandbox-labels', { inputs: 'x', stream: true });
    expect((await json(streamed)).error).toMatchObject({ code: 'invalid_request', param: 'stream' });
    const unknown = await daemon.post('/api/inference/sandbox-nothing', { inputs: 'x' });
    expect((await json(unknown)).error.code).toBe('model_not_found');
    const pinned = await daemon.post(
      '/api/inference/sandbox-labels',
      { inputs: 'x' },
      { 'x-waybill-provider': 'gone' },
    );
    expect((await json(pinned)).error.code).toBe('model_not_found');
    expect((await fetch(`${daemon.url}/api/inference/sandbox-labels`)).status).toBe(405);
  });

  it('is answered once for its idempotency key, and another model with it is a conflict', async () => {
    const headers = { 'idempotency-key': 'inference-1' };
    const first = await daemon.post('/api/inference/sandbox-picture', { inputs: 'A boat' }, headers);
    const again = await daemon.post('/api/inference/sandbox-picture', { inputs: 'A boat' }, headers);
    expect(again.headers.get('x-waybill-idempotent-replay')).toBe('true');
    expect(again.headers.get('content-type')).toBe('image/png');
    expect(Buffer.from(await again.arrayBuffer())).toEqual(Buffer.from(await first.arrayBuffer()));
    expect(
      (await daemon.post('/api/inference/sandbox-two?task=summarization', { inputs: 'A boat' }, headers)).status,
    ).toBe(409);
  });
});

it('ranks documents', async () => {
  const documents = ['a green car', 'the red boat', 'a boat'];
  const response = await daemon.post('/api/v1/rerank', {
    model: 'sandbox-ranker',
    query: 'red boat',
    documents,
    top_n: 2,
  });
  const { results } = (await response.json()) as { results: Array<{ index: number; relevance_score: number }> };
  expect(results.map(({ index }) => index)).toEqual([1, 2]);
  expect(response.headers.get('x-waybill-cost-nano-usd')).toBe('2000000');
});

it('writes nothing of what was sent or answered into the log', async () => {
  await openai.audio.speech.create({ model: 'sandbox-voice', input: 'a-secret-sentence', voice: 'alloy' });
  expect(daemon.output()).not.toContain('a-secret-sentence');
});
