import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type RunningSandbox, startSandbox } from '../../src/providers/sandbox/server.js';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';

/** The official package, unmodified, against the built daemon. */

let sandbox: RunningSandbox;
let daemon: Daemon;
let client: OpenAI;

const hello = { role: 'user', content: 'Hello over there' } as const;
const weather = {
  type: 'function' as const,
  function: {
    name: 'weather',
    description: 'The weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

beforeAll(async () => {
  sandbox = await startSandbox();
  // An entry of its own for each failure: a key that was refused stays out.
  const entry = (id: string, rest: object = {}) => ({
    id,
    type: 'openai_compatible',
    base_url: `${sandbox.url}/v1`,
    api_keys: [`key-${id}`],
    pricing: { input_token_cost: '0.0000001', output_token_cost: '0.0000004' },
    ...rest,
  });
  const models = [{ id: 'sandbox-small' }, { id: 'org/sandbox-large' }, { id: 'sandbox-embed', tasks: ['embedding'] }];
  daemon = await startDaemon({
    config: {
      llm_providers: [
        entry('main', { models }),
        ...['limited', 'broken', 'refused', 'rejecting', 'cutting'].map((id) => entry(id)),
      ],
      api_keys: [
        { id: 'tester', key: CLIENT_KEY },
        { id: 'narrow', key: 'narrow-key', allowed_models: ['sandbox-embed'] },
      ],
      policy: { retry: { max_attempts: 2, interval: '1ms', max_interval: '2ms', max_wait: '20ms' } },
    },
  });
  client = openai(CLIENT_KEY);
});
afterAll(async () => {
  await daemon?.stop();
  await sandbox?.close();
});

function openai(apiKey: string): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${daemon.url}/v1`, maxRetries: 0 });
}

describe('chat', () => {
  it('answers, with usage and cost', async () => {
    const { data, response } = await client.chat.completions
      .create({ model: 'sandbox-small', messages: [hello] })
      .withResponse();
    expect(data.choices[0]?.message.content?.split(' ')).toHaveLength(16);
    // 3 words in at 100 nano-USD, 16 out at 400.
    expect(data.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 16, cost: 0.0000067, cost_nano_usd: 6700 });
    expect(response.headers.get('x-waybill-cost-nano-usd')).toBe('6700');
    expect((data as { _request_id?: string })._request_id).toBe(response.headers.get('inference-id'));
  });

  it('answers under /api/v1 too', async () => {
    const other = new OpenAI({ apiKey: CLIENT_KEY, baseURL: `${daemon.url}/api/v1`, maxRetries: 0 });
    const answer = await other.chat.completions.create({ model: 'sandbox-small', messages: [hello], n: 2 });
    expect(answer.choices).toHaveLength(2);
  });

  it('streams the same text, and the usage only when asked', async () => {
    const whole = await client.chat.completions.create({ model: 'sandbox-small', messages: [hello] });
    for (const asked of [false, true]) {
      const stream = await client.chat.completions.create({
        model: 'sandbox-small',
        messages: [hello],
        stream: true,
        ...(asked ? { stream_options: { include_usage: true } } : {}),
      });
      let text = '';
      const usages: unknown[] = [];
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? '';
        if (chunk.usage) usages.push(chunk.usage);
      }
      expect(text).toBe(whole.choices[0]?.message.content);
      expect(usages).toHaveLength(asked ? 1 : 0);
      if (asked) expect(usages[0]).toMatchObject({ completion_tokens: 16, cost_nano_usd: 6700 });
    }
  });

  it('works with the streaming helper', async () => {
    const stream = client.chat.completions.stream({ model: 'sandbox-small', messages: [hello], max_tokens: 5 });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]?.finish_reason).toBe('length');
    expect(final.choices[0]?.message.content?.split(' ')).toHaveLength(5);
  });

  it('calls tools, whole and streamed', async () => {
    const ask = { model: 'sandbox-small', messages: [hello], tools: [weather], tool_choice: 'required' as const };
    const whole = await client.chat.completions.create(ask);
    const [call] = whole.choices[0]?.message.tool_calls ?? [];
    expect(call).toMatchObject({ type: 'function', function: { name: 'weather' } });
    const streamed = await client.chat.completions.stream(ask).finalChatCompletion();
    expect(streamed.choices[0]?.message.tool_calls?.[0]).toMatchObject({
      id: call?.id,
      function: { name: 'weather', arguments: call?.type === 'function' ? call.function.arguments : '' },
    });
  });

  it('runs the tool loop of the package to its end', async () => {
    const asked: object[] = [];
    const answerTool = (args: object) => {
      asked.push(args);
      return 'sunny';
    };
    const runner = client.chat.completions.runTools({
      model: 'sandbox-small',
      messages: [{ role: 'user', content: '[[tool-call]] What is the weather?' }],
      tools: [{ type: 'function', function: { ...weather.function, parse: JSON.parse, function: answerTool } }],
    });
    expect(await runner.finalContent()).toEqual(expect.any(String));
    expect(asked).toEqual([{ city: expect.any(String) }]);
  });

  it('parses structured output', async () => {
    const shape = z.object({ name: z.string(), tags: z.array(z.enum(['red', 'blue'])), size: z.number().nullable() });
    const answer = await client.chat.completions.parse({
      model: 'sandbox-small',
      messages: [hello],
      response_format: zodResponseFormat(shape, 'thing'),
    });
    expect(shape.parse(answer.choices[0]?.message.parsed)).toBeTruthy();
  });

  it('gives back the upstream connection when its stream is aborted', async () => {
    const before = sandbox.stats().aborted;
    const stream = await client.chat.completions.create({
      model: 'sandbox-small',
      messages: [{ role: 'user', content: '[[chunk-delay=20 chunks=1000]] go on' }],
      stream: true,
    });
    for await (const _chunk of stream) break;
    stream.controller.abort();
    await expect.poll(() => sandbox.stats().aborted, { timeout: 5_000 }).toBe(before + 1);
  });
});

describe('completions and embeddings', () => {
  it('completes text, whole and streamed', async () => {
    const ask = { model: 'sandbox-small', prompt: 'Once upon', max_tokens: 4 };
    const whole = await client.completions.create(ask);
    let text = '';
    for await (const chunk of await client.completions.create({ ...ask, stream: true })) {
      text += chunk.choices[0]?.text ?? '';
    }
    expect(text).toBe(whole.choices[0]?.text);
    expect(whole.usage).toMatchObject({ prompt_tokens: 2, completion_tokens: 4 });
  });

  it('gives the same vectors by the default (base64) and as floats', async () => {
    const ask = { model: 'sandbox-embed', input: ['one two', 'three'], dimensions: 7 };
    const decoded = await client.embeddings.create(ask);
    const floats = await client.embeddings.create({ ...ask, encoding_format: 'float' });
    expect(decoded.data.map((item) => Array.from(item.embedding))).toEqual(floats.data.map((item) => item.embedding));
    expect(floats.data[1]?.embedding).toHaveLength(7);
    expect(floats.usage).toMatchObject({ prompt_tokens: 3, total_tokens: 3 });
  });

  it('takes tokens as input', async () => {
    const { usage } = await client.embeddings.create({ model: 'sandbox-embed', input: [[1, 2, 3], [4]] });
    expect(usage.prompt_tokens).toBe(4);
  });
});

describe('models', () => {
  it('lists and retrieves what this client may use', async () => {
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);
    expect(ids).toEqual(expect.arrayContaining(['sandbox-small', 'org/sandbox-large', 'sandbox-embed']));
    expect((await client.models.retrieve('org/sandbox-large')).id).toBe('org/sandbox-large');
    const narrow: string[] = [];
    for await (const model of openai('narrow-key').models.list()) narrow.push(model.id);
    expect(narrow).toContain('sandbox-embed');
    expect(narrow).not.toContain('sandbox-small');
  });

  it('throws NotFoundError for one it does not have', async () => {
    await expect(client.models.retrieve('nothing/like-it')).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });
});

describe('error classes', () => {
  const ask = (model: string, content: string) =>
    client.chat.completions.create({ model, messages: [{ role: 'user', content }] });

  it('BadRequestError for a request that is not valid', async () => {
    const failure = client.chat.completions.create({ model: 'sandbox-small', messages: 'x' as unknown as [] });
    await expect(failure).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(failure).rejects.toMatchObject({ status: 400, code: 'invalid_request', param: 'messages' });
  });

  it('BadRequestError with the code of the provider', async () => {
    const failure = ask('rejecting:sandbox-small', '[[status=400 code=context_length_exceeded]] x');
    await expect(failure).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(failure).rejects.toMatchObject({ code: 'context_length_exceeded', type: 'invalid_request_error' });
  });

  it('AuthenticationError for a wrong key', async () => {
    const failure = openai('wrong').chat.completions.create({ model: 'sandbox-small', messages: [hello] });
    await expect(failure).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    await expect(failure).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' });
  });

  it('PermissionDeniedError for a model the client may not use', async () => {
    const failure = openai('narrow-key').chat.completions.create({ model: 'sandbox-small', messages: [hello] });
    await expect(failure).rejects.toBeInstanceOf(OpenAI.PermissionDeniedError);
    await expect(failure).rejects.toMatchObject({ code: 'model_not_allowed' });
  });

  it('NotFoundError for an unknown model, naming near ones', async () => {
    const failure = ask('sandbox-smal', 'x');
    await expect(failure).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(failure).rejects.toMatchObject({ code: 'model_not_found', message: /sandbox-small/ });
  });

  it('BadRequestError for a task the model does not have', async () => {
    const failure = ask('sandbox-embed', 'x');
    await expect(failure).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(failure).rejects.toMatchObject({ code: 'task_not_supported' });
  });

  it('ConflictError and UnprocessableEntityError as the provider says', async () => {
    await expect(ask('rejecting:sandbox-small', '[[status=409]] x')).rejects.toBeInstanceOf(OpenAI.ConflictError);
    const failure = ask('rejecting:sandbox-small', '[[status=422]] x');
    await expect(failure).rejects.toBeInstanceOf(OpenAI.UnprocessableEntityError);
  });

  it('RateLimitError when every key is limited, with the wait', async () => {
    const failure = await ask('limited:sandbox-small', '[[status=429 retry-after=9]] x').catch((error) => error);
    expect(failure).toBeInstanceOf(OpenAI.RateLimitError);
    expect(failure).toMatchObject({ code: 'upstream_rate_limited', type: 'rate_limit_error' });
    expect(Number(failure.headers.get('retry-after'))).toBeGreaterThanOrEqual(8);
  });

  it('InternalServerError when the upstream fails, and when it refuses the keys', async () => {
    const failure = ask('broken:sandbox-small', '[[status=500]] x');
    await expect(failure).rejects.toBeInstanceOf(OpenAI.InternalServerError);
    await expect(failure).rejects.toMatchObject({ status: 503, code: 'no_target_available' });
    const refused = ask('refused:sandbox-small', '[[status=401]] x');
    await expect(refused).rejects.toBeInstanceOf(OpenAI.InternalServerError);
    await expect(refused).rejects.toMatchObject({ status: 502, code: 'upstream_credentials_exhausted' });
  });

  it('APIError in the middle of a stream that broke', async () => {
    const stream = await client.chat.completions.create({
      model: 'cutting:sandbox-small',
      messages: [{ role: 'user', content: '[[cut-after=5 chunks=10]] x' }],
      stream: true,
    });
    let chunks = 0;
    const reading = (async () => {
      for await (const _chunk of stream) chunks++;
    })();
    await expect(reading).rejects.toBeInstanceOf(OpenAI.APIError);
    await expect(reading).rejects.toMatchObject({ code: 'upstream_interrupted' });
    expect(chunks).toBe(5);
  });

  it('retries by itself what can be retried, and not what cannot', async () => {
    const retrying = new OpenAI({ apiKey: CLIENT_KEY, baseURL: `${daemon.url}/v1`, maxRetries: 2 });
    const before = sandbox.stats().requests;
    const failure = retrying.chat.completions.create({
      model: 'rejecting:sandbox-small',
      messages: [{ role: 'user', content: '[[status=409]] once' }],
    });
    await expect(failure).rejects.toBeInstanceOf(OpenAI.ConflictError);
    expect(sandbox.stats().requests).toBe(before + 1);
  });
});
