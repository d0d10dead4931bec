import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';
import { asksForStream, DIALECTS, type Said } from '../support/dialect-upstreams.js';
import {
  type RecordedRequest,
  type ScriptedUpstream,
  startUpstream,
  type UpstreamStep,
} from '../support/scripted-upstream.js';

/** One program, written for OpenAI's package, in front of providers that speak seven dialects: only the model names differ. */

const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const weather = {
  type: 'function' as const,
  function: {
    name: 'weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};
const Report = z.object({ city: z.string(), degrees: z.number() });

/** Everything a program asks of a router. Nothing in it knows which provider answers. */
async function program(client: OpenAI, models: { chat: string; embed: string; paint: string }) {
  const model = models.chat;
  const hello = { role: 'user' as const, content: 'Say hello' };
  const question = { role: 'user' as const, content: 'weather?' };

  const answer = await client.chat.completions.create({
    model,
    max_tokens: 50,
    messages: [{ role: 'system', content: 'Be kind.' }, hello],
  });
  const pieces: string[] = [];
  let streamUsage: OpenAI.CompletionUsage | null | undefined = null;
  const stream = await client.chat.completions.create({
    ...{ model, max_tokens: 50, messages: [hello], stream: true as const },
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    const text = chunk.choices[0]?.delta.content;
    if (text != null && text !== '') pieces.push(text);
    streamUsage = chunk.usage ?? streamUsage;
  }

  const tools = { model, max_tokens: 50, messages: [question], tools: [weather] };
  const called = (await client.chat.completions.create(tools)).choices[0]?.message;
  const streamed = await client.chat.completions.stream(tools).finalChatCompletion();
  const call = called?.tool_calls?.[0];
  const told = await client.chat.completions.create({
    ...tools,
    messages: [
      question,
      called as OpenAI.ChatCompletionMessage,
      { role: 'tool', tool_call_id: call?.id ?? '', content: '{"degrees":24}' },
    ],
  });

  const shaped = await client.chat.completions.parse({
    ...{ model, max_tokens: 50, messages: [{ role: 'user' as const, content: 'As JSON' }] },
    response_format: zodResponseFormat(Report, 'report'),
  });
  const seen = await client.chat.completions.create({
    ...{ model, max_tokens: 50 },
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What is it?' },
          { type: 'image_url', image_url: { url: `data:image/png;base64,${PIXEL}` } },
        ],
      },
    ],
  });
  const vectors = await client.embeddings.create({ model: models.embed, input: ['a', 'b'] });
  const painted = await client.images.generate({ model: models.paint, prompt: 'A boat' });

  const functionOf = (message: OpenAI.ChatCompletionMessage | undefined) => {
    const first = message?.tool_calls?.[0];
    return first?.type === 'function' ? [first.function.name, JSON.parse(first.function.arguments)] : null;
  };
  return {
    text: answer.choices[0]?.message.content,
    finish: answer.choices[0]?.finish_reason,
    tokens: [answer.usage?.prompt_tokens, answer.usage?.completion_tokens],
    streamed: pieces.join(''),
    streamTokens: [streamUsage?.prompt_tokens, streamUsage?.completion_tokens],
    call: functionOf(called),
    streamedCall: functionOf(streamed.choices[0]?.message),
    afterTheTool: told.choices[0]?.message.content,
    shaped: shaped.choices[0]?.message.parsed,
    seen: seen.choices[0]?.message.content,
    vectors: vectors.data.map(({ embedding }) => embedding),
    pictures: painted.data?.length,
  };
}

const EXPECTED = {
  text: 'Hello there',
  finish: 'stop',
  tokens: [10, 5],
  streamed: 'Hello there',
  streamTokens: [10, 5],
  call: ['weather', { city: 'Oslo' }],
  streamedCall: ['weather', { city: 'Oslo' }],
  afterTheTool: 'It is 24 degrees.',
  shaped: { city: 'Oslo', degrees: 24 },
  seen: 'A pixel',
  vectors: [
    [0.5, -1],
    [0.25, 2],
  ],
  pictures: 1,
};

/** What the models say, by what is asked of them. */
function say({ body }: RecordedRequest): Said {
  if (/degrees[\\"]+:\s*24/.test(body)) return { text: ['It is ', '24 degrees.'] };
  if (body.includes('As JSON')) return { text: ['{"city":"Oslo",', '"degrees":24}'] };
  if (body.includes('What is it?')) return { text: body.includes(PIXEL) ? ['A ', 'pixel'] : ['No ', 'picture'] };
  if (body.includes('weather?')) return { call: { name: 'weather', input: { city: 'Oslo' } } };
  return { text: ['Hello ', 'there'] };
}

const VECTORS = EXPECTED.vectors;

/** Vectors and pictures, of the providers that have them; null for a chat. */
function other(type: string, { path }: RecordedRequest): UpstreamStep | null {
  if (/batchEmbedContents$/.test(path)) return { body: { embeddings: VECTORS.map((values) => ({ values })) } };
  if (/embed$/.test(path)) {
    return { body: { embeddings: { float: VECTORS }, meta: { billed_units: { input_tokens: 2 } } } };
  }
  if (/embeddings$/.test(path)) {
    const data = VECTORS.map((embedding, index) => ({ object: 'embedding', index, embedding }));
    return { body: { object: 'list', data, model: 'e', usage: { prompt_tokens: 2, total_tokens: 2 } } };
  }
  if (/images\/generations$/.test(path)) return { body: { created: 1, data: [{ b64_json: PIXEL }] } };
  if (type === 'gemini' && /:predict$/.test(path)) {
    return { body: { predictions: [{ bytesBase64Encoded: PIXEL, mimeType: 'image/png' }] } };
  }
  return null;
}

const TYPES = Object.keys(DIALECTS) as Array<keyof typeof DIALECTS>;
const EMBEDDERS = ['gemini', 'cohere', 'together', 'fireworks', 'openai_compatible'];
const PAINTERS = ['gemini', 'together', 'openai_compatible'];

const upstreams = new Map<string, ScriptedUpstream>();
let daemon: Daemon;
let client: OpenAI;

beforeAll(async () => {
  for (const type of TYPES) {
    const handler = (request: RecordedRequest) =>
      other(type, request) ??
      DIALECTS[type](say(request), asksForStream(request), JSON.parse(request.body) as { model?: string });
    upstreams.set(type, await startUpstream(handler));
  }
  const pricing = { input_token_cost: '0.000001', output_token_cost: '0.000002', image_cost: 0.04 };
  const entry = (type: string) => ({
    ...{ id: type, type, base_url: upstreams.get(type)?.url, pricing },
    api_keys: [type === 'bedrock' ? 'AKIDEXAMPLE:secret' : `key-of-${type}`],
    models: [
      { id: `${type}-chat`, provider_model: 'chat-model', tasks: ['chat'] },
      ...(EMBEDDERS.includes(type) ? [{ id: `${type}-embed`, provider_model: 'e', tasks: ['embedding'] }] : []),
      ...(PAINTERS.includes(type)
        ? [{ id: `${type}-paint`, provider_model: type === 'gemini' ? 'imagen-4' : 'p', tasks: ['image'] }]
        : []),
    ],
  });
  // What a provider does not have another does, under a name of the operator's choice.
  const aliases = (what: string, having: readonly string[]) =>
    TYPES.filter((type) => !having.includes(type)).map((type) => [`${type}-${what}`, `together:together-${what}`]);
  daemon = await startDaemon({
    config: {
      llm_providers: TYPES.map(entry),
      model_aliases: Object.fromEntries([...aliases('embed', EMBEDDERS), ...aliases('paint', PAINTERS)]),
    },
  });
  client = new OpenAI({ apiKey: CLIENT_KEY, baseURL: `${daemon.url}/v1`, maxRetries: 0 });
});
afterAll(async () => {
  await daemon?.stop();
  for (const upstream of upstreams.values()) await upstream.close();
});

describe('one program for OpenAI’s package', () => {
  it.each(TYPES)('has the same answers from %s', async (type) => {
    const models = { chat: `${type}-chat`, embed: `${type}-embed`, paint: `${type}-paint` };
    expect(await program(client, models)).toEqual(EXPECTED);
    expect(upstreams.get(type)?.requests.length).toBeGreaterThanOrEqual(7);
  });
});
