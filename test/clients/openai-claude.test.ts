import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { blockDelta, blockStart, blockStop, claudeSse, claudeStart, messageDelta } from '../conformance/claude.js';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';
import { IMPATIENT, type LedgerRequest } from '../support/failing-providers.js';
import {
  type RecordedRequest,
  type ScriptedUpstream,
  startUpstream,
  type UpstreamStep,
} from '../support/scripted-upstream.js';

/** The official package, unmodified, against the built daemon, with a provider that speaks the Messages API behind it. */

const MODEL = 'claude-test-5';
const OLD_MODEL = 'claude-haiku-4-5';
const DATE = 'Fri, 20 Nov 2026 12:00:00 GMT';
/** Nano-USD a token: a class that is counted as another one costs another sum. */
const PRICE = { input: 1_000, cached: 100, write: 1_250, output: 5_000, reasoning: 7_000 };
const hello = { role: 'user', content: 'Hello over there' } as const;

let upstream: ScriptedUpstream;
let daemon: Daemon;
let client: OpenAI;

beforeAll(async () => {
  upstream = await startUpstream([{ status: 599 }]);
  const entry = (id: string, rest: object = {}) => ({
    id,
    type: 'claude',
    base_url: upstream.url,
    api_keys: [`sk-ant-${id}`],
    models: [MODEL, OLD_MODEL],
    headers: { 'anthropic-beta': 'some-beta-2026-01-01' },
    pricing: {
      input_token_cost: '0.000001',
      cached_input_token_cost: '0.0000001',
      cache_write_token_cost: '0.00000125',
      output_token_cost: '0.000005',
      reasoning_token_cost: '0.000007',
    },
    ...rest,
  });
  daemon = await startDaemon({
    config: {
      llm_providers: [
        entry('main'),
        entry('alias', { type: 'anthropic', limits: { max_tokens: 50 } }),
        ...['limited', 'refused', 'broken', 'cutting'].map((id) => entry(id)),
        entry('told', { limits: { req_per_min: 100 } }),
        entry('poor', { api_keys: ['sk-ant-poor', 'sk-ant-rich'] }),
      ],
      policy: IMPATIENT,
    },
  });
  client = new OpenAI({ apiKey: CLIENT_KEY, baseURL: `${daemon.url}/v1`, maxRetries: 0 });
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});
beforeEach(() => {
  upstream.requests.length = 0;
});

const USAGE = { input_tokens: 10, cache_read_input_tokens: 4, cache_creation_input_tokens: 8, output_tokens: 6 };
const COST = 10 * PRICE.input + 4 * PRICE.cached + 8 * PRICE.write + 6 * PRICE.output;

function message(content: object[], stopReason = 'end_turn', usage: object = USAGE): UpstreamStep {
  const head = { id: 'msg_1', type: 'message', role: 'assistant', model: `${MODEL}-20260101` };
  return { headers: { date: DATE }, body: { ...head, content, stop_reason: stopReason, stop_sequence: null, usage } };
}

function events(text: string, rest: Partial<UpstreamStep> = {}): UpstreamStep {
  return { headers: { 'content-type': 'text/event-stream', date: DATE }, rawBytes: text, ...rest };
}

const spoken = claudeSse(
  claudeStart({ ...USAGE, output_tokens: 1 }),
  { type: 'ping' },
  blockStart(0, { type: 'text', text: '' }),
  blockDelta(0, { type: 'text_delta', text: 'Hi ' }),
  blockDelta(0, { type: 'text_delta', text: 'grüße 😀' }),
  blockStop(0),
  messageDelta('end_turn', { output_tokens: 6 }),
  { type: 'message_stop' },
);

function failure(status: number, type: string, text: string, headers: Record<string, string> = {}): UpstreamStep {
  const body = { type: 'error', error: { type, message: text }, request_id: 'req_1' };
  return { status, headers, body };
}

interface Sent {
  model: string;
  max_tokens: number;
  messages: Array<{ role: string; content: Array<{ type: string; [key: string]: unknown }> }>;
  [key: string]: unknown;
}

const sent = (index = -1) => JSON.parse((upstream.requests.at(index) as RecordedRequest).body) as Sent;

async function record(inferenceId: string | null): Promise<LedgerRequest> {
  return daemon.admin<LedgerRequest>(`/requests/${inferenceId}`);
}

describe('chat', () => {
  it('asks as Anthropic wants to be asked, and answers with usage and cost', async () => {
    upstream.setScript([message([{ type: 'text', text: 'Hi' }])]);
    const { data, response } = await client.chat.completions
      .create({ model: `main:${MODEL}`, messages: [{ role: 'developer', content: 'Be brief.' }, hello] })
      .withResponse();
    expect(upstream.requests[0]).toMatchObject({
      path: '/v1/messages',
      headers: {
        'x-api-key': 'sk-ant-main',
        'anthropic-version': '2023-06-01',
        'anthropic-beta': 'some-beta-2026-01-01',
      },
    });
    expect(upstream.requests[0]?.headers).not.toHaveProperty('authorization');
    expect(sent()).toMatchObject({ model: MODEL, system: [{ type: 'text', text: 'Be brief.' }] });
    expect(data).toMatchObject({
      object: 'chat.completion',
      created: Date.parse(DATE) / 1000,
      choices: [{ message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
      usage: {
        prompt_tokens: 22,
        completion_tokens: 6,
        total_tokens: 28,
        prompt_tokens_details: { cached_tokens: 4, cache_write_tokens: 8 },
        cost_nano_usd: COST,
      },
    });
    expect(await record(response.headers.get('inference-id'))).toMatchObject({
      provider: 'main',
      cost_nano_usd: COST,
      usage: { input: 10, cached_input: 4, cache_write: 8, output: 6, reasoning: null, source: 'reported' },
    });
  });

  it('goes by its other name, and within the config’s bound', async () => {
    upstream.setScript([message([{ type: 'text', text: 'Hi' }], 'max_tokens')]);
    const answer = await client.chat.completions.create({ model: `alias:${MODEL}`, messages: [hello], max_tokens: 99 });
    expect(sent()['max_tokens']).toBe(50);
    expect(answer.choices[0]?.finish_reason).toBe('length');
  });

  it.each([
    ['whole', {}],
    ['byte by byte', { splitAt: 1 }],
  ])('streams what comes %s, and gives the usage when asked', async (_how, rest) => {
    upstream.setScript([events(spoken, rest)]);
    const { data: stream, response } = await client.chat.completions
      .create({ model: `main:${MODEL}`, messages: [hello], stream: true, stream_options: { include_usage: true } })
      .withResponse();
    let text = '';
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      chunks.push(chunk);
    }
    expect(text).toBe('Hi grüße 😀');
    expect(new Set(chunks.map(({ id, created, object }) => `${id} ${created} ${object}`)).size).toBe(1);
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('stop');
    expect(chunks.at(-1)?.usage).toMatchObject({ prompt_tokens: 22, completion_tokens: 6, cost_nano_usd: COST });
    expect(sent()['stream']).toBe(true);
    expect(await record(response.headers.get('inference-id'))).toMatchObject({ outcome: 'ok', cost_nano_usd: COST });
  });

  it('counts thinking apart', async () => {
    const usage = { input_tokens: 1, output_tokens: 9, output_tokens_details: { thinking_tokens: 4 } };
    upstream.setScript([message([{ type: 'text', text: 'Hi' }], 'end_turn', usage)]);
    const { usage: told } = await client.chat.completions.create({ model: `main:${MODEL}`, messages: [hello] });
    expect(told).toMatchObject({
      completion_tokens: 9,
      completion_tokens_details: { reasoning_tokens: 4 },
      cost_nano_usd: PRICE.input + 5 * PRICE.output + 4 * PRICE.reasoning,
    });
  });

  it('sends images and files', async () => {
    upstream.setScript([message([{ type: 'text', text: 'A cat.' }])]);
    await client.chat.completions.create({
      model: `main:${MODEL}`,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is it?' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } },
            { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBERi0=' } },
          ],
        },
      ],
    });
    expect(sent().messages[0]?.content.map(({ type }) => type)).toEqual(['text', 'image', 'document']);
  });

  it('parses structured output', async () => {
    const shape = z.object({ name: z.string(), size: z.number() });
    upstream.setScript([message([{ type: 'text', text: '{"name":"Ulm","size":3}' }])]);
    const answer = await client.chat.completions.parse({
      model: `main:${MODEL}`,
      messages: [hello],
      response_format: zodResponseFormat(shape, 'city'),
    });
    expect(answer.choices[0]?.message.parsed).toEqual({ name: 'Ulm', size: 3 });
    expect(sent()['output_config']).toMatchObject({
      format: {
        type: 'json_schema',
        schema: { type: 'object', required: ['name', 'size'], additionalProperties: false },
      },
    });
  });
});

describe('tools', () => {
  const thought = { type: 'thinking', thinking: 'The tool knows.', signature: 'signed' };
  const calls = [
    { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Ulm' } },
    { type: 'tool_use', id: 'toolu_2', name: 'weather', input: {} },
  ];
  const results = ['toolu_1', 'toolu_2'].map((id) => ({
    type: 'tool_result',
    tool_use_id: id,
    content: [{ type: 'text', text: 'sunny' }],
  }));
  const calling = claudeSse(
    claudeStart({ ...USAGE, output_tokens: 1 }),
    blockStart(0, { type: 'thinking', thinking: '', signature: '' }),
    blockDelta(0, { type: 'thinking_delta', thinking: 'The tool ' }),
    blockDelta(0, { type: 'thinking_delta', thinking: 'knows.' }),
    blockDelta(0, { type: 'signature_delta', signature: 'signed' }),
    blockStop(0),
    blockStart(1, { ...calls[0], input: {} }),
    blockDelta(1, { type: 'input_json_delta', partial_json: '' }),
    blockDelta(1, { type: 'input_json_delta', partial_json: '{"city":' }),
    blockDelta(1, { type: 'input_json_delta', partial_json: '"Ulm"}' }),
    blockStop(1),
    blockStart(2, { ...calls[1], input: {} }),
    blockStop(2),
    messageDelta('tool_use', { output_tokens: 6 }),
    { type: 'message_stop' },
  );

  /** Answers as Anthropic does: a second turn is refused unless it is whole, or, where that is allowed, without thinking. */
  function answerTurns(mayForget: boolean): void {
    upstream.setScript((request) => {
      const { messages, stream, thinking } = JSON.parse(request.body) as Sent;
      if (messages.length === 1) return stream === true ? events(calling) : message([thought, ...calls], 'tool_use');
      const turn = JSON.stringify(messages.slice(1));
      const ends = (content: object[]) =>
        JSON.stringify([
          { role: 'assistant', content },
          { role: 'user', content: results },
        ]) === turn;
      if (ends([thought, ...calls]) || (ends(calls) && (mayForget || thinking === undefined))) {
        return stream === true ? events(spoken) : message([{ type: 'text', text: 'Hi grüße 😀' }]);
      }
      return failure(400, 'invalid_request_error', `the second turn is not whole: ${turn}`);
    });
  }

  const asked: unknown[] = [];
  const ask = (model: string) => ({
    model,
    messages: [{ role: 'user' as const, content: 'Rain?' }],
    reasoning_effort: 'medium' as const,
    tools: [
      {
        type: 'function' as const,
        function: {
          name: 'weather',
          description: 'The weather of a city',
          parameters: { type: 'object', properties: { city: { type: 'string' } } },
          parse: JSON.parse,
          function: (args: unknown) => {
            asked.push(args);
            return 'sunny';
          },
        },
      },
    ],
  });

  it.each([
    ['whole', (body: OpenAI.ChatCompletionCreateParamsNonStreaming) => client.chat.completions.create(body)],
    [
      'streamed',
      (body: OpenAI.ChatCompletionCreateParamsNonStreaming) =>
        client.chat.completions.stream({ ...body, stream: true }).finalChatCompletion(),
    ],
  ])('go on thinking when the message is given back as it came, %s', async (_how, create) => {
    answerTurns(false);
    const body = ask(`main:${MODEL}`);
    const first = (await create(body)).choices[0]?.message as OpenAI.ChatCompletionMessage;
    expect(first).toMatchObject({ thinking_blocks: [thought] });
    const told = (first.tool_calls ?? []).map(({ id }) => ({
      role: 'tool' as const,
      tool_call_id: id,
      content: 'sunny',
    }));
    const second = await create({ ...body, messages: [...body.messages, first, ...told] });
    expect(second.choices[0]?.message.content).toBe('Hi grüße 😀');
    expect(sent(0)).toMatchObject({
      thinking: { type: 'adaptive', display: 'summarized' },
      output_config: { effort: 'medium' },
      tools: [{ name: 'weather', description: 'The weather of a city', input_schema: { type: 'object' } }],
    });
    expect(sent(1)['thinking']).toEqual(sent(0)['thinking']);
  });

  it.each([
    ['a model of today', MODEL, true],
    ['one that would refuse to think on', OLD_MODEL, false],
  ])('run in the loops of the package, which forgets the thinking, with %s', async (_what, model, mayForget) => {
    answerTurns(mayForget);
    asked.length = 0;
    const body = ask(`main:${model}`);
    expect(await client.chat.completions.runTools(body).finalContent()).toBe('Hi grüße 😀');
    expect(await client.chat.completions.runTools({ ...body, stream: true }).finalContent()).toBe('Hi grüße 😀');
    expect(asked).toEqual([{ city: 'Ulm' }, {}, { city: 'Ulm' }, {}]);
    expect(sent(0)).toHaveProperty('thinking');
  });
});

describe('error classes', () => {
  const create = (provider: string, rest: object = {}) =>
    client.chat.completions.create({ model: `${provider}:${MODEL}`, messages: [hello], ...rest });

  it('BadRequestError for what Claude cannot do, and nothing is sent', async () => {
    for (const [param, rest] of [
      ['n', { n: 2 }],
      ['seed', { seed: 1 }],
      ['logprobs', { logprobs: true }],
      ['response_format', { response_format: { type: 'json_object' } }],
    ] as const) {
      const refused = create('main', rest);
      await expect(refused).rejects.toBeInstanceOf(OpenAI.BadRequestError);
      await expect(refused).rejects.toMatchObject({ code: 'invalid_request', param });
    }
    expect(upstream.requests).toHaveLength(0);
  });

  it('BadRequestError with what the provider said', async () => {
    upstream.setScript([failure(400, 'invalid_request_error', 'messages.0: roles must alternate')]);
    const rejected = create('main');
    await expect(rejected).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(rejected).rejects.toMatchObject({ message: expect.stringContaining('roles must alternate') });
    expect(upstream.requests).toHaveLength(1);
  });

  it('RateLimitError when every key is limited, with the wait', async () => {
    upstream.setScript([failure(429, 'rate_limit_error', 'slow down', { 'retry-after': '9' })]);
    const error = await create('limited').catch((caught) => caught);
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
    expect(Number(error.headers.get('retry-after'))).toBeGreaterThanOrEqual(8);
  });

  it('InternalServerError when the key is refused', async () => {
    upstream.setScript([failure(401, 'authentication_error', 'invalid x-api-key: sk-ant-refused')]);
    const error = await create('refused').catch((caught) => caught);
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
    expect(error).toMatchObject({ status: 502, code: 'upstream_credentials_exhausted' });
    expect(error.message).not.toContain('sk-ant-refused');
  });

  it('none when the provider is overloaded for a moment, whole and inside a stream', async () => {
    upstream.setScript([failure(529, 'overloaded_error', 'Overloaded'), message([{ type: 'text', text: 'Hi' }])]);
    expect((await create('broken')).choices[0]?.message.content).toBe('Hi');
    const overloaded = claudeSse({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } });
    upstream.setScript([events(overloaded), events(spoken)]);
    const { data: stream, response } = await client.chat.completions
      .create({ model: `broken:${MODEL}`, messages: [hello], stream: true })
      .withResponse();
    let text = '';
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
    expect(text).toBe('Hi grüße 😀');
    const { attempts } = await record(response.headers.get('inference-id'));
    expect(attempts).toMatchObject([
      { outcome: 'failed', status: 529, error_code: 'overloaded_error' },
      { outcome: 'ok', status: 200 },
    ]);
  });

  it('none when another key has credit', async () => {
    const poor = 'Your credit balance is too low to access the Anthropic API.';
    upstream.setScript(({ headers }) =>
      headers['x-api-key'] === 'sk-ant-poor'
        ? failure(400, 'invalid_request_error', poor)
        : message([{ type: 'text', text: 'Hi' }]),
    );
    for (let asked = 0; asked < 3; asked += 1) {
      expect((await create('poor')).choices[0]?.message.content).toBe('Hi');
    }
    expect(upstream.requests.filter(({ headers }) => headers['x-api-key'] === 'sk-ant-poor').length).toBeLessThan(2);
  });

  it('APIError in the middle of a stream that broke, which costs what was seen', async () => {
    upstream.setScript([events(spoken, { cutAfterBytes: spoken.indexOf('message_delta') - 20 })]);
    const { data: stream, response } = await client.chat.completions
      .create({ model: `cutting:${MODEL}`, messages: [hello], stream: true })
      .withResponse();
    let text = '';
    const reading = (async () => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
    })();
    await expect(reading).rejects.toMatchObject({ code: 'upstream_interrupted' });
    expect(text).toBe('Hi grüße 😀');
    const { usage } = await record(response.headers.get('inference-id'));
    expect(usage).toMatchObject({ input: 10, cached_input: 4, cache_write: 8, source: 'lower-bound' });
    expect(usage?.['output']).toBeGreaterThan(1);
  });

  it('APIError when the provider says in the stream that it broke', async () => {
    const begun = spoken.slice(0, spoken.indexOf('event: content_block_stop'));
    const broken = claudeSse({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } });
    upstream.setScript([events(begun + broken)]);
    const stream = await client.chat.completions.create({
      model: `cutting:${MODEL}`,
      messages: [hello],
      stream: true,
    });
    const reading = (async () => {
      for await (const _chunk of stream);
    })();
    await expect(reading).rejects.toBeInstanceOf(OpenAI.APIError);
    await expect(reading).rejects.toMatchObject({ message: expect.stringContaining('Overloaded') });
  });

  it('tells what the provider says is left', async () => {
    const reset = new Date(Date.now() + 60_000).toISOString();
    const limits = { 'anthropic-ratelimit-requests-remaining': '41', 'anthropic-ratelimit-requests-reset': reset };
    const step = message([{ type: 'text', text: 'Hi' }]);
    upstream.setScript([{ ...step, headers: { ...step.headers, ...limits } }]);
    const { response } = await create('told').withResponse();
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('100');
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('41');
  });
});
