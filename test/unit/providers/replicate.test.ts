import { describe, expect, it } from 'vitest';
import { WaybillError } from '../../../src/domain/errors.js';
import type { UpstreamFailure } from '../../../src/domain/failure.js';
import type { TaskHelper, UpstreamTarget } from '../../../src/domain/provider.js';
import type { Task } from '../../../src/domain/task.js';
import { replicate } from '../../../src/providers/replicate/adapter.js';
import { answerOf, aRequest, aTarget, counts } from '../../conformance/adapters.js';
import { prediction } from '../../conformance/fixtures/replicate.js';
import { aUnitRequest } from '../../conformance/unit-tasks.js';

const VERSION = '5c7d5dc6'.repeat(8);
const ID = 'gm3qorzdhgbfurvjtvhg6dckhu';
const hello = [{ role: 'user', content: 'hi' }];

const chat = replicate.tasks.chat as TaskHelper;
const image = replicate.tasks.image as TaskHelper;
const targetOf = (overrides: Partial<UpstreamTarget> = {}) => aTarget(replicate, overrides);

function inputOf(body: object, overrides: Partial<UpstreamTarget> = {}) {
  const { body: sent } = chat.preparePayload(aRequest('chat', { messages: hello, ...body }), targetOf(overrides));
  return JSON.parse(sent as string).input;
}

function imageInput(body: object, providerModel = 'vendor/model-1') {
  const request = aUnitRequest('image', { json: { model: 'asked', prompt: 'a boat', ...body } });
  return JSON.parse(image.preparePayload(request, targetOf({ providerModel })).body as string).input;
}

function refusalOf(act: () => unknown): WaybillError {
  try {
    act();
  } catch (error) {
    if (error instanceof WaybillError) return error;
    throw error;
  }
  return expect.unreachable('it was not refused');
}

function read(body: string, rest: object = {}, task: Task = 'chat') {
  const request = aRequest('chat', { messages: hello, ...rest });
  return (replicate.tasks[task] as TaskHelper).getResponse(answerOf(body), request, targetOf());
}

function faultOf(body: string) {
  const outcome = read(body);
  if (outcome.ok !== false) return expect.unreachable('it is no failure');
  return outcome;
}

describe('the model’s name', () => {
  it.each([
    ['meta/llama', '/v1/models/meta/llama/predictions', undefined],
    [`meta/llama:${VERSION}`, '/v1/predictions', VERSION],
    [VERSION, '/v1/predictions', VERSION],
    ['deployments/me/mine', '/v1/deployments/me/mine/predictions', undefined],
  ])('%s leads to its predictions', (providerModel, path, version) => {
    const target = targetOf({ providerModel });
    const request = aRequest('chat', { messages: hello });
    expect(chat.makeRoute(request, target)).toEqual({ method: 'POST', url: `https://api.replicate.com${path}` });
    const body = JSON.parse(chat.preparePayload(request, target).body as string);
    expect(body).toEqual({ ...(version === undefined ? {} : { version }), input: { prompt: 'hi' } });
  });

  it.each(['llama', '../account', 'meta/..', 'meta/llama/x', 'meta/llama?x', 'meta/llama:latest', 'a/b/../../account'])(
    '%s is none, and leads nowhere',
    (providerModel) => {
      const refusal = refusalOf(() =>
        chat.makeRoute(aRequest('chat', { messages: hello }), targetOf({ providerModel })),
      );
      expect(refusal).toMatchObject({ code: 'invalid_request', param: 'model' });
    },
  );

  it('goes below a path of the entry’s own as it is written', () => {
    const url = (baseUrl: string) => chat.makeRoute(aRequest('chat', { messages: hello }), targetOf({ baseUrl })).url;
    expect(url('https://proxy.test/replicate')).toBe('https://proxy.test/replicate/models/vendor/model-1/predictions');
    expect(url('https://proxy.test')).toBe('https://proxy.test/v1/models/vendor/model-1/predictions');
  });
});

describe('a prediction under way', () => {
  const api = `https://api.replicate.com/v1/predictions/${ID}`;
  const cancel = { method: 'POST', url: `${api}/cancel` };

  it('is held for a bounded time where it is not streamed', () => {
    const headers = (stream: boolean) =>
      chat.prepareHeaders?.(aRequest('chat', { messages: hello, stream }), targetOf());
    expect(headers(false)).toEqual({ prefer: 'wait=5' });
    expect(headers(true)).not.toHaveProperty('prefer');
  });

  it.each([
    ['starting', 1_000],
    ['processing', 500],
  ])('is asked for again: %s', (status, afterMs) => {
    for (const task of ['chat', 'image'] as const) {
      expect(read(prediction({ status }), {}, task)).toEqual({
        ok: 'later',
        next: { id: ID, route: { method: 'GET', url: api }, afterMs, cancel },
      });
    }
  });

  it('is asked for where it was made, whatever addresses it gives', () => {
    const urls = { get: 'https://evil.test/x', cancel: 'https://evil.test/y' };
    expect(JSON.stringify(read(prediction({ status: 'starting', urls })))).not.toContain('evil');
  });

  it('is streamed at once, without the key on a host for streams', () => {
    const outcome = read(prediction({ status: 'starting' }), { stream: true });
    expect(outcome).toEqual({
      ok: 'later',
      next: {
        id: ID,
        route: { method: 'GET', url: 'https://stream.replicate.com/v1/files/bcwr-abc' },
        afterMs: 0,
        stream: true,
        keyless: true,
        cancel,
        afterwards: { method: 'GET', url: api },
      },
    });
  });

  it.each([
    'https://evil.test/x',
    'http://stream.replicate.com/x',
    'https://stream.replicate.com.evil.test/x',
    'https://evilreplicate.com/x',
    'https://stream.replicate.com:8443/x',
    'https://a@stream.replicate.com/x',
  ])('is no stream of Replicate’s at %s', (stream) => {
    const outcome = read(prediction({ status: 'starting', urls: { stream } }), { stream: true });
    // With the key it is asked only where the prediction was made: nowhere.
    expect(outcome).toMatchObject({ ok: 'later', next: { stream: true } });
    expect(outcome).not.toHaveProperty('next.keyless');
  });

  it('of a model that does not stream is asked for, and given as a stream', () => {
    expect(read(prediction({ status: 'processing', urls: {} }), { stream: true })).toMatchObject({
      next: { route: { url: api }, afterMs: 500 },
    });
    const outcome = read(prediction({ output: ['a', 'b\r\n'] }), { stream: true });
    expect(outcome).toMatchObject({
      answer: {
        events: [
          { name: 'output', data: 'ab\r\n' },
          { name: 'done', data: '{}' },
        ],
      },
    });
    expect(read(prediction({ output: ['a'] }))).not.toHaveProperty('answer.events');
  });
});

describe('a prediction that failed', () => {
  it.each([
    [{ status: 'failed', error: 'CUDA out of memory' }, 500, null],
    [{ status: 'failed', error: 'Prediction interrupted; please retry (code: PA)' }, 503, null],
    [{ status: 'failed', error: 'Director: unexpected error handling prediction (E9243)' }, 503, 'E9243'],
    [{ status: 'failed', error: 'Model ran out of memory (E1001)' }, 500, 'E1001'],
    [{ status: 'failed', error: 'The input or output was flagged as sensitive. (E005)' }, 400, 'E005'],
    [{ status: 'failed', error: 'NSFW content detected. Try running it again' }, 400, null],
    [{ status: 'failed', error: 'prompt is too long: maximum context is 8192' }, 400, null],
    [{ status: 'failed', error: { detail: 'died' } }, 500, null],
    [{ status: 'failed', error: null }, 500, null],
    [{ status: 'canceled' }, 503, 'canceled'],
    [{ status: 'aborted', error: 'deadline' }, 503, 'aborted'],
  ])('%j is a failure of %d', (rest, status, code) => {
    const { fault } = faultOf(prediction(rest));
    expect(fault).toMatchObject({ kind: 'status', status, code });
    expect(fault.message).not.toBe('');
    if ('error' in rest && typeof rest.error === 'string') expect(fault.message).toBe(rest.error);
  });

  it('costs what it says it used', () => {
    const metrics = { input_token_count: 5, output_token_count: 0, predict_time: 1 };
    expect(faultOf(prediction({ status: 'failed', error: 'x', metrics })).usage?.counts).toEqual(
      counts({ input: 5, output: 0 }),
    );
    expect(faultOf(prediction({ status: 'failed', error: 'x', metrics: { predict_time: 1 } })).usage).toBeNull();
  });

  it('is told of figures that are none', () => {
    const outcome = read(prediction({ output: 'x', metrics: { input_token_count: 1.5, output_token_count: 2 } }));
    expect(outcome).toMatchObject({
      answer: { usage: { counts: { input: null, output: 2 }, problems: ['metrics.input_token_count'] } },
    });
  });

  it('or gave something else than text, is malformed', () => {
    for (const output of [null, { text: 'x' }, [1], 7]) {
      expect(faultOf(prediction({ output }))).toMatchObject({ fault: { kind: 'malformed' }, hasEnded: true });
    }
  });
});

describe('what a prompt holds', () => {
  it('one text alone as it is', () => {
    expect(inputOf({ messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }, 'b'] }] })).toEqual({
      prompt: 'ab',
    });
  });

  it('several turns as a script, and the system’s messages together', () => {
    const messages = [
      { role: 'system', content: 'One.' },
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'Hello' },
      { role: 'developer', content: 'Two.' },
      { role: 'user', content: 'and?' },
    ];
    expect(inputOf({ messages })).toEqual({
      system_prompt: 'One.\n\nTwo.',
      prompt: 'User: hi\n\nAssistant: Hello\n\nUser: and?\n\nAssistant:',
    });
    expect(inputOf({ messages: messages.slice(1, 3) }).prompt).toBe('User: hi\n\nAssistant: Hello');
  });

  it.each([
    ['meta/meta-llama-3-70b-instruct', { system_prompt: 'S', max_tokens: 7, temperature: 0 }],
    ['openai/gpt-4o', { system_prompt: 'S', max_completion_tokens: 7, temperature: 0 }],
    ['google/gemini-2.5-flash', { system_instruction: 'S', max_output_tokens: 7, temperature: 0 }],
  ])('under the names of %s', (providerModel, names) => {
    const messages = [{ role: 'system', content: 'S' }, ...hello];
    expect(inputOf({ messages, max_completion_tokens: 7, temperature: 0 }, { providerModel })).toEqual({
      prompt: 'hi',
      ...names,
    });
  });

  it('images where the model has an input for them', () => {
    const messages = (...urls: string[]) => [
      {
        role: 'user',
        content: [{ type: 'text', text: 'what?' }, ...urls.map((url) => ({ type: 'image_url', image_url: { url } }))],
      },
    ];
    const of = (providerModel: string, ...urls: string[]) =>
      inputOf({ messages: messages(...urls) }, { providerModel });
    expect(of('openai/gpt-4o', 'https://a.test/1.png', 'data:image/png;base64,AA==')).toEqual({
      prompt: 'what?',
      image_input: ['https://a.test/1.png', 'data:image/png;base64,AA=='],
    });
    expect(of('anthropic/claude-4-sonnet', 'https://a.test/1.png')).toEqual({
      prompt: 'what?',
      image: 'https://a.test/1.png',
    });
    expect(of('google/gemini-2.5-flash', 'https://a.test/1.png').images).toEqual(['https://a.test/1.png']);
    expect(refusalOf(() => of('anthropic/claude-4-sonnet', 'https://a/1', 'https://a/2')).param).toBe(
      'messages[0].content[2]',
    );
    expect(refusalOf(() => of('meta/llama', 'https://a/1')).param).toBe('messages[0].content[1]');
  });

  it('a bound within the entry’s own, under the name in use', () => {
    expect(inputOf({ max_tokens: 50 }, { maxOutputTokens: 20 })).toEqual({ prompt: 'hi', max_tokens: 20 });
    expect(inputOf({}, { maxOutputTokens: 20 })).toEqual({ prompt: 'hi', max_tokens: 20 });
    expect(inputOf({ max_tokens: 50 }, { extraBody: { max_new_tokens: 500 } })).toEqual({
      prompt: 'hi',
      max_new_tokens: 50,
    });
    expect(inputOf({ max_new_tokens: 9 }, { maxOutputTokens: 20 })).toEqual({ prompt: 'hi', max_new_tokens: 9 });
  });

  it('what stops it, as one text', () => {
    expect(inputOf({ stop: ['a', '\n'] }).stop_sequences).toBe('a,\n');
    expect(inputOf({ stop: 'a' }).stop_sequences).toBe('a');
    expect(inputOf({ stop: [] })).toEqual({ prompt: 'hi' });
  });

  it('integers as they were written, and nothing for what asks for nothing', () => {
    const request = aRequest('chat', {
      messages: hello,
      n: 1,
      tools: [],
      tool_choice: 'auto',
      user: 'u',
      logprobs: false,
    });
    expect(JSON.parse(chat.preparePayload(request, targetOf()).body as string).input).toEqual({ prompt: 'hi' });
    expect(inputOf({ response_format: { type: 'text' }, stream: true, stream_options: {} })).toEqual({ prompt: 'hi' });
  });

  it.each([
    ['tools', { tools: [{ type: 'function', function: { name: 'f' } }] }],
    ['tool_choice', { tool_choice: 'required' }],
    ['n', { n: 2 }],
    ['logprobs', { logprobs: true }],
    ['response_format', { response_format: { type: 'json_object' } }],
    ['logit_bias', { logit_bias: { 1: 1 } }],
    ['parallel_tool_calls', { parallel_tool_calls: false }],
    ['reasoning_effort', { reasoning_effort: 'low' }],
    ['service_tier', { service_tier: 'flex' }],
    ['web_search_options', { web_search_options: {} }],
    ['prompt', { prompt: 'something else' }],
    ['stop', { stop: ['a,b'] }],
    ['messages[1].role', { messages: [...hello, { role: 'tool', content: 'x', tool_call_id: 'c' }] }],
    ['messages[0].tool_calls', { messages: [{ role: 'assistant', tool_calls: [{ id: 'c' }] }, ...hello] }],
    ['messages[0].content[0]', { messages: [{ role: 'user', content: [{ type: 'input_audio' }] }] }],
    ['messages[0].content[0]', { messages: [{ role: 'system', content: [{ type: 'image_url', image_url: 'x' }] }] }],
  ])('refuses %s, and says so', (param, body) => {
    expect(refusalOf(() => inputOf(body))).toMatchObject({
      code: 'invalid_request',
      param,
      message: expect.stringContaining('Replicate'),
    });
    if (param.includes('[')) return;
    expect(inputOf(body, { dropParams: [param] })).toEqual({ prompt: 'hi' });
  });

  it('refuses an input that another parameter has given already, and prefers the request to the entry', () => {
    const messages = [{ role: 'system', content: 'be brief' }, ...hello];
    const twice = { messages, system_prompt: 'be long' };
    expect(refusalOf(() => inputOf(twice)).param).toBe('system_prompt');
    expect(refusalOf(() => inputOf({ stop: ['a'], stop_sequences: 'b' })).param).toBe('stop_sequences');
    expect(inputOf({ system_prompt: 'be long' })).toEqual({ prompt: 'hi', system_prompt: 'be long' });
    const extraBody = { system_prompt: 'be kind', top_k: 5 };
    expect(inputOf({ messages }, { extraBody })).toEqual({ prompt: 'hi', system_prompt: 'be brief', top_k: 5 });
    expect(inputOf({}, { extraBody })).toEqual({ prompt: 'hi', system_prompt: 'be kind', top_k: 5 });
  });

  it('refuses what a model’s schema lacks', () => {
    const asked = (providerModel: string, body: object) => refusalOf(() => inputOf(body, { providerModel })).param;
    expect(asked('anthropic/claude-4-sonnet', { temperature: 1 })).toBe('temperature');
    expect(asked('openai/gpt-4o', { stop: 'x' })).toBe('stop');
    expect(asked('google/gemini-2.5-flash', { seed: 1 })).toBe('seed');
    expect(inputOf({ reasoning_effort: 'low' }, { providerModel: 'openai/o4-mini' }).reasoning_effort).toBe('low');
  });
});

describe('images', () => {
  it.each([
    ['response_format', { response_format: 'b64_json' }],
    ['size', { size: '512x512' }],
    ['n', { n: 2 }],
    ['quality', { quality: 'high' }],
    ['style', { style: 'natural' }],
  ])('refuse %s', (param, body) => {
    expect(refusalOf(() => imageInput(body))).toMatchObject({ code: 'invalid_request', param });
  });

  it('refuse a number that is given twice', () => {
    const twice = { n: 2, num_outputs: 4 };
    expect(refusalOf(() => imageInput(twice, 'black-forest-labs/flux-schnell')).param).toBe('num_outputs');
    expect(imageInput({ num_outputs: 4 }, 'black-forest-labs/flux-schnell').num_outputs).toBe(4);
  });

  it('take what asks for nothing, and what OpenAI’s own models have', () => {
    expect(imageInput({ n: 1, size: 'auto', quality: 'auto', user: 'u' })).toEqual({ prompt: 'a boat' });
    expect(imageInput({ n: 3, quality: 'high', background: 'opaque' }, 'openai/gpt-image-1')).toEqual({
      prompt: 'a boat',
      number_of_images: 3,
      quality: 'high',
      background: 'opaque',
    });
  });
});

describe('a stream', () => {
  const open = () =>
    (chat.openStream as NonNullable<TaskHelper['openStream']>)(
      aRequest('chat', { messages: hello, stream: true }),
      targetOf(),
      { date: 'Sun, 01 Mar 2026 12:00:00 GMT' },
      { id: ID, route: { method: 'GET', url: 'https://x' }, afterMs: 0, cancel: null },
    );

  it('ends with `done`, whether or not its connection does', () => {
    const reader = open();
    expect(reader.read({ name: 'output', data: 'a' })).toMatchObject({ kind: 'chunk', content: true });
    expect(reader.read({ name: 'done', data: '{}' })).toMatchObject({ kind: 'chunk', isLast: true });
    expect(reader.isFinished()).toBe(true);
    expect(reader.identity()).toEqual({ id: ID, created: 1_772_366_400, model: 'vendor/model-1' });
  });

  it('has the usage of its prediction, once that has ended', () => {
    const reader = open();
    const metrics = { input_token_count: 5, output_token_count: 2 };
    expect(reader.readAfterwards?.(answerOf(prediction({ status: 'processing', metrics })))).toBe(false);
    expect(reader.readAfterwards?.(answerOf('<html>'))).toBe(false);
    expect(reader.usage()).toBeNull();
    expect(reader.readAfterwards?.(answerOf(prediction({ output: ['x'], metrics })))).toBe(true);
    expect(reader.usage()?.counts).toEqual(counts({ input: 5, output: 2 }));
    expect(JSON.parse(reader.usageChunk() ?? '')).toMatchObject({
      id: ID,
      choices: [],
      usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
    });
  });

  it('makes nothing of an event that was cut off', () => {
    const reader = open();
    expect(reader.read({ name: 'output', data: 'ha', unterminated: true })).toEqual({ kind: 'nothing' });
    expect(reader.read({ name: 'done', data: '{', unterminated: true })).toEqual({ kind: 'nothing' });
    expect(reader.isFinished()).toBe(false);
    expect(reader.outputTexts()).toEqual([]);
  });
});

describe('being throttled', () => {
  const failure = (rest: Partial<UpstreamFailure>): UpstreamFailure => ({
    ...{ kind: 'status', status: 429, code: null, param: null, type: null, message: '', retryAfterMs: null },
    ...{ loadingMs: null, shouldRetry: null, sent: true },
    ...rest,
  });

  it.each([
    ['Request was throttled. Your rate limit resets in ~30s.', 30_000],
    ['Request was throttled. Expected available in 1 second.', 1_000],
  ])('leaves the key alone for as long as it says: %s', (message, cooldownMs) => {
    expect(replicate.classify?.(failure({ message }))).toEqual({ action: 'rotate-key', cooldownMs });
    expect(replicate.classify?.(failure({ message, retryAfterMs: 5 }))).toBeUndefined();
    expect(replicate.classify?.(failure({ message, status: 500 }))).toBeUndefined();
  });
});
