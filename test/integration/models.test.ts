import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_KEY, type Daemon } from '../support/daemon.js';
import { answer, chatBody, PRICE, provider, startRouter } from '../support/failing-providers.js';
import { sendRaw } from '../support/raw-http.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

interface ListedModel {
  id: string;
  object: string;
  created: number;
  owned_by: string;
  providers: Array<{
    provider: string;
    status: string;
    context_length: number | null;
    pricing: { input: number | null; output: number | null } | null;
    supports_tools: boolean | null;
    supports_structured_output: boolean | null;
    region: string | null;
    first_token_latency_ms: number | null;
    throughput: number | null;
  }>;
}

const LLAMA = 'meta-llama/Llama-3.1-8B-Instruct';
const TAGGED = 'org/model:7b-q4 ünïcode';

let daemon: Daemon;
let upstream: ScriptedUpstream;

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
  daemon = await startRouter(
    [
      provider('a', upstream.url, { models: [{ id: LLAMA, context_window: 131_072 }, { id: TAGGED }, { id: 'm' }] }),
      provider('b', upstream.url, {
        region: 'eu',
        models: [
          { id: LLAMA, pricing: { input_token_cost: '0.0000002' } },
          { id: 'eu-only', pricing: { unit: '1m_tokens', input_token_cost: '0.1', output_token_cost: '0.123456789' } },
        ],
      }),
      provider('c', upstream.url, { models: [{ id: 'free-for-all' }], pricing: null }),
    ],
    {
      api_keys: [
        { id: 'tester', key: CLIENT_KEY },
        { id: 'narrow', key: 'narrow-key', allowed_providers: ['b'], allowed_models: ['meta-llama/*'] },
        { id: 'european', key: 'european-key', region: 'eu' },
      ],
      model_aliases: { 'fast:one/two': 'a:m', smart: { targets: [{ model: `b:${LLAMA}`, weight: 2 }] } },
    },
  );
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

async function get(path: string, key = CLIENT_KEY): Promise<{ status: number; body: unknown }> {
  const { status, text } = await sendRaw(daemon.url, {
    method: 'GET',
    path,
    headers: { authorization: `Bearer ${key}` },
  });
  return { status, body: JSON.parse(text) };
}

/** What was measured grows old from one look to the next. */
function withoutFigures(model: unknown): unknown {
  return JSON.parse(JSON.stringify(model, (name, value) => (name === 'first_token_latency_ms' ? typeof value : value)));
}

async function list(key = CLIENT_KEY): Promise<ListedModel[]> {
  const { status, body } = await get('/v1/models', key);
  expect(status).toBe(200);
  expect(body).toMatchObject({ object: 'list' });
  return (body as { data: ListedModel[] }).data;
}

const ids = (models: ListedModel[]) => models.map((model) => model.id).sort();

describe('GET /v1/models', () => {
  it('lists every name once, aliases too, with OpenAI’s fields', async () => {
    const models = await list();
    expect(ids(models)).toEqual([LLAMA, 'eu-only', 'fast:one/two', 'free-for-all', 'm', TAGGED, 'smart'].sort());
    for (const model of models) {
      expect(model.object).toBe('model');
      expect(Number.isInteger(model.created)).toBe(true);
      expect(model.owned_by).not.toBe('');
      expect(model.providers.length).toBeGreaterThan(0);
    }
    expect((await get('/api/v1/models')).body).toEqual({ object: 'list', data: models });
  });

  it('says of each provider what it costs in USD per million tokens, and null of what nobody said', async () => {
    const models = await list();
    const providersOf = (id: string) => models.find((model) => model.id === id)?.providers;
    expect(providersOf(LLAMA)).toEqual([
      {
        provider: 'a',
        status: 'live',
        context_length: 131_072,
        pricing: { input: 1, output: 2 },
        supports_tools: null,
        supports_structured_output: null,
        region: null,
        first_token_latency_ms: null,
        throughput: null,
      },
      expect.objectContaining({
        provider: 'b',
        context_length: null,
        pricing: { input: 0.2, output: null },
        region: 'eu',
      }),
    ]);
    expect(providersOf('eu-only')?.[0]?.pricing).toEqual({ input: 0.1, output: 0.123456789 });
    expect(providersOf('free-for-all')?.[0]?.pricing).toBeNull();
    expect(PRICE).toEqual({ input_token_cost: '0.000001', output_token_cost: '0.000002' });
  });

  it('lists only what the client may use, and of a shared model only the providers it may use', async () => {
    const narrow = await list('narrow-key');
    expect(ids(narrow)).toEqual([LLAMA, 'smart'].sort());
    expect(narrow.flatMap((model) => model.providers.map(({ provider: id }) => id))).toEqual(['b', 'b']);
    expect(ids(await list('european-key'))).toEqual([LLAMA, 'eu-only', 'smart'].sort());
  });

  it('lists no name that a chat request would be refused for', async () => {
    for (const key of [CLIENT_KEY, 'narrow-key', 'european-key']) {
      for (const { id } of await list(key)) {
        const response = await daemon.post('/v1/chat/completions', chatBody({ model: id }), {
          authorization: `Bearer ${key}`,
        });
        expect(response.status, `${id} with ${key}`).toBe(200);
        await response.text();
      }
    }
  });

  it('tells the measured time to the first byte once there was an answer', async () => {
    await (await daemon.post('/v1/chat/completions', chatBody())).text();
    const model = (await list()).find(({ id }) => id === 'm');
    expect(model?.providers[0]?.first_token_latency_ms).toBeTypeOf('number');
  });
});

describe('GET /v1/models/{id}', () => {
  it.each([
    ['with a raw slash', LLAMA, `/v1/models/${LLAMA}`],
    ['with an encoded slash', LLAMA, `/v1/models/${encodeURIComponent(LLAMA)}`],
    ['with a lower-case encoded slash', LLAMA, `/api/v1/models/${LLAMA.replace('/', '%2f')}`],
    ['with a raw colon', 'fast:one/two', '/v1/models/fast:one/two'],
    ['with an encoded colon', 'fast:one/two', '/v1/models/fast%3Aone%2Ftwo'],
    ['with spaces and accents', TAGGED, `/v1/models/${encodeURIComponent(TAGGED)}`],
    ['with a query behind it', 'm', '/v1/models/m?x=y'],
  ])('finds a name %s', async (_how, id, path) => {
    const { status, body } = await get(path);
    expect(status).toBe(200);
    const listed = (await list()).find((model) => model.id === id);
    expect(withoutFigures(body)).toEqual(withoutFigures(listed));
  });

  it.each([
    ['is unknown', '/v1/models/nope', CLIENT_KEY],
    ['is part of one', '/v1/models/meta-llama', CLIENT_KEY],
    ['is one with more behind it', `/v1/models/${LLAMA}/x`, CLIENT_KEY],
    ['the client may not use', '/v1/models/m', 'narrow-key'],
    ['is encoded twice', `/v1/models/${encodeURIComponent(encodeURIComponent(LLAMA))}`, CLIENT_KEY],
  ])('answers 404 for a name that %s', async (_what, path, key) => {
    const { status, body } = await get(path, key);
    expect(status).toBe(404);
    expect(body).toMatchObject({ error: { type: 'invalid_request_error', code: 'model_not_found', param: 'model' } });
  });
});
