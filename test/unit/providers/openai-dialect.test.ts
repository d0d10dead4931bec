import { constants } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { costOf } from '../../../src/domain/pricing.js';
import type { UpstreamTarget } from '../../../src/domain/provider.js';
import type { Task } from '../../../src/domain/task.js';
import { noCounts } from '../../../src/domain/usage.js';
import { huggingface } from '../../../src/providers/huggingface/adapter.js';
import { openai } from '../../../src/providers/openai.js';
import { apiRoot, openAiCompatible } from '../../../src/providers/openai-compatible.js';
import { openAiCompatibleServer } from '../../../src/providers/openai-compatible-server.js';
import { findAdapter } from '../../../src/providers/registry.js';
import { parseJsonBody } from '../../../src/wire/json-body.js';
import { writeObject } from '../../../src/wire/json-text.js';
import { type OpenAiTask, openTaskRequest } from '../../../src/wire/openai-request.js';
import { answerOf, aTarget } from '../../conformance/adapters.js';

function send(
  text: string,
  overrides: Partial<UpstreamTarget> = {},
  adapter = openAiCompatibleServer,
  task: Task = 'chat',
): string {
  const request = openTaskRequest(task as OpenAiTask, parseJsonBody(text));
  return adapter.tasks[task]?.preparePayload(request, aTarget(adapter, overrides)).body as string;
}

const MESSAGES = '"messages":[{"role":"user","content":"a"}]';

describe('the base URL', () => {
  it.each([
    ['http://h:1', 'http://h:1/v1'],
    ['http://h:1/', 'http://h:1/v1'],
    ['http://h:1/v1', 'http://h:1/v1'],
    ['http://h:1/v1/', 'http://h:1/v1'],
    ['http://h:1/openai/v2//', 'http://h:1/openai/v2'],
  ])('%s leads to %s', (base, root) => {
    expect(apiRoot(base, '/v1')).toBe(root);
  });

  it('is found by the type’s own path', () => {
    const adapter = openAiCompatible({ id: 'x', docs: 'd', sample: {}, defaultPath: '/api/openai/v1', aliases: ['y'] });
    const request = openTaskRequest('chat', parseJsonBody(`{"model":"m",${MESSAGES}}`));
    expect(adapter.tasks.chat?.makeRoute(request, aTarget(adapter, { baseUrl: 'https://x.test' })).url).toBe(
      'https://x.test/api/openai/v1/chat/completions',
    );
  });
});

describe('the route', () => {
  const settings = { id: 'x', docs: 'd', sample: {}, baseUrl: 'https://x.test' };
  const request = openTaskRequest('chat', parseJsonBody(`{"model":"m",${MESSAGES}}`));

  it('is each call’s own, so that who is given one may change it', () => {
    const adapter = openAiCompatible(settings);
    const target = aTarget(adapter);
    const route = () => adapter.tasks.chat?.makeRoute(request, target) as { url: string };
    const [first, second] = [route(), route()];
    first.url += '?api-version=1';
    expect(second.url).not.toContain('?');
    expect(route().url).toBe(second.url);
  });

  it('is asked for each time where an adapter says it', () => {
    let region = 0;
    const url = () => {
      region += 1;
      return `https://r${region}.test/chat`;
    };
    const adapter = openAiCompatible({ ...settings, url });
    const target = aTarget(adapter);
    const urls = [1, 2].map(() => adapter.tasks.chat?.makeRoute(request, target).url);
    expect(urls).toEqual(['https://r1.test/chat', 'https://r2.test/chat']);
  });
});

describe('the body sent', () => {
  it('has the provider’s model first and the client’s members byte for byte', () => {
    expect(
      send(`{ "seed": 14150443913665712001, "temperature": 1.0, "model":"asked", ${MESSAGES}, "x": { "y" : [ ] } }`),
    ).toBe(`{"model":"vendor/model-1","seed":14150443913665712001,"temperature":1.0,${MESSAGES},"x":{ "y" : [ ] }}`);
  });

  it('is the same whether or not the client’s text can go on as it stands', () => {
    const name = fc.constantFrom('model', 'temperature', 'seed', 'x', 'mod\\u0065l', 'é');
    const raw = fc.constantFrom('1', '1.0', '14150443913665712001', '"a"', '{ "model":1}', 'null');
    const space = fc.constantFrom('', '', '', ' ');
    fc.assert(
      fc.property(fc.array(fc.tuple(name, raw), { maxLength: 4 }), space, fc.boolean(), (given, gap, isFirst) => {
        const others = given.map(([key, value]) => `"${key}":${gap}${key.startsWith('mod') ? '"m"' : value}`);
        const members = isFirst ? ['"model":"m"', MESSAGES, ...others] : [MESSAGES, ...others, '"model":"m"'];
        const text = `{${members.join(`,${gap}`)}}`;
        const own = new Map(parseJsonBody(text).members);
        own.delete('model');
        expect(send(text)).toBe(writeObject([['model', '"vendor/model-1"'], ...own]));
      }),
    );
  });

  it.each([
    ['', '{"include_usage":true}'],
    [',"stream_options":null', '{"include_usage":true}'],
    [',"stream_options":{"x": 1}', '{"x": 1,"include_usage":true}'],
    [',"stream_options":{"include_usage":false,"y":2}', '{"include_usage":true,"y":2}'],
  ])('asks for the usage of a stream: %s', (given, sent) => {
    expect(send(`{"model":"m",${MESSAGES},"stream":true${given}}`)).toContain(`"stream_options":${sent}`);
  });

  it('does not ask where nothing streams, where asking is refused, or where it need not be asked', () => {
    expect(send(`{"model":"m",${MESSAGES}}`)).not.toContain('stream_options');
    const asking = `{"model":"m",${MESSAGES},"stream":true,"stream_options":{"include_usage":true}}`;
    const refusing = openAiCompatible({ id: 'x', docs: 'd', sample: {}, streamUsage: 'refused' });
    expect(send(asking, {}, refusing)).not.toContain('stream_options');
    const generous = openAiCompatible({ id: 'x', docs: 'd', sample: {}, streamUsage: 'comes-anyway' });
    expect(send(`{"model":"m",${MESSAGES},"stream":true}`, {}, generous)).not.toContain('stream_options');
  });

  it('keeps the output within the target’s bound', () => {
    expect(send(`{"model":"m",${MESSAGES},"max_tokens":500}`, { maxOutputTokens: 100 })).toContain('"max_tokens":100');
    expect(send(`{"model":"m",${MESSAGES},"max_completion_tokens":500}`, { maxOutputTokens: 100 })).toContain(
      '"max_completion_tokens":100',
    );
    expect(send(`{"model":"m",${MESSAGES},"max_tokens":50}`, { maxOutputTokens: 100 })).toContain('"max_tokens":50');
    expect(send(`{"model":"m",${MESSAGES}}`, { maxOutputTokens: 100 })).toContain('"max_tokens":100');
    expect(send(`{"model":"m",${MESSAGES},"max_tokens":null}`, { maxOutputTokens: 100 })).toContain('"max_tokens":100');
    expect(send(`{"model":"m",${MESSAGES},"max_tokens":-1}`, { maxOutputTokens: 100 })).toContain('"max_tokens":100');
    expect(
      send('{"model":"m","input":"a"}', { maxOutputTokens: 100 }, openAiCompatibleServer, 'embedding'),
    ).not.toContain('max_tokens');
  });
});

describe('openai', () => {
  it.each(['o1', 'o3-mini', 'o4-mini-2025-04-16', 'gpt-5', 'gpt-5-nano', 'gpt-5.1', 'ft:o4-mini:acme::1'])(
    'bounds the output of %s by max_completion_tokens',
    (providerModel) => {
      const renamed = send(`{"model":"m",${MESSAGES},"max_tokens":7}`, { providerModel }, openai);
      expect(JSON.parse(renamed)).toMatchObject({ max_completion_tokens: 7 });
      expect(JSON.parse(renamed)).not.toHaveProperty('max_tokens');
      expect(
        JSON.parse(send(`{"model":"m",${MESSAGES}}`, { providerModel, maxOutputTokens: 9 }, openai)),
      ).toMatchObject({
        max_completion_tokens: 9,
      });
    },
  );

  it.each(['gpt-4o', 'gpt-3.5-turbo', 'chatgpt-4o-latest'])(
    'leaves the bound of %s as the client wrote it',
    (providerModel) => {
      expect(JSON.parse(send(`{"model":"m",${MESSAGES},"max_tokens":7}`, { providerModel }, openai))).toMatchObject({
        max_tokens: 7,
      });
    },
  );

  it('takes the client’s own max_completion_tokens before a renamed one', () => {
    const sent = send(
      `{"model":"m",${MESSAGES},"max_tokens":7,"max_completion_tokens":8}`,
      { providerModel: 'o3' },
      openai,
    );
    expect(JSON.parse(sent)).toMatchObject({ max_completion_tokens: 8 });
    expect(sent).not.toContain('max_tokens":7');
  });
});

describe('answers', () => {
  const request = openTaskRequest('chat', parseJsonBody(`{"model":"m",${MESSAGES}}`));
  const target = aTarget(openAiCompatibleServer);
  const read = (body: string) => openAiCompatibleServer.tasks.chat?.getResponse(answerOf(body), request, target);

  it('pass as they came', () => {
    const body = ' { "choices" : [ {"seed":14150443913665712001, "message":{"content":"a"}} ] , "x":1.0}\n';
    expect(read(body)).toMatchObject({ ok: true, answer: { body, usage: null } });
  });

  it('have text for tool-call arguments that are an object', () => {
    const body =
      '{"choices":[{"message":{"tool_calls":[{"id":0,"function":{"name":"f","arguments":{"big": 14150443913665712001}}}]}}]}';
    expect(read(body)).toMatchObject({
      ok: true,
      answer: { body: body.replace('{"big": 14150443913665712001}', '"{\\"big\\": 14150443913665712001}"') },
    });
    const text =
      '{"choices":[{"message":{"content":"{\\"arguments\\":{}}","tool_calls":[{"function":{"arguments":"{}"}}]}}]}';
    expect(read(text)).toMatchObject({ answer: { body: text } });
  });

  it.each([
    '{"choices":[{"message":{"content":"a"}},{"message":{"function_call":{"name":"f","arguments":{"a":1}}}}]}',
    '{"choices":[null,{"message":{"tool_calls":{"function":{"arguments":{"a":1}}}}}]}',
  ])('have text for such arguments in any of their choices, in older shapes too: %s', (body) => {
    expect(read(body)).toMatchObject({ answer: { body: body.replace('{"a":1}', '"{\\"a\\":1}"') } });
  });

  it('are no answers without choices', () => {
    expect(read('{"choices":[]}')).toMatchObject({ ok: false, fault: { kind: 'malformed' } });
    expect(read('{"choices":[{"error":{"message":"upstream died","code":502}}]}')).toMatchObject({
      ok: false,
      fault: { kind: 'status', status: 502, message: 'upstream died' },
    });
  });

  it.each([
    '{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}',
    '{"error":{"message":"died","code":500},"usage":{"prompt_tokens":10,"completion_tokens":5}}',
    '{"choices":[{"error":{"message":"died"}}],"usage":{"prompt_tokens":10,"completion_tokens":5}}',
  ])('keep the usage of an answer that is a failure: %s', (body) => {
    expect(read(body)).toMatchObject({ ok: false, usage: { counts: { input: 10, output: 5 } } });
  });

  it('report nothing where a failure reports nothing', () => {
    expect(read('{"choices":[]}')).toMatchObject({ ok: false, usage: null });
    expect(read('no JSON')).toMatchObject({ ok: false, usage: null });
  });

  it('are malformed when they are longer than a text can be', () => {
    // Never touched, so that it takes no memory.
    const answer = { ...answerOf(''), body: Buffer.alloc(constants.MAX_STRING_LENGTH + 1) };
    for (const adapter of [openAiCompatibleServer, huggingface]) {
      const embedding = openTaskRequest('embedding', parseJsonBody('{"model":"m","input":"a"}'));
      expect(adapter.tasks.embedding?.getResponse(answer, embedding, aTarget(adapter))).toMatchObject({
        ok: false,
        fault: { kind: 'malformed', message: expect.stringContaining('too large') },
      });
    }
  });

  it('say what the provider says they cost', () => {
    expect(read('{"choices":[{}],"usage":{"prompt_tokens":1,"completion_tokens":2,"cost":0.00014000}}')).toMatchObject({
      answer: { usage: { providerCostUsd: '0.00014000' } },
    });
  });
});

describe('embeddings', () => {
  const ask = (format: string) => openTaskRequest('embedding', parseJsonBody(`{"model":"m","input":"a"${format}}`));
  const read = (format: string, body: string) =>
    openAiCompatibleServer.tasks.embedding?.getResponse(answerOf(body), ask(format), aTarget(openAiCompatibleServer));
  const floats = '{"data":[{"embedding":[0.5, -1],"index":0}],"usage":null}';
  const base64 = '{"data":[{"embedding":"AAAAPwAAgL8=","index":0}],"usage":null}';

  it.each([
    ['', floats, floats],
    [',"encoding_format":"float"', base64, floats.replace(', ', ',')],
    [',"encoding_format":"base64"', floats, base64],
    [',"encoding_format":"base64"', base64, base64],
    [',"encoding_format":"int8"', '{"data":[{"embedding":[1,2]}]}', '{"data":[{"embedding":[1,2]}]}'],
  ])('come in the format that was asked for: %s', (format, given, got) => {
    expect(read(format, given)).toMatchObject({ ok: true, answer: { body: got } });
  });
});

describe('the registry', () => {
  it('finds an adapter by its type, and none by another', () => {
    expect(findAdapter('openai')).toBe(openai);
    expect(findAdapter('nobody')).toBeNull();
  });

  it('lets ollama cost nothing unless told, and says of no other provider what it costs', () => {
    const rates = findAdapter('ollama')?.defaultRates ?? {};
    const audio = { audioInput: 5, audioOutput: 6 };
    const all = { ...noCounts(), input: 1, cachedInput: 2, cacheWrite: 3, output: 4, reasoning: 7, ...audio };
    expect(costOf(all, { id: 'free', origin: 'adapter:ollama', rates, tiers: [] })).toMatchObject({
      known: true,
      nanoUsd: 0n,
    });
    expect(findAdapter('huggingface')?.defaultRates).toBeNull();
  });
});
