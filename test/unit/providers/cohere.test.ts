import { describe, expect, it } from 'vitest';
import { DISABLED_KEY_MS, isContextLength, type UpstreamFailure } from '../../../src/domain/failure.js';
import type { TaskHelper, UpstreamTarget } from '../../../src/domain/provider.js';
import type { Task } from '../../../src/domain/task.js';
import { cohere } from '../../../src/providers/cohere/adapter.js';
import { failureFromStatus } from '../../../src/upstream/failure.js';
import { answerOf, aRequest, aTarget, counts, replay } from '../../conformance/adapters.js';
import { answerTextOf } from '../../support/answer-text.js';
import { finished } from '../../support/finished.js';

const helperOf = (task: Task) => cohere.tasks[task] as TaskHelper;
const hello = [{ role: 'user', content: 'hi' }];

function sent(task: Task, body: object, target: Partial<UpstreamTarget> = {}): { [key: string]: unknown } {
  const payload = helperOf(task).preparePayload(aRequest(task, body), aTarget(cohere, target));
  return JSON.parse(payload.body as string);
}

const chatSent = (body: object, target: Partial<UpstreamTarget> = {}) =>
  sent('chat', { messages: hello, ...body }, target);
const messageSent = (...messages: object[]) => chatSent({ messages })['messages'];

function refusal(task: Task, body: object): unknown {
  try {
    sent(task, body);
  } catch (error) {
    return error;
  }
  return expect.unreachable('it is sent');
}

function read(body: object | string, headers: object = {}, request: object = { messages: hello }) {
  const answer = answerOf(typeof body === 'string' ? body : JSON.stringify(body));
  const given = { ...answer, headers: { ...answer.headers, ...headers } };
  const outcome = finished(helperOf('chat').getResponse(given, aRequest('chat', request), aTarget(cohere)));
  return outcome.ok ? { ...outcome, body: JSON.parse(answerTextOf(outcome.answer.body)) } : outcome;
}

describe('what Cohere is asked', () => {
  it('goes below /v2 of a bare host, and below a path as it is written', () => {
    const url = (baseUrl: string) =>
      helperOf('chat').makeRoute(aRequest('chat', { messages: hello }), aTarget(cohere, { baseUrl })).url;
    expect(url('https://api.cohere.com')).toBe('https://api.cohere.com/v2/chat');
    expect(url('https://proxy.example/cohere')).toBe('https://proxy.example/cohere/chat');
    const target = aTarget(cohere, { baseUrl: 'https://api.cohere.com/v2' });
    expect(helperOf('embedding').makeRoute(aRequest('embedding', { input: 'a' }), target).url).toBe(
      'https://api.cohere.com/v2/embed',
    );
  });

  it('has its parameters under its own names', () => {
    const body = {
      stop: 'END',
      top_p: 0.9,
      top_k: 40,
      temperature: 0.25,
      seed: 7,
      frequency_penalty: 0.5,
      logprobs: true,
    };
    expect(chatSent(body)).toEqual({
      model: 'vendor/model-1',
      stream: false,
      messages: hello,
      stop_sequences: ['END'],
      p: 0.9,
      k: 40,
      temperature: 0.25,
      seed: 7,
      frequency_penalty: 0.5,
      logprobs: true,
    });
    expect(chatSent({ stop: ['a', 'b'], stream: true })).toMatchObject({ stop_sequences: ['a', 'b'], stream: true });
  });

  it('is bounded by either name of the bound, within the target’s', () => {
    expect(chatSent({ max_tokens: 9 })['max_tokens']).toBe(9);
    expect(chatSent({ max_completion_tokens: 8, max_tokens: 9 })['max_tokens']).toBe(8);
    expect(chatSent({ max_completion_tokens: 8 })).not.toHaveProperty('max_completion_tokens');
    expect(chatSent({ max_tokens: 9 }, { maxOutputTokens: 5 })['max_tokens']).toBe(5);
    expect(chatSent({ max_tokens: 4 }, { maxOutputTokens: 5 })['max_tokens']).toBe(4);
    expect(chatSent({}, { maxOutputTokens: 5 })['max_tokens']).toBe(5);
    expect(chatSent({ max_tokens: 0 })).not.toHaveProperty('max_tokens');
  });

  it('is not told what makes no difference', () => {
    const noise = {
      ...{ user: 'u', store: true, metadata: { a: 'b' }, safety_identifier: 's', prompt_cache_key: 'p', n: 1 },
      ...{ prompt_cache_retention: '24h', prediction: {}, stream_options: null, parallel_tool_calls: true },
      ...{ modalities: ['text'], service_tier: 'auto', logit_bias: {}, top_logprobs: 0, audio: null, seed: null },
    };
    expect(Object.keys(chatSent(noise))).toEqual(['model', 'stream', 'messages']);
    expect(chatSent({ service_tier: 'default' })).not.toHaveProperty('service_tier');
  });

  it.each([
    ['n', 2],
    ['parallel_tool_calls', false],
    ['modalities', ['text', 'audio']],
    ['audio', { voice: 'alloy' }],
    ['logit_bias', { 50256: -100 }],
    ['top_logprobs', 2],
    ['functions', [{ name: 'f' }]],
    ['function_call', 'auto'],
    ['web_search_options', { search_context_size: 'low' }],
    ['web_search_options', {}],
    ['verbosity', 'low'],
    ['service_tier', 'priority'],
    ['reasoning_effort', 'medium'],
    ['tool_choice', { type: 'allowed_tools' }],
    ['tool_choice', { type: 'function', function: { name: 'other' } }],
  ])('refuses %s: %j', (param, value) => {
    expect(refusal('chat', { messages: hello, [param]: value })).toMatchObject({
      code: 'invalid_request',
      param,
      message: expect.stringMatching(`\`${param}\`: Cohere `),
    });
  });

  it('leaves out a parameter it refuses where the config says so', () => {
    expect(chatSent({ logit_bias: { 1: 1 } }, { dropParams: ['logit_bias'] })).not.toHaveProperty('logit_bias');
  });

  it('has the systems’ words, pictures and the thoughts in its own parts', () => {
    expect(
      messageSent(
        { role: 'developer', content: 'Be kind.', name: 'dev' },
        { role: 'system', content: [{ type: 'text', text: 'And short.', cache_control: { type: 'ephemeral' } }] },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is it?' },
            { type: 'image_url', image_url: { url: 'https://x.example/a.png', detail: 'low' } },
            { type: 'image_url', image_url: 'data:image/png;base64,AAAA' },
          ],
        },
        { role: 'assistant', content: 'A cat.', reasoning_content: 'fur' },
        { role: 'assistant', content: [{ type: 'refusal', refusal: 'No.' }], reasoning: 'bad' },
        { role: 'assistant', content: 'Plain.', citations: [{ start: 0 }], reasoning_content: '' },
        { role: 'assistant', content: '', reasoning_content: 'only' },
      ),
    ).toEqual([
      { role: 'system', content: 'Be kind.' },
      { role: 'system', content: [{ type: 'text', text: 'And short.' }] },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What is it?' },
          { type: 'image_url', image_url: { url: 'https://x.example/a.png', detail: 'low' } },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
        ],
      },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'fur' },
          { type: 'text', text: 'A cat.' },
        ],
      },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'bad' },
          { type: 'text', text: 'No.' },
        ],
      },
      { role: 'assistant', content: 'Plain.', citations: [{ start: 0 }] },
      { role: 'assistant', content: [{ type: 'thinking', thinking: 'only' }] },
    ]);
  });

  it('has tool calls with the plan and the thoughts before them', () => {
    const call = {
      index: 0,
      id: 'c',
      type: 'function',
      function: { name: 'f', arguments: '{"n":12345678901234567890}' },
    };
    const { index: _, ...own } = call;
    expect(
      messageSent(
        { role: 'assistant', content: null, tool_calls: [call] },
        {
          role: 'assistant',
          content: [{ type: 'text', text: 'I ' }, 'look.'],
          tool_calls: [call],
          reasoning_content: 'hm',
        },
        { role: 'assistant', tool_plan: 'mine', content: 'other', tool_calls: [call], citations: [{ start: 0 }] },
        { role: 'assistant', content: [{ type: 'thinking', thinking: 'so' }] },
      ),
    ).toEqual([
      { role: 'assistant', tool_calls: [own] },
      { role: 'assistant', content: [{ type: 'thinking', thinking: 'hm' }], tool_plan: 'I look.', tool_calls: [own] },
      { role: 'assistant', tool_plan: 'mine', tool_calls: [own], citations: [{ start: 0 }] },
      { role: 'assistant', content: [{ type: 'thinking', thinking: 'so' }] },
    ]);
  });

  it('has tool results as documents, their numbers as they were written', () => {
    const target = aTarget(cohere);
    const result = (content: unknown) => {
      const ask = aRequest('chat', { messages: [{ role: 'tool', tool_call_id: 'c', content }] });
      const text = helperOf('chat').preparePayload(ask, target).body as string;
      return text.slice(text.indexOf('"content":') + 10, text.lastIndexOf('}]}'));
    };
    const of = (data: string) => `{"type":"document","document":{"data":${data}}}`;
    expect(result(' {"id": 12345678901234567890} ')).toBe(`[${of('{"id": 12345678901234567890}')}]`);
    expect(result('[{"a":1.0},{"b":2}]')).toBe(`[${of('{"a":1.0}')},${of('{"b":2}')}]`);
    for (const plain of ['24 degrees', '[1,2]', '[]', '17', '']) {
      expect(result(plain)).toBe(`[${of(JSON.stringify({ text: plain }))}]`);
    }
    expect(
      result([
        { type: 'text', text: '{"a":1}' },
        { type: 'document', document: { id: 'd', data: {} } },
      ]),
    ).toBe(`[${of('{"a":1}')},{"type":"document","document":{"id":"d","data":{}}}]`);
    expect(result(null)).toBe('[]');
  });

  it('names the message that it cannot take', () => {
    const refused = (message: object) => refusal('chat', { messages: [...hello, message] });
    expect(refused({ role: 'function', content: 'x' })).toMatchObject({ param: 'messages[1].role' });
    expect(refused({ role: 'user', content: [{ type: 'input_audio' }] })).toMatchObject({
      param: 'messages[1].content[0]',
    });
    expect(refused({ role: 'assistant', content: [7] })).toMatchObject({ param: 'messages[1].content[0]' });
    expect(refused({ role: 'tool', content: [{ type: 'file' }] })).toMatchObject({ param: 'messages[1].content[0]' });
    expect(refusal('chat', { messages: hello, tools: [{ type: 'custom' }] })).toMatchObject({ param: 'tools[0]' });
  });

  it('offers tools, strictly where one is strict, and only the one that is demanded', () => {
    const tool = (name: string, rest: object = {}) => ({
      type: 'function',
      function: { name, description: 'd', ...rest },
    });
    const tools = [tool('a', { strict: true }), tool('b', { strict: false })];
    expect(chatSent({ tools })).toMatchObject({ tools: [tool('a'), tool('b')], strict_tools: true });
    expect(chatSent({ tools })).not.toHaveProperty('tool_choice');
    expect(chatSent({ tools: [tool('b', { strict: false })] })).not.toHaveProperty('strict_tools');
    expect(chatSent({ tools, strict_tools: false })['strict_tools']).toBe(false);
    expect(chatSent({ tools: [] })).not.toHaveProperty('tools');
    expect(chatSent({ tools, tool_choice: { type: 'function', function: { name: 'b' } } })).toMatchObject({
      tools: [tool('b')],
      tool_choice: 'REQUIRED',
    });
    expect(chatSent({ tools, tool_choice: 'auto' })).not.toHaveProperty('tool_choice');
    expect(chatSent({ tools, tool_choice: 'none' })['tool_choice']).toBe('NONE');
    expect(chatSent({ tools, tool_choice: 'NONE' })['tool_choice']).toBe('NONE');
    expect(chatSent({ tools, tool_choice: 'REQUIRED' })['tool_choice']).toBe('REQUIRED');
  });

  it('is told of the shape of the answer, and of how much to think', () => {
    const schema = { type: 'object', properties: { a: { type: 'integer' } } };
    const format = (response_format: object) => chatSent({ response_format })['response_format'];
    expect(format({ type: 'json_schema', json_schema: { name: 'n', strict: true, schema } })).toEqual({
      type: 'json_object',
      json_schema: schema,
    });
    expect(format({ type: 'json_object' })).toEqual({ type: 'json_object' });
    expect(format({ type: 'json_object', json_schema: schema })).toEqual({ type: 'json_object', json_schema: schema });
    expect(format({ type: 'text' })).toEqual({ type: 'text' });
    expect(chatSent({ reasoning_effort: 'none' })['thinking']).toEqual({ type: 'disabled' });
    expect(chatSent({ reasoning_effort: 'high' })['thinking']).toEqual({ type: 'enabled' });
    const thinking = { type: 'enabled', token_budget: 99 };
    expect(chatSent({ thinking })['thinking']).toEqual(thinking);
    expect(chatSent({ thinking, reasoning_effort: 'high' })['thinking']).toEqual(thinking);
    expect(chatSent({}, { extraBody: { thinking } })['thinking']).toEqual(thinking);
  });
});

describe('what Cohere answers', () => {
  const message = { role: 'assistant', content: [{ type: 'text', text: 'A' }] };
  const done = { id: 'i', message, finish_reason: 'COMPLETE' };

  it.each([
    ['COMPLETE', 'stop'],
    ['STOP_SEQUENCE', 'stop'],
    ['MAX_TOKENS', 'length'],
    ['TOOL_CALL', 'tool_calls'],
    ['ERROR_LIMIT', 'length'],
    ['ERROR_TOXIC', 'content_filter'],
    ['complete', 'stop'],
  ])('ends %s with %s', (reason, finish) => {
    expect(read({ ...done, finish_reason: reason })).toMatchObject({ body: { choices: [{ finish_reason: finish }] } });
  });

  it.each([
    [{ finish_reason: 'ERROR' }, 500, 'the generation ended with "ERROR"', 'ERROR'],
    [{ finish_reason: 'TIMEOUT' }, 504, 'the generation ended with "TIMEOUT"', 'TIMEOUT'],
    [{ finish_reason: undefined }, 500, 'the generation ended with null', null],
  ])('fails with %j, and costs what it says', (end, status, text, code) => {
    expect(read({ ...done, usage: { billed_units: { input_tokens: 3 } }, ...end })).toMatchObject({
      ok: false,
      fault: { kind: 'status', status, message: text, code },
      usage: { counts: counts({ input: 3 }) },
    });
  });

  it('says when it answered, and nothing of usage that was not billed', () => {
    const answered = read(done, { date: 'Tue, 15 Nov 1994 08:12:31 GMT' });
    expect(answered).toMatchObject({ body: { created: 784887151 }, answer: { usage: null } });
    if (answered.ok) expect(answered.body).not.toHaveProperty('usage');
    for (const usage of [
      { tokens: { input_tokens: 9, output_tokens: 9 } },
      { billed_units: {} },
      { billed_units: { input_tokens: null } },
    ]) {
      expect(read({ ...done, usage })).toMatchObject({ answer: { usage: null } });
    }
    const odd = read({ ...done, usage: { billed_units: { input_tokens: 1.5, output_tokens: 2, search_units: 1 } } });
    expect(odd).toMatchObject({
      answer: { usage: { counts: counts({ output: 2, searchUnits: 1 }), problems: ['billed_units.input_tokens'] } },
    });
    expect(read({ ...done, message: 7, usage: { billed_units: { input_tokens: 1 } } })).toMatchObject({
      ok: false,
      fault: { kind: 'malformed' },
      usage: { counts: counts({ input: 1 }) },
    });
  });

  it('says nothing where it only calls tools', () => {
    const calls = [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }];
    const silent = read({ ...done, message: { role: 'assistant', tool_calls: calls }, finish_reason: 'TOOL_CALL' });
    expect(silent).toMatchObject({ body: { choices: [{ message: { content: null, tool_calls: calls } }] } });
    expect(read({ ...done, message: { role: 'assistant', content: [] } })).toMatchObject({
      body: { choices: [{ message: { role: 'assistant', content: '' } }] },
    });
  });

  it('gives log probabilities of pieces', () => {
    const logprobs = [{ text: 'é', token_ids: [1, 2], logprobs: [-0.5, -0.25] }, { token_ids: [3] }];
    expect(read({ ...done, logprobs })).toMatchObject({
      body: {
        choices: [
          {
            logprobs: {
              content: [
                { token: 'é', logprob: -0.75, bytes: [0xc3, 0xa9], top_logprobs: [] },
                { token: '', logprob: 0, bytes: [], top_logprobs: [] },
              ],
              refusal: null,
            },
          },
        ],
      },
    });
    expect(read({ ...done, logprobs: null })).toMatchObject({ body: { choices: [{ logprobs: null }] } });
  });
});

describe('what Cohere streams', () => {
  const open = (headers = {}) => {
    const reader = helperOf('chat').openStream?.(
      aRequest('chat', { messages: hello, stream: true }),
      aTarget(cohere),
      headers,
    );
    if (reader === undefined) return expect.unreachable('it streams');
    return reader;
  };
  const sse = (...list: object[]) => [Buffer.from(list.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''))];
  const text = (content: object, rest = {}) => ({ type: 'content-delta', delta: { message: { content } }, ...rest });
  const end = (delta: object) => ({ type: 'message-end', delta });
  const parsed = (data: readonly string[]) => data.map((chunk) => JSON.parse(chunk));

  it('becomes chunks: the role first, then the pieces, then the reason', () => {
    const reader = open({ date: 'Tue, 15 Nov 1994 08:12:31 GMT' });
    const usage = { billed_units: { input_tokens: 1, output_tokens: 2 } };
    const { data } = replay(
      reader,
      sse(
        { type: 'message-start', id: 'm1' },
        text({ text: 'A' }),
        text({ thinking: 'B' }),
        text({ text: '' }),
        end({ finish_reason: 'COMPLETE', usage }),
        text({ text: 'late' }),
      ),
    );
    const head = { id: 'm1', object: 'chat.completion.chunk', created: 784887151, model: 'vendor/model-1' };
    const chunk = (delta: object, finish_reason: string | null = null) => ({
      ...head,
      choices: [{ index: 0, delta, finish_reason }],
    });
    expect(parsed(data)).toEqual([
      chunk({ role: 'assistant', content: '' }),
      chunk({ content: 'A' }),
      chunk({ reasoning_content: 'B' }),
      chunk({}, 'stop'),
    ]);
    expect(reader.identity()).toEqual({ id: 'm1', created: 784887151, model: 'vendor/model-1' });
    expect(JSON.parse(reader.usageChunk() ?? '')).toEqual({
      ...head,
      choices: [],
      usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3, ...usage },
    });
  });

  it('opens with the role even where the start is missing, and has text that came with the start of a part', () => {
    const start = { type: 'content-start', index: 0, delta: { message: { content: { type: 'text', text: 'A' } } } };
    const { data } = replay(open(), sse(start, { type: 'message-start', id: 'late' }));
    expect(parsed(data).map((chunk) => chunk.choices[0].delta)).toEqual([{ role: 'assistant', content: 'A' }]);
  });

  it('numbers tool calls from 0, and has citations and log probabilities', () => {
    const call = (type: string, index: number, tool_calls: object) => ({
      type,
      index,
      delta: { message: { tool_calls } },
    });
    const { data } = replay(
      open(),
      sse(
        { type: 'tool-plan-delta', delta: { message: { tool_plan: 'plan' } } },
        call('tool-call-start', 3, { id: 'a', type: 'function', function: { name: 'f', arguments: '' } }),
        call('tool-call-start', 4, { id: 'b', type: 'function', function: { name: 'g', arguments: '' } }),
        call('tool-call-delta', 3, { function: { arguments: '{' } }),
        { type: 'tool-call-delta', index: 3, delta: {} },
        { type: 'citation-start', delta: { message: { citations: { start: 1 } } } },
        { type: 'citation-start', delta: {} },
        text({ text: 'A' }, { logprobs: { text: 'A', token_ids: [1], logprobs: [-1] } }),
        text({ text: 'B' }, { logprobs: null }),
        { type: 'debug', prompt: 'x' },
        { type: 'content-delta', delta: { message: {} } },
      ),
    );
    expect(parsed(data).map((chunk) => chunk.choices[0])).toMatchObject([
      { delta: { role: 'assistant', content: 'plan' } },
      { delta: { tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } }] } },
      { delta: { tool_calls: [{ index: 1, id: 'b' }] } },
      { delta: { tool_calls: [{ index: 0, function: { arguments: '{' } }] } },
      { delta: { citations: [{ start: 1 }] } },
      { delta: { content: 'A' }, logprobs: { content: [{ token: 'A', logprob: -1 }] } },
      { delta: { content: 'B' } },
    ]);
    expect(parsed(data).at(-1).choices[0]).not.toHaveProperty('logprobs');
  });

  it.each([
    [end({ finish_reason: 'ERROR', error: 'it broke' }), 'it broke'],
    [end({ finish_reason: 'COMPLETE', error: 'it broke' }), 'it broke'],
    [end({}), 'the generation ended with null'],
    [{ message: 'internal' }, 'internal'],
  ])('is broken by %j', (event, message) => {
    const reader = open();
    expect(replay(reader, sse(text({ text: 'A' }), event)).fault).toBe(message);
    expect(reader.isFinished()).toBe(false);
  });

  it('says what a failed end used', () => {
    const reader = open();
    replay(reader, sse(end({ finish_reason: 'ERROR', usage: { billed_units: { input_tokens: 4 } } })));
    expect(reader.usage()?.counts).toEqual(counts({ input: 4 }));
  });

  it('is broken by what is no JSON, but not by what the end cut off or an end mark', () => {
    expect(replay(open(), [Buffer.from('data: nonsense\n\n')]).fault).toMatch('no JSON object');
    expect(replay(open(), [Buffer.from('data: {"type":"content-de')]).fault).toBeNull();
    const marked = [...sse(end({ finish_reason: 'COMPLETE' })), Buffer.from('data: [DONE]\n\n')];
    expect(replay(open(), marked).fault).toBeNull();
    expect(replay(open(), [Buffer.from('data:\n\n')]).fault).toBeNull();
  });
});

describe('embeddings of Cohere', () => {
  const image = 'data:image/png;base64,AAAA';

  it('has inputs as texts, images, or both', () => {
    expect(sent('embedding', { input: 'a' })).toEqual({
      model: 'vendor/model-1',
      texts: ['a'],
      input_type: 'search_document',
      embedding_types: ['float'],
    });
    expect(sent('embedding', { input: [image] })).toMatchObject({ images: [image], input_type: 'image' });
    expect(sent('embedding', { input: ['a', image] })).toMatchObject({
      inputs: [
        { content: [{ type: 'text', text: 'a' }] },
        { content: [{ type: 'image_url', image_url: { url: image } }] },
      ],
      input_type: 'search_document',
    });
  });

  it('takes what kind of input it is from the request, or else from the config', () => {
    const extraBody = { input_type: 'search_query', truncate: 'START' };
    expect(sent('embedding', { input: 'a' }, { extraBody })).toMatchObject(extraBody);
    expect(sent('embedding', { input: 'a', input_type: 'clustering' }, { extraBody })['input_type']).toBe('clustering');
    expect(sent('embedding', { input: [image], input_type: 'search_query' })['input_type']).toBe('search_query');
    expect(sent('embedding', { input: 'a', dimensions: 512 })['output_dimension']).toBe(512);
    expect(sent('embedding', { input: 'a', dimensions: 512, output_dimension: 256 })['output_dimension']).toBe(256);
    expect(sent('embedding', { input: 'a', embedding_types: ['int8'] })['embedding_types']).toEqual(['int8']);
    expect(sent('embedding', { input: 'a', encoding_format: 'base64' })['embedding_types']).toEqual(['float']);
  });

  it.each([
    ['input', { input: [1, 2] }],
    ['input', { input: [[1], [2]] }],
    ['embedding_types', { input: 'a', embedding_types: ['float', 'int8'] }],
    ['embedding_types', { input: 'a', embedding_types: 'float' }],
    ['encoding_format', { input: 'a', encoding_format: 'int8' }],
  ])('refuses %s in %j', (param, body) => {
    expect(refusal('embedding', body)).toMatchObject({ code: 'invalid_request', param });
  });

  const readEmbedding = (body: string, request: object) => {
    const outcome = finished(
      helperOf('embedding').getResponse(answerOf(body), aRequest('embedding', request), aTarget(cohere)),
    );
    return outcome.ok ? { ...outcome, text: answerTextOf(outcome.answer.body) } : outcome;
  };
  const answer = (embeddings: string, meta = '') => `{"id":"e","embeddings":${embeddings}${meta}}`;

  it('gives vectors in the format that was asked for, numbers as they were written', () => {
    expect(readEmbedding(answer('{"float":[[0.10,1E0]]}'), { input: 'a' })).toMatchObject({
      text: '{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10,1E0]}],"model":"vendor/model-1"}',
      answer: { usage: null },
    });
    const base64 = '"AAAAPwAAgL8="';
    expect(readEmbedding(answer('{"float":[[0.5,-1]]}'), { input: 'a', encoding_format: 'base64' })).toMatchObject({
      text: expect.stringContaining(`"embedding":${base64}`),
    });
    expect(readEmbedding(answer(`{"base64":[${base64}]}`), { input: 'a' })).toMatchObject({
      text: expect.stringContaining('"embedding":[0.5,-1]'),
    });
    expect(readEmbedding(answer('{"float":null,"int8":[[1,-2]]}'), { input: 'a' })).toMatchObject({
      text: expect.stringContaining('"embedding":[1,-2]'),
    });
  });

  it.each([
    ['{"float":[[1]]}', ['a', 'b']],
    ['{"float":null}', ['a']],
    ['[[1]]', ['a']],
  ])('takes %s for malformed', (embeddings, input) => {
    const outcome = readEmbedding(answer(embeddings, ',"meta":{"billed_units":{"input_tokens":5}}'), { input });
    expect(outcome).toMatchObject({ ok: false, fault: { kind: 'malformed' }, usage: { counts: counts({ input: 5 }) } });
  });

  it.each([
    ['{"input_tokens":5}', { input: 5 }],
    ['{"images":1}', { input: 0, images: 1 }],
    ['{"images":0,"input_tokens":5}', { input: 5, images: 0 }],
    ['{"input_tokens":5,"image_tokens":700}', { input: 5, images: 1 }],
    ['{"input_tokens":5,"image_tokens":0}', { input: 5, images: 0 }],
  ])('is billed %s', (billed, known) => {
    const outcome = readEmbedding(answer('{"float":[[1],[2]]}', `,"meta":{"billed_units":${billed}}`), {
      input: ['a', image],
    });
    expect(outcome).toMatchObject({ answer: { usage: { counts: counts(known) } } });
  });
});

describe('errors of Cohere', () => {
  const failure = (status: number, message: string): UpstreamFailure =>
    failureFromStatus({
      status,
      headers: {},
      body: Buffer.from(JSON.stringify({ id: 'x', message })),
      secrets: [],
      now: 0,
    });

  it('leave a trial key alone once its month is used up', () => {
    const message = 'You are using a Trial key, which is limited to 1000 API calls / month. Contact us';
    expect(cohere.classify?.(failure(429, message))).toEqual({
      action: 'rotate-key',
      cooldownMs: DISABLED_KEY_MS,
      disable: true,
    });
    expect(cohere.classify?.(failure(429, 'You are using a Trial key, limited to 10 calls / minute'))).toBeUndefined();
    expect(cohere.classify?.(failure(400, message))).toBeUndefined();
  });

  it('are read as what they say', () => {
    const tooLong = failure(400, 'too many tokens: total number of tokens in the prompt cannot exceed 4081');
    expect(isContextLength(tooLong)).toBe(true);
    expect(failure(401, 'invalid api token')).toMatchObject({ status: 401, message: 'invalid api token' });
  });
});
