import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { provider } from '../support/failing-providers.js';
import { chat, type Outcome, type SoakUpstream, soakSeconds, startSoakUpstream } from './harness.js';

/** One client fills the line; what another asks for is next but for what is being served. */
const QUEUED = 1_000;
const SINGLES = Math.max(5, Math.floor(soakSeconds(5)));
const SERVICE_MS = 200;

let upstream: SoakUpstream;
let daemon: Daemon;

beforeAll(async () => {
  upstream = await startSoakUpstream();
  daemon = await startDaemon({
    config: {
      logging: { level: 'fatal' },
      llm_providers: [provider('a', `${upstream.url}/p0`, { limits: { concurrency: 1 } })],
      api_keys: ['many', 'few'].map((id) => ({ id, key: `key-of-${id}` })),
      policy: { queue: { max_wait: '10m', max_length: 5_000 } },
    },
  });
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.stop();
});

it(`a client with ${QUEUED} requests in line delays the single ones of another by one service time at most`, {
  timeout: SINGLES * 3_000 + 120_000,
}, async () => {
  const leaving = new AbortController();
  const many = Array.from({ length: QUEUED }, (_, n) =>
    chat(daemon, { id: `many${n}`, ms: SERVICE_MS }, { key: 'key-of-many', signal: leaving.signal }),
  );
  await expect.poll(queueDepth, { timeout: 60_000 }).toBeGreaterThan(QUEUED - 60);
  const singles: Outcome[] = [];
  for (let n = 0; n < SINGLES; n += 1) {
    await sleep(Math.random() * SERVICE_MS);
    singles.push(await chat(daemon, { id: `few${n}`, ms: SERVICE_MS }, { key: 'key-of-few' }));
  }
  leaving.abort();
  await Promise.all(many);
  const log = await upstream.log();
  const delays: number[] = [];
  for (const { id, status, startedAt } of singles) {
    expect(status).toBe(200);
    const arrived = log.find((line) => line.id === id)?.at ?? 0;
    delays.push(arrived - startedAt);
    // The one under way when it came; the router's own time decides whether that had begun.
    const before = log.filter((line) => line.id.startsWith('many') && line.at > startedAt && line.at < arrived);
    expect(before.length, id).toBeLessThanOrEqual(1);
  }
  process.stdout.write(`delays of ${SINGLES} single requests, ms: ${delays.join(' ')}\n`);
  expect(median(delays)).toBeLessThanOrEqual(SERVICE_MS);
});

async function queueDepth(): Promise<number> {
  const text = await (await fetch(`${daemon.url}/metrics`)).text();
  return Number(/^waybill_queue_depth (\d+)/m.exec(text)?.[1] ?? 0);
}

function median(figures: readonly number[]): number {
  return [...figures].sort((one, other) => one - other)[Math.floor(figures.length / 2)] as number;
}
