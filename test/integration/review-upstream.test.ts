import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.js';
import {
  abortable,
  answer,
  chatBody,
  chunk,
  type ErrorBody,
  failure,
  type LedgerRequest,
  provider,
  recordOf,
  startRouter,
} from '../support/failing-providers.js';
import { type RawUpstream, startRawUpstream } from '../support/raw-upstream.js';
import { type ScriptedUpstream, startUpstream, type UpstreamStep } from '../support/scripted-upstream.js';
import { until } from '../support/until.js';

/** What a provider may send that is neither a good answer nor a plain error, from the outside. */

let daemon: Daemon;
let upstream: ScriptedUpstream;
let spare: ScriptedUpstream;

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
  spare = await startUpstream([answer('from the spare')]);
  daemon = await startRouter([
    provider('a', upstream.url),
    // Of its own, so that its failures open no breaker for the others.
    provider('moved', upstream.url),
    provider('hf', `${upstream.url}`, {
      type: 'huggingface',
      base_url: `${upstream.url}/hf-inference`,
      models: undefined,
    }),
  ]);
});
afterEach(() => {
  upstream.requests.length = 0;
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
  await spare?.close();
});

async function ask(steps: UpstreamStep[], body: object | string = chatBody({ model: 'a:m' })) {
  upstream.setScript(steps);
  const response = await daemon.post('/v1/chat/completions', body);
  return { response, text: await response.text() };
}

const USAGE = { prompt_tokens: 1000, completion_tokens: 500, total_tokens: 1500 };
/** At 1 and 2 USD per million: 1,000 × 1,000 + 500 × 2,000 nano-USD. */
const COST = 2_000_000;

describe('the usage of a failed answer', () => {
  it.each<[string, UpstreamStep]>([
    ['an answer without choices', failure(200, { id: 'x', choices: [], usage: USAGE })],
    ['an error inside a 200', failure(200, { error: { message: 'died', code: 500 }, usage: USAGE })],
    ['an error status', failure(500, { error: { message: 'died' }, usage: USAGE })],
  ])('is what it costs: %s', async (_name, step) => {
    const { response } = await ask([step, answer()]);
    expect(response.status).toBe(200);
    const { attempts, cost_nano_usd: cost } = await recordOf(daemon, response);
    expect(attempts).toMatchObject([
      { outcome: 'failed', cost_nano_usd: COST, usage: { input: 1000, output: 500 } },
      { outcome: 'ok', cost_nano_usd: 20_000 },
    ]);
    expect(cost).toBe(COST + 20_000);
  });
});

describe('a call of which nothing was sent', () => {
  /** Takes connections, and never answers a handshake: what goes there is never sent. */
  async function startSilent(): Promise<{ daemon: Daemon; silent: RawUpstream }> {
    const silent = await startRawUpstream(() => {});
    const url = silent.url.replace('http:', 'https:');
    const timeout = { connect: '10s', first_byte: '100ms' };
    const providers = [provider('late', url, { timeout }), provider('left', url, { timeout: { connect: '10s' } })];
    return { silent, daemon: await startRouter(providers, { policy: { retry: { max_attempts: 1 } } }) };
  }

  it('costs nothing, whether its time was over or its client left', async () => {
    const { daemon: router, silent } = await startSilent();
    try {
      const late = await router.post('/v1/chat/completions', chatBody({ model: 'late:m' }));
      expect(late.status).toBe(504);
      const leaving = abortable(router, chatBody({ model: 'left:m' }));
      const left = expect(leaving.response).rejects.toThrow();
      await until('its connection', () => silent.connections.length === 2);
      leaving.abort();
      await left;
      const nothing = { cost_nano_usd: 0, usage: null };
      await until('its record', async () => (await all(router)).every(({ outcome }) => outcome !== 'in_flight'));
      expect(await recordOf(router, late)).toMatchObject({ outcome: 'failed', attempts: [nothing], cost_nano_usd: 0 });
      const { inference_id: id } = (await all(router)).find(({ outcome }) => outcome === 'cancelled') as LedgerRequest;
      expect(await router.admin(`/requests/${id}`)).toMatchObject({ attempts: [nothing], cost_nano_usd: 0 });
    } finally {
      await router.stop();
      await silent.close();
    }
  });

  async function all(router: Daemon): Promise<LedgerRequest[]> {
    const { requests } = await router.admin<{ requests: LedgerRequest[] }>('/requests');
    return requests;
  }
});

describe('a stream of several choices', () => {
  it('is not made to look complete when one of them never began', async () => {
    const sse = [chunk({ content: 'one' }), chunk({}, { finish_reason: 'stop' })];
    const { response, text } = await ask([{ sse }], chatBody({ model: 'a:m', n: 2, stream: true }));
    expect(text).not.toContain('[DONE]');
    expect(text).toContain('"error"');
    expect((await recordOf(daemon, response)).outcome).not.toBe('ok');
  });
});

describe('a redirect', () => {
  it('is 502 upstream_malformed and names the host only', async () => {
    const { response, text } = await ask(
      [failure(307, {}, { location: 'http://other.test/x?sig=secret' })],
      chatBody({ model: 'moved:m' }),
    );
    expect(response.status).toBe(502);
    const { error } = JSON.parse(text) as ErrorBody;
    expect(error.code).toBe('upstream_malformed');
    expect(error.message).toContain('other.test');
    expect(text).not.toContain('secret');
  });

  it('is answered by another target where there is one', async () => {
    const both = await startRouter([provider('a', upstream.url), provider('b', spare.url)]);
    try {
      upstream.setScript([failure(301, '', { location: '/x' })]);
      const response = await both.post('/v1/chat/completions', chatBody());
      expect(response.status).toBe(200);
      expect(response.headers.get('x-waybill-provider')).toBe('b');
    } finally {
      await both.stop();
    }
  });
});

describe('a model’s name', () => {
  it('does not lead to another of the provider’s paths', async () => {
    const response = await daemon.post('/v1/embeddings', { model: 'hf:../../x?y', input: 'x' });
    expect(response.status).toBe(400);
    expect(((await response.json()) as ErrorBody).error).toMatchObject({ code: 'invalid_request', param: 'model' });
    expect(upstream.requests).toHaveLength(0);
  });
});

describe('figures that are no counts', () => {
  it('are replaced by those that were counted with', async () => {
    const body = JSON.parse(answer().body as string) as { usage: object };
    body.usage = { prompt_tokens: '10', completion_tokens: -5, total_tokens: 1.5 };
    const { text } = await ask([failure(200, body)]);
    const { usage } = JSON.parse(text) as { usage: { [name: string]: number | string } };
    const { prompt_tokens: input, completion_tokens: output, total_tokens: total } = usage;
    expect(Number.isSafeInteger(input) && Number.isSafeInteger(output)).toBe(true);
    expect(total).toBe(Number(input) + Number(output));
    expect(usage['cost_nano_usd']).toBe(Number(input) * 1_000 + Number(output) * 2_000);
    expect(usage['source']).not.toBe('reported');
  });
});

describe('a byte order mark', () => {
  it('before a request’s JSON is ignored', async () => {
    const { response } = await ask([answer()], `\ufeff${JSON.stringify(chatBody({ model: 'a:m' }))}`);
    expect(response.status).toBe(200);
    expect(upstream.requests[0]?.body.startsWith('{')).toBe(true);
  });
});
