import { describe, expect, it } from 'vitest';
import { WaybillError } from '../../../src/domain/errors.js';
import type { TaskHelper, UpstreamTarget } from '../../../src/domain/provider.js';
import { claude } from '../../../src/providers/anthropic/adapter.js';
import { aRequest, aTarget } from '../../conformance/adapters.js';

const chat = claude.tasks.chat as TaskHelper;
const MODEL = 'claude-sonnet-5-5';
const hello = { role: 'user', content: 'hello' };
const HELLO = { role: 'user', content: [{ type: 'text', text: 'hello' }] };
const PIXEL = 'data:image/png;base64,iVBORw0KGgo=';
const CACHE = { cache_control: { type: 'ephemeral' } };

function textSent(body: object, target: Partial<UpstreamTarget> = {}): string {
  const request = aRequest('chat', { messages: [hello], ...body });
  return chat.preparePayload(request, aTarget(claude, { providerModel: MODEL, ...target })).body as string;
}

function sent(body: object, target: Partial<UpstreamTarget> = {}): { [key: string]: unknown } {
  return JSON.parse(textSent(body, target)) as { [key: string]: unknown };
}

function messagesSent(...messages: object[]): unknown {
  return sent({ messages })['messages'];
}

/** Which parameter a request is refused for. */
function refusedParam(body: object, target: Partial<UpstreamTarget> = {}): string | null {
  try {
    textSent(body, target);
  } catch (error) {
    expect(error).toBeInstanceOf(WaybillError);
    const { code, param, message } = error as WaybillError;
    expect(code).toBe('invalid_request');
    expect(message).toContain('claude');
    expect(message).toContain(param as string);
    return param;
  }
  return 'not refused';
}

describe('where it asks', () => {
  it.each([
    ['https://api.anthropic.com', 'https://api.anthropic.com/v1/messages'],
    ['https://api.anthropic.com/v1', 'https://api.anthropic.com/v1/messages'],
    ['https://host.example/anthropic/v1/', 'https://host.example/anthropic/v1/messages'],
  ])('%s is asked at %s', (baseUrl, url) => {
    expect(chat.makeRoute(aRequest('chat', { messages: [hello] }), aTarget(claude, { baseUrl })).url).toBe(url);
  });

  it('names the version of the API, or the one that the config names', () => {
    const request = aRequest('chat', { messages: [hello] });
    expect(chat.prepareHeaders?.(request, aTarget(claude))).toEqual({ 'anthropic-version': '2023-06-01' });
    const later = aTarget(claude, { apiVersion: '2030-01-01' });
    expect(chat.prepareHeaders?.(request, later)).toEqual({ 'anthropic-version': '2030-01-01' });
  });

  it('lists models with their windows', () => {
    const body = Buffer.from('{"data":[{"id":"claude-a","max_input_tokens":1000000,"max_tokens":128000}]}');
    expect(claude.listModels?.parse({ status: 200, headers: {}, body })).toEqual([
      { id: 'claude-a', contextWindow: 1_000_000 },
    ]);
    expect(claude.listModels?.makeRoute(aTarget(claude)).url).toBe('https://api.anthropic.com/v1/models');
  });
});

describe('a conversation', () => {
  it('has the model first, and nothing that was not asked for', () => {
    const text = textSent({});
    expect(text).toBe(
      `{"model":"${MODEL}","max_tokens":16384,"messages":[{"role":"user","content":[{"type":"text","text":"hello"}]}]}`,
    );
  });

  it('puts what system and developer say in front, in their order', () => {
    const body = sent({
      system: 'From the config.',
      messages: [
        { role: 'system', content: 'One.' },
        hello,
        { role: 'developer', content: [{ type: 'text', text: 'Two.', ...CACHE }, 'Three.'] },
      ],
    });
    expect(body['system']).toEqual([
      { type: 'text', text: 'From the config.' },
      { type: 'text', text: 'One.' },
      { type: 'text', text: 'Two.', ...CACHE },
      { type: 'text', text: 'Three.' },
    ]);
    expect(body['messages']).toEqual([HELLO]);
  });

  it('makes one turn of messages in a row, and none of what says nothing', () => {
    expect(
      messagesSent(
        hello,
        { role: 'user', content: [{ type: 'text', text: 'again' }], name: 'Ann' },
        { role: 'assistant', content: '' },
        { role: 'user', content: '' },
        { role: 'assistant', content: 'a' },
        { role: 'assistant', content: [{ type: 'text', text: 'b' }], refusal: 'c', reasoning_content: 'not signed' },
      ),
    ).toEqual([
      {
        role: 'user',
        content: [
          { type: 'text', text: 'hello' },
          { type: 'text', text: 'again' },
        ],
      },
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
          { type: 'text', text: 'c' },
        ],
      },
    ]);
  });

  it('takes a refusal back as the text it was', () => {
    expect(messagesSent(hello, { role: 'assistant', content: [{ type: 'refusal', refusal: 'no' }] })).toEqual([
      HELLO,
      { role: 'assistant', content: [{ type: 'text', text: 'no' }] },
    ]);
  });

  it('sets the breakpoint of a message at its last block', () => {
    const body = sent({
      messages: [
        { role: 'system', content: 'S', ...CACHE },
        { role: 'user', content: ['a', 'b'], ...CACHE },
        { role: 'assistant', content: 'c', ...CACHE },
        { role: 'user', content: [{ type: 'text', text: 'd', cache_control: null }], cache_control: null },
      ],
    });
    expect(body['system']).toEqual([{ type: 'text', text: 'S', ...CACHE }]);
    expect(body['messages']).toEqual([
      {
        role: 'user',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b', ...CACHE },
        ],
      },
      { role: 'assistant', content: [{ type: 'text', text: 'c', ...CACHE }] },
      { role: 'user', content: [{ type: 'text', text: 'd' }] },
    ]);
  });

  it.each([
    ['messages', [{ role: 'system', content: 'alone' }]],
    ['messages[0].role', [{ role: 'function', content: 'x', name: 'f' }]],
    ['messages[0].content', [{ role: 'user', content: 5 }]],
    ['messages[0].content[0]', [{ role: 'user', content: [5] }]],
    ['messages[0].content[0].text', [{ role: 'user', content: [{ type: 'text', text: 5 }] }]],
    ['messages[0].content[1].type', [{ role: 'user', content: ['a', { type: 'input_audio', input_audio: {} }] }]],
    ['messages[0].content[0].type', [{ role: 'user', content: [{ text: 'x' }] }]],
    ['messages[0].content[0]', [{ role: 'system', content: [{ type: 'image_url', image_url: PIXEL }] }]],
    ['messages[1].function_call', [hello, { role: 'assistant', function_call: { name: 'f', arguments: '{}' } }]],
    ['messages[1].audio', [hello, { role: 'assistant', audio: { id: 'a' } }]],
    ['messages[1].tool_calls', [hello, { role: 'assistant', tool_calls: 'x' }]],
  ])('is refused for %s', (param, messages) => {
    expect(refusedParam({ messages })).toBe(param);
  });
});

describe('images and files', () => {
  const source = (part: object) => (messagesSent({ role: 'user', content: [part] }) as never)[0]['content'][0];

  it.each([
    ['a data URL', { url: PIXEL, detail: 'low' }, { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' }],
    ['a bare text', 'https://example.com/a.png', { type: 'url', url: 'https://example.com/a.png' }],
    ['a URL', { url: 'HTTP://example.com/a.png' }, { type: 'url', url: 'HTTP://example.com/a.png' }],
    [
      'a data URL with parameters',
      { url: 'data:IMAGE/JPEG;name=a;base64,AA==' },
      { type: 'base64', media_type: 'image/jpeg', data: 'AA==' },
    ],
  ])('sends an image from %s', (_what, image, expected) => {
    expect(source({ type: 'image_url', image_url: image, ...CACHE })).toEqual({
      type: 'image',
      source: expected,
      ...CACHE,
    });
  });

  it.each([
    [
      'a PDF',
      { file_data: 'data:application/pdf;base64,JVBERi0=', filename: 'a.pdf' },
      { source: { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0=' }, title: 'a.pdf' },
    ],
    [
      'a text',
      { file_data: `data:text/plain;base64,${Buffer.from('grüße').toString('base64')}`, filename: '' },
      { source: { type: 'text', media_type: 'text/plain', data: 'grüße' } },
    ],
    [
      'a URL',
      { file_data: 'https://example.com/a.pdf' },
      { source: { type: 'url', url: 'https://example.com/a.pdf' } },
    ],
    ['an id', { file_id: 'file_1', filename: 'b' }, { source: { type: 'file', file_id: 'file_1' }, title: 'b' }],
  ])('sends a file from %s', (_what, file, expected) => {
    expect(source({ type: 'file', file, ...CACHE })).toEqual({ type: 'document', ...expected, ...CACHE });
  });

  it('passes blocks of Anthropic’s own', () => {
    const block = { type: 'document', source: { type: 'text', data: 'x' }, citations: { enabled: true } };
    expect(source(block)).toEqual(block);
  });

  it.each([
    ['image_url.url', { type: 'image_url', image_url: {} }],
    ['image_url.url', { type: 'image_url', image_url: { url: 'data:image/svg+xml,<svg/>' } }],
    ['image_url.url', { type: 'image_url', image_url: { url: 'file:///etc/passwd' } }],
    ['file', { type: 'file' }],
    ['file', { type: 'file', file: {} }],
    ['file.file_data', { type: 'file', file: { file_data: 'JVBERi0=' } }],
    ['file.file_data', { type: 'file', file: { file_data: 'data:audio/wav;base64,AA==' } }],
  ])('refuses %s of %j', (param, part) => {
    expect(refusedParam({ messages: [{ role: 'user', content: [part] }] })).toBe(`messages[0].content[0].${param}`);
  });
});

describe('calls and results of tools', () => {
  const call = (id: string, args: unknown, rest: object = {}) => ({
    id,
    type: 'function',
    function: { name: 'weather', arguments: args },
    ...rest,
  });

  it('puts results into the user’s turn, before what the user says', () => {
    expect(
      messagesSent(
        hello,
        { role: 'assistant', content: null, tool_calls: [call('a', '{"city":"Ulm"}', CACHE), call('b', '')] },
        { role: 'tool', tool_call_id: 'a', content: 'rain', ...CACHE },
        { role: 'tool', tool_call_id: 'b', content: '', is_error: true },
        { role: 'user', content: 'So?' },
      ),
    ).toEqual([
      HELLO,
      {
        role: 'assistant',
        content: [
          { type: 'tool_use', id: 'a', name: 'weather', input: { city: 'Ulm' }, ...CACHE },
          { type: 'tool_use', id: 'b', name: 'weather', input: {} },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'a', content: [{ type: 'text', text: 'rain' }], ...CACHE },
          { type: 'tool_result', tool_use_id: 'b', is_error: true },
          { type: 'text', text: 'So?' },
        ],
      },
    ]);
  });

  it('gives results as parts, images among them', () => {
    const content = [
      { type: 'text', text: 'look' },
      { type: 'image_url', image_url: { url: 'https://example.com/a.png' } },
    ];
    const [, , { content: blocks }] = messagesSent(
      hello,
      { role: 'assistant', tool_calls: [call('a', '{}')] },
      { role: 'tool', tool_call_id: 'a', content },
    ) as [unknown, unknown, { content: unknown }];
    expect(blocks).toEqual([
      {
        type: 'tool_result',
        tool_use_id: 'a',
        content: [
          { type: 'text', text: 'look' },
          { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } },
        ],
      },
    ]);
  });

  it('keeps integers that no double holds, and takes arguments that are an object', () => {
    const text = textSent({
      messages: [
        hello,
        { role: 'assistant', tool_calls: [call('a', '{"n": 14150443913665712001}'), call('b', { n: 1 })] },
      ],
    });
    expect(text).toContain('"input":{"n": 14150443913665712001}');
    expect(text).toContain('"input":{"n":1}');
  });

  it('changes ids that would be refused, of call and result alike', () => {
    const id = 'functions.weather:0';
    const text = textSent({
      messages: [
        hello,
        { role: 'assistant', tool_calls: [call(id, '{}')] },
        { role: 'tool', tool_call_id: id, content: 'rain' },
      ],
    });
    expect(text).toContain('"id":"functions_weather_0"');
    expect(text).toContain('"tool_use_id":"functions_weather_0"');
  });

  it.each([
    ['tool_calls[0].function', { id: 'a', type: 'custom', custom: {} }],
    ['tool_calls[0].function', null],
    ['tool_calls[0].function.name', { id: 'a', function: { arguments: '{}' } }],
    ['tool_calls[0].function.arguments', call('a', '{"city":')],
    ['tool_calls[0].function.arguments', call('a', '[1]')],
    ['tool_calls[0].function.arguments', call('a', 5)],
    ['tool_calls[0].id', { function: { name: 'f' } }],
    ['tool_calls[0].id', { id: '', function: { name: 'f' } }],
  ])('refuses %s of %j', (param, wrong) => {
    expect(refusedParam({ messages: [hello, { role: 'assistant', tool_calls: [wrong] }] })).toBe(
      `messages[1].${param}`,
    );
  });

  it('refuses a result of no call', () => {
    expect(refusedParam({ messages: [hello, { role: 'tool', content: 'x' }] })).toBe('messages[1].tool_call_id');
  });
});

describe('thinking that comes back', () => {
  const signed = { type: 'thinking', thinking: 'hm', signature: 'sig' };
  const redacted = { type: 'redacted_thinking', data: 'xx' };
  const tool = { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } };
  const use = { type: 'tool_use', id: 'a', name: 'f', input: {} };
  const assistant = (thinking: unknown, rest: object = {}) => {
    const [, turn] = messagesSent(hello, { role: 'assistant', thinking_blocks: thinking, ...rest }) as Array<{
      content: unknown;
    }>;
    return turn?.content;
  };

  it('stands first, as it was given', () => {
    const own = { model: MODEL };
    expect(
      assistant(
        [
          { ...signed, ...own },
          { ...redacted, ...own },
        ],
        { content: 'x', tool_calls: [tool] },
      ),
    ).toEqual([signed, redacted, { type: 'text', text: 'x' }, use]);
  });

  it('stands where it stood, between text and calls', () => {
    const tools = [tool, { ...tool, id: 'b' }];
    const at = (content: number, calls: number) => ({ ...signed, after: { content, tool_calls: calls } });
    expect(
      assistant([signed, at(2, 0), at(5, 0), at(5, 1)], { content: 'ab1cd', tool_calls: tools, ...CACHE }),
    ).toEqual([
      signed,
      { type: 'text', text: 'ab' },
      signed,
      { type: 'text', text: '1cd' },
      signed,
      use,
      signed,
      { ...use, id: 'b', ...CACHE },
    ]);
  });

  it('keeps the rest of a text with its breakpoint, and offsets within bounds', () => {
    const after = { content: 1, tool_calls: 0 };
    const content = [{ type: 'text', text: 'abc', ...CACHE }];
    expect(assistant([{ ...signed, after }], { content })).toEqual([
      { type: 'text', text: 'a' },
      signed,
      { type: 'text', text: 'bc', ...CACHE },
    ]);
    expect(assistant([{ ...signed, after: { content: 99, tool_calls: 99 } }], { content: 'abc' })).toEqual([
      { type: 'text', text: 'abc' },
      signed,
    ]);
    expect(assistant([{ ...signed, after: { content: 1.5 } }], { content: 'abc' })).toEqual([
      signed,
      { type: 'text', text: 'abc' },
    ]);
  });

  it('does without offsets in a text that came in parts', () => {
    const content = ['ab', 'cd'];
    expect(assistant([{ ...signed, after: { content: 2, tool_calls: 0 } }], { content })).toEqual([
      signed,
      { type: 'text', text: 'ab' },
      { type: 'text', text: 'cd' },
    ]);
  });

  it('stays away when another model thought it, or nobody signed it', () => {
    const unsigned = [
      { ...signed, model: 'claude-opus-5-5' },
      { type: 'thinking', thinking: 'x' },
    ];
    const strange = [{ ...signed, signature: '' }, { type: 'redacted_thinking' }, { type: 'text', text: 'y' }, null];
    expect(assistant([...unsigned, ...strange], { content: 'x' })).toEqual([{ type: 'text', text: 'x' }]);
    expect(assistant('nonsense', { content: 'x' })).toEqual([{ type: 'text', text: 'x' }]);
  });

  it('never carries a breakpoint', () => {
    expect(assistant([signed], { content: '', ...CACHE })).toEqual([signed]);
    expect(assistant([redacted], { content: '', ...CACHE })).toEqual([redacted]);
  });
});

describe('tools', () => {
  const fn = (rest: object = {}, beside: object = {}) => ({
    type: 'function',
    function: { name: 'f', ...rest },
    ...beside,
  });

  it('have their schema as it was written', () => {
    const tool =
      '{"type":"function","function":{"parameters":{"type":"object", "maximum": 14150443913665712001},"name":"f"}}';
    const request = aRequest('chat', { messages: [hello] });
    const members = new Map([...request.body.members, ['tools', `[${tool}]`]]);
    const value = { ...request.body.value, tools: JSON.parse(`[${tool}]`) as unknown };
    const payload = chat.preparePayload({ ...request, body: { ...request.body, members, value } }, aTarget(claude));
    expect(payload.body).toContain(
      '"tools":[{"name":"f","input_schema":{"type":"object", "maximum": 14150443913665712001}}]',
    );
  });

  it.each([
    ['no parameters', fn(), { name: 'f', input_schema: { type: 'object', properties: {} } }],
    ['parameters null', fn({ parameters: null }), { name: 'f', input_schema: { type: 'object', properties: {} } }],
    [
      'a schema without a type',
      fn({ parameters: { properties: {} } }),
      { name: 'f', input_schema: { properties: {}, type: 'object' } },
    ],
    [
      'everything',
      fn(
        { description: 'd', strict: true, parameters: { type: 'object' }, ...CACHE },
        { input_examples: [{}], x: null },
      ),
      { name: 'f', description: 'd', input_schema: { type: 'object' }, strict: true, ...CACHE, input_examples: [{}] },
    ],
    [
      'what is not strict, a breakpoint beside the function',
      fn({ strict: false, description: null, cache_control: null }, CACHE),
      { name: 'f', input_schema: { type: 'object', properties: {} }, ...CACHE },
    ],
    [
      'Anthropic’s own shape',
      { name: 'g', input_schema: { type: 'object' } },
      { name: 'g', input_schema: { type: 'object' } },
    ],
    [
      'Anthropic’s own shape, named',
      { type: 'custom', name: 'g', input_schema: { type: 'object' } },
      { type: 'custom', name: 'g', input_schema: { type: 'object' } },
    ],
  ])('with %s', (_what, tool, expected) => {
    expect(sent({ tools: [tool] })['tools']).toEqual([expected]);
  });

  it.each([
    ['tools', 'x'],
    ['tools[0]', [5]],
    ['tools[0].type', [{ type: 'web_search_20260318', name: 'web_search' }]],
    ['tools[0].type', [{ type: 'custom', custom: { name: 'x' } }]],
    ['tools[0].function.name', [{ type: 'function' }]],
    ['tools[0].function.name', [fn({ name: 5 })]],
    ['tools[0].function.parameters', [fn({ parameters: [] })]],
  ])('are refused for %s', (param, tools) => {
    expect(refusedParam({ tools })).toBe(param);
  });

  it.each([
    ['nothing', {}, undefined],
    ['auto', { tool_choice: 'auto' }, { type: 'auto' }],
    ['none', { tool_choice: 'none', parallel_tool_calls: false }, { type: 'none' }],
    ['required', { tool_choice: 'required', parallel_tool_calls: true }, { type: 'any' }],
    ['one by name', { tool_choice: { type: 'function', function: { name: 'f' } } }, { type: 'tool', name: 'f' }],
    ['one at a time', { parallel_tool_calls: false }, { type: 'auto', disable_parallel_tool_use: true }],
    [
      'required, one at a time',
      { tool_choice: 'required', parallel_tool_calls: false },
      { type: 'any', disable_parallel_tool_use: true },
    ],
  ])('are chosen: %s', (_what, body, expected) => {
    expect(sent({ tools: [fn()], ...body })['tool_choice']).toEqual(expected);
  });

  it('are not chosen where there are none, unless one is required', () => {
    for (const choice of ['auto', 'none']) {
      expect(sent({ tools: [], tool_choice: choice, parallel_tool_calls: false })).not.toHaveProperty('tool_choice');
    }
    expect(sent({ tool_choice: 'required' })['tool_choice']).toEqual({ type: 'any' });
  });

  it.each(['sometimes', 5, { type: 'allowed_tools' }, { type: 'function' }, { type: 'x', function: { name: 'f' } }])(
    'are not chosen by %j',
    (choice) => {
      expect(refusedParam({ tools: [fn()], tool_choice: choice })).toBe('tool_choice');
    },
  );
});

describe('the bound of the answer', () => {
  it.each([
    [{}, null, 16_384],
    [{}, 4096, 4096],
    [{ max_tokens: 100 }, null, 100],
    [{ max_tokens: 100, max_completion_tokens: 200 }, null, 200],
    [{ max_tokens: 5000 }, 4096, 4096],
    [{ max_tokens: 100 }, 4096, 100],
    [{ max_tokens: -1 }, null, 16_384],
    [{ max_tokens: 0 }, 4096, 4096],
    [{ max_tokens: null }, null, 16_384],
  ])('%j within %s is %s', (body, maxOutputTokens, expected) => {
    const made = sent(body, { maxOutputTokens });
    expect(made['max_tokens']).toBe(expected);
    expect(made).not.toHaveProperty('max_completion_tokens');
  });
});

describe('thinking', () => {
  const asked = (effort: string, model: string, rest: object = {}) =>
    sent({ reasoning_effort: effort, max_tokens: 10_000, ...rest }, { providerModel: model });

  it.each([
    ['minimal', 'low'],
    ['low', 'low'],
    ['medium', 'medium'],
    ['high', 'high'],
    ['xhigh', 'xhigh'],
    ['max', 'max'],
  ])('of effort %s is the model’s own affair at %s', (effort, expected) => {
    const body = asked(effort, MODEL);
    expect(body['thinking']).toEqual({ type: 'adaptive', display: 'summarized' });
    expect(body['output_config']).toEqual({ effort: expected });
    expect(body).not.toHaveProperty('reasoning_effort');
  });

  it.each([
    ['minimal', 1024],
    ['low', 2000],
    ['medium', 5000],
    ['high', 8000],
    ['xhigh', 9500],
    ['max', 9999],
  ])('of effort %s is %s of 10,000 tokens where models know budgets', (effort, budget) => {
    const body = asked(effort, 'claude-sonnet-4-5-20250929');
    expect(body['thinking']).toEqual({ type: 'enabled', budget_tokens: budget });
    expect(body).not.toHaveProperty('output_config');
  });

  it.each([
    ...[
      'claude-3-7-sonnet-20250219',
      'claude-sonnet-4-20250514',
      'claude-opus-4-1',
      'claude-opus-4.5',
      'claude-sonnet-4',
    ],
    ...['claude-haiku-4-5-20251001', 'anthropic/claude-opus-4-5@20251101', 'claude-opus-4-0', 'claude-2.1'],
  ])('has a budget on %s', (model) => {
    expect(asked('low', model)['thinking']).toMatchObject({ type: 'enabled' });
  });

  it.each([
    ...['claude-opus-4-6', 'claude-sonnet-4.6', 'claude-opus-4-7-20260401', 'claude-opus-4-8', 'claude-haiku-5-5'],
    ...['claude-mythos-preview', 'claude-fable-5-1', 'claude-30', 'claude-opus-45', 'whatever'],
  ])('has none on %s', (model) => {
    expect(asked('low', model)['thinking']).toMatchObject({ type: 'adaptive' });
  });

  it('is turned off, and left as the client says in Anthropic’s words', () => {
    expect(asked('none', MODEL)).toMatchObject({ thinking: { type: 'disabled' } });
    const thinking = { type: 'enabled', budget_tokens: 2000 };
    expect(sent({ thinking })).toMatchObject({ thinking });
    const both = asked('high', MODEL, { thinking: { type: 'between_tools' }, output_config: { effort: 'max', x: 1 } });
    expect(both).toMatchObject({ thinking: { type: 'between_tools' }, output_config: { effort: 'max', x: 1 } });
  });

  it('goes on without in a turn whose thinking did not come back, where budgets are known', () => {
    const call = { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } };
    const signed = { type: 'thinking', thinking: 'x', signature: 's' };
    const loop = (thinking: object[]) => [
      hello,
      { role: 'assistant', tool_calls: [call], thinking_blocks: thinking },
      { role: 'tool', tool_call_id: 'a', content: 'x' },
    ];
    const old = 'claude-sonnet-4-5';
    expect(asked('low', old, { messages: loop([]) })).not.toHaveProperty('thinking');
    expect(asked('low', old, { messages: loop([signed]) })).toHaveProperty('thinking');
    expect(asked('low', old, { messages: loop([{ type: 'redacted_thinking', data: 'd' }]) })).toHaveProperty(
      'thinking',
    );
    expect(asked('low', MODEL, { messages: loop([]) })).toHaveProperty('thinking');
    const later = [...loop([]), { role: 'assistant', content: 'So.' }, hello];
    expect(asked('low', old, { messages: later })).toHaveProperty('thinking');
    const results = [{ role: 'tool', tool_call_id: 'a', content: 'x' }];
    expect(asked('low', old, { messages: results })).toHaveProperty('thinking');
  });

  it('is refused for an effort that is none, and where it has no room', () => {
    for (const effort of ['some', 5, 'toString'])
      expect(refusedParam({ reasoning_effort: effort })).toBe('reasoning_effort');
    const old = { providerModel: 'claude-haiku-4-5' };
    expect(refusedParam({ reasoning_effort: 'low', max_tokens: 1024 }, old)).toBe('reasoning_effort');
    expect(sent({ reasoning_effort: 'max', max_tokens: 1025 }, old)['thinking']).toMatchObject({ budget_tokens: 1024 });
    expect(refusedParam({ output_config: 5 })).toBe('output_config');
  });
});

describe('the format of the answer', () => {
  const schema = { type: 'object', properties: {}, additionalProperties: false };

  it('is a schema of `output_config`, beside the effort', () => {
    const format = { type: 'json_schema', json_schema: { name: 'n', strict: true, schema, description: 'd' } };
    expect(sent({ response_format: format, reasoning_effort: 'low' })['output_config']).toEqual({
      effort: 'low',
      format: { type: 'json_schema', schema: { ...schema, description: 'd' } },
    });
  });

  it('keeps the schema’s own description, and leaves out which dialect it is in', () => {
    const own = { $schema: 'http://json-schema.org/draft-07/schema#', ...schema, description: 'own' };
    const format = { type: 'json_schema', json_schema: { name: 'n', schema: own, description: 'd' } };
    expect(sent({ response_format: format })['output_config']).toEqual({
      format: { type: 'json_schema', schema: { ...schema, description: 'own' } },
    });
  });

  it('is text, or what the client says in Anthropic’s words', () => {
    expect(sent({ response_format: { type: 'text' } })).not.toHaveProperty('output_config');
    const json = { type: 'json_schema', json_schema: { name: 'n', schema } };
    const own = { format: { type: 'json_schema', schema: { type: 'object' } } };
    expect(sent({ response_format: json, output_config: own })['output_config']).toEqual(own);
    expect(sent({ response_format: json })).not.toHaveProperty('response_format');
  });

  it.each([
    ['response_format', { type: 'json_object' }],
    ['response_format', 'json'],
    ['response_format.json_schema.schema', { type: 'json_schema' }],
    ['response_format.json_schema.schema', { type: 'json_schema', json_schema: { schema: 'x' } }],
  ])('is refused for %s: %j', (param, format) => {
    expect(refusedParam({ response_format: format })).toBe(param);
  });
});

describe('settings', () => {
  it('go by their names there', () => {
    expect(
      sent({ temperature: 1, top_p: 0.5, top_k: 3, stop: 'END', user: 'u', metadata: { order: '7' }, stream: true }),
    ).toEqual({
      model: MODEL,
      max_tokens: 16_384,
      messages: [HELLO],
      stream: true,
      temperature: 1,
      top_p: 0.5,
      top_k: 3,
      stop_sequences: ['END'],
      metadata: { user_id: 'u' },
    });
    expect(sent({ stop: ['A', 'B'] })['stop_sequences']).toEqual(['A', 'B']);
    expect(sent({ stop: [] })).not.toHaveProperty('stop_sequences');
    expect(sent({ stream: false })).not.toHaveProperty('stream');
  });

  it.each([
    [{ user: 'u', safety_identifier: 's' }, { user_id: 's' }],
    [{ user: 'u', metadata: { user_id: 'm', more: 'x' } }, { user_id: 'm' }],
    [{ metadata: { more: 'x' } }, undefined],
    [{ metadata: 5, user: 5 }, undefined],
  ])('%j say who asks by %j', (body, metadata) => {
    const made = sent(body);
    expect(made['metadata']).toEqual(metadata);
    for (const name of ['user', 'safety_identifier']) expect(made).not.toHaveProperty(name);
  });

  it.each([
    ['auto', 'auto'],
    ['default', 'standard_only'],
    ['standard_only', 'standard_only'],
  ])('service tier %s is %s', (tier, expected) => {
    expect(sent({ service_tier: tier })['service_tier']).toBe(expected);
  });

  it('without effect on the answer are left out', () => {
    const plain = textSent({});
    const nothing = {
      ...{ stream_options: { include_usage: true }, store: true, prediction: { type: 'content' } },
      ...{
        prompt_cache_key: 'k',
        prompt_cache_retention: '24h',
        n: 1,
        logprobs: false,
        top_logprobs: 0,
        logit_bias: {},
      },
      ...{ frequency_penalty: 0, presence_penalty: 0, modalities: ['text'], verbosity: 'medium', functions: [] },
      ...{ function_call: 'none', seed: null, stop: null, tools: null, response_format: null, reasoning_effort: null },
    };
    expect(textSent(nothing)).toBe(plain);
  });

  it.each([
    ...[{ n: 2 }, { logprobs: true }, { top_logprobs: 1 }, { logit_bias: { 50256: -100 } }, { seed: 0 }],
    ...[
      { frequency_penalty: 0.1 },
      { presence_penalty: -1 },
      { modalities: ['text', 'audio'] },
      { modalities: 'audio' },
    ],
    ...[
      { audio: {} },
      { verbosity: 'low' },
      { web_search_options: {} },
      { functions: [{}] },
      { function_call: 'auto' },
    ],
    ...[{ temperature: 1.5 }, { stop: 5 }, { service_tier: 'flex' }, { service_tier: 'toString' }],
  ])('that it does not have are refused by name, or dropped where the config says so: %j', (body) => {
    const [name] = Object.keys(body) as [string];
    expect(refusedParam(body)).toBe(name);
    expect(textSent(body, { dropParams: [name] })).toBe(textSent({}));
  });

  it('of the config stand under the client’s, and what it drops goes by both names', () => {
    const extraBody = { temperature: 0.5, top_p: 0.1, max_tokens: 99, seed: 1, reasoning_effort: 'low' };
    const dropParams = ['seed', 'stop_sequences', 'max_tokens', 'output_config'];
    const body = sent({ temperature: 0.7, stop: 'x', reasoning_effort: 'high' }, { extraBody, dropParams });
    expect(body).toEqual({
      model: MODEL,
      max_tokens: 16_384,
      messages: [HELLO],
      temperature: 0.7,
      top_p: 0.1,
      thinking: { type: 'adaptive', display: 'summarized' },
    });
    expect(sent({ temperature: null }, { extraBody: { temperature: 0.5 } })).not.toHaveProperty('temperature');
  });

  it('keep the text of their numbers', () => {
    const request = aRequest('chat', { messages: [hello] });
    const members = new Map([...request.body.members, ['temperature', '0.50'], ['x', '14150443913665712001']]);
    const value = { ...request.body.value, temperature: 0.5, x: 1 };
    const { body } = chat.preparePayload({ ...request, body: { ...request.body, members, value } }, aTarget(claude));
    expect(body).toContain('"temperature":0.50');
    expect(body).toContain('"x":14150443913665712001');
  });
});
