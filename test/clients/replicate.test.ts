import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';
import {
  done,
  METRICS,
  predicted,
  replicateScript,
  running,
  STREAM_PATH,
  streamed,
} from '../support/replicate-upstream.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** OpenAI's own package, through the built daemon, to something that makes predictions as Replicate does. */

let upstream: ScriptedUpstream;
let daemon: Daemon;
let client: OpenAI;

const IMAGES = ['https://replicate.delivery/x/1.webp', 'https://replicate.delivery/x/2.webp'];

beforeAll(async () => {
  upstream = await startUpstream([{ status: 599 }]);
  daemon = await startDaemon({
    config: {
      llm_providers: [
        {
          id: 'replicate',
          type: 'replicate',
          base_url: upstream.url,
          api_keys: ['r8-key'],
          models: [
            {
              id: 'llama',
              provider_model: 'meta/meta-llama-3-70b-instruct',
              tasks: ['chat'],
              pricing: { unit: '1m_tokens', input_token_cost: 0.65, output_token_cost: 2.75 },
            },
            {
              id: 'flux',
              provider_model: 'black-forest-labs/flux-schnell',
              tasks: ['image'],
              pricing: { image_cost: 0.003 },
            },
          ],
        },
      ],
      policy: { retry: { max_attempts: 1 } },
    },
  });
  client = new OpenAI({ apiKey: CLIENT_KEY, baseURL: `${daemon.url}/v1`, maxRetries: 0 });
});
afterEach(() => {
  upstream.requests.length = 0;
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

const ask = (content: string) => ({ model: 'llama', messages: [{ role: 'user' as const, content }] });
const made = () => JSON.parse(upstream.requests[0]?.body ?? '');

describe('chat with Replicate', () => {
  it('answers, and costs the tokens of its metrics', async () => {
    upstream.setScript(replicateScript({}));
    const completion = await client.chat.completions.create({
      model: 'llama',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'hi' },
      ],
      max_tokens: 9,
      temperature: 0.5,
      stop: ['END'],
    });
    expect(completion).toMatchObject({ model: 'meta/meta-llama-3-70b-instruct', created: 1_772_366_400 });
    expect(completion.choices[0]).toMatchObject({ message: { content: 'five words' }, finish_reason: 'stop' });
    // 10 tokens in at 650 nano-USD, 5 out at 2,750.
    expect(completion.usage).toMatchObject({
      prompt_tokens: 10,
      completion_tokens: 5,
      total_tokens: 15,
      cost_nano_usd: 20_250,
      metrics: METRICS,
    });
    expect(upstream.requests[0]?.path).toBe('/v1/models/meta/meta-llama-3-70b-instruct/predictions');
    expect(made()).toEqual({
      input: { prompt: 'hi', system_prompt: 'Be brief.', max_tokens: 9, temperature: 0.5, stop_sequences: 'END' },
    });
  });

  it('streams, with the usage for whom it is', async () => {
    const stream = { rawBytes: streamed(['five ', 'words']), headers: { 'content-type': 'text/event-stream' } };
    upstream.setScript(
      replicateScript({ make: running({ urls: { stream: `${upstream.url}${STREAM_PATH}` } }), stream, ask: done() }),
    );
    for (const include_usage of [true, false]) {
      const chunks: OpenAI.ChatCompletionChunk[] = [];
      const asked = { ...ask('hi'), stream: true as const, stream_options: { include_usage } };
      for await (const chunk of await client.chat.completions.create(asked)) chunks.push(chunk);
      expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe('five words');
      expect(chunks[0]?.choices[0]?.delta).toEqual({ role: 'assistant', content: 'five ' });
      expect(chunks.filter((chunk) => chunk.choices[0]?.finish_reason === 'stop')).toHaveLength(1);
      expect(chunks.flatMap((chunk) => (chunk.usage ? [chunk.usage] : []))).toMatchObject(
        include_usage ? [{ prompt_tokens: 10, completion_tokens: 5, cost_nano_usd: 20_250 }] : [],
      );
    }
  });

  it('refuses what it cannot do, unsent', async () => {
    const tools = [{ type: 'function' as const, function: { name: 'weather', parameters: {} } }];
    await expect(client.chat.completions.create({ ...ask('hi'), tools })).rejects.toMatchObject({
      status: 400,
      param: 'tools',
      message: expect.stringContaining('Replicate'),
    });
    expect(upstream.requests).toHaveLength(0);
  });

  it.each([
    [{ status: 422, body: { detail: '- input.prompt is required', title: 'Input validation failed' } }, 422, 'prompt'],
    [{ status: 401, body: { title: 'Unauthenticated', detail: 'You did not pass a valid token' } }, 502, 'valid token'],
  ])('throws what its errors mean: %j', async (make, status, message) => {
    upstream.setScript(replicateScript({ make }));
    await expect(client.chat.completions.create(ask('hi'))).rejects.toMatchObject({
      status,
      message: expect.stringContaining(message),
    });
    // A key that was refused is left alone.
    await daemon.reload();
  });
});

describe('images of Replicate', () => {
  it('come as addresses, and cost each', async () => {
    upstream.setScript(replicateScript({ ask: predicted({ output: IMAGES, metrics: { predict_time: 1 } }) }));
    const { data, response } = await client.images
      .generate({ model: 'flux', prompt: 'a boat', n: 2, response_format: 'url' })
      .withResponse();
    expect(data.data).toEqual(IMAGES.map((url) => ({ url })));
    expect(data.created).toBe(1_772_366_400);
    expect(response.headers.get('x-waybill-cost-nano-usd')).toBe('6000000');
    expect(made()).toEqual({ input: { prompt: 'a boat', num_outputs: 2 } });
  });

  it('are refused as base64, and in sizes, unsent', async () => {
    const refused = (rest: object) => client.images.generate({ model: 'flux', prompt: 'a boat', ...rest });
    await expect(refused({ response_format: 'b64_json' })).rejects.toMatchObject({ param: 'response_format' });
    await expect(refused({ size: '512x512' })).rejects.toMatchObject({ status: 400, param: 'size' });
    expect(upstream.requests).toHaveLength(0);
  });
});
