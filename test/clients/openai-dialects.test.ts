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

/** The official package, unmodified, against the built daemon in front of each provider's own dialect. */

const PRICES = {
  ...{ input_token_cost: '0.000001', cached_input_token_cost: '0.0000001', cache_write_token_cost: '0.000002' },
  ...{ output_token_cost: '0.000004' },
};

/** How one provider answers, and what the client and the ledger must make of it. */
interface Dialect {
  message?: { [name: string]: unknown };
  deltas?: ReadonlyArray<{ [name: string]: unknown }>;
  /** What a whole answer reports, and what a stream's last chunk with choices does. */
  usage: object;
  /** Members of the answer beside the usual ones. */
  beside?: object;
  /** The events of a stream, where they are not the deltas, a finish, and a chunk with the usage. */
  events?: (chunk: (choice: object, rest?: object) => string) => string[];
  reasoning?: string;
  /** input, cached input, cache write, output and reasoning. */
  counts: [number, number | null, number | null, number, number | null];
  costNanoUsd: number;
  providerCostUsd?: string;
  /** Members the request must have reached it with; undefined for those it must not. */
  sent?: { [name: string]: unknown };
}

const ASKED = { stream_options: { include_usage: true } };
const PLAIN: Dialect = {
  usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
  counts: [10, null, null, 5, null],
  costNanoUsd: 30_000,
  sent: ASKED,
};
const DONE = '[DONE]';
const delta = (content: object, finish: string | null = null) => ({ index: 0, delta: content, finish_reason: finish });
const thought = (text: string) => [{ type: 'thinking', thinking: [{ type: 'text', text }] }];
const reasoning: Partial<Dialect> = {
  message: { role: 'assistant', content: 'Hello', reasoning: 'hm' },
  deltas: [{ reasoning: 'h' }, { reasoning: 'm' }, { content: 'Hel' }, { content: 'lo' }],
  reasoning: 'hm',
};

const DIALECTS: Record<string, Dialect> = {
  ...Object.fromEntries(
    ['azure', 'deepinfra', 'nebius', 'novita', 'scaleway', 'ovhcloud', 'nscale', 'featherless', 'baseten'].map((id) => [
      id,
      PLAIN,
    ]),
  ),
  nvidia: { ...PLAIN, ...reasoning },
  mistral: {
    ...PLAIN,
    message: { role: 'assistant', content: [...thought('hm'), { type: 'text', text: 'Hello' }] },
    events: (chunk) => [
      chunk(delta({ role: 'assistant', content: '' })),
      chunk(delta({ content: thought('hm') })),
      chunk(delta({ content: [{ type: 'text', text: 'Hel' }] })),
      chunk(delta({ content: 'lo' }, 'stop'), { usage: PLAIN.usage }),
      DONE,
    ],
    reasoning: 'hm',
    sent: { stream_options: undefined, random_seed: 7, seed: undefined, max_tokens: 50, store: undefined },
  },
  groq: {
    ...reasoning,
    usage: { ...PLAIN.usage, completion_tokens_details: { reasoning_tokens: 2 }, total_time: 0.1 },
    events: (chunk) => [
      chunk(delta({ role: 'assistant', reasoning: 'hm' }), { x_groq: { id: 'req' } }),
      chunk(delta({ content: 'Hello' })),
      chunk(delta({}, 'stop'), {
        x_groq: { usage: { ...PLAIN.usage, completion_tokens_details: { reasoning_tokens: 2 } } },
      }),
      DONE,
    ],
    counts: [10, null, null, 3, 2],
    costNanoUsd: 30_000,
    sent: { ...ASKED, store: undefined, user: 'u' },
  },
  together: {
    ...reasoning,
    usage: { ...PLAIN.usage, cached_tokens: 4 },
    events: (chunk) => [
      chunk({ ...delta({ reasoning: 'hm' }), text: 'hm' }, { usage: null }),
      chunk({ ...delta({ content: 'Hello', token_id: 1 }), text: 'Hello' }, { usage: null }),
      chunk({ ...delta({ content: '' }, 'stop'), text: '' }, { usage: { ...PLAIN.usage, cached_tokens: 4 } }),
      DONE,
    ],
    counts: [6, 4, null, 5, null],
    costNanoUsd: 26_400,
    sent: { max_tokens: 50, max_completion_tokens: undefined },
  },
  fireworks: { ...PLAIN, sent: { max_tokens: 50 } },
  openrouter: {
    ...reasoning,
    usage: {
      ...PLAIN.usage,
      ...{ cost: 0.00123, prompt_tokens_details: { cached_tokens: 3, cache_write_tokens: 2 } },
    },
    counts: [5, 3, 2, 5, null],
    costNanoUsd: 29_300,
    providerCostUsd: '0.00123',
    sent: { user: 'u' },
  },
  grok: {
    message: { role: 'assistant', content: 'Hello', reasoning_content: 'hm' },
    deltas: [{ reasoning_content: 'hm' }, { content: 'Hello' }],
    reasoning: 'hm',
    usage: {
      ...{ prompt_tokens: 10, completion_tokens: 5, total_tokens: 35, cost_in_usd_ticks: 2_709_000 },
      completion_tokens_details: { reasoning_tokens: 20 },
    },
    counts: [10, null, null, 5, 20],
    costNanoUsd: 110_000,
    providerCostUsd: '0.0002709000',
    sent: ASKED,
  },
  deepseek: {
    ...PLAIN,
    message: { role: 'assistant', content: 'Hello', reasoning_content: 'hm' },
    deltas: [{ role: 'assistant', content: null, reasoning_content: 'hm' }, { content: 'Hello' }],
    reasoning: 'hm',
    usage: { ...PLAIN.usage, prompt_cache_hit_tokens: 8, prompt_cache_miss_tokens: 2 },
    counts: [2, 8, null, 5, null],
    costNanoUsd: 22_800,
    sent: { ...ASKED, store: undefined, user: undefined, max_tokens: 50 },
  },
  cerebras: {
    ...PLAIN,
    ...reasoning,
    beside: { time_info: { total_time: 0.02 } },
    events: (chunk) => [
      chunk(delta({ role: 'assistant' })),
      chunk(delta({ reasoning: 'hm' })),
      chunk(delta({ content: 'Hello' })),
      chunk(delta({}, 'stop'), { usage: PLAIN.usage, time_info: { total_time: 0.02 } }),
    ],
    sent: { store: undefined, max_completion_tokens: 50, max_tokens: undefined },
  },
  perplexity: {
    usage: {
      ...{ prompt_tokens: 10, completion_tokens: 5, total_tokens: 15, search_context_size: 'low' },
      cost: { input_tokens_cost: 0.00001, request_cost: 0.005, total_cost: 0.006 },
    },
    beside: { citations: ['https://a.test'], search_results: [{ title: 'A', url: 'https://a.test' }] },
    events: (chunk) => [
      chunk(
        { ...delta({ role: 'assistant', content: 'Hel' }), message: { role: 'assistant', content: 'Hel' } },
        { usage: { prompt_tokens: 10, completion_tokens: 1, total_tokens: 11 } },
      ),
      chunk(
        { ...delta({ content: 'lo' }, 'stop'), message: { role: 'assistant', content: 'Hello' } },
        { usage: { ...PLAIN.usage, cost: { total_cost: 0.006 } } },
      ),
    ],
    counts: [10, null, null, 5, null],
    costNanoUsd: 30_000,
    providerCostUsd: '0.006',
    sent: { store: undefined, user: undefined },
  },
  sambanova: {
    ...PLAIN,
    usage: { ...PLAIN.usage, acceptance_rate: 4.05, time_to_first_token: 0.1, is_last_response: true },
    beside: { created: 1737583288.6076705 },
  },
  hyperbolic: {
    ...PLAIN,
    events: (chunk) => [
      chunk(delta({ role: 'assistant', content: '' }), { usage: { prompt_tokens: 10, completion_tokens: 0 } }),
      chunk(delta({ content: 'Hel' }), { usage: { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 } }),
      chunk(delta({ content: 'lo' }), { usage: { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14 } }),
      chunk(delta({}, 'stop'), { usage: PLAIN.usage }),
      DONE,
    ],
    sent: {},
  },
  llama_stack: {
    ...PLAIN,
    events: (chunk) => [
      chunk(delta({ role: 'assistant', content: 'Hello' })),
      chunk(delta({}, 'stop')),
      JSON.stringify({
        id: 'x',
        object: 'chat.completion.chunk',
        created: 1,
        model: 'm',
        choices: [],
        usage: PLAIN.usage,
      }),
    ],
  },
};

const TYPE_OF: Record<string, string> = { azure: 'azure_openai', grok: 'xai' };
const DATA_KEY = '{"together_api_key":"together-secret-0123"}';

let upstream: ScriptedUpstream;
let daemon: Daemon;
let client: OpenAI;

beforeAll(async () => {
  upstream = await startUpstream(answer);
  const entry = (id: string, rest: object = {}) => ({
    id,
    type: TYPE_OF[id] ?? id,
    base_url: id === 'azure' ? upstream.url : `${upstream.url}/${id}`,
    api_keys: [id === 'llama_stack' ? DATA_KEY : `key-of-${id}`],
    pricing: PRICES,
    ...rest,
  });
  const embedding = (id: string) => entry(id, { models: [{ id: 'embed', tasks: ['embedding'] }] });
  daemon = await startDaemon({
    config: {
      llm_providers: [
        ...Object.keys(DIALECTS).map((id) => entry(id, id === 'azure' ? { api_version: '2024-10-21' } : {})),
        ...['voyage', 'jina'].map(embedding),
        entry('xai', { id: 'wrong-key' }),
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

/** What the next request is answered with, where it is not its provider's usual answer. */
let special: UpstreamStep | null = null;

function answer(request: RecordedRequest): UpstreamStep {
  if (special !== null) {
    const step = special;
    special = null;
    return step;
  }
  const id = request.path.startsWith('/openai/') ? 'azure' : (request.path.split('/')[1] as string);
  const body = JSON.parse(request.body) as { [name: string]: unknown };
  if (request.path.endsWith('/embeddings')) return { body: embeddings(body) };
  const dialect = DIALECTS[id];
  if (dialect === undefined) return { status: 599 };
  if (body['stream'] === true) return { sse: eventsOf(dialect) };
  const message = dialect.message ?? { role: 'assistant', content: 'Hello' };
  return {
    body: {
      ...{ id: 'x', object: 'chat.completion', created: 1, model: body['model'] },
      choices: [{ index: 0, message, finish_reason: 'stop' }],
      usage: dialect.usage,
      ...dialect.beside,
    },
  };
}

function eventsOf(dialect: Dialect): string[] {
  const head = { id: 'x', object: 'chat.completion.chunk', created: 1, model: 'm' };
  const chunk = (choice: object, rest: object = {}) => JSON.stringify({ ...head, choices: [choice], ...rest });
  if (dialect.events !== undefined) return dialect.events(chunk);
  const deltas = dialect.deltas ?? [{ role: 'assistant', content: 'Hel' }, { content: 'lo' }];
  return [
    ...deltas.map((content) => chunk(delta(content))),
    chunk(delta({}, 'stop')),
    JSON.stringify({ ...head, choices: [], usage: dialect.usage }),
    DONE,
  ];
}

function embeddings(body: { [name: string]: unknown }): object {
  const inputs = [body['input']].flat();
  return {
    object: 'list',
    data: inputs.map((_input, index) => ({ object: 'embedding', index, embedding: [0.5, -1] })),
    model: body['model'],
    usage: { total_tokens: 4 },
  };
}

const lastSent = () => JSON.parse(upstream.requests.at(-1)?.body ?? '{}') as { [name: string]: unknown };

async function rowOf(response: Response) {
  return daemon.admin<{ usage: { [name: string]: unknown }; cost_nano_usd: number; attempts: object[] }>(
    `/requests/${response.headers.get('inference-id')}`,
  );
}

async function expectRow(response: Response, dialect: Dialect): Promise<void> {
  const row = await rowOf(response);
  const [input, cached, write, output, thinking] = dialect.counts;
  expect(row.usage).toMatchObject({
    ...{ input, cached_input: cached, cache_write: write, output, reasoning: thinking },
    source: 'reported',
  });
  expect(row.cost_nano_usd).toBe(dialect.costNanoUsd);
  if (dialect.providerCostUsd !== undefined) {
    expect(JSON.stringify(row.attempts)).toContain(`"${dialect.providerCostUsd}"`);
  }
}

describe.each(Object.entries(DIALECTS))('%s', (id, dialect) => {
  const plain = {
    model: `${id}:model-1`,
    messages: [{ role: 'user' as const, content: 'Hi' }],
    max_completion_tokens: 50,
    store: true,
    user: 'u',
  };
  // The one seed there is goes where it is renamed.
  const ask = { ...plain, ...(id === 'mistral' ? { seed: 7 } : {}) };

  it('answers, with usage and cost', async () => {
    const { data, response } = await client.chat.completions.create(ask).withResponse();
    expect(data.choices[0]?.message).toMatchObject({ role: 'assistant', content: 'Hello' });
    const said = data.choices[0]?.message as { reasoning_content?: string } | undefined;
    expect(said?.reasoning_content).toBe(dialect.reasoning);
    expect(data).toMatchObject(dialect.beside ?? {});
    expect(data.usage).toMatchObject({ cost_nano_usd: dialect.costNanoUsd });
    const { stream_options: _only, ...whole } = dialect.sent ?? {};
    expect(lastSent()).toEqual(expect.objectContaining({ model: 'model-1', ...defined(whole) }));
    for (const name of undefinedOf(whole)) expect(lastSent()).not.toHaveProperty(name);
    await expectRow(response, dialect);
  });

  it('streams the same text, with usage when asked', async () => {
    for (const asked of [true, false]) {
      const { data, response } = await client.chat.completions
        .create({ ...ask, stream: true, ...(asked ? { stream_options: { include_usage: true } } : {}) })
        .withResponse();
      let text = '';
      let thoughts = '';
      const usages: unknown[] = [];
      for await (const chunk of data) {
        const said = chunk.choices[0]?.delta as { content?: string; reasoning_content?: string } | undefined;
        text += said?.content ?? '';
        thoughts += said?.reasoning_content ?? '';
        if (chunk.usage) usages.push(chunk.usage);
      }
      expect({ text, thoughts }).toEqual({ text: 'Hello', thoughts: dialect.reasoning ?? '' });
      expect(usages).toHaveLength(asked ? 1 : 0);
      if (asked) expect(usages[0]).toMatchObject({ cost_nano_usd: dialect.costNanoUsd });
      else expect(lastSent()['stream_options']).toEqual(dialect.sent?.['stream_options']);
      await expectRow(response, dialect);
    }
  });
});

describe('tools', () => {
  const weather = {
    type: 'function' as const,
    function: { name: 'weather', description: 'Weather', parameters: { type: 'object', properties: {} } },
  };
  const call = (id: string) => ({ id, type: 'function' as const, function: { name: 'weather', arguments: '{"a":1}' } });

  it.each(['groq', 'mistral', 'together', 'azure'])('of %s come in parallel, streamed, and go back', async (id) => {
    const head = { id: 'x', object: 'chat.completion.chunk', created: 1, model: 'm' };
    const part = (index: number, rest: object) => ({ choices: [delta({ tool_calls: [{ index, ...rest }] })] });
    special = {
      sse: [
        { choices: [delta({ role: 'assistant', content: null })] },
        ...[0, 1].flatMap((index) => [
          part(index, { id: `call_${index}`, type: 'function', function: { name: 'weather', arguments: '' } }),
          part(index, { function: { arguments: '{"a"' } }),
          part(index, { function: { arguments: ':1}' } }),
        ]),
        { choices: [delta({}, 'tool_calls')], usage: PLAIN.usage },
      ]
        .map((event) => JSON.stringify({ ...head, ...event }))
        .concat(DONE),
    };
    const first = await client.chat.completions
      .stream({
        model: `${id}:model-1`,
        messages: [{ role: 'user', content: 'Weather?' }],
        tools: [weather],
        tool_choice: 'required',
      })
      .finalChatCompletion();
    expect(lastSent()).toMatchObject({ tools: [weather], tool_choice: 'required' });
    const calls = first.choices[0]?.message.tool_calls;
    expect(calls).toMatchObject([call('call_0'), call('call_1')]);
    const second = await client.chat.completions.create({
      model: `${id}:model-1`,
      messages: [
        { role: 'user', content: 'Weather?' },
        { role: 'assistant', content: null, tool_calls: [call('call_0')] },
        { role: 'tool', tool_call_id: 'call_0', content: 'sunny' },
      ],
    });
    expect(second.choices[0]?.message.content).toBe('Hello');
    const [, assistant, result] = lastSent()['messages'] as Array<{
      tool_calls: Array<{ id: string }>;
      tool_call_id: string;
    }>;
    expect(result?.tool_call_id).toBe(assistant?.tool_calls[0]?.id);
    expect(result?.tool_call_id).toMatch(id === 'mistral' ? /^[a-zA-Z0-9]{9}$/ : /^call_0$/);
  });

  it('and structured output go through unharmed', async () => {
    const shape = z.object({ size: z.number() });
    for (const id of ['mistral', 'together', 'fireworks', 'cerebras', 'perplexity']) {
      special = {
        body: {
          ...{ id: 'x', object: 'chat.completion', created: 1, model: 'm' },
          choices: [{ index: 0, message: { role: 'assistant', content: '{"size":3}' }, finish_reason: 'stop' }],
        },
      };
      const parsed = await client.chat.completions.parse({
        model: `${id}:model-1`,
        messages: [{ role: 'user', content: 'Size?' }],
        response_format: zodResponseFormat(shape, 'size'),
      });
      expect(parsed.choices[0]?.message.parsed).toEqual({ size: 3 });
      expect(lastSent()['response_format']).toMatchObject({ type: 'json_schema', json_schema: { name: 'size' } });
    }
  });
});

describe('embeddings', () => {
  it.each([
    ['voyage', { encoding_format: 'base64', output_dimension: 2, input_type: 'query' }],
    ['jina', { embedding_type: 'base64', dimensions: 2, task: 'retrieval.query' }],
    ['mistral', { output_dimension: 2 }],
    ['nvidia', { encoding_format: 'base64', dimensions: 2, input_type: 'query' }],
  ])('of %s come as vectors, with the usage of the total', async (id, sent) => {
    const ask = { model: `${id}:embed`, input: ['a', 'b'], dimensions: 2, user: 'u', input_type: 'query' };
    const { data, response } = await client.embeddings.create(ask).withResponse();
    expect(data.data.map((item) => Array.from(item.embedding))).toEqual([
      [0.5, -1],
      [0.5, -1],
    ]);
    expect(lastSent()).toMatchObject({ model: 'embed', input: ['a', 'b'], ...sent });
    if (id !== 'nvidia') expect(lastSent()).not.toHaveProperty('user');
    expect(await rowOf(response)).toMatchObject({ usage: { input: 4, source: 'reported' }, cost_nano_usd: 4000 });
  });
});

describe('where and how they are asked', () => {
  it('azure: the deployment in the path, the version in the query, the key in its own header', async () => {
    await client.chat.completions.create({ model: 'azure:dep 1', messages: [{ role: 'user', content: 'Hi' }] });
    const request = upstream.requests.at(-1);
    expect(request?.path).toBe('/openai/deployments/dep%201/chat/completions?api-version=2024-10-21');
    expect(request?.headers).toMatchObject({ 'api-key': 'key-of-azure' });
    expect(request?.headers['authorization']).toBeUndefined();
  });

  it('llama_stack: the keys of the providers behind it in its header', async () => {
    await client.chat.completions.create({ model: 'llama_stack:m', messages: [{ role: 'user', content: 'Hi' }] });
    const { headers } = upstream.requests.at(-1) as RecordedRequest;
    expect(headers).toMatchObject({ 'x-llamastack-provider-data': DATA_KEY, 'x-ogx-provider-data': DATA_KEY });
    expect(headers['authorization']).toBeUndefined();
  });
});

describe('errors', () => {
  const ask = (model: string, rest: object = {}) =>
    client.chat.completions.create({ model, messages: [{ role: 'user', content: 'Hi' }], ...rest } as never);

  it('name the parameter a provider cannot do, and nothing is sent', async () => {
    const before = upstream.requests.length;
    for (const [id, rest, param] of [
      ['deepseek', { n: 2 }, 'n'],
      ['groq', { logprobs: true }, 'logprobs'],
      ['cerebras', { presence_penalty: 1 }, 'presence_penalty'],
      ['perplexity', { tools: [{ type: 'function', function: { name: 'f' } }] }, 'tools'],
    ] as const) {
      const failure = ask(`${id}:m`, rest);
      await expect(failure).rejects.toBeInstanceOf(OpenAI.BadRequestError);
      await expect(failure).rejects.toMatchObject({ param, code: 'invalid_request', type: 'invalid_request_error' });
    }
    expect(upstream.requests).toHaveLength(before);
  });

  it('of OpenRouter’s moderation are the caller’s, and leave the key as it was', async () => {
    special = { status: 403, body: { error: { code: 403, message: 'Your input was flagged', metadata: {} } } };
    await expect(ask('openrouter:m')).rejects.toMatchObject({
      status: 403,
      message: expect.stringContaining('flagged'),
    });
    expect((await ask('openrouter:m')).choices[0]?.message.content).toBe('Hello');
  });

  it('of xAI’s wrong keys are the operator’s', async () => {
    special = {
      status: 400,
      body: { code: 'Client specified an invalid argument', error: 'Incorrect API key provided: ke***ey.' },
    };
    await expect(ask('wrong-key:m')).rejects.toMatchObject({ status: 502, code: 'upstream_credentials_exhausted' });
  });

  it('of Llama Stack come as a detail, inside a stream too, without its keys', async () => {
    const detail = { detail: 'Invalid value: key together-secret-0123 is wrong' };
    special = { status: 400, body: detail };
    const refused = ask('llama_stack:m');
    await expect(refused).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(refused).rejects.toMatchObject({ message: expect.stringContaining('key [redacted] is wrong') });
    special = { sse: [JSON.stringify({ error: { message: 'Internal server error' } })] };
    // The second attempt answers.
    const stream = (await ask('llama_stack:m', { stream: true })) as unknown as AsyncIterable<object>;
    let chunks = 0;
    for await (const _chunk of stream) chunks += 1;
    expect(chunks).toBe(2);
  });

  it('say what an unknown deployment at Azure may mean', async () => {
    special = { status: 404, body: { error: { code: 'DeploymentNotFound', message: 'does not exist.' } } };
    await expect(ask('azure:m')).rejects.toMatchObject({ message: expect.stringContaining('name of a deployment') });
  });

  it('of rates and broken servers are what they are', async () => {
    upstream.setScript(() => ({
      status: 429,
      body: { error: { message: 'slow down' } },
      headers: { 'retry-after': '1' },
    }));
    await expect(ask('fireworks:m')).rejects.toBeInstanceOf(OpenAI.RateLimitError);
    upstream.setScript(() => ({ status: 500, body: { message: 'broke' } }));
    await expect(ask('novita:m')).rejects.toMatchObject({ status: 503, code: 'no_target_available' });
    upstream.setScript(answer);
  });
});

function defined(members: { [name: string]: unknown }): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

function undefinedOf(members: { [name: string]: unknown }): string[] {
  return Object.keys(members).filter((name) => members[name] === undefined);
}
