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

/** The official package of another dialect, unmodified, against the built daemon before an upstream that speaks Gemini's. */

let upstream: ScriptedUpstream;
let daemon: Daemon;
let client: OpenAI;
/** What each model answers. */
const answers = new Map<string, (request: RecordedRequest) => UpstreamStep>();

const hello = { role: 'user', content: 'Hello over there' } as const;
const USAGE = {
  promptTokenCount: 10,
  cachedContentTokenCount: 4,
  candidatesTokenCount: 3,
  thoughtsTokenCount: 2,
  totalTokenCount: 15,
};
const PRICING = { unit: '1m_tokens', input_token_cost: 1, cached_input_token_cost: '0.5', output_token_cost: 10 };
/** 6 × 1000 + 4 × 500 + 5 × 10,000 nano-USD. */
const COST = 58_000;

function answer(parts: object[], rest: object = {}): object {
  return {
    candidates: [{ content: { role: 'model', parts }, finishReason: 'STOP', index: 0, ...rest }],
    usageMetadata: USAGE,
    modelVersion: 'gemini-x-001',
    responseId: 'r-1',
  };
}

function failure(code: number, status: string, message: string, details: object[] = []): UpstreamStep {
  return { status: code, body: { error: { code, message, status, details } } };
}

const FAILURES: Record<string, UpstreamStep> = {
  refused: failure(400, 'INVALID_ARGUMENT', 'API key not valid. Please pass a valid API key.'),
  limited: failure(429, 'RESOURCE_EXHAUSTED', 'You exceeded your current quota.', [
    { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '34.07s' },
  ]),
  rejecting: failure(400, 'INVALID_ARGUMENT', 'Invalid value at generation_config.'),
  unknown: failure(404, 'NOT_FOUND', 'models/unknown is not found for API version v1beta.'),
  overloaded: failure(503, 'UNAVAILABLE', 'The model is overloaded.'),
  malformed: { body: { candidates: [{ finishReason: 'MALFORMED_FUNCTION_CALL' }], usageMetadata: USAGE } },
};

beforeAll(async () => {
  upstream = await startUpstream((request) => {
    const model = /\/models\/([^:]+):/.exec(request.path)?.[1] ?? '';
    return answers.get(model)?.(request) ?? FAILURES[model] ?? { status: 599 };
  });
  const entry = (id: string, rest: object = {}) => ({
    ...{ id, type: 'gemini', base_url: upstream.url, api_keys: [`key-of-${id}`], model: id, pricing: PRICING, ...rest },
  });
  daemon = await startDaemon({
    config: {
      llm_providers: [
        entry('main', {
          models: ['talk', 'tools', 'shape', 'blocked', 'cut', 'flaky', 'gemini-3-flash'].map((id) => ({
            id,
            pricing: PRICING,
          })),
        }),
        entry('embed', { models: [{ id: 'embed', tasks: ['embedding'], pricing: PRICING }] }),
        entry('proxied', { base_url: `${upstream.url}/proxy/v9/` }),
        ...Object.keys(FAILURES).map((id) => entry(id)),
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

function sentTo(model: string): RecordedRequest[] {
  return upstream.requests.filter(({ path }) => path.includes(`/models/${model}:`));
}

function bodiesTo(model: string): Array<{ [key: string]: unknown }> {
  return sentTo(model).map(({ body }) => JSON.parse(body));
}

describe('chat', () => {
  it('answers with usage and cost, and the key goes in its header alone', async () => {
    answers.set('talk', () => ({ body: answer([{ text: 'hm', thought: true }, { text: 'Hi!' }]) }));
    const { data, response } = await client.chat.completions
      .create({
        model: 'talk',
        messages: [{ role: 'system', content: 'Be kind.' }, hello],
        max_tokens: 50,
        reasoning_effort: 'low',
      })
      .withResponse();
    expect(data.choices[0]).toMatchObject({
      message: { content: 'Hi!', reasoning_content: 'hm' },
      finish_reason: 'stop',
    });
    expect(data.usage).toMatchObject({
      prompt_tokens: 10,
      completion_tokens: 5,
      total_tokens: 15,
      cost_nano_usd: COST,
    });
    expect(response.headers.get('x-waybill-cost-nano-usd')).toBe(String(COST));
    const [sent] = sentTo('talk');
    expect(sent?.path).toBe('/v1beta/models/talk:generateContent');
    expect(sent?.headers).toMatchObject({ 'x-goog-api-key': 'key-of-main' });
    expect(sent?.headers).not.toHaveProperty('authorization');
    expect(bodiesTo('talk')[0]).toEqual({
      systemInstruction: { parts: [{ text: 'Be kind.' }] },
      contents: [{ role: 'user', parts: [{ text: 'Hello over there' }] }],
      generationConfig: { maxOutputTokens: 50, thinkingConfig: { thinkingLevel: 'low', includeThoughts: true } },
    });
    const row = await daemon.admin<{ usage: object }>(`/requests/${response.headers.get('inference-id')}`);
    expect(row.usage).toMatchObject({ input: 6, cached_input: 4, output: 3, reasoning: 2, source: 'reported' });
  });

  it('goes to a base URL with a path as it is written', async () => {
    answers.set('proxied', () => ({ body: answer([{ text: 'a' }]) }));
    await client.chat.completions.create({ model: 'proxied', messages: [hello] });
    expect(sentTo('proxied')[0]?.path).toBe('/proxy/v9/models/proxied:generateContent');
  });

  it('streams, with the usage only when asked', async () => {
    const event = (parts: object[], finishReason?: string) => JSON.stringify(answer(parts, { finishReason }));
    answers.set('talk', () => ({
      sse: [event([{ text: 'a', thought: true }]), event([{ text: 'Hel' }]), event([{ text: 'lo' }], 'STOP')],
      splitAt: 7,
    }));
    for (const asked of [false, true]) {
      const stream = client.chat.completions.stream({
        model: 'talk',
        messages: [hello],
        ...(asked ? { stream_options: { include_usage: true } } : {}),
      });
      const final = await stream.finalChatCompletion();
      expect(final.choices[0]).toMatchObject({
        message: { role: 'assistant', content: 'Hello' },
        finish_reason: 'stop',
      });
      expect(final.usage).toEqual(
        asked ? expect.objectContaining({ prompt_tokens: 10, completion_tokens: 5, cost_nano_usd: COST }) : undefined,
      );
    }
    expect(sentTo('talk').at(-1)?.path).toBe('/v1beta/models/talk:streamGenerateContent?alt=sse');
    expect(sentTo('talk').at(-1)?.body).not.toContain('stream');
  });

  it('tells a stream that broke from one that ended', async () => {
    answers.set('cut', () => ({ sse: [JSON.stringify(answer([{ text: 'Hel' }], { finishReason: undefined }))] }));
    const stream = await client.chat.completions.create({ model: 'cut', messages: [hello], stream: true });
    const texts: unknown[] = [];
    const reading = (async () => {
      for await (const chunk of stream) texts.push(chunk.choices[0]?.delta.content);
    })();
    await expect(reading).rejects.toThrow(/without a finish reason/);
    expect(texts).toEqual(['Hel']);
  });

  it('says that a prompt was blocked, and tries nothing else', async () => {
    answers.set('blocked', () => ({
      body: { promptFeedback: { blockReason: 'SAFETY' }, usageMetadata: { promptTokenCount: 2, totalTokenCount: 2 } },
    }));
    const data = await client.chat.completions.create({ model: 'blocked', messages: [hello] });
    expect(data.choices[0]).toMatchObject({
      finish_reason: 'content_filter',
      message: { refusal: 'The provider blocked the prompt: SAFETY' },
    });
    expect(data.usage).toMatchObject({ prompt_tokens: 2, completion_tokens: 0, cost_nano_usd: 2_000 });
    expect(sentTo('blocked')).toHaveLength(1);
  });
});

describe('tools', () => {
  const weather = {
    name: 'weather',
    description: 'The weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  };

  const TURN = 'How is it in Paris and London?';
  const call = (n: number, city: string) => ({ id: `call_r-1_0_${n}`, name: 'weather', args: { city } });
  const result = (n: number) => ({
    functionResponse: { id: `call_r-1_0_${n}`, name: 'weather', response: { output: 'sunny' } },
  });

  beforeAll(() => {
    const step = ({ path, body }: RecordedRequest) => {
      const whole = answer(
        body.includes('functionResponse')
          ? [{ text: 'Sunny in both.' }]
          : [
              { functionCall: { name: 'weather', args: { city: 'Paris' } }, thoughtSignature: 'U0lH' },
              { functionCall: { name: 'weather', args: { city: 'London' } } },
            ],
      );
      return path.includes('stream') ? { sse: [JSON.stringify(whole)] } : { body: whole };
    };
    for (const model of ['tools', 'gemini-3-flash']) answers.set(model, step);
  });

  it.each([false, true])('go forth and back in parallel, with their signature; streamed: %s', async (stream) => {
    const ask = { model: 'gemini-3-flash', messages: [{ role: 'user' as const, content: TURN }] };
    const tools = [{ type: 'function' as const, function: weather }];
    const completion = stream
      ? await client.chat.completions.stream({ ...ask, tools }).finalChatCompletion()
      : await client.chat.completions.create({ ...ask, tools });
    const [choice] = completion.choices;
    expect(choice?.finish_reason).toBe('tool_calls');
    const message = choice?.message as OpenAI.ChatCompletionMessage;
    const results = (message.tool_calls ?? []).map(({ id }) => ({
      role: 'tool' as const,
      tool_call_id: id,
      content: 'sunny',
    }));
    const messages = [...ask.messages, message, ...results];
    const last = await client.chat.completions.create({ ...ask, messages, tools });
    expect(last.choices[0]?.message.content).toBe('Sunny in both.');
    expect(bodiesTo('gemini-3-flash').at(-1)).toEqual({
      contents: [
        { role: 'user', parts: [{ text: TURN }] },
        {
          role: 'model',
          parts: [{ functionCall: call(0, 'Paris'), thoughtSignature: 'U0lH' }, { functionCall: call(1, 'London') }],
        },
        { role: 'user', parts: [result(0), result(1)] },
      ],
      tools: [
        {
          functionDeclarations: [
            { name: 'weather', description: weather.description, parametersJsonSchema: weather.parameters },
          ],
        },
      ],
    });
  });

  it.each([
    ['tools', undefined],
    ['gemini-3-flash', 'skip_thought_signature_validator'],
  ])('of %s run to their end by the package’s own loop, which loses the signature', async (model, mark) => {
    const asked: unknown[] = [];
    const ask = (args: object) => {
      asked.push(args);
      return 'sunny';
    };
    const tools = [{ type: 'function' as const, function: { ...weather, parse: JSON.parse, function: ask } }];
    const runner = client.chat.completions.runTools({ model, messages: [{ role: 'user', content: TURN }], tools });
    expect(await runner.finalContent()).toBe('Sunny in both.');
    expect(asked).toEqual([{ city: 'Paris' }, { city: 'London' }]);
    const { contents } = bodiesTo(model).at(-1) as { contents: object[] };
    const first = { functionCall: call(0, 'Paris'), ...(mark === undefined ? {} : { thoughtSignature: mark }) };
    expect(contents.slice(1)).toEqual([
      { role: 'model', parts: [first, { functionCall: call(1, 'London') }] },
      { role: 'user', parts: [result(0), result(1)] },
    ]);
  });
});

it('parses structured output', async () => {
  const shape = z.object({ name: z.string(), size: z.number().nullable() });
  answers.set('shape', () => ({ body: answer([{ text: '{"name":"a","size":null}' }]) }));
  const data = await client.chat.completions.parse({
    model: 'shape',
    messages: [hello],
    response_format: zodResponseFormat(shape, 'thing'),
  });
  expect(data.choices[0]?.message.parsed).toEqual({ name: 'a', size: null });
  expect(bodiesTo('shape')[0]?.['generationConfig']).toMatchObject({
    responseMimeType: 'application/json',
    responseJsonSchema: { type: 'object', required: ['name', 'size'], additionalProperties: false },
  });
});

describe('embeddings', () => {
  it('come as the package decodes them, with a usage of our own', async () => {
    answers.set('embed', ({ path }) => ({
      body: path.endsWith(':embedContent')
        ? { embedding: { values: [0.5, -1] } }
        : { embeddings: [{ values: [1, 2] }, { values: [3, 4] }] },
    }));
    const one = await client.embeddings.create({ model: 'embed', input: 'Hello', dimensions: 2 });
    expect(one.data).toEqual([{ object: 'embedding', index: 0, embedding: [0.5, -1] }]);
    expect(one.usage).toMatchObject({
      prompt_tokens: expect.any(Number),
      source: 'estimated',
      cost_nano_usd: expect.any(Number),
    });
    expect(one.usage.prompt_tokens).toBeGreaterThan(0);
    const many = await client.embeddings.create({ model: 'embed', input: ['a', 'b'], encoding_format: 'float' });
    expect(many.data.map(({ embedding }) => embedding)).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(bodiesTo('embed')[0]).toEqual({
      model: 'models/embed',
      content: { parts: [{ text: 'Hello' }] },
      outputDimensionality: 2,
    });
  });
});

describe('errors', () => {
  it.each([
    ['refused', 502, 'upstream_credentials_exhausted', 1],
    ['limited', 429, 'upstream_rate_limited', 1],
    ['rejecting', 400, 'INVALID_ARGUMENT', 1],
    ['unknown', 404, 'NOT_FOUND', 1],
    ['overloaded', 503, 'no_target_available', 2],
    ['malformed', 502, 'upstream_malformed', 2],
  ])('%s: %i %s', async (model, status, code, calls) => {
    const asking = client.chat.completions.create({ model, messages: [hello] });
    await expect(asking).rejects.toMatchObject({ status, code });
    expect(sentTo(model)).toHaveLength(calls);
  });

  it('a limit says how long to wait, as Google says it', async () => {
    const asking = client.chat.completions.create({ model: 'limited', messages: [hello] });
    const error = (await asking.catch((reason: unknown) => reason)) as InstanceType<typeof OpenAI.APIError>;
    const wait = Number(error.headers?.get('retry-after-ms'));
    expect(wait).toBeGreaterThan(10_000);
    expect(wait).toBeLessThanOrEqual(34_070);
  });

  it('what Gemini cannot do is refused, and nothing is sent', async () => {
    const before = upstream.requests.length;
    const asking = client.chat.completions.create({ model: 'talk', messages: [hello], logit_bias: { 1: 5 } });
    await expect(asking).rejects.toMatchObject({ status: 400, code: 'invalid_request', param: 'logit_bias' });
    expect(upstream.requests).toHaveLength(before);
  });

  it('a call that came out malformed is tried again', async () => {
    let calls = 0;
    answers.set('flaky', () => {
      calls += 1;
      return calls === 1 ? (FAILURES['malformed'] as UpstreamStep) : { body: answer([{ text: 'a' }]) };
    });
    const { data, response } = await client.chat.completions
      .create({ model: 'flaky', messages: [hello] })
      .withResponse();
    expect(data.choices[0]?.message.content).toBe('a');
    expect(response.headers.get('x-waybill-attempts')).toBe('2');
  });
});
