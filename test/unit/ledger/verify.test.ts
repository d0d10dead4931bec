import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Ledger } from '../../../src/domain/ledger.js';
import { backUpLedgerFile, verifyLedgerFile } from '../../../src/ledger/sqlite/maintenance.js';
import { openSqliteReader } from '../../../src/ledger/sqlite/reader.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import {
  anAttempt,
  anAttemptEnd,
  aRequestEnd,
  intentOf,
  PRICE_1,
  settlementOf,
} from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';
import { until } from '../../support/until.js';
import { editFile, fillLedger, problemsOf, writeLedger } from './filled-ledger.js';

describe('verification of a ledger', () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'waybill-verify-'));
    path = join(folder, 'waybill.db');
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  const write = (use: (ledger: Ledger) => Promise<void>) => writeLedger(path, use);
  const fill = () => fillLedger(path);
  const edit = (sql: string) => editFile(path, sql);
  const problems = () => problemsOf(path);

  it('finds nothing amiss in what the ledger wrote, recovered rows included', async () => {
    await fill();
    expect(verifyLedgerFile(path)).toEqual({ ok: true, checked: 8, differences: [] });
    await write(async (ledger) => expect(ledger.recovered()).toHaveLength(1));
    expect(verifyLedgerFile(path)).toEqual({ ok: true, checked: 10, differences: [] });
  });

  it('goes on with one chain when several processes write', async () => {
    const open = () => openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger });
    const ledgers = [open(), open()];
    await ledgers[0]?.recordPrices([PRICE_1]);
    for (let index = 0; index < 20; index++) {
      const ledger = ledgers[index % 2] as Ledger;
      await ledger.write(intentOf(`r${index}`));
      await ledger.write(settlementOf(`r${index}`));
    }
    for (const ledger of ledgers) await ledger.close();
    expect(verifyLedgerFile(path)).toEqual({ ok: true, checked: 40, differences: [] });
  });

  it('is clean after writes that failed as a whole', async () => {
    const clock = new FakeClock();
    const ledger = openSqliteLedger({ path, durability: 'process', clock, logger: silentLogger });
    await ledger.recordPrices([PRICE_1]);
    await ledger.write(intentOf('a'));
    const other = new Database(path);
    await until('what was written is moved', () => other.prepare('SELECT 1 FROM requests').get() !== undefined);
    other.exec('BEGIN IMMEDIATE');
    await ledger.write(intentOf('c'));
    await until('the lock has lasted too long', () => !ledger.isWritable());
    const results = await Promise.allSettled([
      ledger.write({
        attemptSettlement: anAttemptEnd({ inferenceId: 'a', outcome: 'failed' }),
        attemptIntent: anAttempt({ inferenceId: 'a', attempt: 2 }),
      }),
      ledger.write(intentOf('b')),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    other.exec('COMMIT');
    other.close();
    await clock.advance(5_000);
    await ledger.write({ requestSettlement: aRequestEnd({ inferenceId: 'a', outcome: 'failed' }) });
    await ledger.close();
    expect(openAndRead('a')).toMatchObject({ attempts: 1, costNanoUsd: 4_000n });
    expect(verifyLedgerFile(path)).toEqual({ ok: true, checked: 2, differences: [] });
  });

  function openAndRead(inferenceId: string) {
    const reader = openSqliteReader(path);
    try {
      return reader.getRequest(inferenceId);
    } finally {
      reader.close();
    }
  }

  it.each([
    ["UPDATE requests SET client = 'team-b' WHERE inference_id = 'a'", /^a null the row is not as it was written/],
    ["UPDATE requests SET received_at = received_at + 1 WHERE inference_id = 'c'", /^c null the row is not/],
    ["UPDATE requests SET decision = replace(decision, '0.1', '0.2')", /^a null the row is not/],
    ['UPDATE attempts SET input = input + 1 WHERE request_id = 1', /^a 1 the row is not as it was written/],
    [
      'UPDATE attempts SET held_nano_usd = held_nano_usd - 1 WHERE request_id = 2 AND attempt = 1',
      /^b 1 the row is not/,
    ],
  ])('names the one row that %s changed', async (sql, expected) => {
    await fill();
    edit(sql);
    const found = problems();
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(expected);
  });

  it.each([
    [{ costNanoUsd: 3_999n }, 'the cost is 3999 nano-USD, its usage at price price-1 comes to 4000'],
    [{ costNanoUsd: null }, 'the cost is unknown, its usage at price price-1 comes to 4000'],
    [{ components: [] }, 'the cost is 4000 nano-USD, its components add up to 0'],
    [{ priceId: 'price-2' }, 'its price price-2 is not in the price book'],
    [{ priceId: null }, 'the cost is 4000 nano-USD, and no price is named'],
    [{ usage: null }, 'it costs 4000, but used nothing'],
  ])('names a cost that its usage and price do not make: %o', async (attempt, expected) => {
    await write(async (ledger) => {
      await ledger.write(intentOf('a'));
      await ledger.write(settlementOf('a', { attempt }));
    });
    expect(problems()).toEqual([`a 1 ${expected}`]);
  });

  it('works costs out anew by tier', async () => {
    const content = JSON.stringify({
      rates: { input: '1000000', output: '2000000' },
      tiers: [{ above_input_tokens: 9, rates: { input: '3000000' } }],
    });
    await write(async (ledger) => {
      await ledger.recordPrices([{ ...PRICE_1, id: 'tiered', content }]);
      for (const [id, costNanoUsd] of [
        ['right', 40n],
        ['wrong', 20n],
      ] as const) {
        const components = [
          { class: 'input' as const, units: 10, ratePerMillion: 3_000_000n },
          { class: 'output' as const, units: 5, ratePerMillion: 2_000_000n },
        ];
        await ledger.write(intentOf(id));
        await ledger.write(settlementOf(id, { attempt: { priceId: 'tiered', costNanoUsd, components } }));
      }
    });
    expect(problems()).toEqual(['wrong 1 the cost is 20 nano-USD, its usage at price tiered comes to 40']);
  });

  it.each([
    ['UPDATE rollups SET cost_low = cost_low + 1', 'says cost '],
    ['UPDATE rollups SET requests = requests - 1', 'says requests '],
    ["UPDATE cuts SET client = 'team-b' WHERE provider IS NULL", 'says requests '],
    ['DELETE FROM rollups WHERE cut_id = 1', 'says requests 0'],
  ])('names an hourly total that is not that of its rows: %s', async (sql, expected) => {
    await fill();
    edit(sql);
    const found = problems();
    expect(found.length).toBeGreaterThan(0);
    for (const problem of found) expect(problem).toMatch(/^null null the hourly total of team-[ab] llama/);
    expect(found[0]).toContain(expected);
  });

  it('lets others take their turns while it checks', async () => {
    await write(async (ledger) => {
      for (let index = 0; index < 2_000; index += 100) {
        const ids = Array.from({ length: 100 }, (_, at) => `r${index + at}`);
        await Promise.all(ids.map((id) => ledger.write(intentOf(id))));
        await Promise.all(ids.map((id) => ledger.write(settlementOf(id))));
      }
      let turns = 0;
      const count = () => {
        turns += 1;
        timer = setImmediate(count);
      };
      let timer = setImmediate(count);
      const both = [ledger.verify(), ledger.verify()];
      await ledger.write(intentOf('meanwhile'));
      expect(await Promise.all(both)).toEqual([
        { ok: true, checked: 4_000, differences: [] },
        { ok: true, checked: 4_000, differences: [] },
      ]);
      clearImmediate(timer);
      expect(turns).toBeGreaterThan(2);
    });
  });

  it('holds for a backup made while the ledger is written to, which overwrites nothing', async () => {
    await fill();
    const copy = join(folder, 'copy.db');
    await write(async (ledger) => {
      await ledger.write(intentOf('e'));
      await backUpLedgerFile(path, copy);
      await ledger.write(settlementOf('e'));
    });
    expect(verifyLedgerFile(copy)).toMatchObject({ ok: true, checked: 10 });
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, checked: 12 });
    await expect(backUpLedgerFile(path, copy)).rejects.toThrow(/exists already/);
    writeFileSync(join(folder, 'file'), '');
    await expect(backUpLedgerFile(path, join(folder, 'file', 'copy.db'))).rejects.toThrow(/cannot write the backup/);
  });
});
