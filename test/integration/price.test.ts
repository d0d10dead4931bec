import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_KEY, type Daemon } from '../support/daemon.js';
import {
  answer,
  chatBody,
  type ErrorBody,
  IMPATIENT,
  PRICE,
  provider,
  startRouter,
} from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** `POST /v1/price` beside the requests it prices, through the built daemon, and `waybill price` beside both. */

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

interface Candidate {
  provider: string;
  model: string;
  input_tokens: number;
  max_output_tokens: number | null;
  min_cost_nano_usd: number | null;
  max_cost_nano_usd: number | null;
  price_id: string | null;
}

let daemon: Daemon;
let upstream: ScriptedUpstream;

const BUDGETED_KEY = 'budgeted-client-key';
const LIMITED_KEY = 'limited-client-key';
const TASKS = ['chat', 'completion', 'embedding'];

function providers(): object[] {
  const { url } = upstream;
  return [
    provider('a', url),
    provider('b', url, {
      pricing: { input_token_cost: '0.000003', output_token_cost: '0.000007' },
      limits: { max_tokens: 50 },
    }),
    provider('unpriced', url, { models: [{ id: 'u', tasks: TASKS }], pricing: null }),
    provider('half', url, { models: [{ id: 'h', tasks: TASKS }], pricing: { input_token_cost: '0.000001' } }),
    provider('tiered', url, {
      models: [{ id: 't', tasks: TASKS }],
      pricing: { ...PRICE, tiers: [{ above_input_tokens: 20, input_token_cost: '0.000010' }] },
    }),
  ];
}

const CLIENTS = [
  { id: 'tester', key: CLIENT_KEY },
  { id: 'budgeted', key: BUDGETED_KEY, budget: { usd: '0.001', per: 'total' } },
  { id: 'limited', key: LIMITED_KEY, allowed_providers: ['b'] },
];

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
  daemon = await startRouter(providers(), {
    api_keys: CLIENTS,
    policy: { ...IMPATIENT, algorithm: 'round_robin' },
  });
});
afterEach(() => {
  upstream.requests.length = 0;
  upstream.setScript([answer()]);
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

async function price(
  request: unknown,
  options: { endpoint?: unknown; key?: string; path?: string; headers?: object } = {},
): Promise<{ status: number; candidates: Candidate[]; error: ErrorBody['error'] }> {
  const { endpoint = '/v1/chat/completions', key = CLIENT_KEY, path = '/v1/price', headers = {} } = options;
  const response = await daemon.post(path, { endpoint, request }, { authorization: `Bearer ${key}`, ...headers });
  return {
    status: response.status,
    ...((await response.json()) as { candidates: Candidate[]; error: ErrorBody['error'] }),
  };
}

async function rowCount(): Promise<number> {
  return (await daemon.admin<{ requests: unknown[] }>('/requests?limit=1000')).requests.length;
}

describe('a price', () => {
  it('has a line for each target the request may go to, between nothing and all of its output', async () => {
    const before = await rowCount();
    const { status, candidates } = await price(chatBody({ max_tokens: 100 }));
    expect(status).toBe(200);
    const byProvider = new Map(candidates.map((candidate) => [candidate.provider, candidate]));
    const a = byProvider.get('a') as Candidate;
    const b = byProvider.get('b') as Candidate;
    expect(candidates).toHaveLength(2);
    // "user" and "How many?" with the framing of one message.
    expect(a).toMatchObject({ model: 'm', input_tokens: 10, max_output_tokens: 100 });
    expect(a).toMatchObject({ min_cost_nano_usd: 10_000, max_cost_nano_usd: 210_000 });
    // Its entry caps the output.
    expect(b).toMatchObject({ max_output_tokens: 50, min_cost_nano_usd: 30_000, max_cost_nano_usd: 380_000 });
    expect(a.price_id).toMatch(/^[0-9a-f]{16}$/);
    expect(b.price_id).not.toBe(a.price_id);
    expect(upstream.requests).toHaveLength(0);
    expect(await rowCount()).toBe(before);
  });

  it('is that of the request: the same tokens and price as the ledger has, where the provider reports nothing', async () => {
    const silent = {
      ...answer('five words it is then'),
      body: JSON.stringify({
        choices: [{ index: 0, message: { role: 'assistant', content: 'a b' }, finish_reason: 'stop' }],
      }),
    };
    upstream.setScript([silent]);
    const body = chatBody({
      model: 'tiered:t',
      max_tokens: 100,
      messages: [{ role: 'user', content: 'word '.repeat(50) }],
    });
    const [quote] = (await price(body)).candidates as [Candidate];
    const response = await daemon.post('/v1/chat/completions', body);
    await response.arrayBuffer();
    const row = await daemon.admin<{
      cost_nano_usd: number;
      price_id: string;
      usage: { input: number; output: number };
    }>(`/requests/${response.headers.get('inference-id')}`);
    expect(row.usage.input).toBe(quote.input_tokens);
    expect(row.price_id).toBe(quote.price_id);
    expect(row.cost_nano_usd).toBe((quote.min_cost_nano_usd as number) + row.usage.output * 2_000);
    // Above its tier a token costs ten times as much.
    expect(quote.min_cost_nano_usd).toBe(quote.input_tokens * 10_000);
    expect(row.cost_nano_usd).toBeLessThanOrEqual(quote.max_cost_nano_usd as number);
  });

  it('that is unknown is null, and so is one that nothing bounds', async () => {
    expect((await price(chatBody({ model: 'u', max_tokens: 5 }))).candidates).toEqual([
      {
        provider: 'unpriced',
        model: 'u',
        input_tokens: 10,
        max_output_tokens: 5,
        min_cost_nano_usd: null,
        max_cost_nano_usd: null,
        price_id: null,
      },
    ]);
    expect((await price(chatBody({ model: 'h', max_tokens: 5 }))).candidates).toMatchObject([
      { min_cost_nano_usd: 10_000, max_cost_nano_usd: null, price_id: expect.any(String) },
    ]);
    expect((await price(chatBody({ model: 'a:m' }))).candidates).toMatchObject([
      { max_output_tokens: null, min_cost_nano_usd: 10_000, max_cost_nano_usd: null },
    ]);
  });

  it('counts every choice, texts, and embeddings, which have no output', async () => {
    expect((await price(chatBody({ model: 'a:m', max_tokens: 5, n: 3 }))).candidates).toMatchObject([
      { max_output_tokens: 15, max_cost_nano_usd: 40_000 },
    ]);
    // The cap of an entry holds for each choice.
    expect((await price(chatBody({ model: 'b:m', max_tokens: 70, n: 3 }))).candidates).toMatchObject([
      { max_output_tokens: 150, max_cost_nano_usd: 1_080_000 },
    ]);
    const tokens = { model: 'a:m', prompt: [1, 2, 3], max_tokens: 2 };
    expect((await price(tokens, { endpoint: 'completions' })).candidates).toMatchObject([
      { input_tokens: 3, max_output_tokens: 2, min_cost_nano_usd: 3_000, max_cost_nano_usd: 7_000 },
    ]);
    const inputs = { model: 'h', input: [[1, 2], [3]] };
    expect((await price(inputs, { endpoint: '/api/v1/embeddings' })).candidates).toMatchObject([
      { input_tokens: 3, max_output_tokens: 0, min_cost_nano_usd: 3_000, max_cost_nano_usd: 3_000 },
    ]);
  });

  it('of a client with a budget is bounded by what the budget can pay for, as its request is', async () => {
    const body = chatBody({ model: 'a:m' });
    const [quote] = (await price(body, { key: BUDGETED_KEY })).candidates as [Candidate];
    // 0.001 USD less 10 tokens of input at 1,000, by 2,000 nano-USD a token.
    expect(quote).toMatchObject({ max_output_tokens: 495, max_cost_nano_usd: 1_000_000 });
    const response = await daemon.post('/v1/chat/completions', body, { authorization: `Bearer ${BUDGETED_KEY}` });
    await response.arrayBuffer();
    expect(JSON.parse(upstream.requests[0]?.body ?? '')).toMatchObject({ max_tokens: quote.max_output_tokens });
  });

  it('goes where the client may go', async () => {
    expect((await price(chatBody(), { key: LIMITED_KEY })).candidates).toMatchObject([{ provider: 'b' }]);
  });

  it('moves no request to another target: turns are taken by requests alone', async () => {
    const served: Array<string | null> = [];
    for (let n = 0; n < 4; n += 1) {
      await price(chatBody());
      const response = await daemon.post('/v1/chat/completions', chatBody());
      await response.arrayBuffer();
      served.push(response.headers.get('x-waybill-provider'));
    }
    expect([...served].sort()).toEqual(['a', 'a', 'b', 'b']);
  });
});

describe('a price is refused', () => {
  it.each([
    ['an unknown model', chatBody({ model: 'nothing-like-it' }), {}, 404, 'model_not_found', 'model'],
    ['a request that is none', { model: 'm' }, {}, 400, 'invalid_request', 'messages'],
    ['no request', undefined, {}, 400, 'invalid_request', 'request'],
    ['a request in text', '{}', {}, 400, 'invalid_request', 'request'],
    ['an unknown endpoint', chatBody(), { endpoint: '/v1/models' }, 400, 'invalid_request', 'endpoint'],
    ['no endpoint', chatBody(), { endpoint: null }, 400, 'invalid_request', 'endpoint'],
    ['a wrong key', chatBody(), { key: 'wrong' }, 401, 'invalid_api_key', null],
    [
      'a model without a price, for a client with a budget',
      chatBody({ model: 'u' }),
      { key: BUDGETED_KEY },
      400,
      'unpriced_model',
      'model',
    ],
    [
      'a provider the client may not use',
      chatBody({ model: 'a:m' }),
      { key: LIMITED_KEY },
      403,
      'model_not_allowed',
      'model',
    ],
  ])('for %s', async (_name, request, options, status, code, param) => {
    expect(await price(request, options)).toMatchObject({ status, error: { code, param } });
  });

  it('nowhere else: /api/v1 answers too', async () => {
    expect((await price(chatBody(), { path: '/api/v1/price' })).status).toBe(200);
  });
});

describe('waybill price', () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-price-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  function run(args: string[], input = '') {
    const result = spawnSync(process.execPath, [CLI, 'price', '--config', daemon.configFile, ...args], {
      cwd: folder,
      encoding: 'utf8',
      input,
      env: { PATH: process.env['PATH'] ?? '' },
    });
    return { code: result.status, out: result.stdout, err: result.stderr };
  }

  it('says the same without a daemon, from a file and from standard input', async () => {
    const body = chatBody({ model: 'b:m', max_tokens: 20 });
    const file = join(folder, 'request.json');
    writeFileSync(file, JSON.stringify(body));
    const { code, out } = run([file, '--json']);
    expect(code).toBe(0);
    expect((JSON.parse(out) as { candidates: Candidate[] }).candidates).toEqual((await price(body)).candidates);
    expect(run(['-', '--json'], JSON.stringify(body)).out).toBe(out);
  });

  it('prints a table for a prompt, as any client', () => {
    const { code, out } = run(['--model', 'm', '--prompt', 'How many?', '--max-tokens', '100', '--client', 'limited']);
    expect(code).toBe(0);
    expect(out.split('\n')[0]).toMatch(/^provider +model +input tokens +output at most +min USD +max USD +price$/);
    expect(out.split('\n')[1]).toMatch(/^b +m +10 +50 +0\.000030000 +0\.000380000 +[0-9a-f]{16}$/);
  });

  it('exits with 1 for a request that would be refused, and 2 for what it cannot do', () => {
    expect(run(['--model', 'nothing-like-it', '--prompt', 'x'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('model_not_found'),
    });
    for (const [args, message] of [
      [[], '--model and --prompt'],
      [['no-such-file.json'], 'no-such-file.json'],
      [['--model', 'm', '--prompt', 'x', '--client', 'nobody'], 'there is no client "nobody"'],
      [['--model', 'm', '--prompt', 'x', '--endpoint', 'images'], 'unknown endpoint "images"'],
      [['--model', 'm', '--prompt', 'x', '--max-tokens', '-1'], '--max-tokens'],
      [['-'], 'the request is refused'],
    ] as const) {
      const { code, err } = run([...args], 'no json');
      expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(message) });
    }
  });
});
