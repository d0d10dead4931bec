import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_KEY, CLIENT_KEY, type Daemon } from '../support/daemon.js';
import {
  answer,
  chatBody,
  type ErrorBody,
  failure,
  IMPATIENT,
  provider,
  startRouter,
  stream,
} from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** Billing through the built daemon, by the ids that answers carried. */

let daemon: Daemon;
let upstream: ScriptedUpstream;
let spare: ScriptedUpstream;

const OTHER_KEY = 'other-client-key';
/** 10 tokens in and 5 out make 10,000,000,000,000,015 nano-USD: more than a double holds. */
const DEAR = { input_token_cost: '1000000.000000001', output_token_cost: '0.000000001' };

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
  spare = await startUpstream([answer()]);
  const named = (id: string, model: string, url: string, rest: object = {}) =>
    provider(id, url, { models: [{ id: model, tasks: ['chat'] }], ...rest });
  daemon = await startRouter(
    [
      named('a', 'm', upstream.url, { api_keys: ['1', '2', '3', '4', '5', '6', '7', '8'] }),
      named('b', 'm', spare.url),
      named('dear', 'dear', upstream.url, { pricing: DEAR }),
      named('unpriced', 'unpriced', upstream.url, { pricing: null }),
    ],
    {
      api_keys: [
        { id: 'tester', key: CLIENT_KEY },
        { id: 'other', key: OTHER_KEY },
      ],
      policy: { ...IMPATIENT, algorithm: 'round_robin', cooldown: { failures: 1_000, window: '10s', open: '10ms' } },
    },
  );
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
  await spare?.close();
});

/** A request's id, once its answer has ended. */
async function call(model: string, rest: object = {}, key = CLIENT_KEY): Promise<string> {
  const headers = { authorization: `Bearer ${key}` };
  const response = await daemon.post('/v1/chat/completions', chatBody({ model, ...rest }), headers);
  await response.arrayBuffer();
  return response.headers.get('inference-id') ?? '';
}

interface Bill {
  status: number;
  text: string;
  /** `id=cost`, costs as they were written. */
  lines: string[];
  error: ErrorBody['error'];
}

async function bill(requestIds: unknown, key = CLIENT_KEY, path = '/v1/billing'): Promise<Bill> {
  const response = await daemon.post(path, { requestIds }, { authorization: `Bearer ${key}` });
  const text = await response.text();
  const lines = [...text.matchAll(/\{"requestId":"([^"]*)","costNanoUsd":(\d+)\}/g)].map(
    ([, id, cost]) => `${id}=${cost}`,
  );
  return { status: response.status, text, lines, error: (JSON.parse(text) as ErrorBody).error };
}

describe('billing', () => {
  it('says what each request cost: whole, streamed, dearer than a double holds', async () => {
    upstream.setScript([answer()]);
    const whole = await call('a:m');
    const dear = await call('dear');
    upstream.setScript([stream()]);
    const streamed = await call('a:m', { stream: true });
    const { status, text, lines } = await bill([dear, whole, streamed]);
    expect(status).toBe(200);
    expect(lines).toEqual([`${dear}=10000000000000015`, `${whole}=20000`, `${streamed}=20000`]);
    expect(Object.keys(JSON.parse(text) as object)).toEqual(['requests']);
    expect((await bill([dear, whole, streamed])).text).toBe(text);
  });

  it('keeps the order asked, and lists a request once however often it is asked for', async () => {
    upstream.setScript([answer()]);
    const ids = [await call('a:m'), await call('a:m'), await call('a:m')];
    const asked = [ids[2], ids[0], ids[2], ids[1], ids[0]];
    expect((await bill(asked)).lines).toEqual([ids[2], ids[0], ids[1]].map((id) => `${id}=20000`));
  });

  it('lists failed and refused requests that cost nothing with 0', async () => {
    upstream.setScript([failure(422)]);
    const failed = await call('a:m');
    const unknown = await call('nothing-like-it');
    expect((await bill([failed, unknown])).lines).toEqual([`${failed}=0`, `${unknown}=0`]);
  });

  it('leaves out what is unknown, foreign, unpriced or still running', async () => {
    upstream.setScript([answer()]);
    const own = await call('a:m');
    const foreign = await call('a:m', {}, OTHER_KEY);
    const unpriced = await call('unpriced');
    upstream.setScript([{ hang: true }]);
    const before = upstream.requests.length;
    const leaver = new AbortController();
    const running = fetch(`${daemon.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${CLIENT_KEY}` },
      body: JSON.stringify(chatBody({ model: 'a:m' })),
      signal: leaver.signal,
    }).catch(() => null);
    await upstream.waitForRequests(before + 1);
    const { requests } = await daemon.admin<{ requests: Array<{ inference_id: string }> }>(
      '/requests?status=in_flight',
    );
    const inFlight = requests.map(({ inference_id }) => inference_id);
    expect(inFlight).toHaveLength(1);
    const asked = [
      '',
      'nothing',
      '01234567-89ab-7cde-8f01-23456789abcd',
      foreign,
      unpriced,
      ...inFlight,
      own,
      "' OR 1=1",
    ];
    expect((await bill(asked)).lines).toEqual([`${own}=20000`]);
    expect((await bill(asked, OTHER_KEY)).lines).toEqual([`${foreign}=20000`]);
    expect((await bill(asked, ADMIN_KEY)).lines).toEqual([`${foreign}=20000`, `${own}=20000`]);
    leaver.abort();
    await running;
  });

  it('answers under /api/v1 too, and nobody without a key', async () => {
    expect((await bill([], CLIENT_KEY, '/api/v1/billing')).text).toBe('{"requests":[]}');
    expect(await bill([], 'wrong')).toMatchObject({ status: 401, error: { code: 'invalid_api_key' } });
    expect((await bill([], 'wrong', '/api/partners/a/billing')).status).toBe(401);
  });

  it('takes 10,000 ids, and no more', async () => {
    upstream.setScript([answer()]);
    const own = await call('a:m');
    const strangers = Array.from({ length: 9_999 }, (_, n) => `stranger-${n}`);
    expect((await bill([...strangers, own])).lines).toEqual([`${own}=20000`]);
    expect(await bill([...strangers, own, own])).toMatchObject({
      status: 400,
      error: { code: 'invalid_request', param: 'requestIds' },
    });
  });

  it.each([
    [undefined, 'requestIds'],
    [null, 'requestIds'],
    ['id', 'requestIds'],
    [{ 0: 'id' }, 'requestIds'],
    [['id', 1], 'requestIds[1]'],
    [[null], 'requestIds[0]'],
  ])('refuses requestIds that are %j', async (requestIds, param) => {
    expect(await bill(requestIds)).toMatchObject({ status: 400, error: { code: 'invalid_request', param } });
  });
});

describe('a partner’s billing', () => {
  const path = (id: string) => `/api/partners/${id}/billing`;

  it('answers for that provider’s requests only', async () => {
    upstream.setScript([answer()]);
    const [atA, atB] = [await call('a:m'), await call('b:m')];
    expect((await bill([atA, atB], CLIENT_KEY, path('a'))).lines).toEqual([`${atA}=20000`]);
    expect((await bill([atA, atB], ADMIN_KEY, path('b'))).lines).toEqual([`${atB}=20000`]);
  });

  it('bills each provider for its own attempts of a request that fell back, and all of them make the whole', async () => {
    // The first provider fails and reports what it used; the second answers. Both have a share.
    const failed = { error: { message: 'no' }, usage: { prompt_tokens: 10, completion_tokens: 0, total_tokens: 10 } };
    upstream.setScript([failure(500, failed)]);
    spare.setScript([answer()]);
    const ids: string[] = [];
    for (let n = 0; n < 4; n += 1) ids.push(await call('m'));
    const sum = ({ lines }: Bill) => lines.reduce((total, line) => total + BigInt(line.split('=')[1] ?? ''), 0n);
    const [all, atA, atB] = [
      await bill(ids),
      await bill(ids, CLIENT_KEY, path('a')),
      await bill(ids, CLIENT_KEY, path('b')),
    ];
    expect(all.lines).toHaveLength(4);
    expect(atB.lines).toHaveLength(4);
    expect(atA.lines.length).toBeGreaterThan(0);
    expect(sum(atA) + sum(atB)).toBe(sum(all));
  });

  it('is 404 for a provider that is not in the config', async () => {
    expect(await bill([], ADMIN_KEY, path('nobody'))).toMatchObject({ status: 404, error: { code: 'not_found' } });
    expect((await bill([], ADMIN_KEY, '/api/partners//billing')).status).toBe(404);
  });

  it('shows a client its own requests only', async () => {
    upstream.setScript([answer()]);
    const foreign = await call('a:m', {}, OTHER_KEY);
    expect((await bill([foreign], CLIENT_KEY, path('a'))).lines).toEqual([]);
    expect((await bill([foreign], OTHER_KEY, path('a'))).lines).toEqual([`${foreign}=20000`]);
  });
});
