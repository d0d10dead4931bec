import { describe, expect, it } from 'vitest';
import type { UpstreamFailure } from '../../../src/domain/failure.js';
import type { AnswerOutcome, StreamReader, TaskHelper } from '../../../src/domain/provider.js';
import { noCounts } from '../../../src/domain/usage.js';
import { claude } from '../../../src/providers/anthropic/adapter.js';
import { aRequest, aTarget, replay } from '../../conformance/adapters.js';
import { blockDelta, blockStart, blockStop, claudeSse, claudeStart, messageDelta } from '../../conformance/claude.js';
import { finished } from '../../support/finished.js';

const chat = claude.tasks.chat as TaskHelper;
const MODEL = 'claude-sonnet-5-5';
const DATE = 'Fri, 20 Nov 2026 12:00:00 GMT';
const SECONDS = Date.parse(DATE) / 1000;
const target = aTarget(claude, { providerModel: MODEL });
const request = aRequest('chat', { messages: [{ role: 'user', content: 'hi' }] });

function read(message: object | string, headers: Record<string, string> = {}): AnswerOutcome {
  const text = typeof message === 'string' ? message : JSON.stringify({ id: 'msg_1', type: 'message', ...message });
  return finished(chat.getResponse({ status: 200, headers, body: Buffer.from(text) }, request, target));
}

function completion(message: object | string, headers: Record<string, string> = {}) {
  const outcome = read(message, headers);
  if (!outcome.ok) return expect.unreachable(outcome.fault.message);
  const body = JSON.parse(outcome.answer.body as string) as {
    [key: string]: unknown;
    choices: [{ finish_reason: string; message: { [key: string]: unknown } }];
  };
  return { ...outcome.answer, body, message: body.choices[0].message, finish: body.choices[0].finish_reason };
}

const text = (value: string) => ({ type: 'text', text: value });

/** Each reason to stop, and what it is in OpenAI's words. */
const REASONS: ReadonlyArray<readonly [string, string]> = [
  ['end_turn', 'stop'],
  ['stop_sequence', 'stop'],
  ['max_tokens', 'length'],
  ['model_context_window_exceeded', 'length'],
  ['pause_turn', 'length'],
  ['tool_use', 'tool_calls'],
  ['refusal', 'content_filter'],
  ['something_new', 'stop'],
  ['toString', 'stop'],
];

describe('a whole answer', () => {
  it('was created when the provider says it was answered', () => {
    expect(completion({ content: [] }, { date: DATE }).body['created']).toBe(SECONDS);
    expect(completion({ content: [] }, { date: 'soon' }).body['created']).toBe(0);
  });

  it('has the name of the model that was asked where it has none', () => {
    expect(completion({ content: [] }).body['model']).toBe(MODEL);
    expect(completion('{"content":[]}').body['id']).toBe('');
  });

  it.each(REASONS)('that stopped for %s finished for %s', (reason, expected) => {
    expect(completion({ content: [], stop_reason: reason }).finish).toBe(expected);
  });

  it('may be empty', () => {
    const { message, outputTexts } = completion({ content: [], stop_reason: 'end_turn' });
    expect(message).toEqual({ role: 'assistant', content: '', refusal: null });
    expect(outputTexts()).toEqual([]);
  });

  it('says why the model refused', () => {
    const refused = { content: [], stop_reason: 'refusal' };
    expect(completion({ ...refused, stop_details: { explanation: 'cyber' } }).message['refusal']).toBe('cyber');
    expect(completion({ ...refused, stop_details: { explanation: null } }).message['refusal']).toBeNull();
    expect(completion({ ...refused, stop_details: null }).message['refusal']).toBeNull();
  });

  it('has text beside its calls, several of them, and leaves out what has no place', () => {
    const { message } = completion({
      content: [
        text('a'),
        { type: 'server_tool_use', id: 's', name: 'web_search', input: { query: 'x' } },
        { type: 'web_search_tool_result', tool_use_id: 's', content: [] },
        null,
        { type: 'text' },
        { type: 'thinking' },
        { type: 'tool_use', id: 't1', name: 'f', input: { a: 1 } },
        { type: 'tool_use', id: 't2', name: 'g' },
      ],
    });
    expect(message).toEqual({
      role: 'assistant',
      content: 'a',
      refusal: null,
      tool_calls: [
        { id: 't1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
        { id: 't2', type: 'function', function: { name: 'g', arguments: '{}' } },
      ],
    });
  });

  it('says of its thinking where it stood', () => {
    const thinking = { type: 'thinking', thinking: 'x', signature: 's' };
    const call = { type: 'tool_use', id: 't', name: 'f', input: {} };
    const { message } = completion({
      content: [
        thinking,
        { type: 'redacted_thinking', data: 'd' },
        text('ab'),
        { type: 'thinking', thinking: 'y' },
        call,
        { type: 'redacted_thinking' },
      ],
    });
    expect(message['reasoning_content']).toBe('xy');
    expect(message['thinking_blocks']).toEqual([
      { ...thinking, model: MODEL },
      { type: 'redacted_thinking', data: 'd', model: MODEL },
      { type: 'thinking', thinking: 'y', signature: '', model: MODEL, after: { content: 2, tool_calls: 0 } },
      { type: 'redacted_thinking', data: '', model: MODEL, after: { content: 2, tool_calls: 1 } },
    ]);
  });

  it('gives back what it gave, block for block', () => {
    const content = [
      { type: 'thinking', thinking: 'x', signature: 's1' },
      text('ab'),
      { type: 'thinking', thinking: '', signature: 's2' },
      text('c'),
      { type: 'redacted_thinking', data: 'd' },
      { type: 'tool_use', id: 't', name: 'f', input: { n: 1 } },
    ];
    const { message } = completion({ content });
    const again = aRequest('chat', { messages: [{ role: 'user', content: 'hi' }, message] });
    const sent = JSON.parse(chat.preparePayload(again, target).body as string) as {
      messages: Array<{ content: unknown }>;
    };
    expect(sent.messages[1]?.content).toEqual(content);
  });

  it('with omitted thinking has nothing to read, and all to give back', () => {
    const { message } = completion({ content: [{ type: 'thinking', thinking: '', signature: 's' }, text('a')] });
    expect(message).not.toHaveProperty('reasoning_content');
    expect(message['thinking_blocks']).toHaveLength(1);
  });

  it.each([
    ['{"type":"message","content":"text"}', /no content/],
    ['[]', /something else than JSON/],
    ['', /nothing/],
  ])('%s is malformed', (body, message) => {
    const outcome = read(body);
    expect(outcome).toMatchObject({ ok: false, fault: { kind: 'malformed', message: expect.stringMatching(message) } });
  });

  it('that is an error is that error, and costs what it says was used', () => {
    const error = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } };
    expect(read({ ...error, usage: { input_tokens: 3 } })).toMatchObject({
      ok: false,
      fault: { kind: 'status', status: 529, type: 'overloaded_error', message: 'Overloaded' },
      usage: { counts: { input: 3 } },
    });
  });
});

describe('usage', () => {
  const counted = (usage: unknown) => {
    const { usage: report, body } = completion({ content: [], usage });
    return { counts: report?.counts, problems: report?.problems, told: body['usage'] };
  };

  it('has classes that do not overlap, and OpenAI’s totals', () => {
    const { counts, problems, told } = counted({
      input_tokens: 10,
      cache_creation_input_tokens: 20,
      cache_read_input_tokens: 30,
      output_tokens: 40,
      output_tokens_details: { thinking_tokens: 15 },
    });
    expect(counts).toEqual({ ...noCounts(), input: 10, cachedInput: 30, cacheWrite: 20, output: 25, reasoning: 15 });
    expect(problems).toEqual([]);
    expect(told).toEqual({
      prompt_tokens: 60,
      completion_tokens: 40,
      total_tokens: 100,
      prompt_tokens_details: { cached_tokens: 30, cache_write_tokens: 20 },
      completion_tokens_details: { reasoning_tokens: 15 },
    });
  });

  it('is null where it is absent, and zero where it is zero', () => {
    const { counts, told } = counted({ input_tokens: 0, cache_read_input_tokens: null, output_tokens: 0 });
    expect(counts).toEqual({ ...noCounts(), input: 0, output: 0 });
    expect(told).toEqual({ prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 });
    expect(counted({ output_tokens: 4 }).told).toEqual({ completion_tokens: 4 });
    expect(counted({ input_tokens: 4, cache_read_input_tokens: 1 }).told).toEqual({
      prompt_tokens: 5,
      prompt_tokens_details: { cached_tokens: 1 },
    });
    for (const none of [undefined, null, 'x', [], {}]) expect(counted(none)).toEqual({});
  });

  it('names what is no count', () => {
    expect(
      counted({ input_tokens: -1, output_tokens: 3, output_tokens_details: { thinking_tokens: 4 } }),
    ).toMatchObject({
      counts: { input: null, output: 3, reasoning: null },
      problems: ['input_tokens', 'thinking_tokens'],
    });
    expect(counted({ output_tokens_details: { thinking_tokens: 4 } }).counts).toBeUndefined();
    expect(counted({ input_tokens: 1.5 }).problems).toEqual(['input_tokens']);
  });
});

describe('a stream', () => {
  type Delta = { [key: string]: unknown };
  interface Chunk {
    id: string;
    created: number;
    model: string;
    object: string;
    choices: [{ index: number; delta: Delta; finish_reason: string | null }];
  }

  function stream(...events: Array<{ type: string; [key: string]: unknown }>) {
    const reader = chat.openStream?.(request, target, { date: DATE }) as StreamReader;
    const seen = replay(reader, [Buffer.from(claudeSse(...events))]);
    const chunks = seen.data.map((data) => JSON.parse(data) as Chunk);
    return { ...seen, reader, chunks, deltas: chunks.map(({ choices: [choice] }) => choice.delta) };
  }

  const start = claudeStart({ input_tokens: 5, output_tokens: 1 });

  it('has its identity on every chunk', () => {
    const { chunks, reader } = stream(start, blockStart(0, text('a')), messageDelta('end_turn', { output_tokens: 2 }));
    expect(chunks).toEqual([
      {
        id: 'msg_1',
        object: 'chat.completion.chunk',
        created: SECONDS,
        model: 'claude-x-1',
        choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }],
      },
      expect.objectContaining({ choices: [{ index: 0, delta: { content: 'a' }, finish_reason: null }] }),
      expect.objectContaining({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
    ]);
    expect(reader.identity()).toEqual({ id: 'msg_1', created: SECONDS, model: 'claude-x-1' });
    expect(reader.isFinished()).toBe(true);
    expect(JSON.parse(reader.usageChunk() as string)).toEqual({
      id: 'msg_1',
      object: 'chat.completion.chunk',
      created: SECONDS,
      model: 'claude-x-1',
      choices: [],
      usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
    });
  });

  it('goes without a first event, and without a date', () => {
    const reader = chat.openStream?.(request, target) as StreamReader;
    const { data } = replay(reader, [Buffer.from(claudeSse(blockStart(0, text('a'))))]);
    expect(JSON.parse(data[0] as string)).toMatchObject({ id: '', created: 0, model: MODEL });
    expect(reader.usage()).toBeNull();
    expect(reader.usageChunk()).toBeNull();
    expect(reader.outputTexts()).toEqual(['a']);
  });

  it('has no content before the first of the text, the thinking, a call or the end', () => {
    const reader = chat.openStream?.(request, target) as StreamReader;
    const steps = [start, blockStart(0, text('')), blockDelta(0, { type: 'text_delta', text: '' })].map((event) =>
      reader.read({ name: event.type, data: JSON.stringify(event) }),
    );
    expect(steps).toEqual([
      expect.objectContaining({ kind: 'chunk', content: false }),
      { kind: 'nothing' },
      { kind: 'nothing' },
    ]);
    expect(stream(start, blockStart(0, { type: 'thinking', thinking: '', signature: '' })).content).toBe(true);
    expect(stream(start, blockStart(0, { type: 'redacted_thinking', data: 'd' })).content).toBe(true);
    expect(stream(start, blockStart(0, { type: 'tool_use', id: 't', name: 'f' })).content).toBe(true);
    expect(stream(start, messageDelta('end_turn', {})).content).toBe(true);
  });

  it('numbers its calls, and gives one without arguments an empty object', () => {
    const { deltas, reader } = stream(
      start,
      blockStart(0, text('a')),
      blockStop(0),
      blockStart(1, { type: 'tool_use', id: 't1', name: 'f', input: {} }),
      blockDelta(1, { type: 'input_json_delta', partial_json: '' }),
      blockStop(1),
      blockStart(2, { type: 'tool_use', id: 't2', name: 'g', input: {} }),
      blockDelta(2, { type: 'input_json_delta', partial_json: '{"a"' }),
      blockDelta(2, { type: 'input_json_delta', partial_json: ':1}' }),
      blockStop(2),
      messageDelta('tool_use', {}),
    );
    expect(deltas.slice(2)).toEqual([
      { tool_calls: [{ index: 0, id: 't1', type: 'function', function: { name: 'f', arguments: '' } }] },
      { tool_calls: [{ index: 0, function: { arguments: '{}' } }] },
      { tool_calls: [{ index: 1, id: 't2', type: 'function', function: { name: 'g', arguments: '' } }] },
      { tool_calls: [{ index: 1, function: { arguments: '{"a"' } }] },
      { tool_calls: [{ index: 1, function: { arguments: ':1}' } }] },
      {},
    ]);
    expect(reader.outputTexts()).toEqual(['af{}g{"a":1}']);
  });

  it('gives its thinking to read as it comes, and whole and signed at the end', () => {
    const { deltas } = stream(
      start,
      blockStart(0, { type: 'thinking', thinking: '', signature: '' }),
      blockDelta(0, { type: 'thinking_delta', thinking: 'x' }),
      blockDelta(0, { type: 'thinking_delta', thinking: '' }),
      blockDelta(0, { type: 'thinking_delta', thinking: 'y' }),
      blockDelta(0, { type: 'signature_delta', signature: 's1' }),
      blockStop(0),
      blockStart(1, { type: 'redacted_thinking', data: 'd' }),
      blockStop(1),
      blockStart(2, text('ab')),
      blockDelta(2, { type: 'citations_delta', citation: {} }),
      blockDelta(2, { type: 'signature_delta', signature: 'nobody’s' }),
      blockDelta(2, { type: 'thinking_delta', thinking: 'nobody’s' }),
      blockDelta(2, { type: 'input_json_delta', partial_json: 'nobody’s' }),
      blockStop(2),
      blockStart(3, { type: 'tool_use', id: 't', name: 'f', input: {} }),
      blockStop(3),
      blockStart(4, { type: 'thinking', thinking: 'z', signature: 's2' }),
      blockStop(4),
      messageDelta('end_turn', {}),
    );
    expect(deltas.map((delta) => delta['reasoning_content'] ?? '').join('')).toBe('xyz');
    expect(deltas.at(-1)).toEqual({
      thinking_blocks: [
        { type: 'thinking', thinking: 'xy', signature: 's1', model: MODEL },
        { type: 'redacted_thinking', data: 'd', model: MODEL },
        { type: 'thinking', thinking: 'z', signature: 's2', model: MODEL, after: { content: 2, tool_calls: 1 } },
      ],
    });
  });

  it.each(REASONS)('that stopped for %s finished for %s', (reason, expected) => {
    const { chunks, reader } = stream(start, messageDelta(reason, {}));
    expect(chunks.at(-1)?.choices[0].finish_reason).toBe(expected);
    expect(reader.isFinished()).toBe(true);
  });

  it('says why the model refused', () => {
    const { deltas } = stream(start, messageDelta('refusal', {}, { stop_details: { explanation: 'cyber' } }));
    expect(deltas.at(-1)).toEqual({ refusal: 'cyber' });
  });

  it('is finished by its end mark too, and by nothing less', () => {
    const { reader } = stream(
      start,
      blockStart(0, text('a')),
      blockStop(0),
      messageDelta(null as never, { output_tokens: 3 }),
    );
    expect(reader.isFinished()).toBe(false);
    expect(reader.usage()?.counts).toMatchObject({ output: 3 });
    expect(reader.read({ name: null, data: '{"type":"message_stop"}' })).toEqual({ kind: 'done' });
    expect(reader.isFinished()).toBe(true);
  });

  it('knows of its usage only the input until the end says more', () => {
    const usage = {
      input_tokens: 5,
      cache_read_input_tokens: 7,
      output_tokens: 1,
      output_tokens_details: { thinking_tokens: 1 },
    };
    const { reader } = stream(claudeStart(usage), blockStart(0, text('a')));
    expect(reader.usage()?.counts).toEqual({ ...noCounts(), input: 5, cachedInput: 7 });
  });

  it('forgets what its beginning said of the output', () => {
    const usage = { output_tokens: 1, output_tokens_details: { thinking_tokens: 1 } };
    const { reader } = stream(claudeStart(usage), messageDelta('end_turn', { output_tokens: 20 }));
    expect(reader.usage()?.counts).toEqual({ ...noCounts(), output: 20 });
  });

  it('takes later figures for the earlier ones, which they include', () => {
    const later = { input_tokens: 8, cache_read_input_tokens: null, output_tokens: 20 };
    const { reader } = stream(
      claudeStart({ input_tokens: 5, cache_read_input_tokens: 7, output_tokens: 1 }),
      messageDelta(null as never, { output_tokens: 2 }),
      messageDelta('end_turn', later),
    );
    expect(reader.usage()?.counts).toEqual({ ...noCounts(), input: 8, cachedInput: 7, output: 20 });
  });

  it('has usage at its end alone, where it began without', () => {
    const { reader } = stream(messageDelta('end_turn', { input_tokens: 1, output_tokens: 2 }));
    expect(reader.usage()?.counts).toEqual({ ...noCounts(), input: 1, output: 2 });
  });

  it('makes nothing of what it does not know', () => {
    const { data, fault } = stream(
      { type: 'ping' },
      { type: 'something_new', index: 0 },
      { type: 'message_start', message: 5 },
      { type: 'content_block_start', index: 0 },
      { type: 'content_block_delta', index: 7, delta: { type: 'text_delta', text: 'x' } },
      { type: 'content_block_stop', index: 7 },
      blockStart(1, { type: 'server_tool_use', id: 's', name: 'web_search', input: {} }),
      blockDelta(1, { type: 'input_json_delta', partial_json: '{"query":' }),
      blockStop(1),
      blockStart(2, { type: 'text' }),
      { type: 'content_block_delta', index: 2, delta: null },
      { type: 'content_block_delta', index: 2, delta: { type: 'new_delta' } },
      { type: 'message_delta', delta: 5 },
    );
    expect(data).toEqual([]);
    expect(fault).toBeNull();
    const reader = chat.openStream?.(request, target) as StreamReader;
    expect(reader.read({ name: null, data: '  ' })).toEqual({ kind: 'nothing' });
  });

  it.each([
    ['overloaded_error', 529],
    ['rate_limit_error', 429],
    ['invalid_request_error', 400],
    ['api_error', 500],
  ])('that breaks with %s is that error: %s', (type, status) => {
    const reader = chat.openStream?.(request, target) as StreamReader;
    const data = JSON.stringify({ type: 'error', error: { type, message: 'no' } });
    expect(reader.read({ name: 'error', data })).toEqual({
      kind: 'fault',
      fault: expect.objectContaining({ kind: 'status', status, type, message: 'no' }),
    });
  });

  it('with an event that is no JSON is malformed, unless all was said or it was cut', () => {
    const reader = chat.openStream?.(request, target) as StreamReader;
    expect(reader.read({ name: null, data: '{"type":', unterminated: true })).toEqual({ kind: 'nothing' });
    for (const data of ['{"type":', '[1]']) {
      expect(reader.read({ name: null, data })).toMatchObject({ kind: 'fault', fault: { kind: 'malformed' } });
    }
    reader.read({ name: null, data: JSON.stringify(messageDelta('end_turn', {})) });
    expect(reader.read({ name: null, data: '{"type":' })).toEqual({ kind: 'nothing' });
  });
});

describe('failures', () => {
  const failure = (status: number, rest: Partial<UpstreamFailure>): UpstreamFailure => ({
    kind: 'status',
    status,
    code: null,
    param: null,
    type: null,
    message: 'no',
    retryAfterMs: null,
    loadingMs: null,
    shouldRetry: null,
    sent: true,
    ...rest,
  });

  it.each([
    [400, { message: 'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing' }],
    [400, { message: 'You have reached your specified API usage limits. You will regain access on 2026-12-01' }],
    [400, { message: 'This request would exceed the workspace’s monthly spend limit' }],
    [429, { code: 'enforced_spend_limit_reached' }],
    [429, { code: 'contract_spend_limit_reached' }],
    [400, { code: 'linked_organization_spend_limit_reached' }],
  ])('%i with %j is of the key, not of the request', (status, rest) => {
    expect(claude.classify?.(failure(status, rest))).toEqual({
      action: 'rotate-key',
      cooldownMs: 3_600_000,
      disable: true,
    });
  });

  it.each([
    [400, { message: 'messages: roles must alternate' }],
    [429, { code: 'ramp_limit_exceeded', message: 'spend limit' }],
    [500, { message: 'spend limit' }],
    [529, { type: 'overloaded_error' }],
  ])('%i with %j is left to the table', (status, rest) => {
    expect(claude.classify?.(failure(status, rest))).toBeUndefined();
  });
});
