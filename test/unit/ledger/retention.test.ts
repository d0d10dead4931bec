import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CostQuery, GroupBy, Ledger } from '../../../src/domain/ledger.js';
import { pruneLedgerFile, repriceLedgerFile, verifyLedgerFile } from '../../../src/ledger/sqlite/maintenance.js';
import { openSqliteReader } from '../../../src/ledger/sqlite/reader.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import {
  anAttempt,
  anAttemptEnd,
  aPriceRecord,
  intentOf,
  PRICE_1,
  START,
  settlementOf,
} from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

describe('retention', () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'waybill-retention-'));
    path = join(folder, 'waybill.db');
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  const open = (options: { clock?: FakeClock; retentionDays?: number } = {}) =>
    openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger, ...options });

  async function writeAt(ledger: Ledger, instants: readonly number[]): Promise<void> {
    await ledger.recordPrices([PRICE_1]);
    for (const [index, receivedAt] of instants.entries()) {
      const id = `r${receivedAt}-${index}`;
      const provider = index % 2 === 0 ? 'hf' : 'openai';
      await ledger.write(intentOf(id, { request: { receivedAt, tags: { team: 'x' } }, attempt: { provider } }));
      if (index % 3 === 0) {
        await ledger.write({
          attemptSettlement: anAttemptEnd({ inferenceId: id, outcome: 'failed', status: 500 }),
          attemptIntent: anAttempt({ inferenceId: id, attempt: 2 }),
        });
      }
      await ledger.write(settlementOf(id, { attempt: { attempt: index % 3 === 0 ? 2 : 1 } }));
    }
  }

  /** Twelve requests a day for ten days, at odd minutes. */
  const TEN_DAYS = Array.from({ length: 120 }, (_, index) => START + index * 2 * HOUR_MS + index * 61_000);

  const query = (overrides: Partial<CostQuery> = {}): CostQuery => ({
    from: null,
    to: null,
    groupBy: [],
    filters: {},
    timeZone: 'UTC',
    ...overrides,
  });

  function read<T>(use: (reader: ReturnType<typeof openSqliteReader>) => T): T {
    const reader = openSqliteReader(path);
    try {
      return use(reader);
    } finally {
      reader.close();
    }
  }

  it('deletes rows and keeps every total of every cut, in any time zone, and the chain clean', async () => {
    const ledger = open();
    await writeAt(ledger, TEN_DAYS);
    await ledger.close();
    const cuts: GroupBy[] = ['client', 'provider', 'price', 'month', 'day', 'hour', 'week'];
    const wholeHours = ['UTC', 'America/New_York'].flatMap((timeZone) =>
      cuts.map((cut) => query({ timeZone, groupBy: [cut, 'usage_source'] })),
    );
    const before = wholeHours.map((each) => read((reader) => reader.summarise(each)));
    const { total } = read((reader) => reader.summarise(query()));
    const deleted = pruneLedgerFile(path, { before: START + 5 * DAY_MS, now: START + 20 * DAY_MS });
    expect(deleted).toBeGreaterThan(50);
    expect(read((reader) => reader.listRequests({ from: null, to: null, limit: 1_000 }).requests)).toHaveLength(
      TEN_DAYS.length - deleted,
    );
    expect(wholeHours.map((each) => read((reader) => reader.summarise(each)))).toEqual(before);
    for (const timeZone of ['Asia/Kathmandu', 'Australia/Lord_Howe']) {
      for (const groupBy of [...cuts.map((cut) => [cut]), ['tag:team'], ['tags', 'hour']] as GroupBy[][]) {
        expect(read((reader) => reader.summarise(query({ timeZone, groupBy }))).total).toEqual(total);
      }
    }
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, differences: [] });
    expect(pruneLedgerFile(path, { before: START + 5 * DAY_MS, now: START + 20 * DAY_MS })).toBe(0);
  });

  it('counts a pruned hour where it begins, so that ranges that meet count everything once', async () => {
    const ledger = open();
    await writeAt(ledger, [START + 10 * 60_000, START + 50 * 60_000, START + 90 * 60_000]);
    await ledger.close();
    pruneLedgerFile(path, { before: START + HOUR_MS, now: START });
    const requests = (from: number, to: number) =>
      read((reader) => reader.summarise(query({ from, to })).total.requests);
    const cut = START + 30 * 60_000;
    expect([requests(START - HOUR_MS, cut), requests(cut, START + 2 * HOUR_MS)]).toEqual([2, 1]);
    expect([requests(START, cut), requests(cut, cut + 60_000), requests(cut + 60_000, START + HOUR_MS)]).toEqual([
      2, 0, 0,
    ]);
  });

  it('names the totals of a pruned hour that another tool changed', async () => {
    const ledger = open();
    await writeAt(ledger, TEN_DAYS);
    await ledger.close();
    pruneLedgerFile(path, { before: START + DAY_MS, now: START });
    const db = new Database(path);
    db.exec(`UPDATE rollups SET cost_low = cost_low + 1 WHERE hour = ${START / HOUR_MS}`);
    db.close();
    expect(verifyLedgerFile(path).differences).toEqual([
      expect.objectContaining({
        hour: '2026-03-01T12:00:00.000Z',
        problem: expect.stringMatching(/pruned hour are not/),
      }),
    ]);
  });

  it('passes an hour over in which something is in flight, and takes what ends later into the totals', async () => {
    const ledger = open();
    await writeAt(ledger, [START, START + HOUR_MS]);
    await ledger.write(intentOf('open', { request: { receivedAt: START } }));
    const prune = () => pruneLedgerFile(path, { before: START + 2 * HOUR_MS, now: START });
    expect(prune()).toBe(1);
    await ledger.write(settlementOf('open'));
    // Late for an hour whose rows are gone.
    await ledger.write(intentOf('late', { request: { receivedAt: START + HOUR_MS } }));
    expect(prune()).toBe(2);
    await ledger.write(settlementOf('late'));
    expect(read((reader) => reader.summarise(query()).total)).toMatchObject({ requests: 4, costNanoUsd: 20_000n });
    expect(prune()).toBe(1);
    await ledger.close();
    expect(read((reader) => reader.summarise(query({ groupBy: ['day'] })).total.requests)).toBe(4);
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, differences: [] });
  });

  it('is kept by the ledger itself, hour by hour', async () => {
    const clock = new FakeClock(START + 3 * DAY_MS);
    const ledger = open({ clock, retentionDays: 2 });
    await writeAt(ledger, [START, START + 2.5 * DAY_MS]);
    const count = () => ledger.reader().listRequests({ from: null, to: null, limit: 10 }).requests.length;
    expect(count()).toBe(2);
    await clock.advance(60_000);
    await expect.poll(count).toBe(1);
    clock.jumpTo(START + 5 * DAY_MS);
    await clock.advance(2 * HOUR_MS);
    await expect.poll(count).toBe(0);
    expect(ledger.reader().summarise(query()).total.requests).toBe(2);
    await ledger.close();
    expect(clock.sleeping).toBe(0);
  });

  it('leaves what was pruned at its cost when prices are set anew', async () => {
    const ledger = open();
    await writeAt(ledger, [START, START + HOUR_MS]);
    await ledger.close();
    pruneLedgerFile(path, { before: START + HOUR_MS, now: START });
    const record = aPriceRecord('price-2', { input: '1000000000', output: '0' });
    const price = { id: record.id, origin: record.origin, rates: { input: 1_000_000_000n, output: 0n }, tiers: [] };
    const order = { from: START, to: START + DAY_MS, price, record, provider: null, model: null, dryRun: false };
    expect(repriceLedgerFile(path, order, { now: START })).toMatchObject({ adjusted: 1, prunedHours: 1 });
    expect(read((reader) => reader.summarise(query()).total.costNanoUsd)).toBe(8_000n + 10_000n);
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, differences: [] });
  });
});
