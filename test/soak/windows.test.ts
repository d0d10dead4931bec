import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { provider } from '../support/failing-providers.js';
import { chat, type Outcome, type SoakUpstream, soakSeconds, startSoakUpstream } from './harness.js';
import type { Log } from './script.js';

/**
 * Bursts against the limits of three keys, as the upstream's own log has them. The first half asks for many small
 * answers, so that requests are what runs out; the second for fewer and larger ones, so that tokens do.
 */
const SECONDS = soakSeconds(66);
const KEYS = ['one', 'two', 'three'];
const REQUESTS = 60;
const TOKENS = 10_000;
const MINUTE = 60_000;
const CLIENTS = ['alpha', 'beta', 'gamma'];

let upstream: SoakUpstream;
let daemon: Daemon;

beforeAll(async () => {
  upstream = await startSoakUpstream();
  daemon = await startDaemon({
    config: {
      logging: { level: 'fatal' },
      llm_providers: [
        provider('a', `${upstream.url}/p0`, {
          api_keys: KEYS,
          limits: { req_per_min: REQUESTS, tokens_per_min: TOKENS },
        }),
      ],
      api_keys: CLIENTS.map((id) => ({ id, key: `key-of-${id}` })),
      policy: { queue: { max_wait: '75s', max_length: 2_000 } },
    },
  });
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.stop();
});

/** Words of one token each; the framing of one message is six more. */
function prompt(tokens: number): { messages: object[] } {
  return { messages: [{ role: 'user', content: 'one'.concat(' one'.repeat(Math.max(0, tokens - 7))) }] };
}

/** Small ones: some as estimated, some refunded, some estimated at a hundred times what they use. */
function aSmallOne(n: number): { in: number; out: number; bound: number } {
  const input = 10 + ((n * 7) % 40);
  const kind = n % 10;
  if (kind === 0) return { in: input, out: 4, bound: 1_000 };
  if (kind < 5) return { in: input, out: 10, bound: 60 };
  return { in: input, out: 30, bound: 30 };
}

/** Larger ones: about 230 tokens, most of which are used. */
function aLargeOne(n: number): { in: number; out: number; bound: number } {
  const input = 60 + ((n * 13) % 60);
  return n % 5 === 0 ? { in: input, out: 120, bound: 160 } : { in: input, out: 140, bound: 140 };
}

it(`holds every window of ${SECONDS} s and leaves nothing unused while there is demand`, {
  timeout: (SECONDS + 120) * 1_000,
}, async () => {
  const start = Date.now();
  const turn = start + (SECONDS * 1_000) / 2;
  const end = start + SECONDS * 1_000;
  const hasTwoParts = SECONDS >= 200;
  const leaving = new AbortController();
  const pending: Array<Promise<Outcome>> = [];
  let waiting = 0;
  let n = 0;
  // Bursts, each as large as what is left in the queue needs to last until the next.
  while (Date.now() < end) {
    for (let more = 260 - waiting; more > 0; more -= 1) {
      n += 1;
      const isLarge = hasTwoParts && Date.now() >= turn;
      const { bound, ...usage } = isLarge ? aLargeOne(n) : aSmallOne(n);
      waiting += 1;
      pending.push(
        chat(
          daemon,
          { id: `r${n}`, ...usage, ms: 30 + ((n * 37) % 300) },
          {
            body: { ...prompt(usage.in), max_tokens: bound },
            key: `key-of-${CLIENTS[n % CLIENTS.length]}`,
            signal: leaving.signal,
          },
        ).finally(() => {
          waiting -= 1;
        }),
      );
    }
    await sleep(Math.min(5_000, Math.max(0, end - Date.now())));
  }
  leaving.abort();
  const outcomes = await Promise.all(pending);
  const log = await upstream.log();
  const failed = outcomes.filter(({ status }) => status !== 200 && status !== 0);
  // Each window is as long as it lasts: a request that waited in vain is told so, and nothing else goes wrong.
  expect(new Set(failed.map(({ status, code }) => `${status} ${code}`))).toEqual(
    new Set(failed.length === 0 ? [] : ['429 rate_limit_exceeded']),
  );
  const report: object[] = [];
  for (const key of KEYS) {
    const calls = log.filter((line) => line.key === key);
    expect(mostIn(calls, () => 1)).toBeLessThanOrEqual(REQUESTS);
    expect(mostIn(calls, (line) => line.in + line.out)).toBeLessThanOrEqual(TOKENS);
    const requests = reuse(calls.filter(({ at }) => !hasTwoParts || at < turn).map(({ at }) => at));
    const tokens = hasTwoParts
      ? averageIn(calls, (line) => line.in + line.out, { from: turn + MINUTE + 1_000, to: end }) / TOKENS
      : null;
    report.push({
      key,
      calls: calls.length,
      requests,
      tokens,
      mostTokens: mostIn(calls, (line) => line.in + line.out),
    });
  }
  process.stdout.write(`${JSON.stringify(report)} refused ${failed.length}\n`);
  for (const line of report as Array<{ requests: number; tokens: number | null }>) {
    expect(line.requests).toBeGreaterThanOrEqual(0.97);
    if (line.tokens !== null) expect(line.tokens).toBeGreaterThanOrEqual(0.97);
  }
});

/** The most that any minute saw, wherever it starts. */
function mostIn(calls: readonly Log[], weigh: (line: Log) => number): number {
  const sorted = [...calls].sort((one, other) => one.at - other.at);
  let most = 0;
  let sum = 0;
  let oldest = 0;
  for (const line of sorted) {
    sum += weigh(line);
    for (; (sorted[oldest] as Log).at <= line.at - MINUTE; oldest += 1) sum -= weigh(sorted[oldest] as Log);
    most = Math.max(most, sum);
  }
  return most;
}

/** How much of the capacity is used: a minute against the time until a slot is taken again. */
function reuse(instants: readonly number[]): number {
  const sorted = [...instants].sort((one, other) => one - other);
  const periods = sorted.slice(REQUESTS).map((at, index) => at - (sorted[index] as number));
  return MINUTE / (periods.reduce((sum, period) => sum + period, 0) / periods.length);
}

/** The average over all minutes that lie within the span, one beginning each 100 ms. */
function averageIn(calls: readonly Log[], weigh: (line: Log) => number, span: { from: number; to: number }): number {
  let sum = 0;
  let windows = 0;
  for (let at = span.from; at + MINUTE <= span.to; at += 100) {
    sum += calls.reduce((used, line) => (line.at >= at && line.at < at + MINUTE ? used + weigh(line) : used), 0);
    windows += 1;
  }
  return sum / windows;
}
