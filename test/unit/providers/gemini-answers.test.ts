import { describe, expect, it } from 'vitest';
import type { StreamReader, TaskHelper, UpstreamTarget } from '../../../src/domain/provider.js';
import type { UsageCounts } from '../../../src/domain/usage.js';
import { gemini } from '../../../src/providers/gemini/adapter.js';
import { readUsage } from '../../../src/providers/gemini/usage.js';
import { answerOf, aRequest, aTarget, counts, replay } from '../../conformance/adapters.js';
import { answerTextOf } from '../../support/answer-text.js';
import { finished } from '../../support/finished.js';

const chat = gemini.tasks.chat as TaskHelper;
const REQUEST = { messages: [{ role: 'user', content: 'hi' }] };
const target = (overrides: Partial<UpstreamTarget> = {}) =>
  aTarget(gemini, { providerModel: 'gemini-x', ...overrides });

function outcomeOf(answer: object) {
  return finished(chat.getResponse(answerOf(JSON.stringify(answer)), aRequest('chat', REQUEST), target()));
}

function read(answer: object) {
  const outcome = outcomeOf(answer);
  if (!outcome.ok) expect.unreachable(outcome.fault.message);
  return JSON.parse(answerTextOf(outcome.answer.body));
}

function candidate(parts: object[], rest: object = { finishReason: 'STOP' }) {
  return { content: { role: 'model', parts }, ...rest };
}

function openStream(request: object = {}): StreamReader {
  const ask = aRequest('chat', { ...REQUEST, stream: true, ...request });
  return (chat.openStream as NonNullable<TaskHelper['openStream']>)(ask, target());
}

function stream(reader: StreamReader, ...events: object[]) {
  const text = events.map((event) => `data: ${JSON.stringify(event)}\r\n\r\n`).join('');
  const { data, fault } = replay(reader, [Buffer.from(text)]);
  return { chunks: data.map((chunk) => JSON.parse(chunk)), fault };
}

describe('finish reasons', () => {
  it.each<readonly [string | undefined, string]>([
    ['STOP', 'stop'],
    ['MAX_TOKENS', 'length'],
    ['SOMETHING_NEW', 'stop'],
    [undefined, 'stop'],
    ...[
      ...['SAFETY', 'RECITATION', 'LANGUAGE', 'BLOCKLIST', 'PROHIBITED_CONTENT', 'SPII', 'OTHER', 'ESCALATION'],
      ...['IMAGE_SAFETY', 'IMAGE_PROHIBITED_CONTENT', 'IMAGE_RECITATION', 'IMAGE_OTHER', 'NO_IMAGE', 'MODEL_ARMOR'],
    ].map((reason) => [reason, 'content_filter'] as const),
  ])('%s is %s, whole and streamed', (finishReason, expected) => {
    const answer = { candidates: [candidate([{ text: 'a' }], { finishReason })] };
    expect(read(answer).choices[0].finish_reason).toBe(expected);
    const reader = openStream();
    const { chunks } = stream(reader, answer);
    expect(chunks[0].choices[0].finish_reason).toBe(finishReason === undefined ? null : expected);
    expect(reader.isFinished()).toBe(finishReason !== undefined);
  });

  it('FINISH_REASON_UNSPECIFIED and an empty one are none', () => {
    for (const finishReason of ['FINISH_REASON_UNSPECIFIED', '']) {
      const reader = openStream();
      stream(reader, { candidates: [candidate([{ text: 'a' }], { finishReason })] });
      expect(reader.isFinished()).toBe(false);
    }
  });

  it.each(['MALFORMED_FUNCTION_CALL', 'UNEXPECTED_TOOL_CALL', 'TOO_MANY_TOOL_CALLS', 'MALFORMED_RESPONSE'])(
    '%s is no answer, and costs what it used',
    (finishReason) => {
      const answer = {
        candidates: [candidate([{ text: 'a' }]), { finishReason, finishMessage: 'call:f(' }],
        usageMetadata: { promptTokenCount: 3 },
      };
      const outcome = outcomeOf(answer);
      const message = `the model’s answer ended with ${finishReason}: call:f(`;
      expect(outcome).toMatchObject({ ok: false, fault: { kind: 'malformed', code: finishReason, message } });
      expect(outcome.ok ? null : outcome.usage?.counts.input).toBe(3);
      const reader = openStream();
      expect(stream(reader, answer).fault).toBe(message);
      expect(reader.usage()?.counts.input).toBe(3);
    },
  );

  it('MISSING_THOUGHT_SIGNATURE is the request’s mistake', () => {
    expect(outcomeOf({ candidates: [{ finishReason: 'MISSING_THOUGHT_SIGNATURE' }] })).toMatchObject({
      ok: false,
      fault: {
        kind: 'status',
        status: 400,
        param: 'messages',
        message: expect.stringMatching(/MISSING_THOUGHT_SIGNATURE$/),
      },
    });
  });
});

describe('a whole answer', () => {
  it('has a null for content where there is none to expect', () => {
    const call = { functionCall: { name: 'f', args: { a: 1 } } };
    const content = (parts: object[], finishReason?: string) =>
      read({ candidates: [candidate(parts, { finishReason })] }).choices[0].message.content;
    expect(content([call], 'STOP')).toBeNull();
    expect(content([], 'SAFETY')).toBeNull();
    expect(content([{ text: 'a' }, call], 'STOP')).toBe('a');
    expect(content([], 'MAX_TOKENS')).toBe('');
    expect(read({ candidates: [{ finishReason: 'MAX_TOKENS' }] }).choices[0].message.content).toBe('');
    expect(read({ candidates: [candidate([call], {})] }).choices[0].finish_reason).toBe('tool_calls');
  });

  it('has a choice for each candidate, with ids of calls of its own', () => {
    const call = { functionCall: { name: 'f', args: null } };
    const { choices, id, model } = read({
      candidates: [candidate([{ text: 'a' }]), candidate([call, call]), { ...candidate([call]), index: 5 }],
    });
    expect(choices).toMatchObject([
      { index: 0, message: { content: 'a' } },
      { index: 1, message: { tool_calls: [{ id: 'call__1_0', function: { arguments: '{}' } }, { id: 'call__1_1' }] } },
      { index: 5, message: { tool_calls: [{ id: 'call__5_0' }] } },
    ]);
    expect({ id, model }).toEqual({ id: '', model: 'gemini-x' });
  });

  it('keeps arguments in their places where some calls have none', () => {
    const args = (value: unknown) => ({ functionCall: { name: 'f', args: value } });
    const { choices } = read({
      candidates: [candidate([{ functionCall: {} }, args({ a: 1 }), { text: '"functionCall"' }, args({ b: 2 })])],
    });
    expect(choices[0].message.tool_calls.map((call: { function: object }) => call.function)).toEqual([
      { name: '', arguments: '{}' },
      { name: 'f', arguments: '{"a":1}' },
      { name: 'f', arguments: '{"b":2}' },
    ]);
  });

  it('shows the images the model made, but not those of its thoughts', () => {
    const inlineData = { mimeType: 'image/png', data: 'AAAA' };
    const { message } = read({ candidates: [candidate([{ inlineData, thought: true }, { inlineData }])] }).choices[0];
    expect(message.images).toEqual([{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }]);
  });

  it('has the probabilities of its tokens', () => {
    const logprobsResult = {
      chosenCandidates: [{ token: 'é', tokenId: 1, logProbability: -0.5 }, { token: 'b' }],
      topCandidates: [
        {
          candidates: [
            { token: 'é', logProbability: -0.5 },
            { token: 'x', logProbability: -1 },
          ],
        },
      ],
    };
    const { logprobs } = read({ candidates: [candidate([], { logprobsResult, finishReason: 'STOP' })] }).choices[0];
    expect(logprobs).toEqual({
      content: [
        {
          ...{ token: 'é', logprob: -0.5, bytes: [0xc3, 0xa9] },
          top_logprobs: [
            { token: 'é', logprob: -0.5, bytes: [0xc3, 0xa9] },
            { token: 'x', logprob: -1, bytes: [120] },
          ],
        },
        { token: 'b', logprob: 0, bytes: [98], top_logprobs: [] },
      ],
      refusal: null,
    });
    const { chunks } = stream(openStream(), { candidates: [candidate([{ text: 'é' }], { logprobsResult })] });
    expect(chunks[0].choices[0].logprobs.content).toHaveLength(2);
  });

  it('whose prompt was blocked says so, as a filtered one', () => {
    const blocked = {
      promptFeedback: { blockReason: 'SAFETY', blockReasonMessage: 'so' },
      usageMetadata: { promptTokenCount: 4, totalTokenCount: 4 },
    };
    const refusal = 'The provider blocked the prompt: SAFETY (so)';
    expect(read(blocked)).toMatchObject({
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: null, refusal },
          logprobs: null,
          finish_reason: 'content_filter',
        },
      ],
      usage: { prompt_tokens: 4, completion_tokens: 0, total_tokens: 4 },
    });
    const outcome = outcomeOf({ promptFeedback: { blockReason: 'OTHER' } });
    expect(outcome.ok && outcome.answer.outputTexts()).toEqual([]);
    expect(outcome.ok && outcome.answer.usage).toBeNull();

    const reader = openStream({ n: 2 });
    const { chunks } = stream(reader, blocked);
    expect(chunks).toMatchObject([{ choices: [{ delta: { refusal }, finish_reason: 'content_filter' }] }]);
    expect(reader.isFinished()).toBe(true);
    expect(reader.outputTexts()).toEqual([]);
    expect(reader.usage()?.counts).toEqual(counts({ input: 4, output: 0 }));
  });

  it('without candidates is none, and one with feedback and candidates is an answer', () => {
    expect(outcomeOf({ candidates: [], promptFeedback: { blockReason: '' } })).toMatchObject({
      ok: false,
      fault: { kind: 'malformed', message: 'the provider’s answer has no candidates' },
    });
    expect(read({ candidates: [candidate([{ text: 'a' }])], promptFeedback: { blockReason: 'SAFETY' } })).toMatchObject(
      {
        choices: [{ message: { content: 'a' } }],
      },
    );
  });
});

it('was created when its header says', () => {
  const headers = { date: 'Sun, 01 Mar 2026 12:00:00 GMT' };
  const event = { candidates: [candidate([{ text: 'a' }])] };
  const ask = aRequest('chat', REQUEST);
  const whole = finished(chat.getResponse({ ...answerOf(JSON.stringify(event)), headers }, ask, target()));
  expect(whole.ok && JSON.parse(answerTextOf(whole.answer.body)).created).toBe(1_772_366_400);
  const reader = (chat.openStream as NonNullable<TaskHelper['openStream']>)(ask, target(), headers);
  expect(stream(reader, event).chunks[0].created).toBe(1_772_366_400);
  expect(reader.identity().created).toBe(1_772_366_400);
});

describe('a stream', () => {
  it('has the role once, numbers calls over its events, and ends when every choice has', () => {
    const call = { functionCall: { id: 'x', name: 'f', args: {} } };
    const reader = openStream({ n: 2 });
    const { chunks } = stream(
      reader,
      { candidates: [{ index: 0 }], responseId: 'r', modelVersion: 'v' },
      { candidates: [candidate([{ text: 'a', thought: true }], {})] },
      { candidates: [candidate([call, call], {}), { ...candidate([{ text: 'b' }]), index: 1 }] },
      { candidates: [candidate([{ functionCall: { name: 'g' } }], { finishReason: undefined })] },
    );
    expect(reader.isFinished()).toBe(false);
    expect(chunks.map(({ choices }) => choices)).toMatchObject([
      [{ index: 0, delta: { role: 'assistant', reasoning_content: 'a' }, finish_reason: null }],
      [
        { index: 0, delta: { tool_calls: [{ index: 0, id: 'x', type: 'function' }, { index: 1 }] } },
        { index: 1, delta: { role: 'assistant', content: 'b' }, finish_reason: 'stop' },
      ],
      [{ index: 0, delta: { tool_calls: [{ index: 2, id: 'call_r_0_2' }] } }],
    ]);
    expect(chunks[1].choices[0].delta).not.toHaveProperty('role');
    expect(chunks[0]).toMatchObject({ id: 'r', object: 'chat.completion.chunk', created: 0, model: 'v' });
    const last = stream(reader, { candidates: [{ finishReason: 'STOP' }] });
    expect(last.chunks[0].choices).toEqual([{ index: 0, delta: {}, logprobs: null, finish_reason: 'tool_calls' }]);
    expect(reader.isFinished()).toBe(true);
    expect(reader.identity()).toEqual({ id: 'r', created: 0, model: 'v' });
  });

  it('does not end while a choice beyond those asked for goes on', () => {
    const reader = openStream();
    stream(reader, { candidates: [candidate([{ text: 'a' }]), candidate([{ text: 'b' }], {})] });
    expect(reader.isFinished()).toBe(false);
  });

  it('passes a signature that comes without a text, and images', () => {
    const inlineData = { mimeType: 'image/png', data: 'AA' };
    const { chunks } = stream(openStream(), {
      candidates: [candidate([{ text: '', thoughtSignature: 'S' }, { inlineData }])],
    });
    expect(chunks[0].choices[0].delta).toEqual({
      role: 'assistant',
      images: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } }],
      extra_content: { google: { thought_signature: 'S' } },
    });
  });

  it('counts the last usage, which is that of all so far, and gives it as a chunk', () => {
    const reader = openStream();
    expect(reader.usageChunk()).toBeNull();
    const { chunks } = stream(
      reader,
      { candidates: [candidate([{ text: 'a' }], {})], usageMetadata: { promptTokenCount: 2, totalTokenCount: 2 } },
      { usageMetadata: { promptTokenCount: 2, candidatesTokenCount: 9, totalTokenCount: 11 }, responseId: 'r' },
      { candidates: [candidate([])] },
    );
    expect(chunks).toHaveLength(2);
    expect(reader.usage()?.counts).toEqual(counts({ input: 2, output: 9 }));
    expect(JSON.parse(reader.usageChunk() as string)).toEqual({
      id: 'r',
      object: 'chat.completion.chunk',
      created: 0,
      model: 'gemini-x',
      choices: [],
      usage: { prompt_tokens: 2, completion_tokens: 9, total_tokens: 11 },
    });
  });

  it('takes an end mark, empty events, and what comes after the end for what they are', () => {
    const reader = openStream();
    expect(reader.read({ name: null, data: ' ' })).toEqual({ kind: 'nothing' });
    expect(reader.read({ name: null, data: '[1]' })).toMatchObject({ kind: 'fault', fault: { kind: 'malformed' } });
    expect(reader.read({ name: null, data: '{"a', unterminated: true })).toEqual({ kind: 'nothing' });
    stream(reader, { candidates: [candidate([{ text: 'a' }])] });
    expect(reader.read({ name: null, data: 'bye' })).toEqual({ kind: 'nothing' });
    expect(reader.read({ name: null, data: '[DONE]' })).toEqual({ kind: 'done' });
  });

  it('that reports an error has what it used until then', () => {
    const reader = openStream();
    const error = { code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' };
    const step = reader.read({ name: null, data: JSON.stringify({ error, usageMetadata: { promptTokenCount: 1 } }) });
    expect(step).toMatchObject({ kind: 'fault', fault: { status: 503, code: 'UNAVAILABLE', message: error.message } });
    expect(reader.usage()?.counts.input).toBe(1);
  });
});

describe('usage', () => {
  const audio = (tokenCount?: number) => [
    { modality: 'TEXT', tokenCount: 1 },
    { modality: 'AUDIO', tokenCount },
  ];
  it.each<[string, object, Partial<UsageCounts>, object]>([
    [
      'whole figures',
      { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 },
      { input: 10, output: 5 },
      { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
    ],
    [
      'zeros are zeros',
      {
        promptTokenCount: 0,
        candidatesTokenCount: 0,
        cachedContentTokenCount: 0,
        thoughtsTokenCount: 0,
        totalTokenCount: 0,
      },
      { input: 0, output: 0, cachedInput: 0, reasoning: 0 },
      {
        ...{ prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 },
        ...{ prompt_tokens_details: { cached_tokens: 0 }, completion_tokens_details: { reasoning_tokens: 0 } },
      },
    ],
    [
      'an output that was left out is the rest of the total',
      { promptTokenCount: 10, thoughtsTokenCount: 7, toolUsePromptTokenCount: 3, totalTokenCount: 20 },
      { input: 13, output: 0, reasoning: 7 },
      {
        ...{ prompt_tokens: 13, completion_tokens: 7, total_tokens: 20 },
        completion_tokens_details: { reasoning_tokens: 7 },
      },
    ],
    [
      'audio in and out, cached and of tools',
      {
        ...{ promptTokenCount: 20, cachedContentTokenCount: 6, toolUsePromptTokenCount: 5, candidatesTokenCount: 9 },
        ...{ promptTokensDetails: audio(8), cacheTokensDetails: audio(2), toolUsePromptTokensDetails: audio(1) },
        candidatesTokensDetails: audio(4),
      },
      { input: 12, cachedInput: 6, audioInput: 7, output: 5, audioOutput: 4 },
      {
        ...{ prompt_tokens: 25, completion_tokens: 9, total_tokens: 34 },
        prompt_tokens_details: { cached_tokens: 6, audio_tokens: 7 },
        completion_tokens_details: { audio_tokens: 4 },
      },
    ],
    [
      'audio without a figure is none',
      { promptTokenCount: 2, promptTokensDetails: audio(undefined), cacheTokensDetails: [null] },
      { input: 2, audioInput: 0 },
      { prompt_tokens: 2, completion_tokens: null, total_tokens: null, prompt_tokens_details: { audio_tokens: 0 } },
    ],
    [
      'no prompt',
      { candidatesTokenCount: 3, thoughtsTokenCount: 2 },
      { output: 3, reasoning: 2 },
      {
        prompt_tokens: null,
        completion_tokens: 5,
        total_tokens: null,
        completion_tokens_details: { reasoning_tokens: 2 },
      },
    ],
  ])('%s', (_what, metadata, known, usage) => {
    expect(readUsage(metadata)?.report).toEqual({ counts: counts(known), providerCostUsd: null, problems: [] });
    expect(readUsage(metadata)?.usage).toEqual(usage);
  });

  it.each<[object, Partial<UsageCounts>, string[]]>([
    [{ promptTokenCount: -1 }, {}, ['promptTokenCount']],
    [{ promptTokenCount: 5, cachedContentTokenCount: 6 }, { input: 5 }, ['promptTokensDetails']],
    [
      { promptTokenCount: 5, promptTokensDetails: audio(2), cacheTokensDetails: audio(3) },
      { input: 5 },
      ['promptTokensDetails'],
    ],
    [{ candidatesTokenCount: 5, candidatesTokensDetails: audio(6) }, { output: 5 }, ['candidatesTokensDetails']],
    [{ promptTokenCount: 5, totalTokenCount: 4 }, { input: 5 }, ['totalTokenCount']],
    [{ promptTokenCount: 5, promptTokensDetails: audio(1.5) }, { input: 5 }, ['promptTokensDetails']],
  ])('that does not add up is named: %j', (metadata, known, problems) => {
    expect(readUsage(metadata)?.report).toMatchObject({ counts: counts(known), problems });
  });

  it.each([undefined, null, [], 'x', {}, { trafficType: 'ON_DEMAND' }])('that says nothing is none: %j', (metadata) => {
    expect(readUsage(metadata)).toBeNull();
  });
});
