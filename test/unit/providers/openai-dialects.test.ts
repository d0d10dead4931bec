import { describe, expect, it } from 'vitest';
import { WaybillError } from '../../../src/domain/errors.js';
import type { UpstreamFailure } from '../../../src/domain/failure.js';
import type { ProviderAdapter, UpstreamTarget } from '../../../src/domain/provider.js';
import { Secret } from '../../../src/domain/secret.js';
import { MEDIA_TASKS } from '../../../src/providers/openai-media.js';
import { findAdapter } from '../../../src/providers/registry.js';
import { parseJsonBody } from '../../../src/wire/json-body.js';
import { type OpenAiTask, openTaskRequest } from '../../../src/wire/openai-request.js';
import { answerOf, aTarget } from '../../conformance/adapters.js';

type Outcome = 'drop' | 'refuse' | { [name: string]: unknown };

/** Every parameter of a chat beside model and messages, with a value that asks for something. */
const CHAT: { [name: string]: unknown } = {
  max_completion_tokens: 7,
  temperature: 0.5,
  top_p: 0.9,
  n: 2,
  stop: ['end'],
  seed: 3,
  presence_penalty: 0.1,
  frequency_penalty: 0.2,
  logit_bias: { 1: -1 },
  logprobs: true,
  top_logprobs: 2,
  user: 'u',
  store: true,
  metadata: { a: 'b' },
  service_tier: 'auto',
  safety_identifier: 's',
  prompt_cache_key: 'p',
  reasoning_effort: 'low',
  verbosity: 'low',
  parallel_tool_calls: false,
  tools: [{ type: 'function', function: { name: 'f' } }],
  tool_choice: 'required',
  response_format: { type: 'json_schema', json_schema: { name: 'x', schema: {} } },
  own_parameter: 1,
};
const EMBEDDING: { [name: string]: unknown } = {
  encoding_format: 'float',
  dimensions: 8,
  user: 'u',
  input_type: 'document',
  own_parameter: 1,
};

const max: Record<string, Outcome> = { max_completion_tokens: { max_tokens: 7 } };
const noEffect: Record<string, Outcome> = {
  ...{ user: 'drop', store: 'drop', metadata: 'drop' },
  ...{ service_tier: 'drop', safety_identifier: 'drop', prompt_cache_key: 'drop' },
};

/** What becomes of a parameter; one that is not named passes as it is. */
const CHAT_OUTCOMES: Record<string, Record<string, Outcome>> = {
  azure_openai: {},
  mistral: {
    ...max,
    ...noEffect,
    seed: { random_seed: 3 },
    ...{ logit_bias: 'refuse', logprobs: 'refuse', top_logprobs: 'refuse', verbosity: 'refuse' },
  },
  groq: {
    ...{ n: 'refuse', logit_bias: 'refuse', logprobs: 'refuse', top_logprobs: 'refuse' },
    ...{ store: 'drop', metadata: 'drop' },
  },
  together: { ...max, logprobs: { logprobs: 1 }, top_logprobs: 'drop' },
  fireworks: max,
  openrouter: {},
  grok: {},
  deepseek: {
    ...max,
    ...noEffect,
    ...{ n: 'refuse', seed: 'refuse', logit_bias: 'refuse', parallel_tool_calls: 'refuse', verbosity: 'refuse' },
    response_format: 'refuse',
  },
  cerebras: {
    ...{ store: 'drop', metadata: 'drop', safety_identifier: 'drop', prompt_cache_key: 'drop' },
    ...{ n: 'refuse', frequency_penalty: 'refuse', presence_penalty: 'refuse', logit_bias: 'refuse' },
    verbosity: 'refuse',
  },
  deepinfra: {},
  perplexity: {
    ...max,
    ...noEffect,
    ...{ tools: 'refuse', tool_choice: 'refuse', parallel_tool_calls: 'refuse', n: 'refuse', seed: 'refuse' },
    ...{ stop: 'refuse', logprobs: 'refuse', top_logprobs: 'refuse', logit_bias: 'refuse', verbosity: 'refuse' },
  },
  nebius: {},
  novita: max,
  sambanova: {
    ...{ n: 'refuse', presence_penalty: 'refuse', frequency_penalty: 'refuse', logit_bias: 'refuse' },
    ...{ logprobs: 'refuse', top_logprobs: 'refuse' },
  },
  hyperbolic: {},
  scaleway: {
    ...max,
    user: 'drop',
    ...{ n: 'refuse', frequency_penalty: 'refuse', top_logprobs: 'refuse', logit_bias: 'refuse' },
  },
  ovhcloud: {},
  nscale: {},
  featherless: {},
  baseten: {},
  nvidia: {},
  llama_stack: {},
};
const EMBEDDING_OUTCOMES: Record<string, Record<string, Outcome>> = {
  azure_openai: {},
  mistral: { user: 'drop', encoding_format: 'drop', dimensions: { output_dimension: 8 } },
  together: {},
  fireworks: {},
  openrouter: {},
  deepinfra: {},
  nebius: {},
  novita: {},
  sambanova: {},
  scaleway: {},
  ovhcloud: {},
  nvidia: { input_type: { input_type: 'passage' } },
  llama_stack: {},
  voyage: { user: 'drop', encoding_format: { encoding_format: null }, dimensions: { output_dimension: 8 } },
  jina: {
    user: 'drop',
    encoding_format: { embedding_type: 'float' },
    input_type: { task: 'retrieval.passage' },
  },
};

/** Where each is asked: by default, and below a bare host. */
const ADDRESSES: Record<string, [string, string]> = {
  mistral: ['https://api.mistral.ai/v1', '/v1'],
  groq: ['https://api.groq.com/openai/v1', '/openai/v1'],
  together: ['https://api.together.ai/v1', '/v1'],
  fireworks: ['https://api.fireworks.ai/inference/v1', '/inference/v1'],
  openrouter: ['https://openrouter.ai/api/v1', '/api/v1'],
  grok: ['https://api.x.ai/v1', '/v1'],
  deepseek: ['https://api.deepseek.com/v1', '/v1'],
  cerebras: ['https://api.cerebras.ai/v1', '/v1'],
  deepinfra: ['https://api.deepinfra.com/v1/openai', '/v1/openai'],
  perplexity: ['https://api.perplexity.ai', ''],
  nebius: ['https://api.tokenfactory.nebius.com/v1', '/v1'],
  novita: ['https://api.novita.ai/openai/v1', '/openai/v1'],
  sambanova: ['https://api.sambanova.ai/v1', '/v1'],
  hyperbolic: ['https://api.hyperbolic.xyz/v1', '/v1'],
  scaleway: ['https://api.scaleway.ai/v1', '/v1'],
  ovhcloud: ['https://oai.endpoints.kepler.ai.cloud.ovh.net/v1', '/v1'],
  nscale: ['https://inference.api.nscale.com/v1', '/v1'],
  featherless: ['https://api.featherless.ai/v1', '/v1'],
  baseten: ['https://inference.baseten.co/v1', '/v1'],
  nvidia: ['https://integrate.api.nvidia.com/v1', '/v1'],
  voyage: ['https://api.voyageai.com/v1', '/v1'],
  jina: ['https://api.jina.ai/v1', '/v1'],
};

/** What each can do, from the first letters of its tasks. */
/** Those of pictures and sound are in the tests of `openai-media`. */
const TASKS: Record<string, string> = {
  ...{
    azure_openai: 'cce',
    mistral: 'ce',
    groq: 'c',
    together: 'ccer',
    fireworks: 'ccer',
    openrouter: 'cce',
    grok: 'c',
  },
  ...{
    deepseek: 'c',
    cerebras: 'cc',
    deepinfra: 'cce',
    perplexity: 'c',
    nebius: 'cce',
    novita: 'cce',
    sambanova: 'cce',
  },
  ...{ hyperbolic: 'cc', scaleway: 'ce', ovhcloud: 'cce', nscale: 'c', featherless: 'cc', baseten: 'c', nvidia: 'cce' },
  ...{ llama_stack: 'cce', voyage: 'er', jina: 'er' },
};

const STREAM_OPTIONS: Record<string, unknown> = {
  ...{ mistral: 'refused', together: 'as given', fireworks: 'as given', openrouter: 'as given' },
  ...{ cerebras: 'as given', perplexity: 'as given', hyperbolic: 'as given' },
};

const MESSAGES = [{ role: 'user', content: 'a' }];
const INPUT = { chat: { messages: MESSAGES }, completion: { prompt: 'a' }, embedding: { input: ['a'] } };

function adapter(id: string): ProviderAdapter {
  return findAdapter(id) as ProviderAdapter;
}

function sent(id: string, body: object, overrides: Partial<UpstreamTarget> = {}, task: OpenAiTask = 'chat') {
  const text = JSON.stringify({ model: 'm', ...INPUT[task], ...body });
  const request = openTaskRequest(task, parseJsonBody(text));
  const payload = adapter(id).tasks[task]?.preparePayload(request, aTarget(adapter(id), overrides));
  return JSON.parse(payload?.body as string) as { [name: string]: unknown };
}

function refusal(work: () => unknown): WaybillError {
  try {
    work();
  } catch (error) {
    return error as WaybillError;
  }
  return expect.unreachable('nothing is refused');
}

function describeParameters(
  task: OpenAiTask,
  parameters: { [name: string]: unknown },
  outcomes: Record<string, Record<string, Outcome>>,
) {
  describe.each(Object.entries(outcomes))(`parameters of ${task} at %s`, (id, rules) => {
    it.each(Object.entries(parameters))('%s', (name, value) => {
      const given = { [name]: value };
      const own = { model: 'vendor/model-1', ...INPUT[task] };
      const outcome = rules[name] ?? given;
      if (outcome === 'refuse') {
        const error = refusal(() => sent(id, given, {}, task));
        expect(error).toBeInstanceOf(WaybillError);
        expect(error).toMatchObject({ code: 'invalid_request', status: 400, param: name });
        expect(error.message).toContain(`\`${name}\``);
        expect(error.message).toContain(`\`${id}\``);
        // The operator may have it left out instead, and null asks for nothing.
        expect(sent(id, given, { dropParams: [name] }, task)).toEqual(own);
        if (name !== 'response_format') expect(sent(id, { [name]: null }, {}, task)).toEqual(own);
      } else {
        expect(sent(id, given, {}, task)).toEqual({ ...own, ...(outcome === 'drop' ? {} : outcome) });
      }
    });
  });
}

describeParameters('chat', CHAT, CHAT_OUTCOMES);
describeParameters('embedding', EMBEDDING, EMBEDDING_OUTCOMES);

describe('the providers', () => {
  const tested = Object.keys(TASKS);

  it('are each in the table of every task they have', () => {
    expect(Object.keys(CHAT_OUTCOMES).sort()).toEqual(tested.filter((id) => adapter(id).tasks.chat).sort());
    expect(Object.keys(EMBEDDING_OUTCOMES).sort()).toEqual(tested.filter((id) => adapter(id).tasks.embedding).sort());
  });

  it.each(Object.entries(TASKS))('%s has its tasks', (id, letters) => {
    expect(
      Object.keys(adapter(id).tasks)
        .filter((task) => !MEDIA_TASKS.some((media) => media === task))
        .map((task) => task[0])
        .join(''),
    ).toBe(letters);
  });

  it.each(Object.entries(ADDRESSES))('%s is asked at its address', (id, [base, path]) => {
    const task = adapter(id).tasks.chat === undefined ? 'embedding' : 'chat';
    const below = task === 'chat' ? '/chat/completions' : '/embeddings';
    const url = (overrides: Partial<UpstreamTarget>) =>
      adapter(id).tasks[task]?.makeRoute({} as never, aTarget(adapter(id), overrides)).url;
    expect(url({})).toBe(`${base}${below}`);
    expect(url({ baseUrl: 'http://h:1', hasOwnPath: false })).toBe(`http://h:1${path}${below}`);
    expect(url({ baseUrl: 'http://h:1/own/' })).toBe(`http://h:1/own${below}`);
  });

  it.each(tested)('%s is found by its name, carries a key and is described', (id) => {
    expect(adapter(id).needsKey).toBe(!['ovhcloud', 'llama_stack'].includes(id));
    expect(adapter(id).sampleConfig()).toMatchObject({ type: id });
    expect(adapter(id).docs).toMatch(/^https:\/\//);
    const lists = !['azure_openai', 'perplexity', 'voyage', 'jina'].includes(id);
    expect(adapter(id).listModels !== undefined).toBe(lists);
    if (id === 'azure_openai') return;
    expect(adapter(id).authenticate(new Secret('k'))).toEqual({ authorization: 'Bearer k' });
  });

  it('know grok as xai too', () => {
    expect(findAdapter('xai')).toBe(findAdapter('grok'));
  });

  it.each(tested.filter((id) => id !== 'voyage' && id !== 'jina'))('%s asks for a stream’s usage as it must', (id) => {
    const how = STREAM_OPTIONS[id] ?? 'asked';
    const unasked = sent(id, { stream: true });
    const asked = sent(id, { stream: true, stream_options: { include_usage: true } });
    expect(unasked['stream_options']).toEqual(how === 'asked' ? { include_usage: true } : undefined);
    expect(asked['stream_options']).toEqual(how === 'refused' ? undefined : { include_usage: true });
  });
});

describe('values', () => {
  it('that are OpenAI’s default ask for nothing', () => {
    const defaults = {
      ...{ n: 1, logprobs: false, top_logprobs: 0, logit_bias: {}, parallel_tool_calls: true, tools: [] },
      verbosity: 'medium',
    };
    const own = { model: 'vendor/model-1', messages: MESSAGES };
    expect(sent('perplexity', { ...defaults, tool_choice: 'none' })).toEqual(own);
    expect(sent('perplexity', { ...defaults, tool_choice: 'auto' })).toEqual(own);
    expect(sent('sambanova', { presence_penalty: 0.0, frequency_penalty: 0 })).toEqual(own);
  });

  it('of response_format that the provider has pass', () => {
    for (const [id, type] of [
      ['deepseek', 'json_object'],
      ['deepseek', 'text'],
      ['perplexity', 'json_schema'],
      ['perplexity', 'regex'],
      ['groq', 'json_schema'],
    ] as const) {
      expect(sent(id, { response_format: { type } })['response_format']).toEqual({ type });
    }
    expect(sent('deepseek', { response_format: null })['response_format']).toBeNull();
    expect(refusal(() => sent('perplexity', { response_format: { type: 'json_object' } }))).toMatchObject({
      param: 'response_format',
      message: expect.stringContaining('json_object'),
    });
  });

  it('of input_type and the format mean the same elsewhere', () => {
    expect(sent('jina', { input_type: 'query', encoding_format: 'base64' }, {}, 'embedding')).toMatchObject({
      task: 'retrieval.query',
      embedding_type: 'base64',
    });
    expect(sent('jina', { input_type: 'classification' }, {}, 'embedding')).toMatchObject({ task: 'classification' });
    expect(sent('voyage', { encoding_format: 'base64' }, {}, 'embedding')).toMatchObject({ encoding_format: 'base64' });
    expect(sent('nvidia', { input_type: 'query' }, {}, 'embedding')).toMatchObject({ input_type: 'query' });
  });

  it.each(['voyage', 'jina'])('that are tokens are refused by %s', (id) => {
    for (const input of [
      [1, 2],
      [[1], [2]],
    ]) {
      expect(refusal(() => sent(id, { input }, {}, 'embedding'))).toMatchObject({ param: 'input' });
    }
    expect(sent(id, { input: 'text' }, {}, 'embedding')).toMatchObject({ input: 'text' });
  });

  it('under the provider’s own name count before OpenAI’s', () => {
    expect(sent('mistral', { seed: 1, random_seed: 2 })).toMatchObject({ random_seed: 2 });
    expect(sent('mistral', { seed: 1 }, { extraBody: { random_seed: 9 } })).toMatchObject({ random_seed: 1 });
    expect(sent('mistral', {}, { extraBody: { random_seed: 9, store: true } })).toMatchObject({
      random_seed: 9,
      store: true,
    });
  });

  it('keep their text where numbers are large', () => {
    const text = '{"model":"m","messages":[],"seed":14150443913665712001}';
    const request = { task: 'chat' as const, body: parseJsonBody(text), stream: false, includeUsage: false };
    const payload = adapter('mistral').tasks.chat?.preparePayload(request, aTarget(adapter('mistral')));
    expect(payload?.body).toContain('"random_seed":14150443913665712001');
  });

  it('of max_tokens are named as the model wants them', () => {
    expect(sent('cerebras', { max_tokens: 5 })).toMatchObject({ max_completion_tokens: 5 });
    expect(sent('cerebras', { max_tokens: 5 }, {}, 'completion')).toMatchObject({ max_tokens: 5 });
    expect(sent('azure_openai', { max_tokens: 5 }, { providerModel: 'o3-mini' })).toMatchObject({
      max_completion_tokens: 5,
    });
    expect(sent('azure_openai', { max_tokens: 5 }, { providerModel: 'ours' })).toMatchObject({ max_tokens: 5 });
    expect(
      sent('azure_openai', { max_completion_tokens: 5 }, { providerModel: 'gpt-5-base' }, 'completion'),
    ).toMatchObject({ max_tokens: 5 });
  });
});

describe('messages', () => {
  const roles = (id: string) =>
    (sent(id, { messages: [{ role: 'developer', content: '"developer"' }, ...MESSAGES] })['messages'] as object[])[0];

  it.each(Object.keys(CHAT_OUTCOMES))('of a developer go to %s in a role it knows', (id) => {
    const known = ['azure_openai', 'groq', 'openrouter', 'grok', 'cerebras', 'llama_stack'];
    const role = known.includes(id) ? 'developer' : 'system';
    expect(roles(id)).toEqual({ role, content: '"developer"' });
  });

  it.each(Object.keys(CHAT_OUTCOMES).filter((id) => id !== 'mistral'))(
    'with reasoning go back to %s under its name',
    (id) => {
      const name = ['groq', 'together', 'openrouter', 'cerebras'].includes(id) ? 'reasoning' : 'reasoning_content';
      const back = (message: object) =>
        (sent(id, { messages: [...MESSAGES, { role: 'assistant', ...message }] })['messages'] as object[])[1];
      expect(back({ content: 'b', reasoning_content: 'hm' })).toEqual({
        role: 'assistant',
        content: 'b',
        [name]: 'hm',
      });
      if (name !== 'reasoning') return;
      const both = { content: 'b', reasoning_content: 'hm', reasoning: 'hm' };
      expect(back(both)).toEqual({ role: 'assistant', content: 'b', reasoning: 'hm' });
      expect(back({ reasoning: null, reasoning_content: 'hm' })).toEqual({ role: 'assistant', reasoning: 'hm' });
      expect(back({ reasoning_content: 'hm', reasoning: null })).toEqual({ role: 'assistant', reasoning: 'hm' });
    },
  );

  const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,aGk=', detail: 'low' } };
  it.each(Object.keys(CHAT_OUTCOMES))('with images and cache controls reach %s as they are', (id) => {
    const content = [{ type: 'text', text: 'a', cache_control: { type: 'ephemeral' } }, image];
    const messages = [
      { role: 'system', content: 's' },
      { role: 'user', content },
    ];
    expect(sent(id, { messages })['messages']).toEqual(messages);
  });
});

describe('mistral', () => {
  const back = (...messages: object[]) =>
    sent('mistral', { messages: [...MESSAGES, ...messages] })['messages'] as never[];

  it('gets ids of tool calls it takes, the same for call and result', () => {
    const call = (id: string) => ({ id, type: 'function', function: { name: 'f', arguments: '{"id":"call_1"}' } });
    const [, assistant, first, second] = back(
      { role: 'assistant', content: null, tool_calls: [call('call_1'), call('AbC123xyZ')] },
      { role: 'tool', tool_call_id: 'call_1', content: 'sunny' },
      { role: 'tool', tool_call_id: 'AbC123xyZ', content: 'tool_call' },
    ) as Array<{ tool_calls: Array<{ id: string; function: object }>; tool_call_id: string; content: string }>;
    expect(assistant?.tool_calls[0]?.id).toMatch(/^[a-zA-Z0-9]{9}$/);
    expect(assistant?.tool_calls[0]?.function).toEqual(call('').function);
    expect(first?.tool_call_id).toBe(assistant?.tool_calls[0]?.id);
    expect(assistant?.tool_calls[1]?.id).toBe('AbC123xyZ');
    expect(second).toEqual({ role: 'tool', tool_call_id: 'AbC123xyZ', content: 'tool_call' });
    const [, other] = back({ role: 'assistant', tool_calls: [call('call_2')] }) as Array<typeof assistant>;
    expect(other?.tool_calls[0]?.id).not.toBe(assistant?.tool_calls[0]?.id);
    // What is no text is the provider's to refuse.
    expect(back({ role: 'tool', tool_call_id: 7 })[1]).toEqual({ role: 'tool', tool_call_id: 7 });
  });

  it.each([
    [{ content: 'b', reasoning_content: 'hm' }, [{ type: 'text', text: 'b' }]],
    [{ content: [{ type: 'text', text: 'b' }], reasoning_content: 'hm' }, [{ type: 'text', text: 'b' }]],
    [{ content: null, reasoning_content: 'hm' }, []],
    [{ content: '', reasoning_content: 'hm' }, []],
    [{ reasoning_content: 'hm' }, []],
  ])('gets reasoning back as it gave it: %o', (message, texts) => {
    const thinking = { type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] };
    expect(back({ role: 'assistant', ...message })[1]).toEqual({ role: 'assistant', content: [thinking, ...texts] });
  });

  it.each([null, ''])('gets no reasoning where there is none: %o', (none) => {
    expect(back({ role: 'assistant', content: 'b', reasoning_content: none })[1]).toEqual({
      role: 'assistant',
      content: 'b',
    });
  });

  it.each([
    ['[{"type":"text","text":"b"}]', { content: 'b' }],
    ['[{"type":"thinking","thinking":"hm"},{"type":"text","text":"b"}]', { content: 'b', reasoning_content: 'hm' }],
    ['[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]', { content: null, reasoning_content: 'hm' }],
    ['[{"type":"thinking","thinking":[]}]', { content: null, reasoning_content: '' }],
    ['[{"type":"reference","reference_ids":[1]},null,{"type":"text","text":"b"}]', { content: 'b' }],
    ['[]', { content: null }],
    ['"[{}]"', { content: '[{}]' }],
  ])('answers in text: %s', (content, message) => {
    const body = `{"choices":[{"message":{"role":"assistant","content":${content}}}]}`;
    const request = openTaskRequest('chat', parseJsonBody(JSON.stringify({ model: 'm', messages: MESSAGES })));
    const outcome = adapter('mistral').tasks.chat?.getResponse(answerOf(body), request, aTarget(adapter('mistral')));
    if (outcome?.ok !== true) expect.unreachable('no answer');
    expect(JSON.parse(outcome.answer.body as string)).toEqual({
      choices: [{ message: { role: 'assistant', ...message } }],
    });
  });
});

describe('several choices of mistral', () => {
  it('are each read as what they are', () => {
    const said = (content: unknown) => ({ message: { role: 'assistant', content } });
    const body = JSON.stringify({ choices: [said([{ type: 'text', text: 'a' }]), said('12'), { message: {} }] });
    const request = openTaskRequest('chat', parseJsonBody(JSON.stringify({ model: 'm', messages: MESSAGES, n: 3 })));
    const outcome = adapter('mistral').tasks.chat?.getResponse(answerOf(body), request, aTarget(adapter('mistral')));
    if (outcome?.ok !== true) expect.unreachable('no answer');
    expect(JSON.parse(outcome.answer.body as string)).toEqual({ choices: [said('a'), said('12'), { message: {} }] });
  });
});

describe('log probabilities at Together', () => {
  it.each([
    [{ logprobs: true }, 1],
    [{ logprobs: true, top_logprobs: 0 }, 1],
    [{ logprobs: true, top_logprobs: null }, 1],
    [{ logprobs: true, top_logprobs: 3 }, 3],
    [{ logprobs: 5 }, 5],
    [{ logprobs: false, top_logprobs: 3 }, undefined],
  ])('are asked for by number: %o', (given, number) => {
    const body = sent('together', given);
    expect(body['logprobs']).toBe(number);
    expect(body).not.toHaveProperty('top_logprobs');
  });

  const read = (choice: object) => {
    const request = openTaskRequest('chat', parseJsonBody(JSON.stringify({ model: 'm', messages: MESSAGES })));
    const answer = answerOf(JSON.stringify({ choices: [choice] }));
    const outcome = adapter('together').tasks.chat?.getResponse(answer, request, aTarget(adapter('together')));
    if (outcome?.ok !== true) expect.unreachable('no answer');
    return (JSON.parse(outcome.answer.body as string) as { choices: Array<{ logprobs: object }> }).choices[0]?.logprobs;
  };
  const message = { role: 'assistant', content: '1é' };
  const lists = { tokens: ['1', 'é'], token_logprobs: [-1.5, -0.1] };

  it('come in OpenAI’s list too', () => {
    expect(read({ message, logprobs: lists })).toEqual({
      ...lists,
      content: [
        { token: '1', logprob: -1.5, bytes: [49], top_logprobs: [] },
        { token: 'é', logprob: -0.1, bytes: [195, 169], top_logprobs: [] },
      ],
    });
    const top = { ...lists, top_logprobs: [{ '1': -1.5, '2': -3 }, null] };
    expect(read({ message, logprobs: top })).toMatchObject({
      content: [
        {
          top_logprobs: [
            { token: '1', logprob: -1.5, bytes: [49] },
            { token: '2', logprob: -3, bytes: [50] },
          ],
        },
        { top_logprobs: [] },
      ],
    });
    expect(read({ message, logprobs: { content: [] } })).toEqual({ content: [] });
    expect(read({ message, logprobs: { tokens: ['1'] } })).toEqual({ tokens: ['1'] });
    expect(read({ message, logprobs: { token_logprobs: [1] } })).toEqual({ token_logprobs: [1] });
    expect(read({ message: { logprobs: {} } })).toBeUndefined();
  });

  it.each([
    [
      { delta: { content: 'a' }, logprobs: -0.25 },
      { content: [{ token: 'a', logprob: -0.25, bytes: [97], top_logprobs: [] }], refusal: null },
    ],
    [
      { delta: { content: 'a' }, logprobs: 0 },
      { content: [{ token: 'a', logprob: 0, bytes: [97], top_logprobs: [] }], refusal: null },
    ],
    [{ delta: { content: 'a' }, logprobs: null }, null],
    [{ delta: { role: 'assistant' }, logprobs: -1 }, -1],
    [{ logprobs: -1 }, -1],
  ])('come in OpenAI’s list in a stream: %o', (choice, logprobs) => {
    const text = JSON.stringify({ model: 'm', messages: MESSAGES, stream: true });
    const request = openTaskRequest('chat', parseJsonBody(text));
    const reader = adapter('together').tasks.chat?.openStream?.(request, aTarget(adapter('together')));
    reader?.read({ name: null, data: '{"choices":[{"index":0,"delta":{"content":"b"}}]}' });
    const step = reader?.read({ name: null, data: JSON.stringify({ choices: [choice] }) });
    if (step?.kind !== 'chunk') expect.unreachable('no chunk');
    expect(JSON.parse(step.data)).toEqual({ choices: [{ ...choice, logprobs }] });
  });
});

describe('reasoning in answers', () => {
  const read = (id: string, body: string) => {
    const request = openTaskRequest('chat', parseJsonBody(JSON.stringify({ model: 'm', messages: MESSAGES })));
    const outcome = adapter(id).tasks.chat?.getResponse(answerOf(body), request, aTarget(adapter(id)));
    if (outcome?.ok !== true) expect.unreachable('no answer');
    return outcome.answer.body as string;
  };
  const stream = (id: string, data: string) => {
    const text = JSON.stringify({ model: 'm', messages: MESSAGES, stream: true });
    const reader = adapter(id).tasks.chat?.openStream?.(
      openTaskRequest('chat', parseJsonBody(text)),
      aTarget(adapter(id)),
    );
    // Content has begun: what follows is read only where it must be.
    reader?.read({ name: null, data: '{"choices":[{"index":0,"delta":{"content":"a"}}]}' });
    const step = reader?.read({ name: null, data });
    return { text: step?.kind === 'chunk' ? step.data : step?.kind, texts: reader?.outputTexts() };
  };

  const plain = ['azure_openai', 'mistral', 'fireworks', 'grok', 'deepseek', 'deepinfra', 'perplexity', 'novita'];
  it.each(Object.keys(CHAT_OUTCOMES))('comes from %s as reasoning_content', (id) => {
    const answer = '{"choices":[{"message":{"content":"a","reasoning":"h\\"m"}}]}';
    const chunk = '{"choices":[{"index":0,"delta":{"reasoning":"h\\"m"}}]}';
    const added = (text: string) =>
      plain.includes(id) ? text : text.replace(/("reasoning"):("h\\"m")/, '$1:$2,"reasoning_content":$2');
    expect(read(id, answer)).toBe(added(answer));
    expect(stream(id, chunk)).toEqual({ text: added(chunk), texts: ['ah"m'] });
  });

  it.each([
    '{"choices":[{"message":{"reasoning":"hm","reasoning_content":"hm"}}]}',
    '{"choices":[{"message":{"reasoning":"","content":"a"}}]}',
    '{"choices":[{"message":{"reasoning":null,"content":"a"}}]}',
    '{"choices":[{"message":"\\"reasoning\\":\\"x\\""}],"reasoning":"elsewhere"}',
    '{"choices":[{"message":{"reasoning":{"reasoning":"x"}}}]}',
  ])('stays as it is: %s', (answer) => {
    expect(read('groq', answer)).toBe(answer);
  });

  it('fills a reasoning_content that is null', () => {
    expect(JSON.parse(read('groq', '{"choices":[{"message":{"reasoning":"hm","reasoning_content":null}}]}'))).toEqual({
      choices: [{ message: { reasoning: 'hm', reasoning_content: 'hm' } }],
    });
  });
});

describe('what a call used', () => {
  const usage = (id: string, text: string, providerModel = 'm') => {
    const target = aTarget(adapter(id), { providerModel });
    const body = parseJsonBody(JSON.stringify({ model: 'm', messages: MESSAGES }));
    const answer = answerOf(`{"choices":[{"message":{"content":"a"}}],"usage":${text}}`);
    const outcome = adapter(id).tasks.chat?.getResponse(answer, openTaskRequest('chat', body), target);
    const streaming = parseJsonBody(JSON.stringify({ model: 'm', messages: MESSAGES, stream: true }));
    const reader = adapter(id).tasks.chat?.openStream?.(openTaskRequest('chat', streaming), target);
    reader?.read({ name: null, data: `{"choices":[],"usage":${text}}` });
    const report = outcome?.ok === true ? outcome.answer.usage : null;
    expect(reader?.usage()).toEqual(report);
    return report;
  };

  it('at xAI has its reasoning beside the completion, and its cost in ticks', () => {
    const figures = '"prompt_tokens":32,"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":94}';
    expect(usage('grok', `{${figures},"total_tokens":135,"cost_in_usd_ticks":2709000}`)).toMatchObject({
      counts: { input: 32, output: 9, reasoning: 94 },
      providerCostUsd: '0.0002709000',
      problems: [],
    });
    expect(usage('grok', `{${figures}}`)).toMatchObject({ counts: { output: 9, reasoning: 94 } });
    expect(usage('grok', '{"prompt_tokens":1,"completion_tokens":1,"cost_in_usd_ticks":23456789012}')).toMatchObject({
      providerCostUsd: '2.3456789012',
    });
    // Where the total says that it is inside, it is.
    expect(
      usage('grok', '{"prompt_tokens":3,"completion_tokens":9,"total_tokens":12,"reasoning_tokens":4}'),
    ).toMatchObject({ counts: { output: 5, reasoning: 4 } });
  });

  it('at Perplexity has deep research’s citations and searches', () => {
    const figures =
      '{"prompt_tokens":108,"completion_tokens":3256,"total_tokens":3364,"citation_tokens":7299,"num_search_queries":74,"reasoning_tokens":73248,"cost":{"total_cost":0.63}}';
    expect(usage('perplexity', figures, 'sonar-deep-research')).toMatchObject({
      counts: { input: 7407, output: 3256, reasoning: 73248, searchUnits: 74 },
      providerCostUsd: '0.63',
      problems: [],
    });
    expect(usage('perplexity', figures, 'sonar-pro')).toMatchObject({
      counts: { input: 108, output: 3256, reasoning: 73248, searchUnits: null },
    });
    expect(usage('perplexity', '{"prompt_tokens":8,"total_tokens":12,"reasoning_tokens":9}')).toMatchObject({
      counts: { output: 4, reasoning: 9 },
    });
    expect(usage('perplexity', '{"prompt_tokens":8,"completion_tokens":4}', 'sonar-deep-research')).toMatchObject({
      counts: { input: 8, output: 4, searchUnits: null },
      problems: [],
    });
  });

  it('at DeepSeek has hits of the cache apart', () => {
    const figures =
      '{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29,"prompt_cache_hit_tokens":16,"prompt_cache_miss_tokens":4,"completion_tokens_details":{"reasoning_tokens":5}}';
    expect(usage('deepseek', figures)?.counts).toMatchObject({ input: 4, cachedInput: 16, output: 4, reasoning: 5 });
  });

  it('at DeepInfra, OpenRouter and Together comes in their own places', () => {
    expect(usage('deepinfra', '{"prompt_tokens":1,"completion_tokens":2,"estimated_cost":0.0000268}')).toMatchObject({
      providerCostUsd: '0.0000268',
    });
    expect(
      usage(
        'openrouter',
        '{"prompt_tokens":194,"completion_tokens":2,"cost":0.95,"prompt_tokens_details":{"cached_tokens":10,"cache_write_tokens":100}}',
      ),
    ).toMatchObject({ counts: { input: 84, cachedInput: 10, cacheWrite: 100 }, providerCostUsd: '0.95' });
    expect(usage('together', '{"prompt_tokens":5,"completion_tokens":2,"cached_tokens":3}')?.counts).toMatchObject({
      input: 2,
      cachedInput: 3,
    });
  });

  it('at SambaNova has timings among the counts', () => {
    const figures =
      '{"acceptance_rate":4.05,"completion_tokens":350,"prompt_tokens":43,"total_tokens":393,"is_last_response":true,"end_time":1737583289.7}';
    expect(usage('sambanova', figures)).toMatchObject({ counts: { input: 43, output: 350 }, problems: [] });
  });
});

describe('azure_openai', () => {
  const url = (baseUrl: string, rest: Partial<UpstreamTarget> = {}) =>
    adapter('azure_openai').tasks.chat?.makeRoute(
      {} as never,
      aTarget(adapter('azure_openai'), {
        providerModel: 'my gpt',
        baseUrl,
        hasOwnPath: new URL(baseUrl).pathname !== '/',
        ...rest,
      }),
    ).url;
  const dated = { apiVersion: '2024-10-21' };

  it.each([
    ['https://r.test', dated, 'https://r.test/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21'],
    ['https://r.test/', dated, 'https://r.test/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21'],
    [
      'https://r.test/openai/',
      dated,
      'https://r.test/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21',
    ],
    [
      'https://r.test/openai/deployments/other',
      dated,
      'https://r.test/openai/deployments/other/chat/completions?api-version=2024-10-21',
    ],
    ['https://r.test/openai/v1', {}, 'https://r.test/openai/v1/chat/completions'],
    [
      'https://r.test/openai/v1/',
      { apiVersion: 'pre view' },
      'https://r.test/openai/v1/chat/completions?api-version=pre%20view',
    ],
    ['https://r.test', {}, 'https://r.test/openai/v1/chat/completions'],
    ['https://r.test/openai', {}, 'https://r.test/openai/v1/chat/completions'],
    ['https://gateway.test/azure', {}, 'https://gateway.test/azure/chat/completions'],
  ])('at %s with %o is asked at %s', (base, rest, expected) => {
    expect(url(base, rest)).toBe(expected);
  });

  it('takes no deployment that leads elsewhere', () => {
    expect(() => url('https://r.test', { ...dated, providerModel: '..' })).toThrow(/no name of a model/);
  });

  it('carries the key in a header of its own', () => {
    expect(adapter('azure_openai').authenticate(new Secret('k'))).toEqual({ 'api-key': 'k' });
  });

  it('says what an unknown deployment may mean', () => {
    expect(hint('azure_openai', { status: 404 })).toContain('deployment');
    expect(hint('azure_openai', { status: 400 })).toBeUndefined();
  });
});

describe('llama_stack', () => {
  it('carries the keys of the providers behind it in both headers', () => {
    const data = '{"together_api_key":"t"}';
    for (const key of [data, ' {\n  "together_api_key": "t"\n}\n']) {
      expect(adapter('llama_stack').authenticate(new Secret(key))).toEqual({
        'x-llamastack-provider-data': data,
        'x-ogx-provider-data': data,
      });
    }
    for (const key of ['{x', '12345', '"quoted"']) {
      expect(adapter('llama_stack').authenticate(new Secret(key))).toEqual({ authorization: `Bearer ${key}` });
    }
  });

  it('is asked under /v1, and where the base URL says', () => {
    const url = (baseUrl: string) =>
      adapter('llama_stack').tasks.embedding?.makeRoute({} as never, aTarget(adapter('llama_stack'), { baseUrl })).url;
    expect(url('http://h:8321')).toBe('http://h:8321/v1/embeddings');
    expect(url('http://h:8321/v1/openai/v1')).toBe('http://h:8321/v1/openai/v1/embeddings');
  });

  it('streams to its end without a mark, and errors as a detail', () => {
    const text = JSON.stringify({ model: 'm', messages: MESSAGES, stream: true });
    const target = aTarget(adapter('llama_stack'));
    const open = () =>
      adapter('llama_stack').tasks.chat?.openStream?.(openTaskRequest('chat', parseJsonBody(text)), target);
    const reader = open();
    reader?.read({ name: null, data: '{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}' });
    expect(reader?.isFinished()).toBe(false);
    reader?.read({ name: null, data: '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}' });
    expect(reader?.isFinished()).toBe(true);
    expect(open()?.read({ name: null, data: '{"detail":"Internal server error"}' })).toMatchObject({
      kind: 'fault',
      fault: { status: 500, message: 'Internal server error' },
    });
  });
});

describe('failures', () => {
  it.each([
    ['openrouter', { status: 403, message: 'Your input was flagged' }, { action: 'reject' }],
    ['openrouter', { status: 403, message: 'model requires moderation' }, { action: 'reject' }],
    ['openrouter', { status: 403, message: 'key disabled' }, undefined],
    ['openrouter', { status: 402, message: 'flagged' }, undefined],
    ['grok', { status: 400, message: 'Incorrect API key provided: na***ys.' }, { action: 'rotate-key', disable: true }],
    ['grok', { status: 400, message: 'bad request' }, undefined],
    ['grok', { status: 403, message: 'Content violates usage guidelines.' }, { action: 'reject' }],
    ['grok', { status: 403, message: 'Failed check: SAFETY_CHECK_TYPE_CSAM' }, { action: 'reject' }],
    ['grok', { status: 403, message: 'no access' }, undefined],
    ['grok', { status: 404, message: 'Incorrect API key, usage guidelines' }, undefined],
    ['featherless', { status: 403, code: 'model_gated' }, { action: 'fall-back' }],
    ['featherless', { status: 403, message: 'This model is gated' }, { action: 'fall-back' }],
    ['featherless', { status: 403, message: 'no' }, undefined],
    ['featherless', { status: 400, message: 'gated' }, undefined],
  ])('of %s mean what they say: %o', (id, failure, verdict) => {
    const given = adapter(id).classify?.(aFailure(failure));
    if (verdict === undefined) expect(given).toBeUndefined();
    else expect(given).toMatchObject(verdict);
  });

  it('of Perplexity may mean that its API is gone', () => {
    for (const failure of [{ status: 404 }, { status: 410 }, { status: 400, message: 'Sonar is now the Agent API' }]) {
      expect(hint('perplexity', failure)).toContain('Agent API');
    }
    expect(hint('perplexity', { status: 429, message: 'slow down' })).toBeUndefined();
  });
});

function hint(id: string, failure: Partial<UpstreamFailure>): string | undefined {
  return adapter(id).hint?.(aFailure(failure), { baseUrl: '' });
}

function aFailure(overrides: Partial<UpstreamFailure>): UpstreamFailure {
  return {
    ...{ kind: 'status', status: 500, code: null, param: null, type: null, message: '' },
    ...{ retryAfterMs: null, loadingMs: null, shouldRetry: null, sent: true },
    ...overrides,
  };
}
