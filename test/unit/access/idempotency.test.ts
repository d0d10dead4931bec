import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createIdempotency } from '../../../src/access/idempotency.js';
import type { RoutedAnswer, RoutedRequest } from '../../../src/domain/dispatch.js';
import { WaybillError } from '../../../src/domain/errors.js';
import { type Idempotency, type IdempotencyStore, KEPT_MS } from '../../../src/domain/idempotency.js';
import { Lifeline, ShutdownError } from '../../../src/domain/lifeline.js';
import { openSqliteIdempotency } from '../../../src/ledger/sqlite/idempotency.js';
import { parseJsonBody } from '../../../src/wire/json-body.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

let folder: string;
let store: IdempotencyStore;
let clock: FakeClock;
let idempotency: Idempotency;
let warnings: string[];
let sent: number;

const WAIT_MS = 10_000;
const MAX_BYTES = 200;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-idempotency-'));
  store = openSqliteIdempotency({ path: join(folder, 'waybill.db'), durability: 'process' });
  clock = new FakeClock();
  warnings = [];
  sent = 0;
  const logger = { ...silentLogger, warn: (_fields: object, message = '') => void warnings.push(message) };
  idempotency = createIdempotency({ store, clock, logger, waitMs: () => WAIT_MS, maxBytes: MAX_BYTES });
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

let requests = 0;

function aRequest(overrides: { client?: string; body?: object; endpoint?: string } = {}): RoutedRequest {
  const { client = 'a', body = { model: 'm', prompt: 'x' }, endpoint = '/v1/completions' } = overrides;
  requests += 1;
  return {
    inferenceId: `id-${requests}`,
    receivedAt: clock.now(),
    client: {
      id: client,
      access: { allowedProviders: ['*'], allowedModels: ['*'], region: null },
      limits: { id: `client:${client}`, settings: {} },
      tags: {},
      hasBudget: false,
    },
    endpoint,
    model: 'm',
    ask: { task: 'completion', body: parseJsonBody(JSON.stringify(body)), stream: false, includeUsage: false },
    tags: {},
    region: null,
    life: new Lifeline(),
  };
}

const origin = { provider: 'p', model: 'm', attempts: 2, limits: [] };

function whole(body = '{"n":1}'): RoutedAnswer {
  return { kind: 'body', origin, headers: { 'openai-x': 'y' }, body, costNanoUsd: 2n ** 60n + 1n };
}

function streamed(...texts: string[]): RoutedAnswer {
  const pump = async (sink: { write(text: string): unknown }) => {
    for (const text of texts) await sink.write(text);
  };
  return { kind: 'stream', origin, headers: {}, pump };
}

const DONE = 'data: [DONE]\n\n';

interface Told {
  text: string;
  /** Whose answer it was said to be, at last. */
  inferenceId: string;
  answer: RoutedAnswer;
}

async function ask(
  request: RoutedRequest,
  answer: () => RoutedAnswer | Promise<RoutedAnswer> = whole,
  key = 'k',
): Promise<Told> {
  let inferenceId = '';
  const got = await idempotency.answer({
    request,
    key,
    dispatch: async () => {
      sent += 1;
      return answer();
    },
    named: (id) => {
      inferenceId = id;
    },
  });
  let text = '';
  if (got.kind === 'body') text = got.body.toString();
  else {
    await got.pump({
      write: (part) => {
        text += part;
      },
    });
  }
  return { text, inferenceId, answer: got };
}

/** An answer that comes when it is told to. */
function held(): { answer: () => Promise<RoutedAnswer>; give(answer: RoutedAnswer): void; fail(error: Error): void } {
  let give: (answer: RoutedAnswer) => void = () => {};
  let fail: (error: Error) => void = () => {};
  const promise = new Promise<RoutedAnswer>((resolve, reject) => {
    give = resolve;
    fail = reject;
  });
  return { answer: () => promise, give, fail };
}

const overloaded = () => new WaybillError('no_target_available', { message: 'busy' });

describe('a repetition', () => {
  it('gets the first answer, byte for byte and with its cost, and nothing is sent', async () => {
    const first = await ask(aRequest(), () => whole('{"ü":"\u{1F600}", "n":12345678901234567890}'));
    const again = await ask(aRequest(), () => whole('other'));
    expect(again.text).toBe('{"ü":"\u{1F600}", "n":12345678901234567890}');
    expect(again.inferenceId).toBe(first.inferenceId);
    expect(again.answer).toMatchObject({ headers: { 'openai-x': 'y' }, origin, costNanoUsd: 2n ** 60n + 1n });
    expect(sent).toBe(1);
  });

  it('of a stream gets the same events', async () => {
    const first = await ask(aRequest(), () => streamed('data: 1\n\n', 'data: 2\n\ndata: 3\n\n', DONE));
    const again = await ask(aRequest());
    expect(again.text).toBe(first.text);
    expect(again.text).toBe(`data: 1\n\ndata: 2\n\ndata: 3\n\n${DONE}`);
    expect(sent).toBe(1);
  });

  it('with another body, or at another endpoint, is a conflict; of another client or key it is no repetition', async () => {
    await ask(aRequest());
    const conflict = { code: 'conflict', status: 409 };
    await expect(ask(aRequest({ body: { model: 'm', prompt: 'y' } }))).rejects.toMatchObject(conflict);
    await expect(ask(aRequest({ endpoint: '/v1/chat/completions' }))).rejects.toMatchObject(conflict);
    expect(sent).toBe(1);
    await ask(aRequest({ client: 'b', body: { model: 'm', prompt: 'y' } }));
    await ask(aRequest(), whole, 'k2');
    expect(sent).toBe(3);
  });

  it('is answered again for 24 hours, and then anew', async () => {
    await ask(aRequest());
    await clock.advance(KEPT_MS);
    expect((await ask(aRequest(), () => whole('new'))).text).toBe('{"n":1}');
    await clock.advance(1);
    expect((await ask(aRequest({ body: { model: 'm', prompt: 'y' } }), () => whole('new'))).text).toBe('new');
    expect((await ask(aRequest({ body: { model: 'm', prompt: 'y' } }))).text).toBe('new');
    expect(sent).toBe(2);
  });
});

describe('repetitions at once', () => {
  it('are sent once, whatever their number, and all get that answer', async () => {
    const first = held();
    const told = Array.from({ length: 50 }, () => ask(aRequest(), first.answer));
    first.give(whole('one'));
    const texts = (await Promise.all(told)).map(({ text, inferenceId }) => `${inferenceId} ${text}`);
    expect(new Set(texts).size).toBe(1);
    expect(sent).toBe(1);
  });

  it('of a stream wait for its end', async () => {
    const first = held();
    const told = Array.from({ length: 5 }, () => ask(aRequest(), first.answer));
    first.give(streamed('data: 1\n\n', DONE));
    expect(new Set((await Promise.all(told)).map(({ text }) => text))).toEqual(new Set([`data: 1\n\n${DONE}`]));
    expect(sent).toBe(1);
  });

  it('conflict with one under way that asks something else', async () => {
    const first = held();
    const told = ask(aRequest(), first.answer);
    await expect(ask(aRequest({ body: { model: 'm', prompt: 'y' } }))).rejects.toMatchObject({ code: 'conflict' });
    first.give(whole());
    await told;
  });

  it('are told of the failure that the first met', async () => {
    const first = held();
    const told = [ask(aRequest(), first.answer), ask(aRequest(), first.answer)];
    first.fail(overloaded());
    const ends = await Promise.allSettled(told);
    expect(ends).toMatchObject([
      { reason: { code: 'no_target_available' } },
      { reason: { code: 'no_target_available' } },
    ]);
    expect(sent).toBe(1);
  });

  it('go on without the first when its client leaves', async () => {
    const first = held();
    const leaver = aRequest();
    const left = ask(leaver, first.answer);
    const second = aRequest();
    const told = [ask(second), ask(aRequest())];
    leaver.life.clientLeft();
    first.fail(overloaded());
    await expect(left).rejects.toThrow();
    expect((await Promise.all(told)).map(({ inferenceId }) => inferenceId)).toEqual([
      second.inferenceId,
      second.inferenceId,
    ]);
    expect(sent).toBe(2);
  });

  it('wait no longer than their own client, the daemon or the time allows', async () => {
    const first = held();
    const told = ask(aRequest(), first.answer);
    const [gone, stopped] = [aRequest(), aRequest()];
    const waits = [ask(gone), ask(stopped), ask(aRequest())].map((wait) => wait.catch((error: unknown) => error));
    gone.life.clientLeft();
    stopped.life.end(new ShutdownError());
    await clock.advance(WAIT_MS);
    expect(await Promise.all(waits)).toMatchObject([
      { message: 'the client closed the connection' },
      { code: 'shutting_down' },
      { code: 'upstream_timeout', status: 504 },
    ]);
    first.give(whole());
    await told;
    expect(sent).toBe(1);
  });
});

describe('not kept, so that a repetition really is a retry', () => {
  it('is a failure', async () => {
    const failing = () => Promise.reject(overloaded());
    await expect(ask(aRequest(), failing)).rejects.toThrow('busy');
    expect((await ask(aRequest(), () => whole('well'))).text).toBe('well');
    expect(sent).toBe(2);
  });

  it('is a stream that broke, though those who waited see how it ended', async () => {
    const first = held();
    const broken = `data: {"choices":[]}\n\ndata: {"error":{}}\n\n`;
    const told = [ask(aRequest(), first.answer), ask(aRequest())];
    first.give(streamed('data: {"choices":[]}\n\n', 'data: {"error":{}}\n\n'));
    expect((await Promise.all(told)).map(({ text }) => text)).toEqual([broken, broken]);
    await ask(aRequest());
    expect(sent).toBe(2);
  });

  it('is a stream whose client left before its end, though it was read to its end', async () => {
    const request = aRequest();
    request.life.outliveClient();
    request.life.clientLeft();
    await ask(request, () => streamed(DONE));
    await ask(aRequest());
    expect(sent).toBe(2);
  });

  it('is an answer that is too large, and the log says so', async () => {
    const large = 'x'.repeat(MAX_BYTES + 1);
    expect((await ask(aRequest(), () => whole(large))).text).toBe(large);
    await ask(aRequest(), () => streamed(`data: ${large}\n\n`, DONE));
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain('too large');
    await ask(aRequest());
    expect(sent).toBe(3);
  });

  it('is an answer that could not be written, which is given all the same', async () => {
    store.close();
    store = openSqliteIdempotency({ path: join(folder, 'other.db'), durability: 'process' });
    const failing = {
      ...store,
      find: () => null,
      keep: () => {
        throw new Error('full');
      },
    };
    const logger = { ...silentLogger, warn: (_fields: object, message = '') => void warnings.push(message) };
    idempotency = createIdempotency({ store: failing, clock, logger, waitMs: () => WAIT_MS });
    expect((await ask(aRequest())).text).toBe('{"n":1}');
    expect(warnings[0]).toContain('could not be kept');
  });
});

it('an answer is kept before its end is given', async () => {
  const request = aRequest();
  let wasKept = false;
  const answer = await idempotency.answer({
    request,
    key: 'k',
    dispatch: async () => streamed('data: 1\n\n', DONE),
    named: () => {},
  });
  if (answer.kind !== 'stream') throw new Error('no stream');
  await answer.pump({
    write: (text) => {
      if (text.toString().endsWith(DONE)) wasKept = store.find('a', 'k', 0) !== null;
    },
  });
  expect(wasKept).toBe(true);
});
