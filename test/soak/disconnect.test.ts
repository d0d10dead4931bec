import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.js';
import { abortable, answer, chatBody, failure, provider, startRouter, stream } from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream, type UpstreamStep } from '../support/scripted-upstream.js';
import { soakSeconds } from './harness.js';

/** A client that leaves: how long until nothing of its request is under way. */
const ROUNDS = Math.max(5, Math.floor(soakSeconds(5) / 3));
const WITHIN_MS = 100;

let daemon: Daemon;
let upstream: ScriptedUpstream;

afterEach(async () => {
  await daemon.stop();
  await upstream.close();
});

async function start(script: readonly UpstreamStep[], rest: object = {}, policy: object = {}): Promise<void> {
  upstream = await startUpstream(script);
  daemon = await startRouter([provider('a', upstream.url, rest)], {
    policy: { queue: { max_wait: '60s' }, ...policy },
  });
}

interface Row {
  outcome: string;
  received_at: string;
  latency_ms: number | null;
}

/** From the client's leaving to the end that the ledger has of its request. */
async function sinceLeft(leftAt: number, user: string): Promise<number> {
  let row: Row | undefined;
  await expect
    .poll(
      async () => {
        const { requests } = await daemon.admin<{ requests: Row[] }>('/requests?limit=50&status=cancelled');
        row = requests.find((each) => Date.parse(each.received_at) + (each.latency_ms ?? 0) >= leftAt - 5);
        return row?.outcome;
      },
      { message: `of ${user}` },
    )
    .toBe('cancelled');
  return Date.parse(row?.received_at ?? '') + (row?.latency_ms ?? 0) - leftAt;
}

/** Half of the rounds or more: another process may hold the machine up in one. */
function expectSoon(what: string, waits: readonly number[]): void {
  process.stdout.write(`${what}, ms: ${waits.join(' ')}\n`);
  const sorted = [...waits].sort((one, other) => one - other);
  expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThanOrEqual(WITHIN_MS);
}

describe('within 100 ms of its client leaving', () => {
  it('a request that waits for room is out of the line', async () => {
    await start([{ hang: true }], { limits: { concurrency: 1 } });
    const holding = abortable(daemon, chatBody());
    const held = holding.response.catch(() => {});
    await upstream.waitForRequests(1);
    const waits: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const waiting = abortable(daemon, chatBody());
      const gone = waiting.response.catch(() => {});
      await expect.poll(queueDepth).toBe(1);
      const leftAt = Date.now();
      waiting.abort();
      await gone;
      waits.push(await sinceLeft(leftAt, 'the queue'));
      expect(await queueDepth()).toBe(0);
    }
    expect(upstream.requests).toHaveLength(1);
    holding.abort();
    await held;
    expectSoon('out of the queue', waits);
  });

  it('a request that waits between attempts is at its end', async () => {
    await start([failure(500)], {}, { retry: { max_attempts: 2, interval: '30s', max_interval: '30s' } });
    const waits: number[] = [];
    for (let round = 0; round < Math.min(4, ROUNDS); round += 1) {
      const waiting = abortable(daemon, chatBody());
      const gone = waiting.response.catch(() => {});
      await upstream.waitForRequests(round + 1);
      await upstream.requests[round]?.closed;
      await sleep(50);
      const leftAt = Date.now();
      waiting.abort();
      await gone;
      waits.push(await sinceLeft(leftAt, 'back-off'));
    }
    expect(upstream.requests).toHaveLength(Math.min(4, ROUNDS));
    expectSoon('out of a back-off', waits);
  });

  it('a request that waits for a key to cool down is at its end', async () => {
    await start([failure(429, undefined, { 'retry-after': '20' }), answer()]);
    const waits: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const waiting = abortable(daemon, chatBody());
      const gone = waiting.response.catch(() => {});
      if (round === 0) await upstream.waitForRequests(1);
      await sleep(100);
      const leftAt = Date.now();
      waiting.abort();
      await gone;
      waits.push(await sinceLeft(leftAt, 'cooling'));
    }
    expect(upstream.requests).toHaveLength(1);
    expectSoon('out of a cooldown', waits);
  });

  it.each<[string, UpstreamStep, object]>([
    ['before the first byte', { hang: true }, {}],
    [
      'after the headers',
      { status: 200, headers: { 'content-type': 'text/event-stream' }, body: ':\n\n', hang: true },
      { stream: true },
    ],
    ['in the middle of a stream', stream({ chunkDelayMs: 40 }), { stream: true }],
  ])('its call is cut %s', async (what, step, rest) => {
    await start([step]);
    const waits: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const calling = abortable(daemon, chatBody(rest));
      const gone = calling.response.then((response) => response.text()).catch(() => {});
      await upstream.waitForRequests(round + 1);
      await sleep(100);
      const request = upstream.requests[round];
      const leftAt = Date.now();
      const cutAt = request?.closed.then(() => Date.now());
      calling.abort();
      await gone;
      waits.push(((await cutAt) ?? 0) - leftAt);
      expect(request?.aborted).toBe(true);
      await sinceLeft(leftAt, what);
    }
    expectSoon(`cut ${what}`, waits);
  });
});

async function queueDepth(): Promise<number> {
  const text = await (await fetch(`${daemon.url}/metrics`)).text();
  return Number(/^waybill_queue_depth (\d+)/m.exec(text)?.[1] ?? 0);
}
