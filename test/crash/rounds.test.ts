import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningSandbox, startSandbox } from '../../src/providers/sandbox/server.js';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';

/** More for a long look: `WAYBILL_CRASH_ROUNDS=200 npx vitest run test/crash/rounds`. */
const ROUNDS = Number(process.env['WAYBILL_CRASH_ROUNDS'] ?? 10);
const CALLERS = 12;
const ENDED_A_ROUND = 3;
const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** What the callers mix: whole answers, streams, retries after each kind of failure, streams that break, waits. */
const SCRIPTS = [
  '',
  '[[chunks=20 chunk-delay=2]]',
  '[[status=500 times=1]]',
  '[[status=429 retry-after=0 times=1]]',
  '[[loading=0.01 times=1]]',
  '[[cut-after=4 chunks=12]]',
  '[[malformed times=1]]',
  '[[delay=15]]',
  '[[no-usage]]',
];

let sandbox: RunningSandbox;
let daemon: Daemon;

beforeAll(async () => {
  sandbox = await startSandbox();
  daemon = await startDaemon({
    config: {
      logging: { level: 'fatal' },
      llm_providers: [
        {
          id: 'up',
          type: 'openai_compatible',
          base_url: `${sandbox.url}/v1`,
          api_keys: ['one', 'two', 'three'],
          models: [{ id: 'sandbox-small' }],
          pricing: { input_token_cost: '0.0000001', output_token_cost: '0.0000004' },
        },
      ],
      policy: {
        retry: { max_attempts: 3, interval: '1ms', max_interval: '5ms', max_wait: '1s' },
        cooldown: { failures: 1_000_000, window: '1s', open: '1ms' },
      },
    },
  });
});
afterAll(async () => {
  await daemon?.stop();
  await sandbox?.close();
});

it(`is clean after ${ROUNDS} kills at random instants, and every answer that was seen to end has its row`, {
  timeout: 30_000 + ROUNDS * 6_000,
}, async () => {
  const finished = new Map<string, string | null>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const load = new AbortController();
    const callers = Array.from({ length: CALLERS }, (_, caller) =>
      callUntil(load.signal, round * CALLERS + caller, finished),
    );
    // Paced by progress, not by time: a machine that is busy is no reason to kill before anything ends.
    const enough = finished.size + ENDED_A_ROUND;
    const deadline = Date.now() + 5_000;
    while (finished.size < enough && Date.now() < deadline) await sleep(1);
    await sleep(Math.random() * 300);
    daemon.kill('SIGKILL');
    await daemon.waitForExit();
    load.abort();
    await Promise.all(callers);
    await daemon.restart();
    const { code, result } = await verify();
    expect(result, `round ${round}`).toMatchObject({ ok: true, differences: [] });
    expect(code).toBe(0);
  }
  expect(finished.size).toBeGreaterThanOrEqual(ROUNDS);
  for (const [id, cost] of finished) {
    const row = await daemon.admin<{ outcome: string; cost_nano_usd: number | null }>(`/requests/${id}`);
    expect(['ok', 'failed'], `${id} is ${row.outcome}`).toContain(row.outcome);
    if (cost !== null) expect(String(row.cost_nano_usd)).toBe(cost);
  }
  const { requests } = await daemon.admin<{ requests: unknown[] }>('/requests?status=in_flight');
  expect(requests).toEqual([]);
});

/** Asks until told to stop; every fourth request is left before its end. Notes what was seen to end. */
async function callUntil(signal: AbortSignal, seed: number, finished: Map<string, string | null>): Promise<void> {
  for (let turn = seed; !signal.aborted; turn += 1) {
    const script = SCRIPTS[turn % SCRIPTS.length] ?? '';
    const stream = turn % 2 === 0;
    const leaving = new AbortController();
    try {
      const response = await fetch(`${daemon.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${CLIENT_KEY}` },
        body: JSON.stringify({
          model: 'sandbox-small',
          messages: [{ role: 'user', content: `${script} words of ${turn}` }],
          max_tokens: 100,
          stream,
        }),
        signal: leaving.signal,
      });
      if (turn % 4 === 3) {
        leaving.abort();
        continue;
      }
      const text = await response.text();
      const isEnded = stream
        ? text.endsWith('\n\n')
        : response.headers.get('content-length') === String(Buffer.byteLength(text));
      if (isEnded)
        finished.set(response.headers.get('inference-id') ?? '', response.headers.get('x-waybill-cost-nano-usd'));
    } catch {
      // The daemon died, or we left: what was not seen to end is not noted.
      await sleep(5);
    }
  }
}

async function verify(): Promise<{ code: number; result: unknown }> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [
      CLI,
      'ledger',
      'verify',
      '--json',
      '--ledger',
      daemon.ledgerFile,
    ]);
    return { code: 0, result: JSON.parse(stdout) };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { code, result: JSON.parse(stdout) };
  }
}
