import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_KEY, type Daemon } from '../support/daemon.js';
import { answer, chatBody, provider, recordOf, startRouter, stream } from '../support/failing-providers.js';
import { type RecordedRequest, type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** What reaches the provider of a client's request: all that is meant for it, as it was written, and nothing else. */

let daemon: Daemon;
let upstream: ScriptedUpstream;

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
  daemon = await startRouter([
    provider('plain', upstream.url, { models: [{ id: 'm', tasks: ['chat', 'completion'] }] }),
    provider('shaped', upstream.url, {
      models: [{ id: 'shaped', provider_model: 'vendor/Shaped-1' }],
      headers: { 'X-Bill-To': 'our-org', 'x-waybill-own': 'kept' },
      extra_body: { provider_hint: { order: ['a'] }, temperature: 0.5 },
      drop_params: ['store', 'metadata'],
      limits: { max_tokens: 100 },
    }),
  ]);
});
afterEach(() => {
  upstream.requests.length = 0;
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

async function sent(body: object | string, headers: Record<string, string> = {}, path = '/v1/chat/completions') {
  const response = await daemon.post(path, body, headers);
  expect(response.status).toBe(200);
  await response.text();
  return { request: upstream.requests[0] as RecordedRequest, response };
}

describe('headers', () => {
  it('that are the client’s own go nowhere: its key, its extras, its cookies', async () => {
    const { request, response } = await sent(chatBody(), {
      'x-api-key': 'a-second-secret',
      'x-waybill-tags': 'team=search,env=prod',
      'idempotency-key': 'once',
      cookie: 'session=1',
      'x-forwarded-for': '10.0.0.1',
      'openai-organization': 'org-of-the-client',
      'user-agent': 'client/1.0',
    });
    const everything = JSON.stringify(request);
    for (const secret of [CLIENT_KEY, 'a-second-secret', 'session=1', '10.0.0.1', 'org-of-the-client', 'client/1.0']) {
      expect(everything).not.toContain(secret);
    }
    for (const name of Object.keys(request.headers)) expect(name).not.toMatch(/^x-waybill|^idempotency|^cookie/);
    expect(request.headers['authorization']).toBe('Bearer key-of-plain');
    expect(await recordOf(daemon, response)).toMatchObject({ tags: { team: 'search', env: 'prod' } });
  });

  it('of the config are sent, beside the provider’s own key', async () => {
    const { request } = await sent(chatBody({ model: 'shaped' }));
    expect(request.headers).toMatchObject({
      authorization: 'Bearer key-of-shaped',
      'x-bill-to': 'our-org',
      'content-type': 'application/json',
    });
  });

  it('of the provider reach the client only where they are listed', async () => {
    upstream.setScript([
      {
        ...answer(),
        headers: {
          'content-type': 'application/json',
          'openai-processing-ms': '12',
          'set-cookie': 'a=b',
          'x-powered-by': 'something',
          server: 'nginx',
          'access-control-allow-origin': '*',
        },
      },
    ]);
    const { response } = await sent(chatBody());
    upstream.setScript([answer()]);
    expect(response.headers.get('openai-processing-ms')).toBe('12');
    for (const name of ['set-cookie', 'x-powered-by', 'server', 'access-control-allow-origin']) {
      expect(response.headers.get(name)).toBeNull();
    }
  });
});

describe('the body', () => {
  it('keeps unknown parameters and every digit of every number, byte for byte', async () => {
    const members = [
      '"seed":9007199254740993',
      '"big":123456789012345678901234567890',
      '"fine":0.10000000000000000555',
      '"exp":1E400',
      '"unknown_thing":{ "nested" : [1, 2 ,{"x":null}] , "u":"\\u00e9é👋\\ud83d\\ude00" }',
      '"tools":[{"type":"function","function":{"name":"f","parameters":{"minimum":-9223372036854775809}}}]',
      '"metadata":{"__proto__":{"a":1},"constructor":"b"}',
    ];
    const messages = '"messages":[{"role":"user","content":"Grüße\\n\\u2028 👋"}]';
    const { request } = await sent(
      `{${members.slice(0, 3).join(',')},"model":"m",${messages} , ${members.slice(3).join(' ,')}}`,
    );
    for (const member of [messages, ...members]) expect(request.body).toContain(member);
    expect(JSON.parse(request.body)).toMatchObject({ model: 'm' });
  });

  it('names the model as the provider knows it', async () => {
    const { request, response } = await sent(chatBody({ model: 'shaped' }));
    expect(JSON.parse(request.body)).toMatchObject({ model: 'vendor/Shaped-1' });
    expect(response.headers.get('x-waybill-model')).toBe('shaped');
  });

  it('lacks what the provider rejects', async () => {
    const { request } = await sent(chatBody({ model: 'shaped', store: true, metadata: { a: 1 }, user: 'kept' }));
    const body = JSON.parse(request.body) as object;
    expect(body).not.toHaveProperty('store');
    expect(body).not.toHaveProperty('metadata');
    expect(body).toHaveProperty('user', 'kept');
  });

  it('is completed from the config, and the client’s own word wins, null too', async () => {
    expect(JSON.parse((await sent(chatBody({ model: 'shaped' }))).request.body)).toMatchObject({
      provider_hint: { order: ['a'] },
      temperature: 0.5,
    });
    upstream.requests.length = 0;
    const own = chatBody({ model: 'shaped', temperature: 0.9, provider_hint: null });
    expect(JSON.parse((await sent(own)).request.body)).toMatchObject({ provider_hint: null, temperature: 0.9 });
  });

  it.each([
    [{}, { max_tokens: 100 }],
    [{ max_tokens: 50 }, { max_tokens: 50 }],
    [{ max_tokens: 5_000 }, { max_tokens: 100 }],
    [{ max_completion_tokens: 5_000 }, { max_completion_tokens: 100 }],
    [{ max_completion_tokens: 20 }, { max_completion_tokens: 20 }],
    [{ max_tokens: null }, { max_tokens: 100 }],
    [{ max_tokens: -1 }, { max_tokens: 100 }],
  ])('of %j has the output bound %j', async (asked, bound) => {
    const body = JSON.parse((await sent(chatBody({ model: 'shaped', ...asked }))).request.body) as object;
    expect(Object.fromEntries(Object.entries(body).filter(([name]) => name.startsWith('max_')))).toEqual(bound);
  });

  it('asks a stream for its usage, and keeps the client’s other stream options', async () => {
    upstream.setScript([stream()]);
    const { request } = await sent(chatBody({ stream: true, stream_options: { include_obfuscation: false } }));
    upstream.setScript([answer()]);
    expect(JSON.parse(request.body).stream_options).toEqual({ include_obfuscation: false, include_usage: true });
  });

  it('of a completion is forwarded as it is too', async () => {
    const completion = {
      id: 'c',
      object: 'text_completion',
      created: 1,
      model: 'm',
      choices: [{ index: 0, text: 'x', finish_reason: 'stop', logprobs: null }],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    };
    upstream.setScript([{ body: completion }]);
    const { request } = await sent('{"model":"m","prompt":[1,2,3],"logit_bias":{"50256":-100}}', {}, '/v1/completions');
    upstream.setScript([answer()]);
    expect(request.path).toBe('/v1/completions');
    expect(request.body).toContain('"prompt":[1,2,3],"logit_bias":{"50256":-100}');
  });
});
