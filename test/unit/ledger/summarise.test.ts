import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CostQuery, CostRow, GroupBy, Ledger, LedgerEntry } from '../../../src/domain/ledger.js';
import { GROUP_NAMES } from '../../../src/domain/ledger.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import {
  anAttempt,
  anAttemptEnd,
  aRequest,
  aRequestEnd,
  aUsage,
  intentOf,
  settlementOf,
} from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

const folder = mkdtempSync(join(tmpdir(), 'waybill-summarise-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
async function withLedger<T>(entries: readonly LedgerEntry[], use: (ledger: Ledger) => T): Promise<T> {
  const path = join(folder, `${files++}.db`);
  const ledger = openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger });
  try {
    for (const entry of entries) await ledger.write(entry);
    return use(ledger);
  } finally {
    await ledger.close();
  }
}

function query(overrides: Partial<CostQuery>): CostQuery {
  return { from: null, to: null, groupBy: [], filters: {}, timeZone: 'UTC', ...overrides };
}

function figures({ group: _, ...rest }: CostRow): Omit<CostRow, 'group'> {
  return rest;
}

function sumOf(rows: readonly CostRow[]): Record<string, number | bigint> {
  const sums: Record<string, number | bigint> = {};
  for (const row of rows) {
    for (const [name, value] of Object.entries(figures(row))) {
      const before = sums[name] ?? (typeof value === 'bigint' ? 0n : 0);
      sums[name] = typeof value === 'bigint' ? (before as bigint) + value : (before as number) + value;
    }
  }
  return sums;
}

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });
const name = fc.constantFrom('a', 'b', 'c', '=cmd', 'ü"\'');

const attemptArbitrary = fc.record({
  provider: name,
  providerModel: name,
  key: maybe(name),
  region: maybe(name),
  cost: maybe(fc.bigInt({ min: 0n, max: 2n ** 62n })),
  usage: maybe(
    fc.record({
      source: fc.constantFrom('reported' as const, 'estimated' as const, 'lower-bound' as const),
      input: maybe(fc.nat()),
      cachedInput: maybe(fc.nat()),
      output: maybe(fc.nat()),
      reasoning: maybe(fc.nat()),
    }),
  ),
  isSettled: fc.boolean(),
});

const requestArbitrary = fc.record({
  // Around both changes of the clocks in Europe and America, and the turn of a year.
  receivedAt: fc.oneof(
    fc.integer({ min: Date.UTC(2026, 9, 24), max: Date.UTC(2026, 10, 3) }),
    fc.integer({ min: Date.UTC(2025, 11, 30), max: Date.UTC(2026, 0, 6) }),
  ),
  client: name,
  model: name,
  endpoint: name,
  region: maybe(name),
  tags: fc.dictionary(fc.constantFrom('team', 'env'), name),
  outcome: fc.constantFrom('ok' as const, 'failed' as const, 'cancelled' as const, 'refused' as const),
  isSettled: fc.boolean(),
  attempts: fc.array(attemptArbitrary, { maxLength: 3 }),
});

type RandomRequest = typeof requestArbitrary extends fc.Arbitrary<infer T> ? T : never;

function entriesOf(random: RandomRequest, index: number): LedgerEntry[] {
  const inferenceId = `r${index}`;
  const { attempts, outcome, isSettled, ...request } = random;
  const entries: LedgerEntry[] = [{ request: aRequest({ ...request, inferenceId }) }];
  for (const [at, { cost, usage, isSettled: isAttemptSettled, ...attempt }] of attempts.entries()) {
    entries.push({ attemptIntent: anAttempt({ ...attempt, inferenceId, attempt: at + 1 }) });
    if (!isAttemptSettled) continue;
    const { source, ...counts } = usage ?? { source: 'reported' as const };
    entries.push({
      attemptSettlement: anAttemptEnd({
        inferenceId,
        attempt: at + 1,
        costNanoUsd: cost,
        usage: usage === null ? null : aUsage(counts, source),
      }),
    });
  }
  if (isSettled) entries.push({ requestSettlement: aRequestEnd({ inferenceId, outcome }) });
  return entries;
}

/** The total worked out without SQL. */
function expectedTotal(randoms: readonly RandomRequest[]): Partial<CostRow> {
  const attempts = randoms.flatMap((random) => random.attempts);
  const settled = attempts.filter((attempt) => attempt.isSettled);
  const costs = settled.flatMap(({ cost }) => (cost === null ? [] : [cost]));
  const unsure = settled.flatMap(({ cost, usage }) =>
    cost === null || usage === null || usage.source === 'reported' ? [] : [cost],
  );
  return {
    requests: randoms.length,
    attempts: attempts.length,
    errors: randoms.filter((random) => random.isSettled && ['failed', 'refused'].includes(random.outcome)).length,
    inputTokens: settled.reduce((sum, { usage }) => sum + (usage?.input ?? 0), 0),
    reasoningTokens: settled.reduce((sum, { usage }) => sum + (usage?.reasoning ?? 0), 0),
    costNanoUsd: costs.reduce((sum, cost) => sum + cost, 0n),
    estimatedCostNanoUsd: unsure.reduce((sum, cost) => sum + cost, 0n),
    unpricedRequests: randoms.filter((random) => random.attempts.some((a) => a.isSettled && a.cost === null)).length,
  };
}

describe('totals', () => {
  it('are the same under every cut and every pair of cuts, in any time zone, for any ledger', {
    timeout: 120_000,
  }, async () => {
    const cuts: GroupBy[] = [...GROUP_NAMES, 'tag:team', 'tag:nobody-has-this'];
    await fc.assert(
      fc.asyncProperty(fc.array(requestArbitrary, { maxLength: 25 }), fc.nat(), async (randoms, seed) => {
        await withLedger(randoms.flatMap(entriesOf), (ledger) => {
          const reader = ledger.reader();
          const { total } = reader.summarise(query({}));
          expect(total).toMatchObject(expectedTotal(randoms));
          for (const timeZone of ['UTC', 'America/New_York', 'Asia/Kathmandu']) {
            for (const [index, cut] of cuts.entries()) {
              const other = cuts[(index + seed) % cuts.length] as GroupBy;
              for (const groupBy of [[cut], [cut, other]]) {
                const summary = reader.summarise(query({ groupBy, timeZone }));
                expect(summary.total).toEqual(total);
                if (randoms.length > 0) expect(sumOf(summary.rows)).toEqual(figures(total));
              }
            }
          }
        });
      }),
      { numRuns: 25 },
    );
  });

  it('split by a filter and its complement add up to the whole', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(requestArbitrary, { minLength: 1, maxLength: 20 }), async (randoms) => {
        await withLedger(randoms.flatMap(entriesOf), (ledger) => {
          const reader = ledger.reader();
          const whole = reader.summarise(query({ groupBy: ['provider'] }));
          const parts = whole.rows.map((row) => {
            return reader.summarise(query({ filters: { provider: [row.group['provider'] ?? ''] } })).total;
          });
          expect(sumOf(parts)).toEqual(figures(whole.total));
        });
      }),
      { numRuns: 15 },
    );
  });
});

describe('a cost summary', () => {
  const retried: LedgerEntry[] = [
    intentOf('a', { request: { tags: { team: 'x' } }, attempt: { provider: 'first', region: 'eu' } }),
    {
      attemptSettlement: anAttemptEnd({
        inferenceId: 'a',
        outcome: 'failed',
        costNanoUsd: 300n,
        usage: aUsage({ input: 3 }),
      }),
      attemptIntent: anAttempt({ inferenceId: 'a', attempt: 2, provider: 'second' }),
    },
    settlementOf('a', { attempt: { attempt: 2, costNanoUsd: 4_000n } }),
  ];

  it('puts cost where it was caused, and the request once, at its last attempt', async () => {
    const { rows } = await withLedger(retried, (ledger) => ledger.reader().summarise(query({ groupBy: ['provider'] })));
    expect(rows).toMatchObject([
      { group: { provider: 'second' }, requests: 1, attempts: 1, costNanoUsd: 4_000n, inputTokens: 10 },
      { group: { provider: 'first' }, requests: 0, attempts: 1, costNanoUsd: 300n, inputTokens: 3 },
    ]);
  });

  it('counts an unpriced request where the price was missing', async () => {
    const entries: LedgerEntry[] = [
      intentOf('a', { attempt: { provider: 'first' } }),
      {
        attemptSettlement: anAttemptEnd({ inferenceId: 'a', costNanoUsd: null, unpricedReason: 'no-price' }),
        attemptIntent: anAttempt({ inferenceId: 'a', attempt: 2, provider: 'second' }),
      },
      settlementOf('a', { attempt: { attempt: 2 } }),
    ];
    const { rows, total } = await withLedger(entries, (ledger) =>
      ledger.reader().summarise(query({ groupBy: ['provider'] })),
    );
    expect(rows.map(({ group, unpricedRequests }) => [group['provider'], unpricedRequests])).toEqual([
      ['second', 0],
      ['first', 1],
    ]);
    expect(total.unpricedRequests).toBe(1);
  });

  it('counts failed, refused and interrupted requests as errors, cancelled ones and retried attempts not', async () => {
    const outcomes = ['ok', 'failed', 'cancelled', 'refused'] as const;
    const entries = outcomes.flatMap((outcome) => [intentOf(outcome), settlementOf(outcome, { request: { outcome } })]);
    const { total } = await withLedger([...retried, ...entries], (ledger) => ledger.reader().summarise(query({})));
    expect(total).toMatchObject({ requests: 5, attempts: 6, errors: 2 });
  });

  it('of an empty ledger has no rows and a total of nothing', async () => {
    const summary = await withLedger([], (ledger) => ledger.reader().summarise(query({ groupBy: ['client'] })));
    expect(summary.rows).toEqual([]);
    expect(summary.total).toMatchObject({ requests: 0, costNanoUsd: 0n, estimatedCostNanoUsd: 0n });
  });

  it('takes the region the call went to, and where it names none, the one asked for', async () => {
    const entries = [
      ...retried,
      intentOf('asked', { request: { region: 'us' } }),
      intentOf('both', { request: { region: 'us' }, attempt: { region: 'eu' } }),
    ];
    const { rows } = await withLedger(entries, (ledger) => ledger.reader().summarise(query({ groupBy: ['region'] })));
    const attempts = Object.fromEntries(rows.map((row) => [row.group['region'], row.attempts]));
    expect(attempts).toEqual({ eu: 2, us: 1, null: 1 });
  });

  it('groups by tags of any name', async () => {
    const tags = { 'a.b': '1', $x: '2', 'q"uo\'te': '3' };
    const entries = [intentOf('a', { request: { tags } }), intentOf('b')];
    await withLedger(entries, (ledger) => {
      for (const [tag, value] of Object.entries(tags)) {
        const { rows } = ledger.reader().summarise(query({ groupBy: [`tag:${tag}`] }));
        expect(rows.map(({ group }) => group[`tag:${tag}`]).sort()).toEqual([value, null].sort());
      }
    });
  });

  it('refuses a group that SQL does not know', async () => {
    await withLedger([], (ledger) => {
      expect(() => ledger.reader().summarise(query({ groupBy: ['constructor' as GroupBy] }))).toThrow(/no group/);
    });
  });
});

describe('parts of the calendar', () => {
  let ledger: Ledger;
  const at = (text: string) => Date.parse(text);

  beforeAll(async () => {
    const path = join(folder, 'calendar.db');
    ledger = openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger });
    const instants = [
      '2026-10-24T21:59:59.999Z', // 23:59 on the 24th in Berlin
      '2026-10-24T22:00:00Z', // 00:00 on the 25th, which has 25 hours
      '2026-10-25T00:30:00Z', // 02:30, the first time
      '2026-10-25T01:30:00Z', // 02:30, the second time
      '2026-10-25T22:59:59Z', // 23:59, a Sunday
      '2026-10-25T23:00:00Z', // Monday
      '2026-10-31T23:00:00Z', // November
    ];
    for (const [index, instant] of instants.entries()) {
      await ledger.write(intentOf(`r${index}`, { request: { receivedAt: at(instant) } }));
    }
    return () => ledger.close();
  });

  const counts = (groupBy: GroupBy, overrides: Partial<CostQuery> = {}) => {
    const { rows } = ledger.reader().summarise(query({ groupBy: [groupBy], timeZone: 'Europe/Berlin', ...overrides }));
    return rows.map((row) => [row.group[groupBy], row.requests]);
  };

  it('are those of the time zone, in order of time', () => {
    expect(counts('day')).toEqual([
      ['2026-10-24', 1],
      ['2026-10-25', 4],
      ['2026-10-26', 1],
      ['2026-11-01', 1],
    ]);
    expect(counts('week')).toEqual([
      ['2026-10-19', 5],
      ['2026-10-26', 2],
    ]);
    expect(counts('month')).toEqual([
      ['2026-10', 6],
      ['2026-11', 1],
    ]);
    expect(counts('month', { timeZone: 'UTC' })).toEqual([['2026-10', 7]]);
  });

  it('tell the hour that comes twice apart', () => {
    expect(counts('hour', { from: at('2026-10-25T00:00:00Z'), to: at('2026-10-25T02:00:00Z') })).toEqual([
      ['2026-10-25T02:00+01:00', 1],
      ['2026-10-25T02:00+02:00', 1],
    ]);
  });

  it('filter too', () => {
    expect(counts('client', { filters: { day: ['2026-10-25', '2026-11-01'] } })).toEqual([['team-a', 5]]);
  });

  it('include the start of a range and not its end', () => {
    const range = { from: at('2026-10-24T22:00:00Z'), to: at('2026-10-25T23:00:00Z') };
    expect(counts('client', range)).toEqual([['team-a', 4]]);
  });
});
