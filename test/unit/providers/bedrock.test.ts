import { describe, expect, it } from 'vitest';
import type { UpstreamFailure } from '../../../src/domain/failure.js';
import type { TaskHelper, UpstreamTarget } from '../../../src/domain/provider.js';
import { Secret } from '../../../src/domain/secret.js';
import { bedrock } from '../../../src/providers/bedrock/adapter.js';
import { failureFromStatus } from '../../../src/upstream/failure.js';
import { answerOf, aRequest, aTarget, counts, replay } from '../../conformance/adapters.js';
import { answerTextOf } from '../../support/answer-text.js';
import { converseEvent, converseException, eventMessage } from '../../support/event-stream.js';
import { finished } from '../../support/finished.js';
import { expectedAuthorization } from '../../support/sig-v4.js';

const chat = bedrock.tasks.chat as TaskHelper;
const hello = [{ role: 'user', content: 'hi' }];
const EVENT_STREAM = 'application/vnd.amazon.eventstream';
const baseUrl = 'https://bedrock-runtime.eu-central-1.amazonaws.com';
const HEADERS = { date: 'Tue, 15 Nov 1994 08:12:31 GMT', 'x-amzn-requestid': 'r-1' };

function textSent(body: object, target: Partial<UpstreamTarget> = {}): string {
  return chat.preparePayload(aRequest('chat', { messages: hello, ...body }), aTarget(bedrock, { baseUrl, ...target }))
    .body as string;
}
const sent = (body: object, target: Partial<UpstreamTarget> = {}) => JSON.parse(textSent(body, target));
const messagesSent = (...messages: object[]) => sent({ messages }).messages;
const fieldsSent = (body: object) => sent(body).additionalModelRequestFields;

function refusal(body: object, target: Partial<UpstreamTarget> = {}): unknown {
  try {
    sent(body, target);
  } catch (error) {
    return error;
  }
  return expect.unreachable('it is sent');
}

describe('where Bedrock is asked', () => {
  const urlOf = (providerModel: string, stream = false) => {
    return chat.makeRoute(aRequest('chat', { messages: hello, stream }), aTarget(bedrock, { baseUrl, providerModel }))
      .url;
  };

  it('has the model in the path, an ARN as one segment', () => {
    expect(urlOf('anthropic.claude-v2:1')).toBe(`${baseUrl}/model/anthropic.claude-v2%3A1/converse`);
    expect(urlOf('m', true)).toBe(`${baseUrl}/model/m/converse-stream`);
    expect(urlOf('arn:aws:bedrock:us-east-1:1:inference-profile/p')).toContain('%3Ainference-profile%2Fp/converse');
    for (const name of ['..', '.', '', '\ud800']) {
      expect(() => urlOf(name)).toThrow(expect.objectContaining({ code: 'invalid_request', param: 'model' }));
    }
  });

  it('is told what to answer with', () => {
    const headers = (stream: boolean) =>
      chat.prepareHeaders?.(aRequest('chat', { messages: hello, stream }), aTarget(bedrock));
    expect(headers(true)).toEqual({ accept: EVENT_STREAM });
    expect(headers(false)).toEqual({});
  });

  it('is in the entry’s region where the entry has no address', () => {
    const at = (region: string | null) => bedrock.baseUrlFor?.({ region });
    expect(at('eu-central-1')).toBe(baseUrl);
    expect(at('us-gov-west-1')).toBe('https://bedrock-runtime.us-gov-west-1.amazonaws.com');
    expect(at('cn-north-1')).toBe('https://bedrock-runtime.cn-north-1.amazonaws.com.cn');
    expect([at('eu'), at(null)]).toEqual([null, null]);
    const warn = (url: string | null, region: string | null = null) =>
      bedrock.checkEntry?.({ baseUrl: url, region }).length;
    expect([
      warn(baseUrl),
      warn(null),
      warn('http://proxy'),
      warn('http://proxy', 'eu'),
      warn('http://proxy', 'eu-west-1'),
    ]).toEqual([0, 0, 1, 1, 0]);
  });
});

describe('the key', () => {
  const body = '{"messages":[]}';
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
  const headersBefore = { 'content-type': 'application/json', accept: EVENT_STREAM, 'x-own': ' a  b ' };
  const sign = async (key: string, url: string, region: string | null = null) => {
    const request = {
      method: 'POST' as const,
      url,
      headers: headersBefore,
      body,
      now: Date.UTC(2026, 4, 17, 8, 3, 1),
      region,
    };
    return (await bedrock.sign?.(request, new Secret(key))) ?? {};
  };
  const expected = (url: string, added: Record<string, string>, region: string) => {
    const { pathname, host } = new URL(url);
    const headers: Record<string, string> = { ...headersBefore, ...added, host, 'x-own': 'a b' };
    return expectedAuthorization({ method: 'POST', path: pathname, headers, body }, { ...credentials, region });
  };

  it('signs what is sent, at its time, for the region of the address', async () => {
    const url = `${baseUrl}/model/anthropic.claude-v2%3A1/converse`;
    const added = await sign('AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', url, 'us-west-2');
    expect(added).toEqual({
      'x-amz-date': '20260517T080301Z',
      'x-amz-content-sha256': expect.stringMatching(/^[0-9a-f]{64}$/),
      authorization: expected(url, added, 'eu-central-1'),
    });
    expect(added['authorization']).toContain(
      'SignedHeaders=accept;content-type;host;x-amz-content-sha256;x-amz-date;x-own,',
    );
  });

  it('signs with a session, and for the entry’s region where the address names none', async () => {
    const key = 'AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY:IQoJb3JpZ2luX2VjE+/=';
    const url = 'http://127.0.0.1:9000/model/m/converse';
    const added = await sign(key, url, 'ap-south-1');
    expect(added['x-amz-security-token']).toBe('IQoJb3JpZ2luX2VjE+/=');
    expect(added['authorization']).toBe(expected(url, added, 'ap-south-1'));
    for (const region of ['eu', null]) {
      const other = await sign(key, url, region);
      expect(other['authorization']).toBe(expected(url, other, 'us-east-1'));
    }
    const vpc = 'https://vpce-1.bedrock-runtime.us-west-2.vpce.amazonaws.com/model/m/converse';
    const fips = 'https://bedrock-runtime-fips.us-west-2.amazonaws.com/model/m/converse';
    for (const host of [vpc, fips]) {
      const there = await sign(key, host);
      expect(there['authorization']).toBe(expected(host, there, 'us-west-2'));
    }
  });

  it('is sent where it is a Bedrock API key, and never where it signs', async () => {
    expect(bedrock.authenticate(new Secret('ABSKQmVk'))).toEqual({ authorization: 'Bearer ABSKQmVk' });
    expect(await sign('ABSKQmVk', baseUrl)).toEqual({});
    expect(bedrock.authenticate(new Secret('AK:secret'))).toEqual({});
  });

  it('has parts that are secrets by themselves', () => {
    expect(bedrock.secretsIn?.(new Secret('AK:secret:token'))).toEqual(['AK', 'secret', 'token']);
    expect(bedrock.secretsIn?.(new Secret('AK:secret'))).toEqual(['AK', 'secret']);
    expect(bedrock.secretsIn?.(new Secret('ABSK'))).toEqual([]);
  });
});

describe('what Bedrock is asked', () => {
  it('has its parameters where Converse has them', () => {
    const body = {
      ...{
        max_completion_tokens: 9,
        temperature: 0.5,
        top_p: 0.9,
        stop: 'END',
        metadata: { team: 'a' },
        service_tier: 'flex',
      },
      ...{
        performanceConfig: { latency: 'optimized' },
        requestMetadata: null,
        top_k: 5,
        thinking: { type: 'enabled' },
      },
    };
    expect(sent(body)).toEqual({
      messages: [{ role: 'user', content: [{ text: 'hi' }] }],
      inferenceConfig: { maxTokens: 9, temperature: 0.5, topP: 0.9, stopSequences: ['END'] },
      requestMetadata: { team: 'a' },
      serviceTier: { type: 'flex' },
      performanceConfig: { latency: 'optimized' },
      additionalModelRequestFields: { top_k: 5, thinking: { type: 'enabled' } },
    });
    expect(sent({ max_tokens: 9 }, { maxOutputTokens: 4 }).inferenceConfig).toEqual({ maxTokens: 4 });
    expect(
      sent({ service_tier: 'auto', user: 'u', store: false, seed: null, frequency_penalty: 0, logprobs: false }),
    ).toEqual({
      messages: [{ role: 'user', content: [{ text: 'hi' }] }],
    });
  });

  it('has Converse’s own members over what is made of OpenAI’s, numbers as they were written', () => {
    const own = { additionalModelRequestFields: { top_k: 1, x: 2 }, inferenceConfig: { maxTokens: 1, topP: 0.1 } };
    const body = sent({ ...own, top_k: 5, max_tokens: 7, serviceTier: { type: 'priority' }, service_tier: 'flex' });
    expect(body.additionalModelRequestFields).toEqual({ top_k: 1, x: 2 });
    expect(body.inferenceConfig).toEqual({ maxTokens: 7, topP: 0.1 });
    expect(body.serviceTier).toEqual({ type: 'priority' });
    expect(sent({}, { extraBody: { additionalModelRequestFields: { y: 1 } } }).additionalModelRequestFields).toEqual({
      y: 1,
    });
    expect(fieldsSent({ additionalModelRequestFields: 7 })).toBeUndefined();
    const members = [
      'outputConfig',
      'promptVariables',
      'requestMetadata',
      'toolConfig',
      'additionalModelResponseFieldPaths',
      'guardrailConfig',
    ];
    for (const name of members) expect(sent({ [name]: { a: 1 } })[name]).toEqual({ a: 1 });
    const request = aRequest('chat', { messages: hello });
    const members2 = new Map(request.body.members).set('id', '12345678901234567890');
    const payload = chat.preparePayload({ ...request, body: { ...request.body, members: members2 } }, aTarget(bedrock));
    expect(payload.body).toContain('"additionalModelRequestFields":{"id":12345678901234567890}');
  });

  it.each([
    ['seed', 7],
    ['logprobs', true],
    ['frequency_penalty', 0.5],
    ['presence_penalty', -1],
    ['reasoning_effort', 'high'],
    ['n', 2],
    ['parallel_tool_calls', false],
    ['response_format', { type: 'json_object' }],
    ['response_format', { type: 'json_schema' }],
    ['response_format', { type: 'json_schema', json_schema: { name: 'x' } }],
    ['response_format', 'json'],
  ])('refuses %s: %j', (param, value) => {
    expect(refusal({ [param]: value })).toMatchObject({
      code: 'invalid_request',
      param,
      message: expect.stringContaining('Bedrock'),
    });
  });

  it('leaves out a parameter it refuses where the config says so', () => {
    expect(sent({ seed: 7 }, { dropParams: ['seed'] })).toEqual({
      messages: [{ role: 'user', content: [{ text: 'hi' }] }],
    });
  });

  it('passes the effort on to OpenAI’s own models', () => {
    const target = { providerModel: 'us.openai.gpt-oss-120b-1:0' };
    expect(sent({ reasoning_effort: 'low' }, target).additionalModelRequestFields).toEqual({ reasoning_effort: 'low' });
  });

  it('is told of the shape of the answer', () => {
    const schema = { type: 'object', properties: { a: { type: 'integer' } } };
    const format = (json_schema: object) =>
      sent({ response_format: { type: 'json_schema', json_schema } }).outputConfig;
    const textFormat = (jsonSchema: object) => ({ textFormat: { type: 'json_schema', structure: { jsonSchema } } });
    expect(format({ name: 'n', description: 'd', strict: true, schema })).toEqual(
      textFormat({ schema: JSON.stringify(schema), name: 'n', description: 'd' }),
    );
    expect(format({ schema })).toEqual(textFormat({ schema: JSON.stringify(schema) }));
    expect(sent({ response_format: { type: 'text' } })).not.toHaveProperty('outputConfig');
  });

  it('has the system’s words ahead, turns that alternate, and no blank texts', () => {
    const body = sent({
      messages: [
        { role: 'system', content: 'A' },
        { role: 'user', content: 'one', name: 'n' },
        {
          role: 'developer',
          content: [{ type: 'text', text: 'B', cache_control: { type: 'ephemeral' } }],
          cache_control: {},
        },
        { role: 'user', content: [{ type: 'text', text: 'two' }, { type: 'text', text: ' \n' }, 'three'] },
        { role: 'assistant', content: 'four' },
        { role: 'assistant', content: [{ type: 'refusal', refusal: 'five' }] },
      ],
    });
    expect(body.system).toEqual([
      { text: 'A' },
      { text: 'B' },
      { cachePoint: { type: 'default' } },
      { cachePoint: { type: 'default' } },
    ]);
    expect(body.messages).toEqual([
      { role: 'user', content: [{ text: 'one' }, { text: 'two' }, { text: 'three' }] },
      { role: 'assistant', content: [{ text: 'four' }, { text: 'five' }] },
    ]);
  });

  it('has cache points where the client has cache controls', () => {
    const cache_control = { type: 'ephemeral', ttl: '1h' };
    const point = { cachePoint: { type: 'default', ttl: '1h' } };
    expect(
      messagesSent(
        {
          role: 'user',
          content: [
            { type: 'text', text: 'a', cache_control },
            { type: 'refusal', refusal: 'b', cache_control },
          ],
        },
        { role: 'assistant', content: 'c', cache_control },
        { role: 'user', content: 'd', cache_control },
        { role: 'tool', tool_call_id: 'c', content: [{ type: 'text', text: 'e', cache_control }] },
        { role: 'tool', tool_call_id: 'c', content: 'f', cache_control, is_error: true },
      ),
    ).toEqual([
      { role: 'user', content: [{ text: 'a' }, point, { text: 'b' }, point] },
      { role: 'assistant', content: [{ text: 'c' }, point] },
      {
        role: 'user',
        content: [
          { text: 'd' },
          point,
          { toolResult: { toolUseId: 'c', content: [{ text: 'e' }] } },
          point,
          { toolResult: { toolUseId: 'c', content: [{ text: 'f' }], status: 'error' } },
          point,
        ],
      },
    ]);
  });

  it('has pictures and documents in its own words', () => {
    const content = (part: object) => messagesSent({ role: 'user', content: [part] })[0].content;
    const picture = (url: string) => content({ type: 'image_url', image_url: { url } })[0].image;
    expect(picture('data:image/jpg;base64,AAAA')).toEqual({ format: 'jpeg', source: { bytes: 'AAAA' } });
    for (const format of ['png', 'jpeg', 'gif', 'webp'])
      expect(picture(`data:image/${format};base64,A`).format).toBe(format);
    expect(picture('s3://bucket/a.PNG')).toEqual({
      format: 'png',
      source: { s3Location: { uri: 's3://bucket/a.PNG' } },
    });
    expect(content({ type: 'image_url', image_url: 'data:image/gif;base64,AA', cache_control: {} })).toEqual([
      { image: { format: 'gif', source: { bytes: 'AA' } } },
      { cachePoint: { type: 'default' } },
    ]);
    const file = (type: string, filename?: string) => {
      return content({
        type: 'file',
        file: { file_data: `data:${type};name=x;base64,QQ==`, filename },
        cache_control: {},
      });
    };
    expect(file('application/pdf', 'Q3: report_v1.final.pdf')).toEqual([
      { document: { format: 'pdf', name: 'Q3 report v1 final', source: { bytes: 'QQ==' } } },
      { cachePoint: { type: 'default' } },
    ]);
    expect(file('text/plain')[0].document.name).toBe('document');
    expect(file('text/plain', 'é.txt')[0].document.name).toBe('document');
    const formats = {
      ...{ 'text/csv': 'csv', 'application/msword': 'doc', 'application/vnd.ms-excel': 'xls', 'text/html': 'html' },
      ...{ 'text/plain': 'txt', 'text/markdown': 'md' },
      'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'docx',
      'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet': 'xlsx',
    };
    for (const [type, format] of Object.entries(formats)) expect(file(type)[0].document.format).toBe(format);
    expect(content({ guardContent: { text: { text: 'x' } } })).toEqual([{ guardContent: { text: { text: 'x' } } }]);
  });

  it('names the part that it cannot take', () => {
    const refused = (part: unknown) => refusal({ messages: [...hello, { role: 'user', content: [part] }] });
    const parts = [
      { type: 'image_url', image_url: { url: 'https://x.example/a.png' } },
      { type: 'image_url', image_url: { url: 'data:image/bmp;base64,AA' } },
      { type: 'image_url', image_url: { url: 's3://bucket/a.bmp' } },
      { type: 'image_url' },
      { type: 'file', file: { file_id: 'f' } },
      { type: 'file', file: { file_data: 'data:application/zip;base64,AA' } },
      { type: 'file' },
      { type: 'input_audio' },
      7,
    ];
    for (const part of parts) expect(refused(part)).toMatchObject({ param: 'messages[1].content[0]' });
    expect(refusal({ messages: [{ role: 'function', content: '' }] })).toMatchObject({ param: 'messages[0].role' });
    const called = (args: unknown) =>
      refusal({
        messages: [{ role: 'assistant', tool_calls: [{ id: 'c', function: { name: 'f', arguments: args } }] }],
      });
    for (const args of ['{', '[1]', 7]) {
      expect(called(args)).toMatchObject({ param: 'messages[0].tool_calls[0].function.arguments' });
    }
  });

  it('has tool calls with their arguments as they were written', () => {
    const text = textSent({
      messages: [
        {
          role: 'assistant',
          content: 'ok',
          tool_calls: [
            { id: 'a', function: { name: 'f', arguments: '{"id": 12345678901234567890}' } },
            { id: 'b', function: { name: 'g', arguments: '' } },
            { id: 'c', function: { name: 'h', arguments: { x: 1 } } },
            { id: 'd', function: { name: 'i' } },
          ],
        },
      ],
    });
    const use = (id: string, name: string, input: string) =>
      `{"toolUse":{"toolUseId":"${id}","name":"${name}","input":${input}}}`;
    expect(text).toContain(
      `[{"text":"ok"},${use('a', 'f', '{"id": 12345678901234567890}')},${use('b', 'g', '{}')},${use('c', 'h', '{"x":1}')},${use('d', 'i', '{}')}]`,
    );
  });

  it('has signed thoughts of the same model before all else, and no others', () => {
    const thinking_blocks = [
      { type: 'thinking', thinking: 'hm', signature: 's', model: 'vendor/model-1' },
      { type: 'thinking', thinking: 'other', signature: 's', model: 'another' },
      { type: 'thinking', thinking: 'unsigned' },
      { type: 'redacted_thinking', data: 'AAAA' },
      { type: 'thinking', signature: 't' },
    ];
    expect(
      messagesSent({ role: 'assistant', content: 'x', reasoning_content: 'hm', thinking_blocks })[0].content,
    ).toEqual([
      { reasoningContent: { reasoningText: { text: 'hm', signature: 's' } } },
      { reasoningContent: { redactedContent: 'AAAA' } },
      { reasoningContent: { reasoningText: { text: '', signature: 't' } } },
      { text: 'x' },
    ]);
  });

  it('offers tools', () => {
    const tool = (name: string, rest: object = {}) => ({ type: 'function', function: { name, ...rest } });
    const schema = { type: 'object', properties: { a: {} } };
    const tools = [
      { ...tool('a', { description: 'd', parameters: schema, strict: true }), cache_control: { type: 'ephemeral' } },
      tool('b', { description: '', strict: false }),
      { toolSpec: { name: 'own' } },
    ];
    const specs = [
      { toolSpec: { name: 'a', description: 'd', inputSchema: { json: schema }, strict: true } },
      { cachePoint: { type: 'default' } },
      { toolSpec: { name: 'b', inputSchema: { json: { type: 'object', properties: {} } } } },
      { toolSpec: { name: 'own' } },
    ];
    const config = (tool_choice?: unknown) => sent({ tools, tool_choice }).toolConfig;
    expect(config()).toEqual({ tools: specs });
    expect(config('auto')).toEqual({ tools: specs, toolChoice: { auto: {} } });
    expect(config('required').toolChoice).toEqual({ any: {} });
    expect(config({ type: 'function', function: { name: 'b' } }).toolChoice).toEqual({ tool: { name: 'b' } });
    expect(config('none')).toBeUndefined();
    expect(sent({ tools: [], tool_choice: 'auto' })).not.toHaveProperty('toolConfig');
    expect(refusal({ tools, tool_choice: { type: 'allowed_tools' } })).toMatchObject({ param: 'tool_choice' });
    expect(refusal({ tools: [{ type: 'custom', custom: {} }] })).toMatchObject({ param: 'tools[0]' });
    const called = { role: 'assistant', tool_calls: [{ id: 'c', function: { name: 'a', arguments: '{}' } }] };
    for (const message of [called, { role: 'tool', tool_call_id: 'c', content: 'x' }]) {
      expect(refusal({ messages: [message], tools, tool_choice: 'none' })).toMatchObject({ param: 'tool_choice' });
    }
  });
});

describe('what Bedrock answers', () => {
  const read = (value: object | string) => {
    const answer = answerOf(typeof value === 'string' ? value : JSON.stringify(value));
    const outcome = finished(
      chat.getResponse(
        { ...answer, headers: { ...answer.headers, ...HEADERS } },
        aRequest('chat', { messages: hello }),
        aTarget(bedrock),
      ),
    );
    return outcome.ok ? { ...outcome, body: JSON.parse(answerTextOf(outcome.answer.body)) } : outcome;
  };
  const whole = (content: object[], rest: object = {}) => ({
    output: { message: { role: 'assistant', content } },
    stopReason: 'end_turn',
    ...rest,
  });

  it.each([
    ['end_turn', 'stop'],
    ['stop_sequence', 'stop'],
    ['tool_use', 'tool_calls'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['guardrail_intervened', 'content_filter'],
    ['content_filtered', 'content_filter'],
    ['something_new', 'stop'],
  ])('ends %s with %s', (stopReason, finish) => {
    expect(read(whole([{ text: 'A' }], { stopReason }))).toMatchObject({
      body: { choices: [{ finish_reason: finish }] },
    });
  });

  it.each([['malformed_model_output'], ['malformed_tool_use'], [undefined]])(
    'is no answer where it ends with %s',
    (stopReason) => {
      expect(read(whole([], { stopReason, usage: { inputTokens: 3 } }))).toMatchObject({
        ok: false,
        fault: { kind: 'malformed' },
        usage: { counts: counts({ input: 3 }) },
      });
    },
  );

  it('is called by its request, and keeps what stands beside the message', () => {
    expect(read(whole([{ text: 'A' }], { trace: { guardrail: {} }, metrics: { latencyMs: 1 } }))).toMatchObject({
      body: { id: 'r-1', created: 784887151, trace: { guardrail: {} }, metrics: { latencyMs: 1 } },
      answer: { usage: null },
    });
  });

  it('counts what it was told, and nothing else', () => {
    const usage = (value: object) => {
      const outcome = read(whole([{ text: 'A' }], { usage: value }));
      return outcome.ok ? { report: outcome.answer.usage, shown: outcome.body.usage } : expect.unreachable('no answer');
    };
    expect(usage({ inputTokens: 3, outputTokens: 4, totalTokens: 7 })).toEqual({
      report: { counts: counts({ input: 3, output: 4 }), providerCostUsd: null, problems: [] },
      shown: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
    });
    expect(usage({ inputTokens: 3, outputTokens: 4, cacheReadInputTokens: 0 })).toMatchObject({
      report: { counts: counts({ input: 3, output: 4, cachedInput: 0 }) },
      shown: { prompt_tokens: 3, prompt_tokens_details: { cached_tokens: 0 } },
    });
    expect(usage({ inputTokens: -1, outputTokens: null, cacheWriteInputTokens: 9 })).toEqual({
      report: { counts: counts({ cacheWrite: 9 }), providerCostUsd: null, problems: ['inputTokens'] },
      shown: {
        prompt_tokens: null,
        completion_tokens: null,
        total_tokens: null,
        prompt_tokens_details: { cache_write_tokens: 9 },
      },
    });
    expect(usage({})).toEqual({ report: null, shown: undefined });
  });

  it('cites, thinks unsigned, and says nothing where it only calls tools', () => {
    const cited = { citationsContent: { content: [{ text: 'A' }, { text: 'B' }], citations: [{ title: 't' }] } };
    expect(read(whole([cited, { reasoningContent: { reasoningText: { text: 'hm' } } }, { unknown: 1 }]))).toMatchObject(
      {
        body: { choices: [{ message: { content: 'AB', reasoning_content: 'hm', citations: [{ title: 't' }] } }] },
      },
    );
    const silent = read(whole([{ toolUse: { toolUseId: 'c', name: 'f' } }], { stopReason: 'tool_use' }));
    expect(silent).toMatchObject({
      body: {
        choices: [
          {
            message: {
              role: 'assistant',
              content: null,
              tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
            },
          },
        ],
      },
    });
    expect(read(whole([]))).toMatchObject({ body: { choices: [{ message: { role: 'assistant', content: '' } }] } });
    if (silent.ok) expect(Object.keys(silent.body.choices[0].message)).toEqual(['role', 'content', 'tool_calls']);
  });

  it('is malformed without a message, and costs what it says', () => {
    for (const output of [undefined, {}, { message: {} }]) {
      expect(read({ output, stopReason: 'end_turn', usage: { inputTokens: 1 } })).toMatchObject({
        ok: false,
        fault: { kind: 'malformed', message: 'the provider’s answer has no message' },
        usage: { counts: counts({ input: 1 }) },
      });
    }
  });
});

describe('what Bedrock streams', () => {
  const open = () =>
    chat.openStream?.(
      aRequest('chat', { messages: hello, stream: true }),
      aTarget(bedrock),
      HEADERS,
    ) as never as NonNullable<ReturnType<NonNullable<TaskHelper['openStream']>>>;
  const block = (contentBlockIndex: number, delta: object) =>
    converseEvent('contentBlockDelta', { contentBlockIndex, delta });
  const choices = (data: readonly string[]) => data.map((chunk) => JSON.parse(chunk).choices[0]);

  it('becomes chunks: the role first, then the pieces, then the reason with the signed thoughts', () => {
    const reader = open();
    const { data } = replay(
      reader,
      [
        block(0, { reasoningContent: { text: 'h' } }),
        converseEvent('messageStart', { role: 'assistant' }),
        block(0, { reasoningContent: { text: 'm' } }),
        block(0, { reasoningContent: { signature: 's' } }),
        block(1, { reasoningContent: { redactedContent: 'AAAA' } }),
        block(2, { text: '' }),
        block(2, { text: 'A' }),
        block(2, { citation: { title: 't' } }),
        block(2, { image: {} }),
        converseEvent('contentBlockDelta', { contentBlockIndex: 2 }),
        converseEvent('contentBlockStart', { contentBlockIndex: 3, start: {} }),
        converseEvent('contentBlockStop', { contentBlockIndex: 3 }),
        eventMessage({ ':message-type': 'event', ':event-type': 'initial-response' }, '{}'),
        converseEvent('messageStop', { stopReason: 'guardrail_intervened' }),
        converseEvent('metadata', { usage: { inputTokens: 1, outputTokens: 2 } }),
      ],
      EVENT_STREAM,
    );
    const model = 'vendor/model-1';
    expect(choices(data)).toEqual([
      { index: 0, delta: { role: 'assistant', content: '', reasoning_content: 'h' }, finish_reason: null },
      { index: 0, delta: { reasoning_content: 'm' }, finish_reason: null },
      { index: 0, delta: { content: 'A' }, finish_reason: null },
      { index: 0, delta: { citations: [{ title: 't' }] }, finish_reason: null },
      {
        index: 0,
        delta: {
          thinking_blocks: [
            { type: 'thinking', thinking: 'hm', signature: 's', model },
            { type: 'redacted_thinking', data: 'AAAA', model },
          ],
        },
        finish_reason: 'content_filter',
      },
    ]);
    expect(reader.identity()).toEqual({ id: 'r-1', created: 784887151, model });
    expect(JSON.parse(reader.usageChunk() ?? '').usage).toEqual({
      prompt_tokens: 1,
      completion_tokens: 2,
      total_tokens: 3,
    });
  });

  it('has arguments of several tools apart, and `{}` for none', () => {
    const start = (index: number, toolUseId: string) =>
      converseEvent('contentBlockStart', { contentBlockIndex: index, start: { toolUse: { toolUseId, name: 'f' } } });
    const { data } = replay(
      open(),
      [
        start(4, 'a'),
        start(5, 'b'),
        block(5, { toolUse: { input: '{"x"' } }),
        block(4, { toolUse: {} }),
        block(5, { toolUse: { input: ':1}' } }),
        converseEvent('contentBlockStop', { contentBlockIndex: 4 }),
        converseEvent('contentBlockStop', { contentBlockIndex: 5 }),
      ],
      EVENT_STREAM,
    );
    expect(choices(data).map(({ delta }) => delta.tool_calls[0])).toEqual([
      { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } },
      { index: 1, id: 'b', type: 'function', function: { name: 'f', arguments: '' } },
      { index: 1, function: { arguments: '{"x"' } },
      { index: 1, function: { arguments: ':1}' } },
      { index: 0, function: { arguments: '{}' } },
    ]);
  });

  it('ends with the metadata, in whatever order they come', () => {
    const stop = { name: 'messageStop', data: '{"stopReason":"end_turn"}' };
    const metadata = { name: 'metadata', data: '{"usage":{"inputTokens":1}}' };
    const reader = open();
    expect(reader.read(stop).kind).toBe('chunk');
    expect(reader.isFinished()).toBe(true);
    expect(reader.read(metadata)).toEqual({ kind: 'done' });
    const other = open();
    expect(other.read(metadata)).toEqual({ kind: 'nothing' });
    expect(other.isFinished()).toBe(false);
    expect(other.read(stop)).toMatchObject({ kind: 'chunk', content: true });
  });

  it.each([
    ['internalServerException', 500],
    ['modelStreamErrorException', 424],
    ['modelTimeoutException', 408],
    ['serviceUnavailableException', 503],
    ['throttlingException', 429],
    ['validationException', 400],
    ['someNewException', 500],
  ])('is broken by %s, which is a %d', (type, status) => {
    const step = open().read({ name: type, data: '{"message":"why"}' });
    expect(step).toMatchObject({ kind: 'fault', fault: { kind: 'status', status, code: type, message: 'why' } });
  });

  it('is broken by errors, reasons that are none, and what is no JSON', () => {
    const fault = (name: string | null, data: string) => open().read({ name, data });
    expect(fault('error', '{"code":"InternalError","message":"gone"}')).toMatchObject({
      kind: 'fault',
      fault: { code: 'InternalError', message: 'gone', status: 500 },
    });
    expect(fault('throttlingException', '')).toMatchObject({ kind: 'fault', fault: { status: 429 } });
    expect(fault('messageStop', '{"stopReason":"malformed_tool_use"}')).toMatchObject({ fault: { kind: 'malformed' } });
    expect(fault('contentBlockDelta', 'x')).toMatchObject({ fault: { kind: 'malformed' } });
    expect(fault(null, '{"message":"said"}')).toMatchObject({ kind: 'fault', fault: { message: 'said' } });
    expect(
      replay(open(), [converseException('throttlingException', 'slow').subarray(0, 40)], EVENT_STREAM).fault,
    ).toMatch('broken');
  });
});

describe('errors of Bedrock', () => {
  const failure = (status: number, errortype: string, message = 'm'): UpstreamFailure =>
    failureFromStatus({
      status,
      headers: { 'x-amzn-errortype': errortype },
      body: Buffer.from(JSON.stringify({ message })),
      secrets: [],
      now: 0,
    });

  it('have their name in a header', () => {
    expect(failure(429, 'ThrottlingException:http://internal.amazon.com/coral/').code).toBe('ThrottlingException');
    expect(failure(400, 'com.amazon.coral.validate#ValidationException').code).toBe('ValidationException');
    expect(failure(400, '').code).toBeNull();
  });

  it.each([
    ['ModelErrorException', 424, { action: 'retry', afterMs: null }],
    ['ModelNotReadyException', 429, { action: 'retry', afterMs: null }],
    ['modelStreamErrorException', 424, { action: 'retry', afterMs: null }],
    ['AccessDeniedException', 403, { action: 'fall-back' }],
    ['ServiceQuotaExceededException', 400, { action: 'rotate-key', cooldownMs: null }],
    ['ThrottlingException', 429, undefined],
    ['UnrecognizedClientException', 403, undefined],
    ['ValidationException', 400, undefined],
  ])('mean what they are: %s', (type, status, verdict) => {
    expect(bedrock.classify?.(failure(status, type))).toEqual(verdict);
  });

  it('send a prompt that is too long elsewhere', () => {
    expect(bedrock.classify?.(failure(400, 'ValidationException', 'Input is too long for requested model.'))).toEqual({
      action: 'fall-back',
    });
  });

  it('come with a hint where one helps', () => {
    const hint = (message: string) => bedrock.hint?.(failure(400, 'ValidationException', message), { baseUrl });
    expect(hint('Invocation of model ID x with on-demand throughput isn’t supported.')).toContain('inference profile');
    expect(hint('Signature expired: 20260101T000000Z is now earlier than 20260102T000000Z')).toContain('clock');
    expect(hint('Signature not yet current: x')).toContain('clock');
    expect(hint('something else')).toBeUndefined();
  });
});
