import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { provider } from '../support/failing-providers.js';
import { chat, type Outcome, type SoakUpstream, soakSeconds, startSoakUpstream } from './harness.js';
import type { Ask } from './script.js';

/** Who is asked, by each way of picking, as the upstream has it. `WAYBILL_SOAK_SECONDS=60` and more: 10,000 picks. */
const IS_LONG = soakSeconds(0) >= 60;
const PICKS = IS_LONG ? 10_000 : 3_000;
/** 2 % of 10,000 picks; of fewer, chance alone may be worth more. */
const SLACK = IS_LONG ? 0.02 : 0.035;
const AT_ONCE = 30;

let upstream: SoakUpstream;
let daemon: Daemon;
let asked = 0;

beforeAll(async () => {
  upstream = await startSoakUpstream();
});
afterEach(() => daemon.stop());
afterAll(() => upstream?.stop());

async function start(algorithm: string, providers: object[], rest: object = {}): Promise<void> {
  daemon = await startDaemon({
    config: {
      logging: { level: 'fatal' },
      llm_providers: providers.map((each, p) => provider(`p${p}`, `${upstream.url}/p${p}`, each)),
      policy: { algorithm },
      ...rest,
    },
  });
}

/** Asks so many times, some at once, and returns who answered each. */
async function pick(count: number, ask: Omit<Ask, 'id'>, body: object = {}): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let begun = 0;
  const lanes = Array.from({ length: Math.min(AT_ONCE, count) }, async () => {
    while (begun < count) {
      begun += 1;
      asked += 1;
      outcomes.push(await chat(daemon, { id: `s${asked}`, in: 20, out: 20, ...ask }, { body }));
    }
  });
  await Promise.all(lanes);
  expect(outcomes.filter(({ status }) => status !== 200)).toEqual([]);
  return outcomes;
}

function shareOf(outcomes: readonly Outcome[], id: string): number {
  return outcomes.filter((outcome) => outcome.provider === id).length / outcomes.length;
}

describe('lowest_latency', () => {
  it.each([2, 3])(
    'takes from the slow one of %i, and gives back when it is fast again',
    { timeout: 120_000 },
    async (many) => {
      await start(
        'lowest_latency',
        Array.from({ length: many }, () => ({})),
      );
      const even = { ms: 10 };
      const slow = { ms: 10, slow: { provider: 0, ms: 200 } };
      await pick(300, even);
      await pick(300, slow);
      const whileSlow = shareOf(await pick(600, slow), 'p0');
      expect(whileSlow).toBeLessThan(0.05);
      let again = 0;
      const since = Date.now();
      while (again < 0.5 / many && Date.now() - since < 60_000) again = shareOf(await pick(200, even), 'p0');
      process.stdout.write(`of ${many}: ${whileSlow} while slow, ${again} after ${Date.now() - since} ms\n`);
      expect(again).toBeGreaterThanOrEqual(0.5 / many);
    },
  );
});

describe('lowest_cost', () => {
  const CHEAP_IN = { pricing: { input_token_cost: '0.0000001', output_token_cost: '0.00001' } };
  const CHEAP_OUT = { pricing: { input_token_cost: '0.000001', output_token_cost: '0.000001' } };
  const LONG = { messages: [{ role: 'user', content: 'one'.concat(' one'.repeat(4_000)) }] };

  it.each([
    ['a long question with a short answer', { ...LONG, max_tokens: 10 }, 'p0'],
    ['a short question with a long answer', { max_tokens: 2_000 }, 'p1'],
    ['a short question whose answer has no bound', {}, 'p1'],
  ])('picks by the size of %s', async (_, body, expected) => {
    await start('lowest_cost', [CHEAP_IN, CHEAP_OUT]);
    expect(shareOf(await pick(20, {}, body), expected)).toBe(1);
  });

  it('picks by what models usually write, once that is known', async () => {
    await start('lowest_cost', [CHEAP_IN, CHEAP_OUT]);
    // Answers of five tokens: what has no bound is cheap where input is, then.
    await pick(60, { in: 4_000, out: 5 }, { ...LONG, model: 'p0:m' });
    await pick(60, { in: 4_000, out: 5 }, { ...LONG, model: 'p1:m' });
    expect(shareOf(await pick(20, {}, LONG), 'p0')).toBe(1);
  });
});

describe(`weights hold over ${PICKS} picks`, () => {
  it('of entries', { timeout: 120_000 }, async () => {
    await start('weighted', [{ weight: 5 }, { weight: 3 }, { weight: 2 }]);
    const outcomes = await pick(PICKS, {});
    const shares = ['p0', 'p1', 'p2'].map((id) => shareOf(outcomes, id));
    process.stdout.write(`entries 5:3:2: ${shares.join(' ')}\n`);
    for (const [index, share] of [0.5, 0.3, 0.2].entries())
      expect(Math.abs((shares[index] as number) - share)).toBeLessThan(SLACK);
  });

  it('of the targets of an alias', { timeout: 120_000 }, async () => {
    const targets = [
      { model: 'p0:m', weight: 3 },
      { model: 'p1:m', weight: 1 },
    ];
    await start('weighted', [{}, {}], { model_aliases: { smart: { targets } } });
    const share = shareOf(await pick(PICKS, {}, { model: 'smart' }), 'p0');
    process.stdout.write(`alias 3:1: ${share}\n`);
    expect(Math.abs(share - 0.75)).toBeLessThan(SLACK);
  });

  it('of keys', { timeout: 120_000 }, async () => {
    await start('hybrid', [{ api_keys: [{ key: 'heavy', weight: 3 }, { key: 'light' }] }]);
    const before = asked;
    await pick(PICKS, {});
    const log = (await upstream.log()).filter(({ id }) => Number(id.slice(1)) > before);
    const share = log.filter(({ key }) => key === 'heavy').length / log.length;
    process.stdout.write(`keys 3:1: ${share}\n`);
    expect(log).toHaveLength(PICKS);
    expect(Math.abs(share - 0.75)).toBeLessThan(0.02);
  });
});
