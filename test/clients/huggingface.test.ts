import { InferenceClient, InferenceClientProviderApiError } from '@huggingface/inference';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningSandbox, startSandbox } from '../../src/providers/sandbox/server.js';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';

/** The official package, unmodified, with the daemon as its endpoint and the Hugging Face adapter behind it. */

let sandbox: RunningSandbox;
let daemon: Daemon;

const hello = { role: 'user', content: 'Hello over there' } as const;
const weather = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
} as const;

beforeAll(async () => {
  sandbox = await startSandbox();
  const entry = (id: string, rest: object = {}) => ({
    id,
    type: 'huggingface',
    base_url: `${sandbox.url}/v1`,
    api_keys: [`hf_${id}`],
    pricing: { input_token_cost: '0.0000001', output_token_cost: '0.0000004' },
    ...rest,
  });
  daemon = await startDaemon({
    config: {
      llm_providers: [
        entry('hub', { models: [{ id: 'org/sandbox-small' }] }),
        entry('features', {
          base_url: `${sandbox.url}/hf-inference`,
          models: [{ id: 'org/sandbox-embed', tasks: ['embedding'] }],
        }),
        entry('limited'),
        entry('rejecting'),
        entry('refused'),
        entry('cutting'),
      ],
      policy: { retry: { max_attempts: 2, interval: '1ms', max_interval: '2ms', max_wait: '20ms' } },
    },
  });
});
afterAll(async () => {
  await daemon?.stop();
  await sandbox?.close();
});

const client = (key = CLIENT_KEY) => new InferenceClient(key, { endpointUrl: `${daemon.url}/v1` });

describe('chat', () => {
  it('answers, with usage and cost', async () => {
    const answer = await client().chatCompletion({ model: 'org/sandbox-small', messages: [hello] });
    expect(answer.choices[0]?.message.content?.split(' ')).toHaveLength(16);
    expect(answer.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 16, cost_nano_usd: 6700 });
    expect(sandbox.stats().log.at(-1)).toMatchObject({ path: '/v1/chat/completions', key: 'hf_hub' });
  });

  it('streams the same text', async () => {
    const whole = await client().chatCompletion({ model: 'org/sandbox-small', messages: [hello] });
    let text = '';
    for await (const chunk of client().chatCompletionStream({ model: 'org/sandbox-small', messages: [hello] })) {
      text += chunk.choices[0]?.delta.content ?? '';
    }
    expect(text).toBe(whole.choices[0]?.message.content);
  });

  it('calls tools, whole and streamed', async () => {
    const ask = { model: 'org/sandbox-small', messages: [hello], tools: [weather], tool_choice: 'required' };
    const whole = await client().chatCompletion(ask as never);
    const [call] = whole.choices[0]?.message.tool_calls ?? [];
    expect(call).toMatchObject({ type: 'function', function: { name: 'weather' } });
    let written = '';
    for await (const chunk of client().chatCompletionStream(ask as never)) {
      for (const part of chunk.choices[0]?.delta.tool_calls ?? []) written += part.function.arguments;
    }
    expect(written).toBe(call?.function.arguments);
    expect(JSON.parse(written)).toEqual({ city: expect.any(String) });
  });

  it('gives structured output', async () => {
    const schema = { type: 'object', properties: { name: { type: 'string' }, age: { type: 'integer' } } };
    const answer = await client().chatCompletion({
      model: 'org/sandbox-small',
      messages: [hello],
      response_format: { type: 'json_schema', json_schema: { name: 'person', schema } },
    });
    expect(JSON.parse(answer.choices[0]?.message.content ?? '')).toEqual({ name: expect.any(String), age: 1 });
  });
});

describe('embeddings', () => {
  it('gives a vector for each input', async () => {
    // The package asks the Hub which provider has a model, then that provider: its `fetch` option sends both here.
    const mapping = { together: { status: 'live', providerId: 'org/sandbox-embed', task: 'feature-extraction' } };
    const fetchHere = ((url: string, init?: RequestInit) =>
      url.startsWith('https://huggingface.co/api/models/')
        ? Promise.resolve(Response.json({ inferenceProviderMapping: mapping }))
        : fetch(`${daemon.url}${new URL(url).pathname}`, init)) as typeof fetch;
    const vectors = await new InferenceClient(CLIENT_KEY).featureExtraction(
      { provider: 'together', model: 'org/sandbox-embed', inputs: ['one two', 'three'] as never },
      { fetch: fetchHere },
    );
    expect(vectors).toHaveLength(2);
    expect((vectors as number[][])[0]).toHaveLength(32);
    expect(sandbox.stats().log.at(-1)?.path).toMatch(/feature-extraction$/);
  });
});

describe('errors', () => {
  const ask = (model: string, content: string, key?: string) =>
    client(key).chatCompletion({ model, messages: [{ role: 'user', content }] }, { retry_on_error: false });

  it.each([
    ['a wrong client key', 'org/sandbox-small', 'x', 'wrong', 401, 'invalid_api_key'],
    ['an unknown model', 'org/nothing', 'x', CLIENT_KEY, 404, 'model_not_found'],
    ['a model without the task', 'org/sandbox-embed', 'x', CLIENT_KEY, 400, 'task_not_supported'],
    ['what the provider rejects', 'rejecting:sandbox-small', '[[status=422]] x', CLIENT_KEY, 422, 'unprocessable'],
    [
      'keys that are limited',
      'limited:sandbox-small',
      '[[status=429 retry-after=9]] x',
      CLIENT_KEY,
      429,
      'upstream_rate_limited',
    ],
    [
      'keys that are refused',
      'refused:sandbox-small',
      '[[status=401]] x',
      CLIENT_KEY,
      502,
      'upstream_credentials_exhausted',
    ],
  ])('throws its own error class with our answer for %s', async (_name, model, content, key, status, code) => {
    const failure = await ask(model, content, key).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(InferenceClientProviderApiError);
    const { httpResponse } = failure as InferenceClientProviderApiError;
    expect(httpResponse.status).toBe(status);
    expect(httpResponse.requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(httpResponse.body).toMatchObject({ error: { code } });
  });

  it('throws in the middle of a stream that broke', async () => {
    let chunks = 0;
    const reading = (async () => {
      const messages = [{ role: 'user', content: '[[cut-after=5 chunks=10]] x' }];
      for await (const chunk of client().chatCompletionStream({ model: 'cutting:sandbox-small', messages })) {
        if (chunk.choices.length > 0) chunks++;
      }
    })();
    await expect(reading).rejects.toThrow();
    expect(chunks).toBe(5);
  });
});
