import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_KEY, CLIENT_KEY, type Daemon } from '../support/daemon.js';
import {
  answer,
  chatBody,
  type ErrorBody,
  failure,
  type LedgerRequest,
  provider,
  recordOf,
  startRouter,
} from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** The operators' routes of the running daemon, after three requests: one answered, one rotated, one refused. */

let daemon: Daemon;
let upstream: ScriptedUpstream;
let ids: string[];

beforeAll(async () => {
  upstream = await startUpstream([answer(), failure(401), answer()]);
  daemon = await startRouter(
    [
      provider('a', upstream.url, {
        api_keys: ['key-one-of-a', 'key-two-of-a'],
        limits: { req_per_min: 60 },
        headers: { 'x-auth-token': 'header-secret' },
      }),
      provider('off', upstream.url, { type: 'openai', api_keys: ['$' + '{NOT_SET}'], models: [{ id: 'dark' }] }),
    ],
    { api_keys: [{ id: 'tester', key: CLIENT_KEY, tags: { team: 'search' } }] },
  );
  ids = [];
  for (const body of [chatBody(), chatBody(), chatBody({ model: 'nope' })]) {
    const response = await daemon.post('/v1/chat/completions', body, { 'x-waybill-tags': 'env=test' });
    await response.text();
    ids.push(response.headers.get('inference-id') ?? '');
  }
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

function call(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${daemon.url}/api/admin/v1${path}`, { ...init, headers: { authorization: `Bearer ${ADMIN_KEY}` } });
}

describe('GET /config', () => {
  it('shows the effective configuration without a secret, and changes nothing', async () => {
    const first = await (await call('/config')).text();
    for (const secret of ['key-one-of-a', 'key-two-of-a', 'header-secret', CLIENT_KEY, ADMIN_KEY]) {
      expect(first).not.toContain(secret);
    }
    expect(first).toContain('"a"');
    expect(await (await call('/config')).text()).toBe(first);
  });
});

describe('POST /config/validate', () => {
  it('accepts YAML and JSON, and names each mistake with path and line', async () => {
    const validate = async (body: string) => (await call('/config/validate', { method: 'POST', body })).json();
    const good = 'llm_providers: [{ id: x, type: openai, api_keys: [k] }]';
    expect(await validate(good)).toMatchObject({ valid: true, errors: [] });
    expect(
      await validate(JSON.stringify({ llm_providers: [{ id: 'x', type: 'openai', api_keys: ['k'] }] })),
    ).toMatchObject({ valid: true });
    expect(await validate('llm_providers:\n  - { id: x, tpye: openai }\nfoo: 1')).toMatchObject({
      valid: false,
      errors: expect.arrayContaining([
        { path: 'llm_providers[0].tpye', line: 2, message: expect.stringContaining('type') },
        { path: 'foo', line: 3, message: expect.any(String) },
      ]),
    });
    expect(await validate('a: [')).toMatchObject({
      valid: false,
      errors: [{ message: expect.stringMatching(/YAML/) }],
    });
  });
});

describe('GET /providers', () => {
  it('tells which keys are left alone, and which entry takes no part and why', async () => {
    const { providers } = await daemon.admin<{
      providers: Array<{ id: string; status: string; disabled_reason: string | null; keys: object[] }>;
    }>('/providers');
    expect(providers).toMatchObject([
      { id: 'a', status: 'degraded', disabled_reason: null },
      { id: 'off', status: 'disabled', keys: [] },
    ]);
    expect(providers[1]?.disabled_reason).toMatch(/key/);
    const keys = providers[0]?.keys as Array<{ fingerprint: string; state: string; cooling_until: string | null }>;
    expect(keys.map(({ state }) => state).sort()).toEqual(['disabled', 'ready']);
    for (const key of keys) {
      expect(key.fingerprint).toMatch(/^a:[0-9a-f]{12}$/);
      expect(key).toMatchObject({ remaining_limits: [{ kind: 'requests', window_ms: 60_000, limit: 60 }] });
    }
    const disabled = keys.find(({ state }) => state === 'disabled');
    expect(Date.parse(disabled?.cooling_until ?? '')).toBeGreaterThan(Date.now() + 3_000_000);
  });
});

describe('GET /requests', () => {
  it('lists every request, newest first, in pages', async () => {
    const page = await daemon.admin<{ requests: LedgerRequest[]; next_cursor: string | null }>('/requests?limit=2');
    expect(page.requests.map((row) => row.inference_id)).toEqual([ids[2], ids[1]]);
    const rest = await daemon.admin<{ requests: LedgerRequest[]; next_cursor: string | null }>(
      `/requests?limit=2&cursor=${encodeURIComponent(page.next_cursor ?? '')}`,
    );
    expect(rest.requests.map((row) => row.inference_id)).toEqual([ids[0]]);
    expect(rest.next_cursor).toBeNull();
  });

  it.each([
    ['status=ok', [1, 0]],
    ['status=refused', [2]],
    ['model=nope', [2]],
    ['provider=a', [1, 0]],
    ['client=tester', [2, 1, 0]],
    ['client=nobody', []],
    ['min_cost=20000', [1, 0]],
    ['min_cost=20001', []],
    ['from=2099-01-01', []],
  ])('filters by %s', async (query, wanted) => {
    const { requests } = await daemon.admin<{ requests: LedgerRequest[] }>(`/requests?${query}`);
    expect(requests.map((row) => ids.indexOf(row.inference_id))).toEqual(wanted);
  });

  it.each(['limit=0', 'limit=x', 'status=great', 'min_cost=1.5', 'from=yesterday', 'colour=red', 'cursor=%00bad'])(
    'refuses %s and names the parameter',
    async (query) => {
      const response = await call(`/requests?${query}`);
      expect(response.status).toBe(400);
      const { error } = (await response.json()) as ErrorBody;
      expect(error).toMatchObject({ code: 'invalid_request', param: query.split('=')[0] });
    },
  );

  it('shows one request with its attempts, what made its cost, and why it went there', async () => {
    const record = await daemon.admin<LedgerRequest & { [field: string]: unknown }>(`/requests/${ids[1]}`);
    expect(record).toMatchObject({
      client: 'tester',
      tags: { team: 'search', env: 'test' },
      endpoint: '/v1/chat/completions',
      outcome: 'ok',
      config_generation: 1,
      cost_nano_usd: 20_000,
      usage: { input: 10, output: 5, cached_input: null, source: 'reported' },
      attempts: [
        { attempt: 1, outcome: 'failed', status: 401, cost_nano_usd: 0 },
        { attempt: 2, outcome: 'ok', status: 200, cost_nano_usd: 20_000 },
      ],
      cost_components: [
        { attempt: 2, class: 'input', units: 10, usd_per_million: '1' },
        { attempt: 2, class: 'output', units: 5, usd_per_million: '2' },
      ],
      decision: { candidates: [{ provider: 'a', model: 'm' }] },
    });
    expect(record.attempts[0]?.key).not.toBe(record.attempts[1]?.key);
  });

  it('answers 404 for a request it does not know', async () => {
    for (const id of ['01890000-0000-7000-8000-000000000000', 'x', '%E0%A4%A', `${ids[0]}'--`]) {
      const response = await call(`/requests/${id}`);
      expect([400, 404]).toContain(response.status);
      expect((await response.json()) as ErrorBody).toMatchObject({ error: { type: 'invalid_request_error' } });
    }
  });
});

describe('GET /reports/costs', () => {
  it('adds up to what the requests cost, however it is cut', async () => {
    const rows = await Promise.all(
      ids.map(async (id) => (await daemon.admin<LedgerRequest>(`/requests/${id}`)).cost_nano_usd),
    );
    const sum = rows.reduce<number>((total, cost) => total + (cost ?? 0), 0);
    expect(sum).toBe(40_000);
    for (const groups of ['client', 'provider', 'model', 'key', 'day', 'tag:env', 'client,model']) {
      const report = await daemon.admin<{ rows: Array<{ cost_nano_usd: string }>; total: { cost_nano_usd: string } }>(
        `/reports/costs?group_by=${groups}`,
      );
      expect(report.total).toMatchObject({ requests: 3, attempts: 3, cost_nano_usd: '40000', cost_usd: '0.000040000' });
      expect(report.rows.reduce((total, row) => total + BigInt(row.cost_nano_usd), 0n)).toBe(40_000n);
    }
  });

  it('comes as CSV and NDJSON too', async () => {
    const csv = await call('/reports/costs?group_by=client&format=csv');
    expect(csv.headers.get('content-type')).toMatch(/^text\/csv/);
    expect((await csv.text()).trimEnd().split(/\r?\n/)).toHaveLength(2);
    const ndjson = await (await call('/reports/costs?group_by=client&format=ndjson')).text();
    expect(JSON.parse(ndjson.trimEnd())).toMatchObject({ client: 'tester', cost_nano_usd: '40000' });
  });

  it.each(['group_by=shoe', 'format=xml', 'tz=Mars/Base', 'from=2026-02-01&to=2026-01-01', 'colour=red'])(
    'refuses %s',
    async (query) => {
      const response = await call(`/reports/costs?${query}`);
      expect(response.status).toBe(400);
      expect(((await response.json()) as ErrorBody).error.param).toMatch(/./);
    },
  );
});

describe('the page of metrics', () => {
  it('counts what the ledger has', async () => {
    const text = await (await fetch(`${daemon.url}/metrics`)).text();
    expect(text).toMatch(/^waybill_cost_nano_usd_total\{[^}]*client="tester"[^}]*\} 40000$/m);
    expect(text).toMatch(/^waybill_config_generation 1$/m);
    for (const secret of ['key-one-of-a', CLIENT_KEY]) expect(text).not.toContain(secret);
  });
});

it('keeps the ledger, and tells the same of it after a restart', async () => {
  const before = await daemon.admin<object>(`/requests/${ids[1]}`);
  daemon.kill('SIGTERM');
  await daemon.restart();
  expect(await daemon.admin<object>(`/requests/${ids[1]}`)).toEqual(before);
  const response = await daemon.post('/v1/chat/completions', chatBody());
  expect(response.status).toBe(200);
  expect(await recordOf(daemon, response)).toMatchObject({ outcome: 'ok' });
});

it('answers on loopback without a key where none is set, and says so at the start', async () => {
  const open = await startRouter([provider('a', upstream.url)], { server: { admin_api_key: '' } });
  try {
    expect((await fetch(`${open.url}/api/admin/v1/providers`)).status).toBe(200);
    expect(open.output()).toContain('No admin key is set: the admin API answers on loopback only.');
  } finally {
    await open.stop();
  }
});
