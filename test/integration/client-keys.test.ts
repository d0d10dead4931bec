import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_KEY, CLIENT_KEY, type Daemon } from '../support/daemon.js';
import {
  answer,
  chatBody,
  chunk,
  type ErrorBody,
  failure,
  IMPATIENT,
  type LedgerRequest,
  provider,
  recordOf,
  startRouter,
  stream,
} from '../support/failing-providers.js';
import { sendRaw } from '../support/raw-http.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** Keys that requests bring (`x-waybill-provider-key`), through the built daemon and a real upstream. */

const HEADER = 'x-waybill-provider-key';
const OWN = 'brought-key-5c1d7e90a2b84f63';
const OTHER_OWN = 'brought/key+of=others-91c4aa07de35b268';
const SPENT_KEY = 'spent-client-key';
const CLIENTS = [
  { id: 'tester', key: CLIENT_KEY },
  { id: 'spent', key: SPENT_KEY, budget: { usd: '0.000000001', per: 'total' } },
  { id: 'barred', key: 'barred-client-key', allowed_providers: ['closed'] },
];

let daemon: Daemon;
let upstream: ScriptedUpstream;
let second: ScriptedUpstream;

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
  second = await startUpstream([answer('from the second')]);
  const open = { allow_client_keys: true };
  daemon = await startRouter(
    [
      provider('open', upstream.url, { ...open, limits: { req_per_min: 1_000 } }),
      provider('closed', second.url),
      provider('own-only', upstream.url, { ...open, api_keys: undefined, type: 'groq', models: [{ id: 'own-m' }] }),
      provider('unpriced', upstream.url, { ...open, pricing: undefined, models: [{ id: 'u' }] }),
      provider('pics', upstream.url, {
        ...open,
        type: 'openai',
        pricing: undefined,
        models: [{ id: 'p', tasks: ['image'] }],
      }),
      provider('hub', upstream.url, {
        ...open,
        type: 'huggingface',
        base_url: upstream.url,
        pricing: undefined,
        models: [{ id: 'org/fill', tasks: ['fill-mask'] }],
      }),
      provider('stack', upstream.url, { ...open, type: 'llama_stack', models: [{ id: 's' }] }),
      provider('tight', upstream.url, {
        ...open,
        limits: { req_per_min: 1 },
        models: [{ id: 't', limits: { req_per_min: 1 } }],
      }),
    ],
    {
      api_keys: CLIENTS,
      logging: { level: 'trace' },
      policy: { ...IMPATIENT, cache: { enabled: true, ttl_seconds: 3_600 }, unpriced: 'refuse' },
    },
  );
});
afterEach(() => {
  for (const each of [upstream, second]) each.requests.length = 0;
  upstream.setScript([answer()]);
  second.setScript([answer('from the second')]);
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
  await second?.close();
});

let asked = 0;

/** A request that nobody asked before, with a key of its own. */
function ask(rest: object = {}, headers: Record<string, string> = { [HEADER]: `open=${OWN}` }) {
  asked += 1;
  return daemon.post('/v1/chat/completions', chatBody({ model: 'open:m', seed: asked, ...rest }), headers);
}

const keysSeen = () => upstream.requests.map(({ headers }) => headers['authorization']);

async function errorOf(response: Response) {
  return ((await response.json()) as ErrorBody).error;
}

async function stateOfKeys(id: string) {
  const { providers } = await daemon.admin<{
    providers: Array<{ id: string; status: string; keys: Array<{ fingerprint: string; state: string }> }>;
  }>('/providers');
  return providers.find((each) => each.id === id);
}

describe('a key that a request brings', () => {
  it('is used instead of ours, is not passed on, and leaves usage without a cost', async () => {
    const response = await ask();
    expect(response.status).toBe(200);
    const body = (await response.json()) as { usage: Record<string, number> };
    expect(keysSeen()).toEqual([`Bearer ${OWN}`]);
    expect(JSON.stringify(upstream.requests[0]?.headers)).not.toContain(HEADER);
    expect(upstream.requests[0]?.body).not.toContain(OWN);
    expect(body.usage).toMatchObject({ prompt_tokens: 10, completion_tokens: 5, cost: 0, cost_nano_usd: 0 });
    expect(response.headers.get('x-waybill-cost-nano-usd')).toBe('0');
    const row = await recordOf(daemon, response);
    expect(row).toMatchObject({
      cost_nano_usd: 0,
      attempts: [{ key: 'open:byok', cost_nano_usd: 0, held_nano_usd: 0, usage: { input: 10, output: 5 } }],
      prices: [{ origin: 'byok' }],
    });
  });

  it('is the next request’s no more', async () => {
    await ask();
    const response = await ask({}, {});
    expect(keysSeen()).toEqual([`Bearer ${OWN}`, 'Bearer key-of-open']);
    expect((await recordOf(daemon, response)).cost_nano_usd).toBe(20_000);
  });

  it.each([
    ['a stream', '/v1/chat/completions', { stream: true, stream_options: { include_usage: true } }, stream()],
    [
      'embeddings',
      '/v1/embeddings',
      { input: 'words', messages: undefined },
      {
        body: {
          object: 'list',
          model: 'm',
          data: [{ object: 'embedding', index: 0, embedding: [0.5] }],
          usage: { prompt_tokens: 10, total_tokens: 10 },
        },
      },
    ],
    ['text completions', '/v1/completions', { prompt: 'words', messages: undefined }, null],
  ])('works for %s', async (_what, path, rest, step) => {
    upstream.setScript([
      step ?? {
        body: {
          id: 'c',
          object: 'text_completion',
          created: 1,
          model: 'm',
          choices: [{ index: 0, text: 'x', finish_reason: 'stop' }],
          usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
        },
      },
    ]);
    const response = await daemon.post(path, chatBody({ model: 'open:m', ...rest }), { [HEADER]: `open=${OWN}` });
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(keysSeen()).toEqual([`Bearer ${OWN}`]);
    expect(text).toContain('"cost_nano_usd":0');
    expect(await recordOf(daemon, response)).toMatchObject({ outcome: 'ok', cost_nano_usd: 0 });
  });

  it.each([
    ['images', '/v1/images/generations', 'pics', { model: 'p', prompt: 'a cat' }, { created: 1, data: [{ url: 'x' }] }],
    [
      'a task whose use nobody tells',
      '/api/inference/org/fill',
      'hub',
      { inputs: 'a [MASK]' },
      [{ score: 1, token_str: 'x' }],
    ],
  ])('works for %s, at a cost that is known without a price', async (_what, path, id, body, answered) => {
    upstream.setScript([{ body: answered }]);
    const response = await daemon.post(path, body, { [HEADER]: `${id}=${OWN}` });
    expect([response.status, await response.json()]).toEqual([200, answered]);
    expect(keysSeen()).toEqual([`Bearer ${OWN}`]);
    expect(await recordOf(daemon, response)).toMatchObject({
      outcome: 'ok',
      cost_nano_usd: 0,
      attempts: [{ key: `${id}:byok`, cost_nano_usd: 0 }],
    });
  });

  it('may hold whatever a header can, a = too', async () => {
    expect((await ask({}, { [HEADER]: ` open = ${OTHER_OWN} ` })).status).toBe(200);
    expect(keysSeen()).toEqual([`Bearer ${OTHER_OWN}`]);
  });

  it('goes first where several could answer, and others are asked with their own keys', async () => {
    upstream.setScript([failure(500)]);
    const response = await ask({ model: 'm' });
    expect(response.status).toBe(200);
    expect(new Set(keysSeen())).toEqual(new Set([`Bearer ${OWN}`]));
    expect(second.requests.map(({ headers }) => headers['authorization'])).toEqual(['Bearer key-of-closed']);
    const row = await recordOf(daemon, response);
    expect(row.cost_nano_usd).toBe(20_000);
    expect(row.attempts.at(-1)).toMatchObject({ provider: 'closed', cost_nano_usd: 20_000 });
  });

  it('has no effect on a request that never goes to its provider', async () => {
    const response = await ask({ model: 'closed:m' });
    expect(response.status).toBe(200);
    expect(second.requests[0]?.headers['authorization']).toBe('Bearer key-of-closed');
    expect((await recordOf(daemon, response)).cost_nano_usd).toBe(20_000);
  });

  it('gives its owner no right: what a client may not use stays so', async () => {
    const response = await ask({}, { [HEADER]: `open=${OWN}`, authorization: 'Bearer barred-client-key' });
    expect(response.status).toBe(403);
    expect(upstream.requests).toEqual([]);
  });
});

describe('a brought key that is refused', () => {
  it('is told its owner, disables none of ours, and is not replaced by one', async () => {
    upstream.setScript([failure(401, { error: { message: `bad key ${OWN}` } })]);
    const response = await ask();
    expect(response.status).toBe(502);
    const error = await errorOf(response);
    expect(error).toMatchObject({ code: 'upstream_credentials_exhausted' });
    expect(error.message).toContain('The key that this request brought for `open` was refused');
    expect(error.message).not.toContain(OWN.slice(0, 16));
    expect(keysSeen()).toEqual([`Bearer ${OWN}`]);
    expect((await stateOfKeys('open'))?.keys).toMatchObject([{ state: 'ready' }]);
    upstream.setScript([answer()]);
    expect((await ask()).status).toBe(200);
    expect((await ask({}, {})).status).toBe(200);
  });

  it('cools none of ours when it is rate limited, whatever the provider says of limits', async () => {
    upstream.setScript([
      failure(429, undefined, {
        'retry-after': '30',
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '60s',
      }),
    ]);
    const response = await ask();
    expect([response.status, (await errorOf(response)).code]).toEqual([429, 'upstream_rate_limited']);
    expect((await stateOfKeys('open'))?.keys).toMatchObject([{ state: 'ready' }]);
    upstream.setScript([answer()]);
    expect((await ask()).status).toBe(200);
    expect((await ask({}, {})).status).toBe(200);
  });
});

describe('a brought key and the breaker, which is everybody’s', () => {
  const brought = { [HEADER]: `open=${OWN}` };

  it.each([
    ['500', failure(500)],
    ['nonsense', { body: '<html>' }],
    ['an overload of its account', failure(529)],
    ['a stream that breaks off', { ...stream(), cutAfterBytes: 300 }],
  ] as const)('%s opens none', async (what, step) => {
    upstream.setScript([step]);
    const isStream = what.startsWith('a stream');
    for (let i = 0; i < 6; i += 1) await (await ask({ stream: isStream }, brought)).text();
    expect(upstream.requests.length).toBeGreaterThanOrEqual(6);
    upstream.setScript([answer()]);
    expect((await ask({}, {})).status).toBe(200);
  });

  it('that its provider cannot be sent opens none', async () => {
    const own = { [HEADER]: 'stack={"a_key":"\\u0007-\\u4e2d-\\u00e9"}' };
    for (let i = 0; i < 6; i += 1) expect((await ask({ model: 'stack:s' }, own)).status).toBe(200);
    expect(upstream.requests[0]?.headers['x-llamastack-provider-data']).toBe('{"a_key":"\\u0007-\\u4e2d-\\u00e9"}');
    expect((await ask({ model: 'stack:s' }, {})).status).toBe(200);
  });

  it('that is refused closes none that is open', async () => {
    const lone = await startRouter([provider('open', upstream.url, { allow_client_keys: true, api_keys: ['ours'] })], {
      policy: { ...IMPATIENT, cooldown: { failures: 1, window: '10s', open: '300ms' } },
    });
    try {
      const post = (headers = {}) => lone.post('/v1/chat/completions', chatBody({ model: 'open:m' }), headers);
      upstream.setScript([failure(500)]);
      expect((await post()).status).toBe(503);
      await new Promise((resolve) => setTimeout(resolve, 320));
      upstream.setScript([failure(401)]);
      expect((await post(brought)).status).toBe(502);
      const { providers } = await lone.admin<{ providers: object[] }>('/providers');
      expect(providers).toMatchObject([{ status: 'degraded' }]);
    } finally {
      await lone.stop();
    }
  });

  it('finds out, as any other, that nobody is there', async () => {
    const gone = await startUpstream([answer()]);
    await gone.close();
    const lone = await startRouter([provider('open', gone.url, { allow_client_keys: true })], {
      policy: { ...IMPATIENT, cooldown: { failures: 2, window: '10s', open: '60s' } },
    });
    try {
      const post = () => lone.post('/v1/chat/completions', chatBody({ model: 'open:m' }), brought);
      expect((await post()).status).toBe(503);
      expect((await errorOf(await post())).message).toContain('left alone');
    } finally {
      await lone.stop();
    }
  });
});

describe('money and limits', () => {
  it('spends no budget of ours', async () => {
    const spent = { authorization: `Bearer ${SPENT_KEY}` };
    const own = await ask({}, { ...spent, [HEADER]: `open=${OWN}` });
    expect(own.status).toBe(200);
    // No bound is put on an output that we do not pay.
    expect(upstream.requests[0]?.body).not.toContain('max_');
    const ours = await ask({}, spent);
    expect([ours.status, (await errorOf(ours)).code]).toEqual([429, 'budget_exceeded']);
    const { budgets } = await daemon.admin<{ budgets: Array<{ client: string }> }>('/budgets');
    expect(budgets).toMatchObject([{ client: 'spent', spent_nano_usd: 0, held_nano_usd: 0 }]);
  });

  it('needs no price', async () => {
    expect((await ask({ model: 'unpriced:u' }, {})).status).toBe(400);
    const response = await ask({ model: 'unpriced:u' }, { [HEADER]: `unpriced=${OWN}` });
    expect(response.status).toBe(200);
    expect((await recordOf(daemon, response)).cost_nano_usd).toBe(0);
  });

  it('counts against no limit of our keys and models', async () => {
    const own = { [HEADER]: `tight=${OWN}` };
    for (let i = 0; i < 3; i += 1) expect((await ask({ model: 'tight:t' }, own)).status).toBe(200);
    expect((await ask({ model: 'tight:t' }, {})).status).toBe(200);
    expect((await ask({ model: 'tight:t' }, own)).status).toBe(200);
  });

  it('is priced at nothing by /v1/price, and shown by reports under one name', async () => {
    const quote = await daemon.post(
      '/v1/price',
      { endpoint: 'chat/completions', request: chatBody({ model: 'open:m', max_tokens: 9 }) },
      { [HEADER]: `open=${OWN}` },
    );
    expect(await quote.json()).toMatchObject({ candidates: [{ provider: 'open', max_cost_nano_usd: 0 }] });
    const { rows } = await daemon.admin<{ rows: Array<{ key: string; requests: number; cost_nano_usd: string }> }>(
      '/reports/costs?group_by=key',
    );
    const row = rows.find(({ key }) => key === 'open:byok');
    expect(row).toMatchObject({ cost_nano_usd: '0' });
    expect(row?.requests).toBeGreaterThan(3);
  });
});

describe('an entry without keys of its own', () => {
  it('serves requests that bring one', async () => {
    const response = await ask({ model: 'own-only:own-m' }, { [HEADER]: `own-only=${OWN}` });
    expect(response.status).toBe(200);
    expect(keysSeen()).toEqual([`Bearer ${OWN}`]);
  });

  it('tells the others what to bring, and sends nothing', async () => {
    const response = await ask({ model: 'own-only:own-m' }, {});
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({
      code: 'invalid_request',
      param: HEADER,
      message: expect.stringContaining(`${HEADER}: own-only=<key>`),
    });
    expect(upstream.requests).toEqual([]);
  });

  it('is ready', async () => {
    expect(await stateOfKeys('own-only')).toMatchObject({ status: 'ready', keys: [] });
    const models = (await (
      await fetch(`${daemon.url}/v1/models/own-m`, { headers: { authorization: `Bearer ${CLIENT_KEY}` } })
    ).json()) as object;
    expect(models).toMatchObject({ providers: [{ provider: 'own-only', status: 'live' }] });
  });

  it('is enough for a daemon to be ready', async () => {
    const alone = await startRouter([
      provider('alone', upstream.url, { allow_client_keys: true, api_keys: [], type: 'groq' }),
    ]);
    expect(alone.output()).not.toMatch(/disabled|not active/);
    await alone.stop();
  });
});

describe('a header that cannot be taken', () => {
  it.each([
    ['without an id', OWN, 'is `<provider id>=<key>`'],
    ['without a key', 'open=', 'is `<provider id>=<key>`'],
    ['with an empty id', `=${OWN}`, 'is `<provider id>=<key>`'],
    ['that is empty', '', 'is `<provider id>=<key>`'],
    ['with an id that is not known', `${OWN}=${OWN}`, 'no provider here has the id it names'],
    ['for an entry that takes none', `closed=${OWN}`, 'names `closed`, which takes no keys'],
    ['with a key that is too long', `open=${'k'.repeat(5_000)}`, 'at most 4096 characters'],
  ])('is refused %s, and is not repeated', async (_which, value, said) => {
    const response = await ask({}, { [HEADER]: value });
    expect(response.status).toBe(400);
    const error = await errorOf(response);
    expect(error).toMatchObject({ code: 'invalid_request', param: HEADER });
    expect(error.message).toContain(said);
    expect(error.message).not.toContain(OWN.slice(0, 16));
    expect(upstream.requests).toEqual([]);
  });

  it('is refused where it is given twice', async () => {
    const headers = {
      'content-type': 'application/json',
      authorization: `Bearer ${CLIENT_KEY}`,
      [HEADER]: [`open=${OWN}`, `unpriced=${OWN}`],
    };
    const body = JSON.stringify(chatBody({ model: 'open:m' }));
    const { status, text } = await sendRaw(daemon.url, { method: 'POST', path: '/v1/chat/completions', headers, body });
    expect(status).toBe(400);
    expect(text).toContain('given more than once');
    expect(upstream.requests).toEqual([]);
  });
});

describe('answers that are kept', () => {
  it('are neither given to a request with a key of its own, nor made of one', async () => {
    const body = chatBody({ model: 'open:m', seed: -1 });
    const send = async (headers: Record<string, string>) => {
      const response = await daemon.post('/v1/chat/completions', body, headers);
      await response.arrayBuffer();
      return response.headers.get('x-waybill-cache');
    };
    const own = { [HEADER]: `open=${OWN}` };
    expect(await send(own)).toBe('bypass');
    expect(await send({})).toBe('miss');
    expect(await send(own)).toBe('bypass');
    expect(await send({})).toBe('hit');
    expect(keysSeen()).toEqual([`Bearer ${OWN}`, 'Bearer key-of-open', `Bearer ${OWN}`]);
  });

  it('are given again for an Idempotency-Key, but not to a request that is paid by another', async () => {
    const body = chatBody({ model: 'open:m', seed: -2 });
    const send = (headers: Record<string, string>) =>
      daemon.post('/v1/chat/completions', body, { 'idempotency-key': 'once', ...headers });
    const first = await send({ [HEADER]: `open=${OWN}` });
    const again = await send({ [HEADER]: `open=${OWN}` });
    expect(await again.text()).toBe(await first.text());
    expect(again.headers.get('x-waybill-idempotent-replay')).toBe('true');
    expect((await send({})).status).toBe(409);
    expect(upstream.requests).toHaveLength(1);
  });
});

describe('nothing of a brought key is kept', () => {
  it('not in errors, headers, logs, metrics, the ledger or the admin API', async () => {
    const said = (key: string) =>
      `wrong key ${key}, ${Buffer.from(key).toString('base64')}, ${encodeURIComponent(key)}`;
    const seen: string[] = [];
    for (const key of [OWN, OTHER_OWN]) {
      for (const step of [
        failure(400, { error: { message: said(key), code: key, param: key } }),
        failure(401, said(key)),
        failure(500, said(key)),
        { sse: [chunk({ content: 'half' }), JSON.stringify({ error: { message: said(key) } })] },
        { ...answer(), headers: { 'content-type': 'application/json', 'openai-organization': key } },
      ]) {
        upstream.setScript([step]);
        const isStream = 'sse' in step;
        const response = await ask({ stream: isStream }, { [HEADER]: `open=${key}`, 'x-waybill-tags': 'who=me' });
        seen.push(JSON.stringify([...response.headers]), await response.text());
      }
    }
    const get = async (path: string, headers = {}) => (await fetch(daemon.url + path, { headers })).text();
    seen.push(daemon.output(), await get('/metrics', { authorization: `Bearer ${ADMIN_KEY}` }));
    const { requests } = await daemon.admin<{ requests: LedgerRequest[] }>('/requests?limit=1000');
    for (const { inference_id } of requests) seen.push(JSON.stringify(await daemon.admin(`/requests/${inference_id}`)));
    for (const path of ['/config', '/providers']) seen.push(JSON.stringify(await daemon.admin(path)));
    for (const name of readdirSync(daemon.dir)) {
      if (name.startsWith('waybill.db')) seen.push(readFileSync(join(daemon.dir, name), 'latin1'));
    }
    expect(requests.length).toBeGreaterThan(10);
    for (const key of [OWN, OTHER_OWN]) {
      for (const piece of [key.slice(0, 16), Buffer.from(key).toString('base64').slice(4, 24)]) {
        expect(seen.filter((text) => text.includes(piece))).toEqual([]);
      }
    }
  });

  it('and the ledger holds together', async () => {
    const response = await fetch(`${daemon.url}/api/admin/v1/ledger/verify`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
    });
    expect(await response.json()).toMatchObject({ ok: true, differences: [] });
  });
});
