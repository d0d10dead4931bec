import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RunningSandbox, startSandbox } from '../../../src/providers/sandbox/server.js';

let sandbox: RunningSandbox;

beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(() => sandbox.close());
beforeEach(() => fetch(`${sandbox.url}/__stats`, { method: 'DELETE' }).then((response) => response.text()));

interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: what came over the wire, looked into by the tests
  json: any;
}

async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(sandbox.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: parse(text) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const chat = (content: string, rest: object = {}, headers: Record<string, string> = {}) =>
  post('/v1/chat/completions', { model: 'sandbox-small', messages: [{ role: 'user', content }], ...rest }, headers);

/** The `data:` lines of a stream. */
const events = (text: string) =>
  text
    .split(/\r?\n\r?\n/)
    .filter((event) => event !== '')
    .map((event) => event.replace(/^data: /, ''));

// biome-ignore lint/suspicious/noExplicitAny: as above
const chunksOf = (text: string): any[] =>
  events(text)
    .filter((data) => data !== '[DONE]')
    .map((data) => JSON.parse(data));

describe('chat', () => {
  it('counts one token per word of every message and of the answer', async () => {
    const { json } = await post('/v1/chat/completions', {
      model: 'sandbox-small',
      messages: [
        { role: 'system', content: 'Be  brief.' },
        { role: 'user', content: [{ type: 'text', text: 'How are\nyou?' }] },
      ],
    });
    expect(json.usage).toEqual({ prompt_tokens: 5, completion_tokens: 16, total_tokens: 21 });
    expect(json.choices[0].message.content.split(' ')).toHaveLength(16);
    expect(json.choices[0].finish_reason).toBe('stop');
  });

  it('gives the same bytes for the same request, and other words for another prompt', async () => {
    const [first, again, other] = [await chat('Hello there'), await chat('Hello there'), await chat('Hello you')];
    expect(again.text).toBe(first.text);
    expect(other.json.choices[0].message.content).not.toBe(first.json.choices[0].message.content);
  });

  it('stops at max_tokens with finish_reason length, and not when the answer just fits', async () => {
    const short = await chat('Hi', { max_tokens: 3 });
    expect(short.json.choices[0].finish_reason).toBe('length');
    expect(short.json.usage.completion_tokens).toBe(3);
    const fitting = await chat('Hi', { max_completion_tokens: 16 });
    expect(fitting.json.choices[0].finish_reason).toBe('stop');
  });

  it('cuts at a stop sequence and counts what is left', async () => {
    const whole = (await chat('Hi')).json.choices[0].message.content as string;
    const stop = whole.split(' ')[4] as string;
    const { json } = await chat('Hi', { stop: [stop] });
    expect(json.choices[0].message.content).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(json.choices[0].finish_reason).toBe('stop');
    expect(json.usage.completion_tokens).toBe(json.choices[0].message.content.trim().split(/\s+/).length);
  });

  it('answers n choices and bills all of them', async () => {
    const { json } = await chat('Hi', { n: 3 });
    expect(json.choices.map((choice: { index: number }) => choice.index)).toEqual([0, 1, 2]);
    expect(new Set(json.choices.map((choice: { message: { content: string } }) => choice.message.content)).size).toBe(
      3,
    );
    expect(json.usage.completion_tokens).toBe(48);
  });

  it('streams the text of the whole answer, one word a chunk, and ends with [DONE]', async () => {
    const whole = await chat('Hi', { n: 2 });
    const { text, headers } = await chat('Hi', { n: 2, stream: true });
    expect(headers.get('content-type')).toContain('text/event-stream');
    const said = ['', ''];
    const finishes: Array<string | null> = [null, null];
    for (const chunk of chunksOf(text)) {
      expect(chunk.usage).toBeUndefined();
      for (const choice of chunk.choices) {
        said[choice.index] += choice.delta.content ?? '';
        finishes[choice.index] = choice.finish_reason ?? finishes[choice.index];
      }
    }
    expect(said).toEqual(whole.json.choices.map((choice: { message: { content: string } }) => choice.message.content));
    expect(finishes).toEqual(['stop', 'stop']);
    expect(chunksOf(text)).toHaveLength(2 * 16 + 2);
    expect(events(text).at(-1)).toBe('[DONE]');
  });

  it('sends the usage chunk only to who asked for it', async () => {
    const { text } = await chat('Hi there', { stream: true, stream_options: { include_usage: true } });
    const chunks = chunksOf(text);
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 2, completion_tokens: 16, total_tokens: 18 },
    });
    expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
  });

  it('fills a JSON schema in a structured answer', async () => {
    const schema = {
      type: 'object',
      properties: {
        name: { type: 'string' },
        age: { type: 'integer' },
        tags: { type: 'array', items: { $ref: '#/$defs/tag' } },
      },
      $defs: { tag: { enum: ['red', 'blue'] } },
    };
    const { json } = await chat('Hi', { response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } });
    expect(JSON.parse(json.choices[0].message.content)).toEqual({ name: expect.any(String), age: 1, tags: ['red'] });
  });

  it('calls a forced tool with arguments that fit, and answers in words after its result', async () => {
    const tool = {
      type: 'function',
      function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
    };
    const called = await chat('Weather?', { tools: [tool], tool_choice: 'required' });
    expect(called.json.choices[0].finish_reason).toBe('tool_calls');
    expect(called.json.choices[0].message.content).toBeNull();
    const [call] = called.json.choices[0].message.tool_calls;
    expect(call).toMatchObject({ type: 'function', function: { name: 'weather' } });
    expect(JSON.parse(call.function.arguments)).toEqual({ city: expect.any(String) });
    const messages = [
      { role: 'user', content: '[[tool-call]] Weather?' },
      called.json.choices[0].message,
      { role: 'tool', tool_call_id: call.id, content: 'sunny' },
    ];
    const after = await post('/v1/chat/completions', { model: 'sandbox-small', messages, tools: [tool] });
    expect(after.json.choices[0].message.content).toEqual(expect.any(String));
  });

  it('answers 404 in the shape of OpenAI for a model it does not have', async () => {
    const { status, json } = await chat('Hi', { model: 'gpt-4o' });
    expect(status).toBe(404);
    expect(json.error).toMatchObject({ type: 'invalid_request_error', code: 'model_not_found' });
    expect(json.error.message).toContain('gpt-4o');
  });

  it.each([
    ['not JSON', '{', null],
    ['no model', { messages: [{ role: 'user', content: 'x' }] }, 'model'],
    ['no messages', { model: 'sandbox-small' }, 'messages'],
    [
      'max_tokens 0',
      { model: 'sandbox-small', messages: [{ role: 'user', content: 'x' }], max_tokens: 0 },
      'max_tokens',
    ],
  ])('answers 400 and names the parameter: %s', async (_name, body, param) => {
    const { status, json } = await post('/v1/chat/completions', body);
    expect(status).toBe(400);
    expect(json.error.param).toBe(param);
  });
});

describe('completions', () => {
  it('answers each prompt, whole and streamed', async () => {
    const ask = { model: 'sandbox-small', prompt: ['One two', 'Three'], max_tokens: 4 };
    const whole = await post('/v1/completions', ask);
    expect(whole.json.object).toBe('text_completion');
    expect(whole.json.usage).toEqual({ prompt_tokens: 3, completion_tokens: 8, total_tokens: 11 });
    const streamed = await post('/v1/completions', { ...ask, stream: true });
    const said = ['', ''];
    for (const chunk of chunksOf(streamed.text)) for (const choice of chunk.choices) said[choice.index] += choice.text;
    expect(said).toEqual(whole.json.choices.map((choice: { text: string }) => choice.text));
  });

  it('counts a token array by its length', async () => {
    const { json } = await post('/v1/completions', { model: 'sandbox-small', prompt: [1, 2, 3] });
    expect(json.usage.prompt_tokens).toBe(3);
  });
});

describe('embeddings', () => {
  it('gives the same vector as floats and as base64', async () => {
    const ask = { model: 'sandbox-embed', input: ['a b', 'c'], dimensions: 5 };
    const floats = await post('/v1/embeddings', ask);
    const base64 = await post('/v1/embeddings', { ...ask, encoding_format: 'base64' });
    expect(floats.json.usage).toEqual({ prompt_tokens: 3, total_tokens: 3 });
    for (const [index, { embedding }] of floats.json.data.entries()) {
      expect(embedding).toHaveLength(5);
      const bytes = Buffer.from(base64.json.data[index].embedding, 'base64');
      expect(Array.from({ length: 5 }, (_, i) => bytes.readFloatLE(i * 4))).toEqual(embedding);
    }
  });

  it.each([
    ['a string', 'one two', 1, 2],
    ['tokens', [5, 6, 7], 1, 3],
    ['lists of tokens', [[5, 6], [7]], 2, 3],
  ])('takes %s', async (_name, input, vectors, tokens) => {
    const { json } = await post('/v1/embeddings', { model: 'sandbox-embed', input });
    expect(json.data).toHaveLength(vectors);
    expect(json.data[0].embedding).toHaveLength(32);
    expect(json.usage.prompt_tokens).toBe(tokens);
  });

  it('answers 400 for an input that is none', async () => {
    expect((await post('/v1/embeddings', { model: 'sandbox-embed', input: [] })).status).toBe(400);
    expect((await post('/v1/embeddings', { model: 'sandbox-embed', input: 'x', dimensions: 0 })).status).toBe(400);
  });
});

describe('models', () => {
  it('lists its models, and any name that begins with sandbox-', async () => {
    const list = (await (await fetch(`${sandbox.url}/v1/models`)).json()) as { data: Array<{ id: string }> };
    expect(list.data.map((model) => model.id)).toEqual(['sandbox-small', 'sandbox-embed']);
    const other = await fetch(`${sandbox.url}/v1/models/sandbox-other`);
    expect(await other.json()).toMatchObject({ id: 'sandbox-other', object: 'model' });
    const missing = await fetch(`${sandbox.url}/v1/models/gpt-4o`);
    expect(missing.status).toBe(404);
    await missing.text();
  });
});

describe('Hugging Face dialect', () => {
  it.each(['/models/org/sandbox-embed', '/hf-inference/models/sandbox-embed'])(
    'extracts features at %s',
    async (at) => {
      const one = await post(`${at}/pipeline/feature-extraction`, { inputs: 'a b' });
      expect(one.json).toHaveLength(32);
      const many = await post(`${at}/pipeline/feature-extraction`, { inputs: ['a b', 'c'] });
      expect(many.json).toHaveLength(2);
      expect(many.json[0]).toEqual(one.json);
      const tokens = await post(`${at}/pipeline/feature-extraction`, { inputs: '[[token-vectors]] a b c' });
      expect(tokens.json).toHaveLength(1);
      expect(tokens.json[0]).toHaveLength(3);
    },
  );

  it('generates text, whole and as a native stream', async () => {
    const ask = { inputs: 'Once upon a time', parameters: { max_new_tokens: 5, details: true } };
    const whole = await post('/models/sandbox-small', ask);
    expect(whole.json[0].details).toMatchObject({ finish_reason: 'length', generated_tokens: 5 });
    const { text } = await post('/models/sandbox-small', { ...ask, stream: true });
    const chunks = chunksOf(text);
    expect(chunks.map((chunk) => chunk.token.text).join('')).toBe(whole.json[0].generated_text);
    expect(chunks.at(-1).generated_text).toBe(whole.json[0].generated_text);
    expect(text).not.toContain('[DONE]');
  });

  it('answers errors as that API does', async () => {
    expect((await post('/models/gpt2', { inputs: 'x' })).json).toEqual({ error: 'Model gpt2 does not exist' });
    const failed = await post('/models/sandbox-small', { inputs: '[[status=429]] x' });
    expect(failed.status).toBe(429);
    expect(failed.json.error).toEqual(expect.any(String));
  });
});

describe('stats', () => {
  it('counts what it was asked and by which key, until it is reset', async () => {
    await chat('one two', {}, { authorization: 'Bearer sk-a' });
    await chat('[[status=500]] x', {}, { authorization: 'Bearer sk-a' });
    await post('/v1/embeddings', { model: 'sandbox-embed', input: 'x' }, { 'x-api-key': 'sk-b' });
    const stats = (await fetch(`${sandbox.url}/__stats`).then((response) => response.json())) as ReturnType<
      RunningSandbox['stats']
    >;
    expect(stats).toEqual(sandbox.stats());
    expect(stats.requests).toBe(3);
    expect(stats.by_key['sk-a']).toEqual({
      requests: 2,
      prompt_tokens: 2,
      completion_tokens: 16,
      statuses: { 200: 1, 500: 1 },
    });
    expect(stats.by_key['sk-b']?.requests).toBe(1);
    expect(stats.log.map(({ path, model, key, status }) => [path, model, key, status])).toEqual([
      ['/v1/chat/completions', 'sandbox-small', 'sk-a', 200],
      ['/v1/chat/completions', 'sandbox-small', 'sk-a', 500],
      ['/v1/embeddings', 'sandbox-embed', 'sk-b', 200],
    ]);
    await fetch(`${sandbox.url}/__stats`, { method: 'DELETE' }).then((response) => response.text());
    expect(sandbox.stats()).toEqual({ requests: 0, aborted: 0, by_key: {}, log: [] });
  });

  it('answers unknown paths, methods and broken escapes without falling over', async () => {
    expect((await post('/nowhere', {})).status).toBe(404);
    expect((await post('/models/%E0%A4%A', { inputs: 'x' })).status).toBe(404);
    const put = await fetch(`${sandbox.url}/v1/models`, { method: 'PUT' });
    expect(put.status).toBe(405);
    await put.text();
  });
});
