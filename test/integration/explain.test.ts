import { afterEach, describe, expect, it } from 'vitest';
import { ADMIN_KEY, CLIENT_KEY, type Daemon } from '../support/daemon.js';
import { answer, chatBody, failure, IMPATIENT, PRICE, provider, startRouter } from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** `POST /api/admin/v1/explain` beside the requests it explains, through the built daemon. */

interface Candidate {
  provider: string;
  model: string;
  score: number | null;
  reason: string;
  signals: { [name: string]: number | null };
  parts: { [name: string]: number } | null;
  estimated_cost_nano_usd: number | null;
  keys: { ready: number; waiting: number; disabled: number };
  has_room: boolean;
}
interface Explanation {
  client: string;
  endpoint: string;
  algorithm: string;
  candidates: Candidate[];
  excluded: Array<{ provider: string; model: string; reason: string }>;
  error: { code: string; message: string; status: number } | null;
}

const LIMITED_KEY = 'limited-client-key';
const BUDGETED_KEY = 'budgeted-client-key';
const CLIENTS = [
  { id: 'tester', key: CLIENT_KEY },
  { id: 'limited', key: LIMITED_KEY, allowed_providers: ['b'] },
  { id: 'budgeted', key: BUDGETED_KEY, budget: { usd: '5', per: 'total' } },
];

const open: Array<{ close(): Promise<void> } | Daemon> = [];
afterEach(async () => {
  for (const part of open.splice(0).reverse()) await ('stop' in part ? part.stop() : part.close());
});

async function upstreamOf(...script: Parameters<typeof startUpstream>): Promise<ScriptedUpstream> {
  const upstream = await startUpstream(...script);
  open.push(upstream);
  return upstream;
}

async function routerOf(providers: object[], policy: object = {}, rest: object = {}): Promise<Daemon> {
  const daemon = await startRouter(providers, { policy: { ...IMPATIENT, ...policy }, ...rest });
  open.push(daemon);
  return daemon;
}

async function explain(daemon: Daemon, body: object, query = ''): Promise<{ status: number; text: string }> {
  const response = await daemon.post(`/api/admin/v1/explain${query}`, body, { authorization: `Bearer ${ADMIN_KEY}` });
  return { status: response.status, text: await response.text() };
}

async function explained(daemon: Daemon, body: object, query = ''): Promise<Explanation> {
  const { status, text } = await explain(daemon, body, query);
  expect({ status, text }).toMatchObject({ status: 200 });
  return JSON.parse(text) as Explanation;
}

async function sent(daemon: Daemon, body: object, key = CLIENT_KEY) {
  const response = await daemon.post('/v1/chat/completions', body, { authorization: `Bearer ${key}` });
  await response.arrayBuffer();
  const id = response.headers.get('inference-id');
  const row = await daemon.admin<{ decision: Pick<Explanation, 'candidates' | 'excluded'> | null }>(`/requests/${id}`);
  return { status: response.status, provider: response.headers.get('x-waybill-provider'), decision: row.decision };
}

/** The same places for the same reasons. What was measured ages meanwhile, and scores made of it with it. */
function expectSamePlaces(candidates: readonly Candidate[], others: readonly Candidate[]): void {
  const placed = ({ provider, model, reason }: Candidate) => ({ provider, model, reason });
  expect(candidates.map(placed)).toEqual(others.map(placed));
  for (const [nth, { score }] of candidates.entries()) {
    const other = others[nth]?.score ?? null;
    if (score === null || other === null) expect(score).toBe(other);
    else expect(Math.abs(score - other)).toBeLessThanOrEqual(0.1 * Math.abs(score));
  }
}

function fourProviders(url: string): object[] {
  return [
    provider('a', url, { weight: 1 }),
    provider('b', url, { weight: 3, pricing: { input_token_cost: '0.000003', output_token_cost: '0.000001' } }),
    provider('c', url, { weight: 2, limits: { req_per_min: 500, tokens_per_min: 100_000 } }),
    provider('d', url, { pricing: null }),
  ];
}

describe('an explanation', () => {
  for (const algorithm of ['round_robin', 'weighted', 'least_loaded', 'lowest_cost', 'lowest_latency', 'hybrid']) {
    it(`by ${algorithm} names the provider that the next request then goes to, with its record's scores`, async () => {
      // Every fifth call fails, so that errors and fallbacks have their part in it.
      const upstream = await upstreamOf((_, index) => (index % 5 === 4 ? failure(500) : answer()));
      const daemon = await routerOf(fourProviders(upstream.url), { algorithm, fallback: { max_providers: 4 } });
      const picked = new Set<string | null>();
      for (let nth = 0; nth < 12; nth += 1) {
        const body = chatBody({ max_tokens: 10 + nth * 40 });
        const before = upstream.requests.length;
        const first = await explained(daemon, body);
        const again = await explained(daemon, body);
        expectSamePlaces(again.candidates, first.candidates);
        expect(again.excluded).toEqual(first.excluded);
        expect(upstream.requests).toHaveLength(before);
        const live = await sent(daemon, body);
        expect(live.status).toBe(200);
        expectSamePlaces(live.decision?.candidates ?? [], first.candidates);
        expect(live.decision?.excluded).toEqual(first.excluded);
        const tried = upstream.requests[before]?.headers['authorization'];
        expect(tried).toBe(`Bearer key-of-${first.candidates[0]?.provider}`);
        picked.add(first.candidates[0]?.provider ?? null);
      }
      if (algorithm === 'round_robin') expect(picked.size).toBe(4);
    });
  }

  it('by least_loaded compares what is under way with the concurrency of all keys', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const upstream = await upstreamOf(async () => {
      await held;
      return answer();
    });
    const keyed = (concurrency: number) => ['one', 'two'].map((key) => ({ key, limits: { concurrency } }));
    const daemon = await routerOf(
      [
        provider('small', upstream.url, { api_keys: keyed(1) }),
        provider('large', upstream.url, { api_keys: keyed(50) }),
      ],
      { algorithm: 'least_loaded' },
    );
    const under = [sent(daemon, chatBody({ model: 'small:m' })), sent(daemon, chatBody({ model: 'large:m' }))];
    await expect.poll(() => upstream.requests.length).toBe(2);
    const { candidates } = await explained(daemon, chatBody());
    expect(candidates.map(({ provider: id, signals }) => [id, signals?.load])).toEqual([
      ['large', 0.01],
      ['small', 0.5],
    ]);
    release();
    await Promise.all(under);
  });

  it('has score, signals, cost and keys of each candidate', async () => {
    const upstream = await upstreamOf([answer()]);
    const keys = ['one', { key: 'two', limits: { req_per_min: 10 } }];
    const daemon = await routerOf(
      [provider('a', upstream.url, { api_keys: keys }), provider('b', upstream.url, { pricing: null })],
      { algorithm: 'hybrid' },
    );
    const { candidates, algorithm, client, endpoint, error } = await explained(daemon, chatBody({ max_tokens: 100 }));
    expect({ algorithm, client, endpoint, error }).toEqual({
      algorithm: 'hybrid',
      client: 'open',
      endpoint: '/v1/chat/completions',
      error: null,
    });
    const [a, b] = candidates as [Candidate, Candidate];
    expect(a).toMatchObject({ provider: 'a', model: 'm', reason: 'hybrid', has_room: true });
    expect(a.keys).toEqual({ ready: 2, waiting: 0, disabled: 0 });
    // A few tokens of input, and the 100 of output that the request bounds.
    expect(a.estimated_cost_nano_usd).toBeGreaterThan(200_000);
    expect(a.signals['cost_nano_usd']).toBe(a.estimated_cost_nano_usd);
    const sum = Object.values(a.parts ?? {}).reduce((total, part) => total + part, 0);
    expect(sum).toBeCloseTo(a.score as number, 12);
    // A cost that is not known counts as the worst.
    expect(b).toMatchObject({ provider: 'b', estimated_cost_nano_usd: null, price_id: null });
    expect(b.parts?.['cost_ratio']).toBeCloseTo(0.2);
  });

  it('leaves out what the request would not go to, as the request does, each with its reason', async () => {
    const upstream = await upstreamOf([answer()]);
    const daemon = await routerOf(fourProviders(upstream.url), { algorithm: 'round_robin' }, { api_keys: CLIENTS });
    const limited = await explained(daemon, chatBody(), '?client=limited');
    expect(limited).toMatchObject({ client: 'limited', candidates: [{ provider: 'b' }] });
    expect(limited.excluded).toHaveLength(3);
    expect(limited.excluded[0]).toEqual({
      provider: 'a',
      model: 'm',
      reason: 'provider a is not allowed for this client',
    });
    // With a budget nothing goes where the cost would be unknown.
    const budgeted = await explained(daemon, chatBody({ model: 'd:m' }), '?client=budgeted');
    expect(budgeted).toMatchObject({
      candidates: [],
      excluded: [{ provider: 'd', model: 'm', reason: 'its cost would be unknown' }],
      error: { code: 'unpriced_model', status: 400 },
    });
    const live = await sent(daemon, chatBody({ model: 'd:m' }), BUDGETED_KEY);
    expect(live).toMatchObject({ status: 400, decision: { excluded: budgeted.excluded } });
    const elsewhere = await explained(daemon, chatBody(), '?region=mars');
    expect(elsewhere).toMatchObject({ candidates: [], error: { code: 'model_not_allowed', status: 403 } });
    expect(elsewhere.excluded.map(({ reason }) => reason)).toContain('region mars is demanded, none is offered');
  });

  it('steps over a target whose keys cool down or whose limits are used up, as the request does', async () => {
    const busy = await upstreamOf([failure(429, { error: { message: 'slow down' } }, { 'retry-after': '30' })]);
    const well = await upstreamOf([answer()]);
    const daemon = await routerOf(
      [
        provider('cooling', busy.url),
        provider('used', well.url, { limits: { req_per_min: 1 } }),
        provider('free', well.url),
      ],
      { algorithm: 'round_robin', fallback: { max_providers: 5 } },
      { model_aliases: { row: { targets: ['cooling:m'], fallback: ['used:m', 'free:m'] } } },
    );
    const before = await explained(daemon, chatBody({ model: 'row' }));
    expect(before.candidates.map((each) => each.provider)).toEqual(['cooling', 'used', 'free']);
    expect((await sent(daemon, chatBody({ model: 'row' }))).provider).toBe('used');
    const after = await explained(daemon, chatBody({ model: 'row' }));
    expect(after.candidates.map((each) => each.provider)).toEqual(['free', 'cooling', 'used']);
    expect(after.candidates[1]).toMatchObject({
      reason: 'only target, no room now',
      keys: { ready: 0, waiting: 1, disabled: 0 },
      has_room: false,
    });
    const live = await sent(daemon, chatBody({ model: 'row' }));
    expect(live.provider).toBe('free');
    expectSamePlaces(live.decision?.candidates ?? [], after.candidates);
  });

  it('tells the endpoint by the request, or is told it', async () => {
    const upstream = await upstreamOf([answer()]);
    const daemon = await routerOf([provider('a', upstream.url)]);
    const endpointOf = async (body: object, query = '') => (await explained(daemon, body, query)).endpoint;
    expect(await endpointOf({ model: 'm', input: 'x' })).toBe('/v1/embeddings');
    expect(await endpointOf({ model: 'm', prompt: 'x' })).toBe('/v1/completions');
    expect(await endpointOf(chatBody())).toBe('/v1/chat/completions');
    expect(await endpointOf({ model: 'm', prompt: 'x', messages: [] }, '?endpoint=completions')).toBe(
      '/v1/completions',
    );
    const wrapped = { endpoint: '/v1/embeddings', request: { model: 'm', input: ['x'] } };
    expect(await endpointOf(wrapped)).toBe('/v1/embeddings');
  });

  it('that cannot be given says what is wrong', async () => {
    const upstream = await upstreamOf([answer()]);
    const daemon = await routerOf([provider('a', upstream.url)]);
    for (const [body, query, status, code, param] of [
      [chatBody(), '?client=nobody', 400, 'invalid_request', 'client'],
      [chatBody(), '?endpoint=images', 400, 'invalid_request', 'endpoint'],
      [chatBody(), '?regoin=eu', 400, 'invalid_request', 'regoin'],
      [chatBody({ model: 'n' }), '', 404, 'model_not_found', 'model'],
      [{ model: 'm' }, '', 400, 'invalid_request', 'messages'],
    ] as const) {
      const answered = await explain(daemon, body, query);
      expect({ status: answered.status, ...JSON.parse(answered.text) }).toMatchObject({
        status,
        error: { code, param },
      });
    }
    const unnamed = await daemon.post('/api/admin/v1/explain', chatBody());
    expect(unnamed.status).toBe(401);
    await unnamed.arrayBuffer();
  });
});

describe('picking', () => {
  it('moves the turn of keys once a request, however many targets are looked at', async () => {
    const upstream = await upstreamOf([answer()]);
    const daemon = await routerOf(
      [
        provider('cheap', upstream.url, { api_keys: ['k1', 'k2', 'k3'] }),
        provider('dear', upstream.url, { pricing: { ...PRICE, input_token_cost: '0.001' } }),
      ],
      { algorithm: 'lowest_cost' },
    );
    for (let nth = 0; nth < 6; nth += 1) {
      await explained(daemon, chatBody());
      await sent(daemon, chatBody());
    }
    const used = upstream.requests.map(({ headers }) => headers['authorization']);
    expect(used.slice(0, 3).sort()).toEqual(['Bearer k1', 'Bearer k2', 'Bearer k3']);
    expect(used.slice(3)).toEqual(used.slice(0, 3));
  });
});
