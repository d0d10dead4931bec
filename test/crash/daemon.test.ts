import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningSandbox, startSandbox } from '../../src/providers/sandbox/server.js';
import { type Daemon, startDaemon } from '../support/daemon.js';

const ROUNDS = 8;
const CALLERS = 8;
const ANSWERS_A_ROUND = 24;

interface Row {
  inference_id: string;
  outcome: string;
  status: number | null;
  usage: { source: string } | null;
  cost_nano_usd: number | null;
  attempts: number;
}

let sandbox: RunningSandbox;
let daemon: Daemon;

beforeAll(async () => {
  sandbox = await startSandbox();
  daemon = await startDaemon({
    config: {
      llm_providers: [
        {
          id: 'up',
          type: 'openai_compatible',
          base_url: `${sandbox.url}/v1`,
          api_keys: ['key'],
          pricing: { input_token_cost: '0.0000001', output_token_cost: '0.0000004' },
        },
      ],
    },
  });
});
afterAll(async () => {
  await daemon?.stop();
  await sandbox?.close();
});

describe('kill -9 under load', () => {
  it('loses no row whose answer a client saw end, and leaves no spend invisible', { timeout: 120_000 }, async () => {
    const finished = new Map<string, bigint>();
    const begun = new Set<string>();
    for (let round = 0; round < ROUNDS; round++) {
      const load = new AbortController();
      const callers = Array.from({ length: CALLERS }, (_, caller) => callUntil(load.signal, caller, finished, begun));
      const all = Promise.all(callers);
      const enough = finished.size + ANSWERS_A_ROUND;
      // A caller that fails ends the test at once.
      while (finished.size < enough) await Promise.race([sleep(1), all]);
      // A different instant each round, so that the kill falls into every part of a request's life.
      await sleep(round * 3);
      daemon.kill('SIGKILL');
      await daemon.waitForExit();
      load.abort();
      await all;
      await daemon.restart();
    }

    const rows = new Map((await allRows()).map((row) => [row.inference_id, row]));
    expect(finished.size).toBeGreaterThanOrEqual(ROUNDS * ANSWERS_A_ROUND);
    for (const [id, cost] of finished) {
      const row = rows.get(id);
      expect(row, `answered and not recorded: ${id}`).toMatchObject({ outcome: 'ok', status: 200 });
      expect(BigInt(row?.cost_nano_usd ?? -1)).toBe(cost);
    }
    for (const id of begun) expect(rows.has(id), `begun and not recorded: ${id}`).toBe(true);

    const withOutcome = (outcome: string) => [...rows.values()].filter((row) => row.outcome === outcome);
    expect(withOutcome('in_flight')).toEqual([]);
    const interrupted = withOutcome('interrupted');
    expect(interrupted.length).toBeGreaterThan(0);
    for (const row of interrupted) {
      if (row.attempts === 0) continue;
      // What was held: 100 tokens of output at 400, and the input.
      expect(row.usage?.source).toBe('estimated');
      expect(row.cost_nano_usd).toBeGreaterThanOrEqual(40_000);
    }
    const attempts = [...rows.values()].reduce((sum, row) => sum + row.attempts, 0);
    expect(sandbox.stats().requests).toBeLessThanOrEqual(attempts);
  });
});

/** Asks again and again, streams and whole answers in turns, until told to stop; a connection that breaks is part of it. */
async function callUntil(
  signal: AbortSignal,
  caller: number,
  finished: Map<string, bigint>,
  begun: Set<string>,
): Promise<void> {
  for (let turn = caller; !signal.aborted; turn++) {
    const stream = turn % 2 === 0;
    const words = 5 + (turn % 20);
    const script = stream ? `[[chunks=${words} chunk-delay=3]]` : `[[chunks=${words} delay=${turn % 15}]]`;
    try {
      const response = await daemon.post('/v1/chat/completions', {
        model: 'up:sandbox-small',
        messages: [{ role: 'user', content: `${script} one two three ${caller}` }],
        max_tokens: 100,
        stream,
      });
      const id = response.headers.get('inference-id') ?? '';
      begun.add(id);
      const text = await response.text();
      const isWhole = stream ? text.endsWith('data: [DONE]\n\n') : response.ok;
      if (!isWhole) throw new Error(`an answer that ended badly without a crash: ${response.status} ${text}`);
      // Four words in at 100 nano-USD, the answer's at 400.
      finished.set(id, BigInt(4 * 100 + words * 400));
    } catch (error) {
      // fetch says `TypeError` for a broken or refused connection.
      if (!(error instanceof TypeError)) throw error;
      await sleep(5);
    }
  }
}

async function allRows(): Promise<Row[]> {
  const rows: Row[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const page: { requests: Row[]; next_cursor: string | null } = await daemon.admin(
      `/requests?limit=1000${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
    );
    rows.push(...page.requests);
    cursor = page.next_cursor;
  }
  return rows;
}
