import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';
import {
  type RecordedRequest,
  type ScriptedUpstream,
  startUpstream,
  type UpstreamStep,
} from '../support/scripted-upstream.js';

/** OpenAI's own package, through the built daemon, to something that speaks Cohere's API. */

let upstream: ScriptedUpstream;
let daemon: Daemon;
let client: OpenAI;

const USAGE = { billed_units: { input_tokens: 10, output_tokens: 4 }, tokens: { input_tokens: 200, output_tokens: 9 } };
const weather = {
  type: 'function' as const,
  function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
};
const CALL = { id: 'weather_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } };

function whole(message: object, finish_reason = 'COMPLETE'): UpstreamStep {
  return { body: { id: 'co-1', message: { role: 'assistant', ...message }, finish_reason, usage: USAGE } };
}

function stream(...middle: object[]): string[] {
  const events = [{ type: 'message-start', id: 'co-2', delta: { message: { role: 'assistant' } } }, ...middle];
  return events.map((event) => JSON.stringify(event));
}

const said = (content: object) => ({ type: 'content-delta', index: 0, delta: { message: { content } } });
const end = (finish_reason: string) => ({ type: 'message-end', delta: { finish_reason, usage: USAGE } });

function answer(request: RecordedRequest): UpstreamStep {
  const body = JSON.parse(request.body);
  if (request.headers['authorization'] !== 'Bearer co-key')
    return { status: 401, body: { message: 'invalid api token' } };
  if (request.path === '/v2/embed') {
    const inputs: unknown[] = body.texts ?? body.images ?? body.inputs;
    const float = inputs.map((_, index) => [index, 0.5]);
    return { body: { id: 'e', embeddings: { float }, meta: { billed_units: { input_tokens: 6 } } } };
  }
  if (request.path !== '/v2/chat') return { status: 404, body: { message: 'not found' } };
  const last = body.messages.at(-1);
  switch (last.content) {
    case 'limited':
      return { status: 429, body: { message: 'You are past the per minute request limit' } };
    case 'wrong':
      return { status: 400, body: { id: 'x', message: 'invalid request: temperature must be between 0 and 1.0' } };
    case 'broken':
      return { body: { id: 'x', message: { role: 'assistant' }, finish_reason: 'ERROR' } };
    case 'cut':
      return { sse: stream(said({ text: 'half' })) };
    case 'late error':
      return {
        sse: stream(said({ text: 'half' }), { type: 'message-end', delta: { finish_reason: 'ERROR', error: 'gone' } }),
      };
    case 'json':
      return whole({ content: [{ type: 'text', text: '{"city":"Oslo","degrees":24}' }] });
    case 'weather?':
      if (!body.stream) return whole({ tool_plan: 'I will look.', tool_calls: [CALL] }, 'TOOL_CALL');
      return {
        sse: stream(
          { type: 'tool-plan-delta', delta: { message: { tool_plan: 'I will look.' } } },
          {
            type: 'tool-call-start',
            index: 0,
            delta: { message: { tool_calls: { ...CALL, function: { name: 'weather', arguments: '' } } } },
          },
          {
            type: 'tool-call-delta',
            index: 0,
            delta: { message: { tool_calls: { function: { arguments: '{"city":"Oslo"}' } } } },
          },
          { type: 'tool-call-end', index: 0 },
          end('TOOL_CALL'),
        ),
      };
    default:
      if (!body.stream) return whole({ content: [{ type: 'text', text: 'Hello there' }] });
      return {
        sse: stream(said({ thinking: 'hm' }), said({ text: 'Hello ' }), said({ text: 'there' }), end('COMPLETE')),
      };
  }
}

beforeAll(async () => {
  upstream = await startUpstream(answer);
  const entry = (id: string, key: string, models?: object[]) => ({
    ...{ id, type: 'cohere', base_url: upstream.url, api_keys: [key] },
    ...(models === undefined ? {} : { models }),
    pricing: { unit: '1m_tokens', input_token_cost: 2.5, output_token_cost: 10 },
  });
  daemon = await startDaemon({
    config: {
      llm_providers: [
        entry('main', 'co-key', [
          { id: 'command', provider_model: 'command-a-03-2025', tasks: ['chat'] },
          {
            id: 'embed',
            provider_model: 'embed-v4.0',
            tasks: ['embedding'],
            pricing: { unit: '1m_tokens', input_token_cost: 0.12 },
          },
        ]),
        entry('limited', 'co-key'),
        entry('refused', 'other-key'),
      ],
      policy: { retry: { max_attempts: 2, interval: '1ms', max_interval: '2ms', max_wait: '20ms' } },
    },
  });
  client = new OpenAI({ apiKey: CLIENT_KEY, baseURL: `${daemon.url}/v1`, maxRetries: 0 });
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

const lastSent = () => JSON.parse(upstream.requests.at(-1)?.body ?? '');
const ask = (content: string, model = 'command') => ({ model, messages: [{ role: 'user' as const, content }] });

describe('chat with Cohere', () => {
  it('answers, and costs its billed units', async () => {
    const { data } = await client.chat.completions.create(ask('hi')).withResponse();
    expect(data).toMatchObject({ id: 'co-1', model: 'command-a-03-2025', choices: [{ finish_reason: 'stop' }] });
    expect(data.choices[0]?.message.content).toBe('Hello there');
    expect(Math.abs(data.created * 1000 - Date.now())).toBeLessThan(60_000);
    // 10 units in at 2,500 nano-USD, 4 out at 10,000.
    expect(data.usage).toMatchObject({
      prompt_tokens: 10,
      completion_tokens: 4,
      total_tokens: 14,
      cost_nano_usd: 65_000,
      ...USAGE,
    });
    expect(lastSent()).toEqual({
      model: 'command-a-03-2025',
      stream: false,
      messages: [{ role: 'user', content: 'hi' }],
    });
  });

  it('streams, with the usage for whom it is', async () => {
    for (const include_usage of [true, false]) {
      const chunks: OpenAI.ChatCompletionChunk[] = [];
      for await (const chunk of await client.chat.completions.create({
        ...ask('hi'),
        stream: true,
        stream_options: { include_usage },
      }))
        chunks.push(chunk);
      expect(chunks[0]?.choices[0]?.delta).toEqual({ role: 'assistant', content: '' });
      expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe('Hello there');
      expect(chunks[1]?.choices[0]?.delta).toEqual({ reasoning_content: 'hm' });
      const usages = chunks.flatMap((chunk) => (chunk.usage ? [chunk.usage] : []));
      expect(usages).toMatchObject(
        include_usage ? [{ prompt_tokens: 10, completion_tokens: 4, cost_nano_usd: 65_000 }] : [],
      );
    }
  });

  it('calls tools, whole and streamed, and takes their results', async () => {
    const tools = { ...ask('weather?'), tools: [weather], tool_choice: 'required' as const };
    const { choices } = await client.chat.completions.create(tools);
    expect(choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { content: 'I will look.', tool_calls: [CALL] },
    });
    expect(lastSent()).toMatchObject({ tools: [weather], tool_choice: 'REQUIRED' });
    const streamed = await client.chat.completions.stream(tools).finalChatCompletion();
    expect(streamed.choices[0]?.message.tool_calls).toMatchObject([CALL]);
    const assistant = choices[0]?.message as OpenAI.ChatCompletionAssistantMessageParam;
    await client.chat.completions.create({
      model: 'command',
      messages: [
        { role: 'user', content: 'weather?' },
        assistant,
        { role: 'tool', tool_call_id: CALL.id, content: '{"degrees":24}' },
      ],
    });
    expect(lastSent().messages.slice(1)).toEqual([
      { role: 'assistant', tool_plan: 'I will look.', tool_calls: [CALL] },
      { role: 'tool', tool_call_id: CALL.id, content: [{ type: 'document', document: { data: { degrees: 24 } } }] },
    ]);
  });

  it('answers in a shape', async () => {
    const shape = z.object({ city: z.string(), degrees: z.number() });
    const { choices } = await client.chat.completions.parse({
      ...ask('json'),
      response_format: zodResponseFormat(shape, 'weather'),
    });
    expect(choices[0]?.message.parsed).toEqual({ city: 'Oslo', degrees: 24 });
    expect(lastSent().response_format).toMatchObject({ type: 'json_object', json_schema: { type: 'object' } });
  });

  it('refuses what Cohere cannot do, unsent', async () => {
    const before = upstream.requests.length;
    const failure = client.chat.completions.create({ ...ask('hi'), n: 2 });
    await expect(failure).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(failure).rejects.toMatchObject({ param: 'n', message: expect.stringContaining('Cohere') });
    expect(upstream.requests).toHaveLength(before);
  });

  it('throws what its errors mean', async () => {
    const failure = async (content: string, model?: string) =>
      client.chat.completions.create(ask(content, model)).catch((error: unknown) => error);
    expect(await failure('wrong')).toBeInstanceOf(OpenAI.BadRequestError);
    expect(await failure('wrong')).toMatchObject({ message: expect.stringContaining('temperature must be') });
    expect(await failure('limited', 'limited:command')).toBeInstanceOf(OpenAI.RateLimitError);
    expect(await failure('hi', 'refused:command')).toMatchObject({
      status: 502,
      code: 'upstream_credentials_exhausted',
    });
    expect(await failure('broken')).toBeInstanceOf(OpenAI.InternalServerError);
  });

  it.each(['cut', 'late error'])('never makes a stream look whole: %s', async (content) => {
    const reading = async () => {
      for await (const _chunk of await client.chat.completions.create({ ...ask(content), stream: true }));
    };
    await expect(reading()).rejects.toMatchObject({ code: 'upstream_interrupted' });
  });
});

describe('embeddings of Cohere', () => {
  it('come in both formats, and cost what is billed', async () => {
    const input = ['a', 'data:image/png;base64,AAAA'];
    const decoded = await client.embeddings.create({ model: 'embed', input, dimensions: 256 });
    expect(decoded.data.map(({ embedding }) => Array.from(embedding))).toEqual([
      [0, 0.5],
      [1, 0.5],
    ]);
    expect(decoded.usage).toMatchObject({ prompt_tokens: 6, total_tokens: 6, cost_nano_usd: 720 });
    expect(lastSent()).toMatchObject({
      model: 'embed-v4.0',
      input_type: 'search_document',
      output_dimension: 256,
      inputs: [{}, {}],
    });
    const floats = await client.embeddings.create({ model: 'embed', input: 'a', encoding_format: 'float' });
    expect(floats.data[0]?.embedding).toEqual([0, 0.5]);
  });

  it('are refused for tokens', async () => {
    await expect(client.embeddings.create({ model: 'embed', input: [1, 2] })).rejects.toMatchObject({ param: 'input' });
  });
});
