import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';
import { converseEvent, converseException } from '../support/event-stream.js';
import {
  type RecordedRequest,
  type ScriptedUpstream,
  startUpstream,
  type UpstreamStep,
} from '../support/scripted-upstream.js';
import { expectedAuthorization } from '../support/sig-v4.js';

/** OpenAI's own package, through the built daemon, to something that speaks Converse and checks each signature. */

let upstream: ScriptedUpstream;
let daemon: Daemon;
let client: OpenAI;

const CREDENTIALS = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const SESSION = 'IQoJb3JpZ2luX2VjEXAMPLESESSIONTOKEN+/=';
const USAGE = {
  inputTokens: 10,
  outputTokens: 4,
  totalTokens: 114,
  cacheReadInputTokens: 60,
  cacheWriteInputTokens: 40,
};
const EVENT_STREAM = { 'content-type': 'application/vnd.amazon.eventstream' };
const CALL = { toolUseId: 'tooluse_1', name: 'weather', input: { city: 'Oslo' } };
const weather = {
  type: 'function' as const,
  function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
};

function whole(content: object[], stopReason = 'end_turn'): UpstreamStep {
  return {
    headers: { 'x-amzn-requestid': 'aws-1' },
    body: { output: { message: { role: 'assistant', content } }, stopReason, usage: USAGE, metrics: { latencyMs: 3 } },
  };
}

const delta = (contentBlockIndex: number, value: object) =>
  converseEvent('contentBlockDelta', { contentBlockIndex, delta: value });
const start = converseEvent('messageStart', { role: 'assistant' });
const stop = (stopReason: string) => converseEvent('messageStop', { stopReason });
const metadata = converseEvent('metadata', { usage: USAGE });

function stream(...messages: Buffer[]): UpstreamStep {
  return { headers: EVENT_STREAM, rawBytes: Buffer.concat([start, ...messages]) };
}

function failed(status: number, type: string, message: string): UpstreamStep {
  return { status, headers: { 'x-amzn-errortype': `${type}:http://internal.amazon.com/` }, body: { message } };
}

const half = delta(0, { text: 'half' });
const STREAMS: Record<string, UpstreamStep> = {
  cut: stream(half),
  'cut inside': stream(half, stop('end_turn').subarray(0, 30)),
  corrupted: stream(half, Buffer.from(stop('end_turn')).fill(0x20, 40, 41), metadata),
  exception: stream(half, converseException('modelStreamErrorException', 'the model is gone')),
  'early exception': { headers: EVENT_STREAM, rawBytes: converseException('throttlingException', 'slow down') },
};

function answer(request: RecordedRequest): UpstreamStep {
  const isKey = request.headers['authorization'] === 'Bearer ABSKbedrock';
  const isSigned =
    request.headers['authorization'] === expectedAuthorization(request, { ...CREDENTIALS, region: 'eu-west-1' });
  if (!isKey && !isSigned) {
    const echoed = `x-amz-security-token:${request.headers['x-amz-security-token']}`;
    return failed(403, 'InvalidSignatureException', `The request signature does not match. Canonical: '${echoed}'`);
  }
  const body = JSON.parse(request.body);
  const isStream = request.path.endsWith('/converse-stream');
  const last = body.messages.at(-1).content.at(-1);
  const known = STREAMS[last.text];
  if (known !== undefined) return known;
  if (last.text === 'limited') return failed(429, 'ThrottlingException', 'Too many requests');
  if (last.text === 'wrong') return failed(400, 'ValidationException', 'maxTokens is wrong');
  if (last.text === 'no model') return failed(403, 'AccessDeniedException', 'You have no access to the model');
  if (last.text === 'json') return whole([{ text: '{"city":"Oslo","degrees":24}' }]);
  if (last.text === 'weather?') {
    if (!isStream) return whole([{ text: 'I will look.' }, { toolUse: CALL }], 'tool_use');
    const { toolUseId, name } = CALL;
    return stream(
      converseEvent('contentBlockStart', { contentBlockIndex: 0, start: { toolUse: { toolUseId, name } } }),
      delta(0, { toolUse: { input: '{"city":"Oslo"}' } }),
      converseEvent('contentBlockStop', { contentBlockIndex: 0 }),
      stop('tool_use'),
      metadata,
    );
  }
  if (!isStream) return whole([{ text: 'Hello there' }]);
  const events = stream(
    delta(0, { reasoningContent: { text: 'hm' } }),
    delta(1, { text: 'Hello ' }),
    delta(1, { text: 'there' }),
    stop('end_turn'),
    metadata,
  );
  return { ...events, splitAt: 7 };
}

beforeAll(async () => {
  upstream = await startUpstream(answer);
  const { accessKeyId, secretAccessKey } = CREDENTIALS;
  const entry = (id: string, key: string, rest: object = {}) => ({
    ...{ id, type: 'bedrock', base_url: upstream.url, region: 'eu-west-1', api_keys: [key], ...rest },
    pricing: {
      unit: '1m_tokens',
      input_token_cost: 3,
      cached_input_token_cost: 0.3,
      cache_write_token_cost: 3.75,
      output_token_cost: 15,
    },
  });
  daemon = await startDaemon({
    config: {
      llm_providers: [
        entry('main', `${accessKeyId}:${secretAccessKey}`, {
          models: [{ id: 'claude', provider_model: 'eu.anthropic.claude-v1:0' }],
        }),
        entry('session', `${accessKeyId}:${secretAccessKey}:${SESSION}`),
        entry('bearer', 'ABSKbedrock'),
        entry('limited', 'ABSKbedrock'),
        entry('wrong', `${accessKeyId}:another-secret:${SESSION}`),
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

const lastRequest = () => upstream.requests.at(-1) as RecordedRequest;
const lastSent = () => JSON.parse(lastRequest().body);
const ask = (content: string, model = 'claude') => ({ model, messages: [{ role: 'user' as const, content }] });
const failure = (content: string, model?: string) =>
  client.chat.completions.create(ask(content, model)).catch((error: unknown) => error);
const streamOf = async (content: string) => {
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of await client.chat.completions.create({
    ...ask(content),
    stream: true,
    stream_options: { include_usage: true },
  }))
    chunks.push(chunk);
  return chunks;
};

describe('chat with Bedrock', () => {
  it('answers a signed request, and costs each class of tokens', async () => {
    const data = await client.chat.completions.create(ask('hi'));
    expect(data).toMatchObject({
      id: 'aws-1',
      model: 'eu.anthropic.claude-v1:0',
      choices: [{ finish_reason: 'stop', message: { content: 'Hello there' } }],
    });
    expect(Math.abs(data.created * 1000 - Date.now())).toBeLessThan(60_000);
    // 10 in at 3,000 nano-USD, 60 cached at 300, 40 written at 3,750, 4 out at 15,000.
    expect(data.usage).toMatchObject({
      prompt_tokens: 110,
      completion_tokens: 4,
      cost_nano_usd: 30_000 + 18_000 + 150_000 + 60_000,
    });
    expect(lastRequest().path).toBe('/model/eu.anthropic.claude-v1%3A0/converse');
    expect(lastSent()).toEqual({ messages: [{ role: 'user', content: [{ text: 'hi' }] }] });
    const signedAt = (lastRequest().headers['x-amz-date'] ?? '').replace(
      /(....)(..)(..T..)(..)(..Z)/,
      '$1-$2-$3:$4:$5',
    );
    expect(Math.abs(Date.parse(signedAt) - Date.now())).toBeLessThan(60_000);
  });

  it('takes a session, and a Bedrock API key', async () => {
    await expect(client.chat.completions.create(ask('é😀', 'session:m'))).resolves.toMatchObject({ id: 'aws-1' });
    expect(lastRequest().headers['x-amz-security-token']).toBe(SESSION);
    await expect(client.chat.completions.create(ask('hi', 'bearer:m'))).resolves.toMatchObject({ id: 'aws-1' });
    expect(lastRequest().headers).not.toHaveProperty('x-amz-date');
  });

  it('streams from binary messages, however they are split', async () => {
    const chunks = await streamOf('hi');
    expect(chunks[0]?.choices[0]?.delta).toEqual({ role: 'assistant', content: '' });
    expect(chunks[1]?.choices[0]?.delta).toEqual({ reasoning_content: 'hm' });
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe('Hello there');
    expect(chunks.at(-1)?.usage).toMatchObject({ prompt_tokens: 110, cost_nano_usd: 258_000 });
    expect(lastRequest().headers['accept']).toBe('application/vnd.amazon.eventstream');
    expect(lastRequest().path).toMatch(/converse-stream$/);
  });

  it('calls tools, whole and streamed, and takes their results', async () => {
    const tools = { ...ask('weather?'), tools: [weather], tool_choice: 'required' as const };
    const called = { id: 'tooluse_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } };
    const { choices } = await client.chat.completions.create(tools);
    expect(choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { content: 'I will look.', tool_calls: [called] },
    });
    expect(lastSent().toolConfig.toolChoice).toEqual({ any: {} });
    const streamed = await client.chat.completions.stream(tools).finalChatCompletion();
    expect(streamed.choices[0]?.message.tool_calls).toMatchObject([called]);
    const assistant = choices[0]?.message as OpenAI.ChatCompletionAssistantMessageParam;
    await client.chat.completions.create({
      model: 'claude',
      messages: [
        { role: 'user', content: 'weather?' },
        assistant,
        { role: 'tool', tool_call_id: 'tooluse_1', content: '24' },
      ],
      tools: [weather],
    });
    expect(lastSent().messages.slice(1)).toEqual([
      { role: 'assistant', content: [{ text: 'I will look.' }, { toolUse: CALL }] },
      { role: 'user', content: [{ toolResult: { toolUseId: 'tooluse_1', content: [{ text: '24' }] } }] },
    ]);
  });

  it('answers in a shape', async () => {
    const shape = z.object({ city: z.string(), degrees: z.number() });
    const { choices } = await client.chat.completions.parse({
      ...ask('json'),
      response_format: zodResponseFormat(shape, 'weather'),
    });
    expect(choices[0]?.message.parsed).toEqual({ city: 'Oslo', degrees: 24 });
    expect(lastSent().outputConfig.textFormat).toMatchObject({
      type: 'json_schema',
      structure: { jsonSchema: { name: 'weather' } },
    });
  });

  it('throws what its errors mean', async () => {
    expect(await failure('wrong')).toBeInstanceOf(OpenAI.BadRequestError);
    expect(await failure('wrong')).toMatchObject({
      code: 'ValidationException',
      message: expect.stringContaining('maxTokens is wrong'),
    });
    expect(await failure('limited', 'limited:m')).toBeInstanceOf(OpenAI.RateLimitError);
    expect(await failure('no model')).toMatchObject({ status: 403, code: 'AccessDeniedException' });
    // The key was not to blame: it goes on.
    await expect(client.chat.completions.create(ask('hi'))).resolves.toMatchObject({ id: 'aws-1' });
    await expect(client.chat.completions.create({ ...ask('hi'), seed: 7 })).rejects.toMatchObject({
      status: 400,
      param: 'seed',
    });
  });

  it('repeats nothing of a key that AWS repeats', async () => {
    const refused = (await failure('hi', 'wrong:m')) as InstanceType<typeof OpenAI.APIError>;
    expect(refused).toMatchObject({ status: 502, code: 'upstream_credentials_exhausted' });
    const rows = JSON.stringify(await daemon.admin('/requests?provider=wrong')) + refused.message + daemon.output();
    for (const part of [SESSION, 'another-secret', CREDENTIALS.accessKeyId]) expect(rows).not.toContain(part);
  });

  it.each(['cut', 'cut inside', 'corrupted', 'exception'])('never makes a stream look whole: %s', async (content) => {
    await expect(streamOf(content)).rejects.toMatchObject({ code: 'upstream_interrupted' });
  });

  it('takes an exception before the first content for that error', async () => {
    const limited = { ...ask('early exception', 'limited:m'), stream: true as const };
    await expect(client.chat.completions.create(limited)).rejects.toBeInstanceOf(OpenAI.RateLimitError);
  });
});
