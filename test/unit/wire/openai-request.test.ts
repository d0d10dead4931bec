import { describe, expect, it } from 'vitest';
import { WaybillError } from '../../../src/domain/errors.js';
import { parseJsonBody } from '../../../src/wire/json-body.js';
import { countedInput, type OpenAiTask, openTaskRequest, outputBound } from '../../../src/wire/openai-request.js';

const messages = [{ role: 'user', content: 'hello' }];

function open(task: OpenAiTask, value: object) {
  return openTaskRequest(task, parseJsonBody(JSON.stringify({ model: 'm', ...value })));
}

describe('openTaskRequest', () => {
  it('says whether the client wants a stream and its usage', () => {
    expect(open('chat', { messages })).toMatchObject({ task: 'chat', stream: false, includeUsage: false });
    expect(open('chat', { messages, stream: true, stream_options: { include_usage: true } })).toMatchObject({
      stream: true,
      includeUsage: true,
    });
    expect(open('chat', { messages, stream: null, stream_options: null, max_tokens: null })).toMatchObject({
      stream: false,
    });
  });

  it.each([
    ['chat', { model: 4, messages }, 'model'],
    ['chat', { model: '', messages }, 'model'],
    ['chat', {}, 'messages'],
    ['chat', { messages: [] }, 'messages'],
    ['chat', { messages: 'hello' }, 'messages'],
    ['chat', { messages: ['hello'] }, 'messages[0]'],
    ['chat', { messages: [...messages, { content: 'x' }] }, 'messages[1].role'],
    ['chat', { messages, stream: 'yes' }, 'stream'],
    ['chat', { messages, stream_options: true }, 'stream_options'],
    ['chat', { messages, stream_options: { include_usage: 1 } }, 'stream_options.include_usage'],
    ['chat', { messages, max_tokens: '12' }, 'max_tokens'],
    ['chat', { messages, max_completion_tokens: 0.5 }, 'max_completion_tokens'],
    ['chat', { messages, n: 1.5 }, 'n'],
    ['chat', { messages, n: 0 }, 'n'],
    ['completion', {}, 'prompt'],
    ['completion', { prompt: [] }, 'prompt'],
    ['completion', { prompt: [{}] }, 'prompt'],
    ['embedding', {}, 'input'],
    ['embedding', { input: '' }, 'input'],
    ['embedding', { input: [] }, 'input'],
    ['embedding', { input: [[]] }, 'input'],
    ['embedding', { input: ['a', 1] }, 'input'],
    ['embedding', { input: 'a', stream: true }, 'stream'],
  ] as const)('refuses a %s request of the wrong shape, naming the member: %j', (task, value, param) => {
    try {
      open(task, value);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(WaybillError);
      expect(error).toMatchObject({ code: 'invalid_request', status: 400, param });
      expect((error as Error).message).toContain(param);
    }
  });

  it.each(['a', ['a', 'b'], [1, 2, 3], [[1, 2], [3]]])('takes every form of input: %j', (input) => {
    expect(open('embedding', { input }).task).toBe('embedding');
    expect(open('completion', { prompt: input }).task).toBe('completion');
  });

  it('leaves what it does not rely on to the provider', () => {
    const odd = { messages: [{ role: 'martian', content: { deep: [] } }], temperature: 'hot', tools: 'none', user: 7 };
    expect(open('chat', odd).body.value).toMatchObject(odd);
  });
});

describe('outputBound', () => {
  it.each([
    ['chat', { messages }, null],
    ['chat', { messages, max_tokens: 10 }, 10],
    ['chat', { messages, max_tokens: 0 }, null],
    ['chat', { messages, max_tokens: -1 }, null],
    ['chat', { messages, max_tokens: 10, max_completion_tokens: 20 }, 20],
    ['chat', { messages, max_tokens: 10, n: 3 }, 30],
    ['completion', { prompt: ['a', 'b'], max_tokens: 10, n: 2 }, 40],
    ['completion', { prompt: [1, 2, 3], max_tokens: 10 }, 10],
    ['completion', { prompt: [[1], [2]], max_tokens: 10 }, 20],
    ['embedding', { input: 'a' }, 0],
  ] as const)('of a %s request %j is %s', (task, value, bound) => {
    expect(outputBound(open(task, value))).toBe(bound);
  });
});

describe('countedInput', () => {
  it('counts what a chat says, calls and may call', () => {
    const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }];
    const input = countedInput(
      open('chat', {
        messages: [
          { role: 'system', name: 'boss', content: 'rules' },
          {
            role: 'user',
            content: [
              { type: 'text', text: 'look' },
              { type: 'image_url', image_url: { url: 'data:x' } },
            ],
          },
          {
            role: 'assistant',
            content: null,
            tool_calls: [{ id: '1', function: { name: 'f', arguments: '{"a":1}' } }],
          },
          { role: 'tool', tool_call_id: '1', content: 'result' },
        ],
        tools,
      }),
    );
    expect(input.messages).toBe(4);
    expect(input.texts).toEqual([
      'system',
      'boss',
      'rules',
      'user',
      'look',
      'assistant',
      'f',
      '{"a":1}',
      'tool',
      'result',
      JSON.stringify(tools),
    ]);
    expect(input.tokens).toBeGreaterThan(0);
  });

  it('does not count an image by its base64', () => {
    const url = `data:image/png;base64,${'A'.repeat(500_000)}`;
    const image = [{ type: 'image_url', image_url: { url, detail: 'low' } }];
    const input = countedInput(open('chat', { messages: [{ role: 'user', content: image }] }));
    expect(input).toEqual({ texts: ['user'], tokens: 85, messages: 1 });
  });

  it.each([
    ['a text', { texts: ['a text'], tokens: 0 }],
    [['a', 'b'], { texts: ['a', 'b'], tokens: 0 }],
    [[1, 2, 3], { texts: [], tokens: 3 }],
    [[[1, 2], [3]], { texts: [], tokens: 3 }],
  ])('counts %j for completions and embeddings', (given, counted) => {
    expect(countedInput(open('completion', { prompt: given }))).toEqual({ ...counted, messages: 0 });
    expect(countedInput(open('embedding', { input: given }))).toEqual({ ...counted, messages: 0 });
  });
});
