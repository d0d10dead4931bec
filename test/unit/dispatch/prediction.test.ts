import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { makeAttempt } from '../../../src/dispatch/attempt.js';
import type { AttemptPlan } from '../../../src/dispatch/attempt-plan.js';
import { ClientGoneError, Lifeline } from '../../../src/domain/lifeline.js';
import type { Logger } from '../../../src/domain/ports.js';
import type { NextStep, TaskHelper } from '../../../src/domain/provider.js';
import { Secret } from '../../../src/domain/secret.js';
import type { UpstreamClient } from '../../../src/domain/upstream.js';
import { createUpstreamClient } from '../../../src/upstream/client.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';
import { type ScriptedUpstream, startUpstream, type UpstreamStep } from '../../support/scripted-upstream.js';

/** Next steps by themselves: over real sockets, with an adapter that does as the answers say, and a clock in hand. */

const FIRST_BYTE_MS = 10_000;

let upstream: ScriptedUpstream;
let elsewhere: ScriptedUpstream;
let clock: FakeClock;
let client: UpstreamClient;

beforeAll(async () => {
  upstream = await startUpstream([{}]);
  elsewhere = await startUpstream([{ body: { answer: 'from elsewhere' } }]);
  clock = new FakeClock();
  client = createUpstreamClient({ clock });
});
afterEach(() => {
  upstream.requests.length = 0;
  elsewhere.requests.length = 0;
});
afterAll(async () => {
  await client.close();
  await upstream.close();
  await elsewhere.close();
});

/** Takes `{"next": …}` for a next step, and anything else for an answer. */
const helper: TaskHelper = {
  predicts: true,
  makeRoute: () => ({ method: 'POST', url: `${upstream.url}/make` }),
  preparePayload: () => ({ kind: 'json', body: '{}' }),
  getResponse: ({ body }) => {
    const { next } = JSON.parse(body.toString()) as { next?: NextStep };
    if (next !== undefined) return { ok: 'later', next };
    return { ok: true, answer: { body: body.toString(), usage: null, outputTexts: () => [] } };
  },
};

function step(rest: Partial<NextStep> = {}): UpstreamStep {
  const cancel = { method: 'POST', url: `${upstream.url}/cancel` };
  return {
    body: { next: { id: 'p1', route: { method: 'GET', url: `${upstream.url}/ask` }, afterMs: 500, cancel, ...rest } },
  };
}

function attempt(life = new Lifeline(), logger: Logger = silentLogger) {
  const adapter = { id: 'test', authenticate: (key: Secret) => ({ authorization: `Bearer ${key.reveal()}` }) };
  const own = { headers: { 'x-own': 'secret-header' } };
  const plan = {
    request: { life, inferenceId: 'i', ask: { task: 'chat', stream: false } },
    target: { adapter, providerId: 'p', timeouts: { connectMs: 1_000, idleMs: 5_000 }, upstream: own },
    upstream: own,
    prepared: {
      upstream: own,
      helper,
      payload: helper.preparePayload({} as never, {} as never),
      route: helper.makeRoute({} as never, {} as never),
    },
    key: { id: 'k', secret: new Secret('the-key') },
    reservation: { sent: () => {} },
    attempt: 1,
    sentAt: clock.now(),
    firstByteMs: FIRST_BYTE_MS,
  } as unknown as AttemptPlan;
  return makeAttempt(plan, { client, clock, logger });
}

/** What was logged as a warning. */
function listening(): { logger: Logger; warnings: object[] } {
  const warnings: object[] = [];
  return { warnings, logger: { ...silentLogger, warn: (fields) => warnings.push(fields) } };
}

/** Until somebody waits on the clock. */
async function asleep(): Promise<void> {
  while (clock.sleeping === 0) await sleep(5);
}

const paths = () => upstream.requests.map(({ path }) => path);

it('waits as long as it is asked to, and no sooner asks', async () => {
  upstream.setScript([step(), step({ afterMs: 2_000 }), { body: { answer: 'x' } }]);
  const made = attempt();
  await asleep();
  await clock.advance(499);
  await sleep(30);
  expect(paths()).toEqual(['/make']);
  await clock.advance(1);
  await upstream.waitForRequests(2);
  await asleep();
  await clock.advance(1_999);
  await sleep(30);
  expect(paths()).toEqual(['/make', '/ask']);
  await clock.advance(1);
  expect((await made).reading).toMatchObject({ kind: 'answer', answer: { body: '{"answer":"x"}' } });
});

describe('another host', () => {
  const abroad = (path: string) => ({ method: 'GET', url: `${elsewhere.url}${path}` }) as const;

  it('is not asked with the key', async () => {
    upstream.setScript([step({ route: abroad('/ask'), afterMs: 0 }), {}]);
    expect((await attempt()).reading).toMatchObject({ kind: 'failed', failure: { kind: 'malformed', sent: true } });
    expect(elsewhere.requests).toHaveLength(0);
    await upstream.waitForRequests(2);
    expect(paths()).toEqual(['/make', '/cancel']);
  });

  it.each(['no address', 'ask', '//x/ask', 'file:///etc/passwd'])('nor what is none: %s', async (url) => {
    upstream.setScript([step({ route: { method: 'GET', url }, afterMs: 0 }), {}]);
    expect((await attempt()).reading).toMatchObject({ kind: 'failed', failure: { kind: 'malformed' } });
    await upstream.waitForRequests(2);
    expect(paths()).toEqual(['/make', '/cancel']);
  });

  it('is asked without the key, and without the entry’s headers, where the adapter says that its address is enough', async () => {
    upstream.setScript([step({ route: abroad('/open'), keyless: true, afterMs: 0 })]);
    expect((await attempt()).reading).toMatchObject({
      kind: 'answer',
      answer: { body: '{"answer":"from elsewhere"}' },
    });
    const { headers } = elsewhere.requests[0] as { headers: Record<string, string> };
    expect(headers).not.toHaveProperty('authorization');
    expect(headers).not.toHaveProperty('x-own');
    expect(upstream.requests[0]?.headers).toMatchObject({ authorization: 'Bearer the-key', 'x-own': 'secret-header' });
  });

  it('cancels nothing, which is logged', async () => {
    const { logger, warnings } = listening();
    const life = new Lifeline();
    upstream.setScript([step({ cancel: { method: 'POST', url: `${elsewhere.url}/cancel` } })]);
    const made = attempt(life, logger);
    await asleep();
    life.end(new ClientGoneError());
    await expect(made).rejects.toBeInstanceOf(ClientGoneError);
    expect(elsewhere.requests).toHaveLength(0);
    expect(warnings).toMatchObject([{ prediction: 'p1', why: 'its cancel leads to another host' }]);
  });
});

it('is given up and cancelled once the time until the first byte is over, between two askings too', async () => {
  upstream.setScript([step({ afterMs: FIRST_BYTE_MS * 2 }), {}]);
  const made = attempt();
  await asleep();
  await clock.advance(FIRST_BYTE_MS);
  expect((await made).reading).toMatchObject({
    kind: 'failed',
    failure: { kind: 'timeout', sent: true },
    report: null,
  });
  await upstream.waitForRequests(2);
  expect(paths()).toEqual(['/make', '/cancel']);
});

it('whose client has left already is not even made', async () => {
  const life = new Lifeline();
  life.end(new ClientGoneError());
  await expect(attempt(life)).rejects.toBeInstanceOf(ClientGoneError);
  expect(upstream.requests).toHaveLength(0);
});

it('that answered while its client left has nothing to cancel', async () => {
  const life = new Lifeline();
  upstream.setScript([{ body: { answer: 'late' }, delayMs: 100 }]);
  const { logger, warnings } = listening();
  const made = attempt(life, logger);
  await upstream.waitForRequests(1);
  life.end(new ClientGoneError());
  await expect(made).rejects.toBeInstanceOf(ClientGoneError);
  expect(paths()).toEqual(['/make']);
  expect(warnings).toEqual([]);
});

it('that may have begun unheard of is logged', async () => {
  const life = new Lifeline();
  upstream.setScript([{ cutAfterBytes: 0, delayMs: 100 }]);
  const { logger, warnings } = listening();
  const made = attempt(life, logger);
  await upstream.waitForRequests(1);
  life.end(new ClientGoneError());
  await expect(made).rejects.toBeInstanceOf(ClientGoneError);
  expect(warnings).toMatchObject([{ prediction: null, why: expect.any(String) }]);
});
