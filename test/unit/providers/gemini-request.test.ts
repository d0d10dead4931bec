import { describe, expect, it } from 'vitest';
import type { TaskHelper, UpstreamTarget } from '../../../src/domain/provider.js';
import { gemini } from '../../../src/providers/gemini/adapter.js';
import { parseJsonBody } from '../../../src/wire/json-body.js';
import { openTaskRequest } from '../../../src/wire/openai-request.js';
import { aRequest, aTarget } from '../../conformance/adapters.js';

const chat = gemini.tasks.chat as TaskHelper;
const HI = { role: 'user', content: 'hi' };

function send(request: object, overrides: Partial<UpstreamTarget> = {}): Record<string, unknown> {
  const target = aTarget(gemini, { providerModel: 'gemini-2.5-flash', ...overrides });
  return JSON.parse(chat.preparePayload(aRequest('chat', { messages: [HI], ...request }), target).body as string);
}

function configOf(request: object, overrides: Partial<UpstreamTarget> = {}): unknown {
  return send(request, overrides)['generationConfig'];
}

function contentsOf(...messages: object[]): unknown {
  return send({ messages })['contents'];
}

function partsOf(...content: object[]): unknown {
  const [turn] = contentsOf({ role: 'user', content }) as Array<{ parts: unknown }>;
  return turn?.parts;
}

/** What is refused names its parameter, and nothing is sent. */
function expectRefusal(request: object, param: string, why: RegExp, model = 'gemini-2.5-flash'): void {
  expect(() => send(request, { providerModel: model })).toThrow(
    expect.objectContaining({ code: 'invalid_request', param, message: expect.stringMatching(why) }),
  );
}

describe('routes', () => {
  const ask = aRequest('chat', { messages: [HI] });
  it.each([
    [
      'https://generativelanguage.googleapis.com',
      null,
      'm',
      'https://generativelanguage.googleapis.com/v1beta/models/m',
    ],
    ['https://h.test/', 'v1alpha', 'models/m', 'https://h.test/v1alpha/models/m'],
    ['https://h.test', null, 'tunedModels/m', 'https://h.test/v1beta/tunedModels/m'],
    ['https://h.test/v1/publishers/google/', 'v9', 'm x', 'https://h.test/v1/publishers/google/models/m%20x'],
  ])('%s, version %s, model %s: %s', (baseUrl, apiVersion, providerModel, url) => {
    const target = aTarget(gemini, { baseUrl, apiVersion, providerModel });
    expect(chat.makeRoute(ask, target)).toEqual({ method: 'POST', url: `${url}:generateContent` });
    const streaming = aRequest('chat', { messages: [HI], stream: true });
    expect(chat.makeRoute(streaming, target).url).toBe(`${url}:streamGenerateContent?alt=sse`);
  });

  it('refuse a model’s name that leads elsewhere', () => {
    expect(() => chat.makeRoute(ask, aTarget(gemini, { providerModel: '../files' }))).toThrow(
      expect.objectContaining({ param: 'model' }),
    );
  });
});

describe('messages', () => {
  it('of the system are the one instruction, wherever they stand', () => {
    const sent = send({
      messages: [
        { role: 'system', content: 'a' },
        HI,
        { role: 'developer', content: [{ type: 'text', text: 'b' }] },
        { role: 'assistant', content: 'ho' },
      ],
    });
    expect(sent).toEqual({
      systemInstruction: { parts: [{ text: 'a' }, { text: 'b' }] },
      contents: [
        { role: 'user', parts: [{ text: 'hi' }] },
        { role: 'model', parts: [{ text: 'ho' }] },
      ],
    });
  });

  it('of the system follow an instruction in Gemini’s own words', () => {
    const extraBody = { systemInstruction: { parts: [{ text: 'a' }] } };
    const instruction = (messages: object[]) => send({ messages }, { extraBody })['systemInstruction'];
    expect(instruction([HI])).toEqual({ parts: [{ text: 'a' }] });
    expect(instruction([HI, { role: 'system', content: 'b' }])).toEqual({ parts: [{ text: 'a' }, { text: 'b' }] });
    for (const own of ['a', {}]) expectRefusal({ systemInstruction: own }, 'systemInstruction', /list of parts/);
  });

  it('of the system alone are the user’s turn', () => {
    expect(send({ messages: [{ role: 'system', content: 'a' }] })).toEqual({
      contents: [{ role: 'user', parts: [{ text: 'a' }] }],
    });
  });

  it('of the assistant keep reasoning, refusal and signature, in the order the model wrote them', () => {
    const assistant = {
      role: 'assistant',
      content: [
        { type: 'text', text: 'a' },
        { type: 'refusal', refusal: 'b' },
      ],
      refusal: 'c',
      reasoning_content: 'hm',
      extra_content: { google: { thought_signature: 'S' } },
      tool_calls: [{ type: 'function', function: { name: 'f', arguments: '' } }],
    };
    expect(contentsOf(HI, assistant)).toMatchObject([
      {},
      {
        role: 'model',
        parts: [
          { text: 'hm', thought: true },
          { text: 'a' },
          { text: 'b' },
          { text: 'c', thoughtSignature: 'S' },
          { functionCall: { name: 'f', args: {} } },
        ],
      },
    ]);
    expect(JSON.stringify(contentsOf(HI, assistant)).match(/"thoughtSignature"/g)).toHaveLength(1);
  });

  it('keep a signature without a text, take `reasoning` for its other name, and leave out what is empty', () => {
    const signed = { role: 'assistant', content: '', extra_content: { google: { thought_signature: 'S' } } };
    expect(contentsOf(signed, { role: 'assistant', content: null }, { role: 'model', reasoning: 'hm' })).toEqual([
      { role: 'model', parts: [{ text: '', thoughtSignature: 'S' }] },
      { role: 'model', parts: [{ text: 'hm', thought: true }] },
    ]);
  });

  it.each<readonly [string, readonly object[], string, RegExp]>([
    ['role', [{ role: 'function', content: 'a' }], 'messages[0].role', /must be system/],
    ['no content', [{ role: 'user' }], 'messages[0].content', /a text or a list/],
    ['a part that is none', [{ role: 'user', content: [1] }], 'messages[0].content[0]', /an object/],
    ['a text that is none', [{ role: 'user', content: [{ type: 'text' }] }], 'messages[0].content[0].text', /a text/],
    ['unknown parts', [HI, { role: 'user', content: [{ type: 'x' }] }], 'messages[1].content[0].type', /takes no x/],
    ['no type', [{ role: 'system', content: [{}] }], 'messages[0].content[0].type', /part without a type/],
    ['function_call', [{ role: 'assistant', function_call: {} }], 'messages[0].function_call', /tool_calls instead/],
    ['audio', [{ role: 'assistant', audio: { id: 'x' } }], 'messages[0].audio', /not said it/],
    ['tool_calls', [{ role: 'assistant', tool_calls: {} }], 'messages[0].tool_calls', /a list/],
    ['no function', [{ role: 'assistant', tool_calls: [{}] }], 'messages[0].tool_calls[0]', /call of a function/],
    [
      'no name',
      [{ role: 'assistant', tool_calls: [{ function: {} }] }],
      'messages[0].tool_calls[0].function.name',
      /a name/,
    ],
    ...['[1]', '{oops', 5].map(
      (args) =>
        [
          `arguments ${args}`,
          [{ role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: args } }] }],
          'messages[0].tool_calls[0].function.arguments',
          /JSON of an object/,
        ] as const,
    ),
    ['unknown id', [{ role: 'tool', tool_call_id: 'x', content: 'a' }], 'messages[0].tool_call_id', /no tool call/],
    [
      'pictures as a result',
      [{ role: 'tool', name: 'f', content: [{ type: 'image_url' }] }],
      'messages[0].content[0].type',
      /tool’s result/,
    ],
  ])('that Gemini cannot take are refused: %s', (_what, messages, param, why) => {
    expectRefusal({ messages }, param, why);
  });
});

describe('media', () => {
  const image = (url: string, detail?: string) => ({ type: 'image_url', image_url: { url, detail } });
  it.each([
    [
      'a data URL',
      image('data:image/png;charset=x;base64,AAAA', 'low'),
      { inlineData: { mimeType: 'image/png', data: 'AAAA' } },
    ],
    [
      'a data URL without base64',
      image('data:image/svg+xml,%3Csvg%3E'),
      { inlineData: { mimeType: 'image/svg+xml', data: 'PHN2Zz4=' } },
    ],
    [
      'an address',
      image('https://h.test/a.JPG?x=1.png#y'),
      { fileData: { mimeType: 'image/jpeg', fileUri: 'https://h.test/a.JPG?x=1.png#y' } },
    ],
    ['an address without an ending', image('gs://h/a'), { fileData: { fileUri: 'gs://h/a' } }],
    [
      'a bare address',
      { type: 'image_url', image_url: 'http://h.test/a.webp' },
      { fileData: { mimeType: 'image/webp', fileUri: 'http://h.test/a.webp' } },
    ],
    [
      'a video',
      { type: 'video_url', video_url: { url: 'https://h.test/a.mp4' } },
      { fileData: { mimeType: 'video/mp4', fileUri: 'https://h.test/a.mp4' } },
    ],
    [
      'audio',
      { type: 'input_audio', input_audio: { data: 'AA', format: 'mp3' } },
      { inlineData: { mimeType: 'audio/mp3', data: 'AA' } },
    ],
    [
      'audio of another kind',
      { type: 'input_audio', input_audio: { data: 'AA', format: 'opus' } },
      { inlineData: { mimeType: 'audio/opus', data: 'AA' } },
    ],
    [
      'a file',
      { type: 'file', file: { file_data: 'data:application/pdf;base64,AA' } },
      { inlineData: { mimeType: 'application/pdf', data: 'AA' } },
    ],
    [
      'a file by name',
      { type: 'file', file: { file_data: 'AA', filename: 'a.b.pdf' } },
      { inlineData: { mimeType: 'application/pdf', data: 'AA' } },
    ],
    [
      'an uploaded file',
      { type: 'file', file: { file_id: 'https://h.test/v1beta/files/x' } },
      { fileData: { fileUri: 'https://h.test/v1beta/files/x' } },
    ],
  ])('%s', (_what, part, sent) => {
    expect(partsOf({ type: 'text', text: 'see' }, part)).toEqual([{ text: 'see' }, sent]);
  });

  // The kinds of https://ai.google.dev/gemini-api/docs/file-input-methods, one of each line of the table.
  it.each([
    ['a.HEIC', 'image/heic'],
    ['a.csv', 'text/csv'],
    ['a.md', 'text/markdown'],
    ['a.flac', 'audio/flac'],
    ['a.webm', 'video/webm'],
  ])('of a file without a type is known by its name: %s', (filename, mimeType) => {
    const file = { type: 'file', file: { file_data: 'AA', filename } };
    expect(partsOf(file)).toEqual([{ inlineData: { mimeType, data: 'AA' } }]);
  });

  it.each([
    [{ type: 'image_url', image_url: {} }, 'image_url', /have a url/],
    [image('ftp://h/a.png'), 'image_url', /begin with https/],
    [image('data:;base64,AA'), 'image_url', /no type/],
    [image('data:image/png'), 'image_url', /no type or no data/],
    [image('data:text/plain,%'), 'image_url', /percent-encoded/],
    [{ type: 'input_audio', input_audio: { data: 'AA' } }, 'input_audio', /data and a format/],
    [{ type: 'file', file: { file_data: 'AA', filename: 'a.xyz' } }, 'file.filename', /known type/],
    [{ type: 'file', file: { file_data: 'AA' } }, 'file.filename', /known type/],
    [{ type: 'file', file: { file_id: 'file-1' } }, 'file.file_id', /begin with https/],
    [{ type: 'file' }, 'file', /file_data or file_id/],
  ])('refused: %j', (part, param, why) => {
    expectRefusal({ messages: [{ role: 'user', content: [part] }] }, `messages[0].content[0].${param}`, why);
  });
});

describe('tool calls and their results', () => {
  const call = (id: string, name: string, args: unknown = '{}') => ({
    id,
    type: 'function',
    function: { name, arguments: args },
  });
  const calls = (...tool_calls: object[]) => ({ role: 'assistant', tool_calls });
  const result = (tool_call_id: string | undefined, content: unknown, rest = {}) => ({
    role: 'tool',
    tool_call_id,
    content,
    ...rest,
  });

  it('are matched by id, the last call of an id counts, and results in a row are one turn', () => {
    expect(
      contentsOf(
        calls(call('1', 'a'), call('2', 'b')),
        result('2', '{B'),
        result('1', ' {"x":1} '),
        HI,
        calls(call('1', 'c')),
        result('1', [
          { type: 'text', text: '[1' },
          { type: 'text', text: ']' },
        ]),
        result(undefined, '', { name: 'd' }),
      ),
    ).toMatchObject([
      { role: 'model' },
      {
        role: 'user',
        parts: [
          { functionResponse: { id: '2', name: 'b', response: { output: '{B' } } },
          { functionResponse: { id: '1', name: 'a', response: { x: 1 } } },
        ],
      },
      { role: 'user', parts: [{ text: 'hi' }] },
      { role: 'model' },
      {
        role: 'user',
        parts: [
          { functionResponse: { id: '1', name: 'c', response: { output: '[1]' } } },
          { functionResponse: { name: 'd', response: { output: '' } } },
        ],
      },
    ]);
  });

  it('may have arguments that are an object, and keep long numbers', () => {
    expect(contentsOf(calls(call('1', 'a', { b: 1 })))).toMatchObject([
      { parts: [{ functionCall: { args: { b: 1 } } }] },
    ]);
    const text = `{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{\\"n\\":12345678901234567890}"}}]}]}`;
    const { body } = chat.preparePayload(openTaskRequest('chat', parseJsonBody(text)), aTarget(gemini));
    expect(body).toContain('"args":{"n":12345678901234567890}');
  });

  it.each([
    ['gemini-2.5-flash', undefined],
    ['my-tuned-model', undefined],
    ['gemini-3-flash-preview', 'skip_thought_signature_validator'],
    ['gemini-4-argon', 'skip_thought_signature_validator'],
    ['gemini-flash-latest', 'skip_thought_signature_validator'],
  ])('that another model made are marked for %s, where a signature is missing', (providerModel, mark) => {
    const signed = { ...call('2', 'b'), extra_content: { google: { thought_signature: 'S' } } };
    const sent = (first: object) => send({ messages: [calls(first, call('3', 'c'))] }, { providerModel })['contents'];
    const parts = (first: string | undefined) => [
      {
        role: 'model',
        parts: [
          expect.objectContaining(first === undefined ? {} : { thoughtSignature: first }),
          expect.not.objectContaining({ thoughtSignature: expect.anything() }),
        ],
      },
    ];
    expect(sent(call('1', 'a'))).toEqual(parts(mark));
    expect(sent(signed)).toEqual(parts('S'));
    if (mark === undefined) expect(JSON.stringify(sent(call('1', 'a')))).not.toContain('thoughtSignature');
  });
});

describe('tools', () => {
  const fn = (name: string, rest = {}) => ({ type: 'function', function: { name, ...rest } });
  const toolsOf = (request: object) => {
    const { tools, toolConfig } = send(request);
    return { tools, toolConfig };
  };

  it('are declarations with their schema as it was written, and Google’s own pass', () => {
    const text = `{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"googleSearch": {}},{"type":"function","function":{"name":"f","parameters":{"maximum":12345678901234567890}}}]}`;
    const { body } = chat.preparePayload(openTaskRequest('chat', parseJsonBody(text)), aTarget(gemini));
    expect(body).toContain(
      '"tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":{"maximum":12345678901234567890}}]},{"googleSearch": {}}]',
    );
  });

  it.each([
    [undefined, false, undefined],
    [null, true, { mode: 'VALIDATED' }],
    ['none', true, { mode: 'NONE' }],
    ['auto', false, { mode: 'AUTO' }],
    ['auto', true, { mode: 'VALIDATED' }],
    ['required', false, { mode: 'ANY' }],
    [{ type: 'function', function: { name: 'f' } }, false, { mode: 'ANY', allowedFunctionNames: ['f'] }],
    [
      { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [fn('f'), fn('g')] } },
      false,
      { mode: 'VALIDATED', allowedFunctionNames: ['f', 'g'] },
    ],
    [
      { type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [fn('f')] } },
      false,
      { mode: 'ANY', allowedFunctionNames: ['f'] },
    ],
  ])('are chosen: %j, strict %s', (choice, strict, functionCallingConfig) => {
    const { toolConfig } = toolsOf({ tools: [fn('e'), fn('f', { strict })], tool_choice: choice });
    expect(toolConfig).toEqual(functionCallingConfig === undefined ? undefined : { functionCallingConfig });
  });

  it('that are none have no choice', () => {
    expect(toolsOf({ tools: [], tool_choice: 'auto' })).toEqual({ tools: undefined, toolConfig: undefined });
  });

  it('keep a toolConfig of the client’s own beside the choice', () => {
    const toolConfig = { retrievalConfig: { languageCode: 'en' }, functionCallingConfig: { mode: 'ANY' } };
    expect(toolsOf({ toolConfig }).toolConfig).toEqual(toolConfig);
    expect(toolsOf({ toolConfig, tools: [fn('f')], tool_choice: 'none' }).toolConfig).toEqual({
      ...toolConfig,
      functionCallingConfig: { mode: 'NONE' },
    });
  });

  it.each([
    [{ tools: {} }, 'tools', /a list/],
    [{ tools: [1] }, 'tools[0]', /an object/],
    [{ tools: [fn('f'), { type: 'custom', custom: {} }] }, 'tools[1].type', /of type function/],
    [{ tools: [{ type: 'function' }] }, 'tools[0].function', /have a name/],
    [{ tools: [fn('f')], tool_choice: 'any' }, 'tool_choice', /must be none/],
    [{ tools: [fn('f')], tool_choice: { type: 'custom', custom: { name: 'f' } } }, 'tool_choice', /must be none/],
    [
      { tools: [fn('f')], tool_choice: { type: 'custom', custom: { tools: [fn('f')] } } },
      'tool_choice',
      /must be none/,
    ],
    [{ tools: [fn('f')], tool_choice: { type: 'function', function: {} } }, 'tool_choice.function.name', /the name/],
    [
      { tools: [fn('f')], tool_choice: { type: 'allowed_tools', allowed_tools: { tools: [{}] } } },
      'tool_choice.allowed_tools.tools[0].function.name',
      /the name/,
    ],
  ])('refused: %j', (request, param, why) => {
    expectRefusal(request, param, why);
  });
});

describe('parameters', () => {
  it('have Google’s names', () => {
    expect(
      configOf({
        ...{ temperature: 0.1, top_p: 0.2, top_k: 3, seed: 4, presence_penalty: 0.5, frequency_penalty: 0.6, n: 2 },
        ...{ logprobs: true, top_logprobs: 3, stop: 'a' },
      }),
    ).toEqual({
      ...{ temperature: 0.1, topP: 0.2, topK: 3, seed: 4, presencePenalty: 0.5, frequencyPenalty: 0.6 },
      ...{ candidateCount: 2, responseLogprobs: true, logprobs: 3, stopSequences: ['a'] },
    });
    expect(configOf({ stop: ['a', 'b'], temperature: null })).toEqual({ stopSequences: ['a', 'b'] });
    expect(send({})).not.toHaveProperty('generationConfig');
  });

  it.each([
    [{ max_tokens: 5 }, null, 5],
    [{ max_tokens: 5, max_completion_tokens: 6 }, null, 6],
    [{ max_tokens: 5 }, 4, 4],
    [{ max_tokens: 3 }, 4, 3],
    [{ max_tokens: -1 }, null, undefined],
    [{ max_completion_tokens: 0 }, 4, 4],
    [{}, 4, 4],
    [{}, null, undefined],
    [{ generationConfig: { maxOutputTokens: 9 } }, 4, 4],
    [{ generationConfig: { maxOutputTokens: 9 } }, null, 9],
  ])('bound the output: %j within %s is %s', (request, maxOutputTokens, bound) => {
    expect((configOf(request, { maxOutputTokens }) as { maxOutputTokens?: number } | undefined)?.maxOutputTokens).toBe(
      bound,
    );
  });

  it('go over the client’s own generationConfig, and that over the config’s', () => {
    const overrides = { extraBody: { generationConfig: { topK: 1, seed: 1, temperature: 1 }, top_p: 0.3 } };
    expect(configOf({ generationConfig: { seed: 2, temperature: 2 }, temperature: 0 }, overrides)).toEqual({
      ...{ topK: 1, seed: 2, temperature: 0, topP: 0.3 },
    });
    expectRefusal({ generationConfig: 1 }, 'generationConfig', /an object/);
  });

  it.each([
    [{ type: 'text' }, undefined],
    [{ type: 'json_object' }, { responseMimeType: 'application/json' }],
    [{ type: 'json_schema', json_schema: { name: 'x' } }, { responseMimeType: 'application/json' }],
    [
      { type: 'json_schema', json_schema: { name: 'x', strict: true, schema: { type: 'object', $defs: {} } } },
      { responseMimeType: 'application/json', responseJsonSchema: { type: 'object', $defs: {} } },
    ],
  ])('structure the output: %j', (response_format, config) => {
    expect(configOf({ response_format })).toEqual(config);
  });

  it.each([{ type: 'grammar' }, { type: 'json_schema' }, 'json'])('refuse another format: %j', (response_format) => {
    expectRefusal({ response_format }, 'response_format', /must be of type/);
  });

  it.each([
    ['gemini-2.5-flash', 'none', { thinkingBudget: 0 }],
    ['gemini-2.5-flash', 'minimal', { thinkingBudget: 1024, includeThoughts: true }],
    ['gemini-2.5-pro', 'low', { thinkingBudget: 1024, includeThoughts: true }],
    ['gemini-2.5-pro', 'medium', { thinkingBudget: 8192, includeThoughts: true }],
    ['gemini-2.5-pro', 'high', { thinkingBudget: 24_576, includeThoughts: true }],
    ['gemini-3-flash-preview', 'minimal', { thinkingLevel: 'minimal', includeThoughts: true }],
    ['gemini-3.1-pro-preview', 'minimal', { thinkingLevel: 'low', includeThoughts: true }],
    ['gemini-3.8-flash', 'minimal', { thinkingLevel: 'low', includeThoughts: true }],
    ['gemini-3.8-flash', 'medium', { thinkingLevel: 'medium', includeThoughts: true }],
    ['gemini-flash-latest', 'minimal', { thinkingLevel: 'low', includeThoughts: true }],
    ['gemini-2.5-flash-prod', 'none', { thinkingBudget: 0 }],
  ])('%s reasons with effort %s', (providerModel, reasoning_effort, thinkingConfig) => {
    expect(configOf({ reasoning_effort }, { providerModel })).toEqual({ thinkingConfig });
  });

  it('let a model that does not reason not reason', () => {
    expect(configOf({ reasoning_effort: 'none' }, { providerModel: 'gemini-2.0-flash' })).toBeUndefined();
    expectRefusal({ reasoning_effort: 'low' }, 'reasoning_effort', /does not reason/, 'gemini-2.0-flash');
  });

  it.each([
    ['gemini-2.5-pro', 'none', /turn the reasoning of gemini-2.5-pro off/],
    ['gemini-3-flash', 'none', /turn the reasoning/],
    ['gemini-3-flash', 'xhigh', /must be one of none, minimal/],
    ['gemini-3-flash', 1, /must be one of/],
  ])('refuse what %s cannot do: effort %s', (model, reasoning_effort, why) => {
    expectRefusal({ reasoning_effort }, 'reasoning_effort', why, model);
  });

  it.each([
    ['logit_bias', { 1: 2 }, /no such bias/],
    ['functions', [{ name: 'f' }], /tools instead/],
    ['function_call', 'auto', /tool_choice instead/],
    ['parallel_tool_calls', false, /parallel calls/],
    ['modalities', ['text', 'audio'], /answers with text/],
    ['audio', { voice: 'x' }, /answers with text/],
    ['web_search_options', {}, /googleSearch/],
    ['verbosity', 'low', /no such setting/],
  ])('%s is refused, and dropped where the target says so', (name, value, why) => {
    expectRefusal({ [name]: value }, name, why);
    expect(send({ [name]: value }, { dropParams: [name] })).toEqual(send({}));
  });

  it('that change nothing are left out', () => {
    expect(
      send({
        ...{ logit_bias: {}, functions: [], parallel_tool_calls: true, modalities: ['text'], verbosity: 'medium' },
        ...{ audio: null, user: 'u', safety_identifier: 's', metadata: {}, store: true, prediction: {} },
        ...{ prompt_cache_key: 'k', prompt_cache_retention: '24h', service_tier: 'auto', stream_options: {} },
      }),
    ).toEqual(send({}));
    expect(send({ service_tier: 'default', stream: true })).toEqual(send({}));
  });

  it('of other tiers are passed on', () => {
    expect(send({ service_tier: 'flex' })).toHaveProperty('service_tier', 'flex');
  });
});
