import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createCachedDispatcher } from '../../../src/dispatch/cache.js';
import type { DispatchParts } from '../../../src/dispatch/parts.js';
import type { Dispatcher, RequestReport, RoutedAnswer, RoutedRequest } from '../../../src/domain/dispatch.js';
import { WaybillError } from '../../../src/domain/errors.js';
import type { Ledger } from '../../../src/domain/ledger.js';
import { Lifeline, ShutdownError } from '../../../src/domain/lifeline.js';
import type { Limiter } from '../../../src/domain/limit.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import { createLimiter } from '../../../src/limits/limiter.js';
import { parseJsonBody } from '../../../src/wire/json-body.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock, settled } from '../../support/fake-clock.js';

/** What comes of requests that are the same and under way together, each instant of it held in the hand. */

const TTL_MS = 1_000;
const WAIT_MS = 60_000;
const MAX_BYTES = 300;
const DONE = 'data: [DONE]\n\n';

let folder: string;
let clock: FakeClock;
let ledger: Ledger;
let limiter: Limiter;
let reports: RequestReport[];
let cached: Dispatcher;
/** Requests that were sent, each waiting to be answered. */
let sent: Array<{
  request: RoutedRequest;
  answer: (answer: RoutedAnswer) => void;
  fail: (error: unknown) => void;
}>;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-cache-'));
  clock = new FakeClock();
  ledger = openSqliteLedger({
    path: join(folder, 'waybill.db'),
    durability: 'process',
    retentionDays: null,
    clock,
    logger: silentLogger,
  });
  limiter = createLimiter({ clock, queueMaxLength: () => 10, logger: silentLogger });
  reports = [];
  sent = [];
  const direct: Dispatcher = {
    dispatch: (request) => new Promise((answer, fail) => sent.push({ request, answer, fail })),
  };
  const parts = {
    clock,
    ledger,
    limiter,
    logger: silentLogger,
    observer: { attemptEnded: () => {}, requestEnded: (report: RequestReport) => void reports.push(report) },
    policy: { queueMaxWaitMs: 100, configGeneration: 7 },
  } as unknown as DispatchParts;
  const settings = { ttlMs: TTL_MS, maxEntries: 10, maxWaitMs: WAIT_MS, maxAnswerBytes: MAX_BYTES };
  cached = createCachedDispatcher(parts, settings, direct);
});
afterEach(async () => {
  await limiter.close();
  await ledger.close();
  rmSync(folder, { recursive: true });
});

let requests = 0;

function aRequest({ stream = false, text = '{"model":"m","messages":[]}' } = {}): RoutedRequest {
  requests += 1;
  return {
    inferenceId: `id-${requests}`,
    receivedAt: clock.now(),
    client: {
      id: 'a',
      access: { allowedProviders: ['*'], allowedModels: ['*'], region: null },
      limits: { id: 'client:a', settings: {} },
      tags: {},
      hasBudget: false,
    },
    endpoint: '/v1/chat/completions',
    model: 'm',
    ask: { task: 'chat', body: parseJsonBody(text), stream, includeUsage: false },
    tags: {},
    region: null,
    life: new Lifeline(),
  };
}

const origin = { provider: 'p', model: 'm', attempts: 2, limits: [] };

function whole(text = 'x'): RoutedAnswer {
  const body = `{"text":"${text}","usage":{"cost":0.5,"cost_nano_usd":500000000}}`;
  return {
    kind: 'body',
    origin,
    headers: { 'retry-after': '1', 'openai-version': '1' },
    body,
    costNanoUsd: 500_000_000n,
  };
}

/** Pumps what it is told to, part by part. */
function aStream() {
  let write: (text: string) => unknown = () => {};
  let end = () => {};
  let cut: (error: unknown) => void = () => {};
  const answer: RoutedAnswer = {
    kind: 'stream',
    origin,
    headers: {},
    pump: (sink) => {
      write = (text) => sink.write(text);
      return new Promise((resolve, reject) => {
        end = resolve;
        cut = reject;
      });
    },
  };
  return { answer, write: (text: string) => write(text), end: () => end(), cut: (error: unknown) => cut(error) };
}

/** Asks, and follows what becomes of it. */
function ask(request = aRequest()) {
  const told = { answer: null as RoutedAnswer | null, error: null as unknown, request, text: '' };
  void cached.dispatch(request).then(
    (answer) => {
      told.answer = answer;
      if (answer.kind === 'stream') {
        const write = (text: string) => {
          told.text += text;
        };
        answer.pump({ write }).catch((error: unknown) => {
          told.error = error;
        });
      } else told.text = answer.body.toString();
    },
    (error: unknown) => (told.error = error),
  );
  return told;
}

/** Until what could happen has: promises, and the ledger's commit. */
async function passed(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await settled();
}

const markOf = (told: ReturnType<typeof ask>) => told.answer?.headers['x-waybill-cache'];
const rowOf = (told: ReturnType<typeof ask>) => ledger.reader().getRequest(told.request.inferenceId);

describe('a request that is the same as one under way', () => {
  it('waits for its answer, and gets it at no cost with a row of its own', async () => {
    const [first, second] = [ask(), ask()];
    await passed();
    expect(sent).toHaveLength(1);
    expect(second.answer).toBeNull();
    sent[0]?.answer(whole());
    await passed();
    expect([markOf(first), markOf(second)]).toEqual(['miss', 'hit']);
    expect(second.text).toBe('{"text":"x","usage":{"cost":0,"cost_nano_usd":0}}');
    expect(second.answer).toMatchObject({ costNanoUsd: 0n, origin: { provider: 'p', model: 'm', attempts: 0 } });
    // When to come again was said to the first alone.
    expect(second.answer?.headers).toEqual({ 'openai-version': '1', 'x-waybill-cache': 'hit' });
    expect(rowOf(second)).toMatchObject({
      outcome: 'ok',
      costNanoUsd: 0n,
      cacheHit: true,
      attempts: 0,
      configGeneration: 7,
      decision: { cache_hit: { inference_id: first.request.inferenceId, provider: 'p', model: 'm' } },
    });
    expect(reports).toMatchObject([{ inferenceId: second.request.inferenceId, outcome: 'ok', attempts: 0 }]);
  });

  it('goes on by itself, as all others do at once, when that one fails', async () => {
    const told = [ask(), ask(), ask()];
    await passed();
    sent[0]?.fail(new WaybillError('no_target_available', { message: 'none' }));
    await passed();
    expect(told[0]?.error).toMatchObject({ code: 'no_target_available' });
    expect(sent).toHaveLength(3);
    sent[1]?.answer(whole('one'));
    sent[2]?.answer(whole('two'));
    await passed();
    expect(told.slice(1).map(({ text }) => text)).toEqual(
      [whole('one'), whole('two')].map((each) => 'body' in each && each.body),
    );
  });

  it('is sent in its place when its client left, and the rest wait again', async () => {
    const told = [ask(), ask(), ask()];
    await passed();
    told[0]?.request.life.clientLeft();
    sent[0]?.fail(told[0]?.request.life.reason);
    await passed();
    expect(sent.map(({ request }) => request)).toEqual([told[0]?.request, told[1]?.request]);
    sent[1]?.answer(whole());
    await passed();
    expect([markOf(told[1] as never), markOf(told[2] as never)]).toEqual(['miss', 'hit']);
  });

  it('waits no longer than its own client, and is then written down as left', async () => {
    const [first, second] = [ask(), ask()];
    await passed();
    second.request.life.clientLeft();
    await passed();
    expect(second.error).not.toBeNull();
    expect(rowOf(second)).toMatchObject({ outcome: 'cancelled', status: 499, costNanoUsd: 0n, cacheHit: false });
    sent[0]?.answer(whole());
    await passed();
    expect(markOf(first)).toBe('miss');
    expect(sent).toHaveLength(1);
  });

  it('is told of a stop, and not sent any more', async () => {
    const [first, second] = [ask(), ask()];
    await passed();
    const stop = new ShutdownError();
    first.request.life.end(stop);
    second.request.life.end(stop);
    sent[0]?.fail(new WaybillError('shutting_down', { message: 'stopping' }));
    await passed();
    expect(second.error).toMatchObject({ code: 'shutting_down' });
    expect(rowOf(second)).toMatchObject({ outcome: 'interrupted' });
    expect(sent).toHaveLength(1);
  });

  it('does not wait for ever', async () => {
    ask();
    const second = ask();
    await clock.advance(WAIT_MS - 1);
    expect(sent).toHaveLength(1);
    await clock.advance(1);
    await passed();
    expect(sent.map(({ request }) => request)).toContain(second.request);
  });

  it('is sent too when the answer is too large to be kept', async () => {
    const [first, second] = [ask(), ask()];
    await passed();
    sent[0]?.answer(whole('x'.repeat(MAX_BYTES)));
    await passed();
    expect(markOf(first)).toBe('miss');
    sent[1]?.answer(whole());
    await passed();
    expect([markOf(second), sent.length]).toEqual(['miss', 2]);
  });
});

describe('a stream', () => {
  it('is kept once it is whole, before its end is out, and comes again in parts of whole events', async () => {
    const events = Array.from({ length: 3 }, (_, nth) => `data: {"n":${nth},"pad":"${'x'.repeat(40)}"}\n\n`);
    const first = ask(aRequest({ stream: true }));
    const second = ask(aRequest({ stream: true }));
    await passed();
    const streamed = aStream();
    sent[0]?.answer(streamed.answer);
    await passed();
    for (const event of events) streamed.write(event);
    await passed();
    expect(second.answer).toBeNull();
    streamed.write(DONE);
    await passed();
    expect(second.text).toBe(events.join('') + DONE);
    expect(first.text).toBe(second.text);
    streamed.end();
    expect(second.answer?.headers).toEqual({ 'x-waybill-cache': 'hit', 'x-waybill-cost-nano-usd': '0' });
  });

  it('that broke off, or whose client left, is nobody else’s', async () => {
    for (const isLeft of [false, true]) {
      const text = `{"model":"m","messages":[],"n":${isLeft ? 1 : 2}}`;
      const first = ask(aRequest({ stream: true, text }));
      const second = ask(aRequest({ stream: true, text }));
      await passed();
      const before = sent.length;
      const streamed = aStream();
      sent[before - 1]?.answer(streamed.answer);
      await passed();
      streamed.write('data: {"n":0}\n\n');
      if (isLeft) {
        first.request.life.clientLeft();
        streamed.cut(first.request.life.reason);
      } else {
        streamed.write('data: {"error":{}}\n\n');
        streamed.end();
      }
      await passed();
      expect(sent).toHaveLength(before + 1);
      expect(sent.at(-1)?.request).toBe(second.request);
    }
  });
});

describe('an answer', () => {
  it('lives as long as the clock says', async () => {
    ask();
    await passed();
    sent[0]?.answer(whole());
    await passed();
    await clock.advance(TTL_MS - 1);
    const late = ask();
    await passed();
    expect(markOf(late)).toBe('hit');
    await clock.advance(1);
    ask();
    await passed();
    expect(sent).toHaveLength(2);
  });

  it('is taken from a client whose rights have changed', async () => {
    ask();
    await passed();
    sent[0]?.answer(whole());
    await passed();
    const request = aRequest();
    const access = { ...request.client.access, allowedModels: ['n'] };
    ask({ ...request, client: { ...request.client, access } });
    await passed();
    expect(sent).toHaveLength(2);
  });

  it('is not given where its row cannot be written', async () => {
    ask();
    await passed();
    sent[0]?.answer(whole());
    await passed();
    await ledger.close();
    const again = ask();
    await passed();
    expect(again.answer).toBeNull();
    expect(again.error).toMatchObject({ code: 'ledger_unavailable' });
  });
});
