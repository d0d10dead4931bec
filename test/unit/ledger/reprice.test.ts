import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CostQuery, GROUP_NAMES, type Ledger, type RepriceOrder } from '../../../src/domain/ledger.js';
import { repriceLedgerFile, verifyLedgerFile } from '../../../src/ledger/sqlite/maintenance.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import {
  anAttempt,
  anAttemptEnd,
  aPriceRecord,
  aUsage,
  intentOf,
  PRICE_1,
  START,
  settlementOf,
} from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

const UNPRICED = {
  usage: aUsage({ input: 10, images: 2 }),
  costNanoUsd: null,
  unpricedReason: 'no-price',
  components: [],
};

describe('repricing', () => {
  let folder: string;
  let path: string;
  let ledger: Ledger;

  /** Retried at two providers; priced; unpriced twice; refused by its provider; in flight; interrupted. */
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'waybill-reprice-'));
    path = join(folder, 'waybill.db');
    ledger = openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger });
    await ledger.recordPrices([PRICE_1]);
    await ledger.write(intentOf('retried', { request: { tags: { team: 'x' } } }));
    await ledger.write({
      attemptSettlement: anAttemptEnd({ inferenceId: 'retried', outcome: 'failed' }),
      attemptIntent: anAttempt({ inferenceId: 'retried', attempt: 2, provider: 'other', providerModel: 'big' }),
    });
    await ledger.write(settlementOf('retried', { attempt: { attempt: 2 } }));
    await ledger.write(intentOf('priced', { request: { model: 'gpt', receivedAt: START + 3_600_000 } }));
    await ledger.write(settlementOf('priced', { attempt: { usage: aUsage({ input: 10, output: 5 }, 'estimated') } }));
    await ledger.write(intentOf('unpriced', { attempt: { provider: 'other' } }));
    await ledger.write({
      attemptSettlement: anAttemptEnd({ inferenceId: 'unpriced', ...UNPRICED }),
      attemptIntent: anAttempt({ inferenceId: 'unpriced', attempt: 2 }),
    });
    await ledger.write(settlementOf('unpriced', { attempt: { attempt: 2, ...UNPRICED } }));
    await ledger.write(intentOf('refused'));
    await ledger.write(settlementOf('refused', { attempt: { usage: null, costNanoUsd: 0n, components: [] } }));
    await ledger.write(intentOf('open'));
  });

  afterEach(async () => {
    await ledger.close();
    rmSync(folder, { recursive: true });
  });

  const order = (overrides: Partial<RepriceOrder> = {}, rates: Record<string, string> = {}): RepriceOrder => {
    const set = { input: '1000000000', output: '0', ...rates };
    const record = aPriceRecord(`new-${Object.values(set).join('-')}`, set);
    const price = {
      id: record.id,
      origin: record.origin,
      rates: Object.fromEntries(Object.entries(set).map(([name, rate]) => [name, BigInt(rate)])),
      tiers: [],
    };
    const range = { from: START - 1, to: START + 7_200_000 };
    return { ...range, price, record, provider: null, model: null, dryRun: false, ...overrides };
  };
  const reprice = (overrides: Partial<RepriceOrder> = {}, rates: Record<string, string> = {}) =>
    repriceLedgerFile(path, order(overrides, rates), { now: START + 99 });
  const summarise = (overrides: Partial<CostQuery> = {}) =>
    ledger.reader().summarise({ from: null, to: null, groupBy: [], filters: {}, timeZone: 'UTC', ...overrides });

  it('records each difference beside the row, and edits nothing', () => {
    const before = ledger.reader().getRequest('retried');
    expect(reprice()).toEqual({
      looked: 5,
      adjusted: 3,
      uncovered: 2,
      beforeNanoUsd: 12_000n,
      afterNanoUsd: 30_000n,
      prunedHours: 0,
    });
    const after = ledger.reader().getRequest('retried');
    const { adjustments: _, prices: __, ...rows } = after as NonNullable<typeof after>;
    expect(before).toMatchObject(rows);
    expect(after?.adjustments).toEqual(
      [1, 2].map((attempt) =>
        expect.objectContaining({
          attempt,
          number: 1,
          madeAt: START + 99,
          priceId: 'new-1000000000-0',
          beforeNanoUsd: 4_000n,
          costNanoUsd: 10_000n,
        }),
      ),
    );
    expect(after?.prices.map(({ id }) => id)).toEqual(['price-1', 'new-1000000000-0']);
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, differences: [] });
  });

  it('counts in every cut alike, from totals and from rows', () => {
    reprice();
    reprice({}, { image: '3000000' });
    const { total } = summarise();
    expect(total).toMatchObject({
      costNanoUsd: 30_000n + 2n * 10_006n,
      estimatedCostNanoUsd: 10_000n,
      unpricedRequests: 0,
    });
    for (const timeZone of ['UTC', 'Asia/Kathmandu']) {
      for (const cut of [...GROUP_NAMES, 'tag:team' as const]) {
        expect(summarise({ groupBy: [cut], timeZone }).total, cut).toEqual(total);
      }
    }
    const byPrice = summarise({ groupBy: ['price'] }).rows.map((row) => [row.group['price'], row.costNanoUsd]);
    expect(byPrice).toContainEqual(['new-1000000000-0', 30_000n]);
    expect(summarise({ filters: { provider: ['other'] } }).total.costNanoUsd).toBe(20_006n);
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, differences: [] });
  });

  it('moves the count of an unpriced request to the attempt that is still without a price', () => {
    reprice({ provider: 'hf' }, { image: '3000000' });
    for (const groupBy of [['provider'], ['provider', 'tag:team']] as const) {
      const { rows, total } = summarise({ groupBy });
      expect(total.unpricedRequests).toBe(1);
      expect(rows.find((row) => row.unpricedRequests > 0)?.group['provider']).toBe('other');
    }
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, differences: [] });
  });

  it('changes nothing when it runs again, and adjusts what was adjusted at the next price', () => {
    reprice();
    const once = summarise();
    expect(reprice()).toMatchObject({ looked: 5, adjusted: 0 });
    expect(summarise()).toEqual(once);
    expect(reprice({}, { input: '2000000000' })).toMatchObject({
      adjusted: 3,
      beforeNanoUsd: 30_000n,
      afterNanoUsd: 60_000n,
    });
    expect(
      ledger
        .reader()
        .getRequest('priced')
        ?.adjustments.map(({ number, beforeNanoUsd, costNanoUsd }) => [number, beforeNanoUsd, costNanoUsd]),
    ).toEqual([
      [1, 4_000n, 10_000n],
      [2, 10_000n, 20_000n],
    ]);
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, differences: [] });
  });

  it('keeps to its range, provider and model, and writes nothing in a dry run', () => {
    expect(reprice({ dryRun: true })).toMatchObject({ adjusted: 3, afterNanoUsd: 30_000n });
    expect(summarise().total.costNanoUsd).toBe(12_000n);
    expect(reprice({ provider: 'other' })).toMatchObject({ looked: 2, adjusted: 1 });
    expect(reprice({ model: 'gpt' })).toMatchObject({ looked: 1, adjusted: 1 });
    expect(reprice({ model: 'big' })).toMatchObject({ looked: 1, adjusted: 0 });
    expect(reprice({ from: START, to: START + 1 })).toMatchObject({ looked: 4, adjusted: 1 });
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, differences: [] });
  });

  it.each([
    [
      'UPDATE adjustments SET cost_nano_usd = cost_nano_usd - 1 WHERE request_id = 2',
      /^priced 1 adjustment 1 is not as it was written/,
    ],
    ['DELETE FROM adjustments WHERE request_id = 2', /^priced 1 adjustment 1 was deleted/],
    ["INSERT INTO adjustments VALUES (4, 1, 1, 1, 'price-1', 5, NULL)", /^refused 1 adjustment 1 was added/],
  ])('leaves a link that names the adjustment that %s touched', (sql, expected) => {
    reprice();
    const db = new Database(path);
    db.exec(sql);
    db.close();
    const found = verifyLedgerFile(path).differences.map(
      (each) => `${each.inferenceId} ${each.attempt} ${each.problem}`,
    );
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(expected);
  });

  it('leaves calls alone that were made with a key which the request brought', async () => {
    await ledger.write(intentOf('own', { request: { model: 'own-model' }, attempt: { key: 'p:byok' } }));
    await ledger.write(settlementOf('own', { attempt: { costNanoUsd: 0n, components: [] } }));
    expect(await reprice({ model: 'own-model' })).toMatchObject({ looked: 0, adjusted: 0 });
  });
});
