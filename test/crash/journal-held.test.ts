import { cpSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Ledger, LedgerEntry } from '../../src/domain/ledger.js';
import { verifyLedgerFile } from '../../src/ledger/sqlite/maintenance.js';
import { openSqliteReader } from '../../src/ledger/sqlite/reader.js';
import { openSqliteLedger } from '../../src/ledger/sqlite/sqlite-ledger.js';
import { intentOf, PRICE_1, settlementOf } from '../conformance/ledger-entries.js';
import { silentLogger } from '../conformance/silent-logger.js';
import { FakeClock } from '../support/fake-clock.js';
import { until } from '../support/until.js';

const EVERYTHING = { from: null, to: null, groupBy: [], filters: {}, timeZone: 'UTC' } as const;

describe('a request that began a moment ago', () => {
  let folder: string;
  let path: string;
  let ledger: Ledger;
  let outside: Database.Database;
  const now = vi.spyOn(performance, 'now');

  const open = (file: string, processId: string, durability: 'process' | 'power' = 'process') =>
    openSqliteLedger({ path: file, durability, clock: new FakeClock(), logger: silentLogger, processId });

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'waybill-held-'));
    path = join(folder, 'waybill.db');
    ledger = open(path, 'one');
    await ledger.recordPrices([PRICE_1]);
    outside = new Database(path, { readonly: true });
    // Nothing grows older until it is said.
    now.mockReturnValue(1_000);
  });

  afterEach(async () => {
    now.mockReset();
    await ledger.close();
    outside.close();
    rmSync(folder, { recursive: true });
  });

  const names = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, at) => `n${first + at}`);
  const rows = () => outside.prepare('SELECT inference_id FROM requests ORDER BY id').pluck().all();
  const inFlight = () => outside.prepare("SELECT count(*) FROM requests WHERE outcome = 'in_flight'").pluck().get();
  const writeAll = (entries: readonly LedgerEntry[]) => Promise.all(entries.map((entry) => ledger.write(entry)));
  const journalSize = () => statSync(`${path}-entries-one`).size;

  /** 30 begin at once, 25 of them end; these are in the tables afterwards. */
  async function beginThirty(): Promise<void> {
    await writeAll([...names(1, 30).map((name) => intentOf(name)), ...names(1, 25).map((name) => settlementOf(name))]);
    await until('what ended is moved', () => rows().length >= 25);
  }

  it('has its rows written once, when it has ended', async () => {
    await beginThirty();
    expect(rows()).toEqual(names(1, 25));
    await writeAll(names(26, 30).map((name) => settlementOf(name)));
    await until('the rest is moved', () => rows().length === 30);
    expect(inFlight()).toBe(0);
    expect(rows()).toEqual(names(1, 30));
    expect(verifyLedgerFile(path)).toEqual({ ok: true, checked: 60, differences: [] });
  });

  it('is there in flight when it takes longer', async () => {
    await beginThirty();
    now.mockReturnValue(1_050);
    await until('the rest is moved', () => rows().length === 30);
    expect(inFlight()).toBe(5);
    await writeAll(names(26, 30).map((name) => settlementOf(name)));
    await until('the rest has ended', () => inFlight() === 0);
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, checked: 60 });
  });

  it('is seen by who reads, and ends once', async () => {
    await beginThirty();
    const reader = openSqliteReader(path);
    expect(reader.getRequest('n30')?.outcome).toBe('in_flight');
    reader.close();
    await writeAll([...names(26, 28).map((name) => settlementOf(name)), intentOf('n31')]);
    expect(ledger.reader().getRequest('n29')?.outcome).toBe('in_flight');
    expect(ledger.reader().getRequest('n31')?.outcome).toBe('in_flight');
    await writeAll(names(29, 31).map((name) => settlementOf(name)));
    expect(ledger.reader().summarise(EVERYTHING).total).toMatchObject({ requests: 31, attempts: 31 });
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, checked: 62 });
  });

  it('is found by the next process, whether or not it ended before this one died', async () => {
    await beginThirty();
    await writeAll([settlementOf('n26'), intentOf('n31')]);
    // As after a kill: the files as they are, without the lock.
    const copy = join(folder, 'copy.db');
    for (const end of ['', '-wal', '-entries-one']) cpSync(`${path}${end}`, `${copy}${end}`);
    const next = open(copy, 'two');
    expect(next.recovered().map(({ inferenceId }) => inferenceId)).toEqual(['n27', 'n28', 'n29', 'n30', 'n31']);
    expect(next.reader().getRequest('n26')).toMatchObject({ outcome: 'ok', costNanoUsd: 4_000n });
    const { total } = next.reader().summarise(EVERYTHING);
    expect(total).toMatchObject({ requests: 31, attempts: 31, costNanoUsd: 26n * 4_000n + 5n * 9_000n });
    await next.close();
    expect(verifyLedgerFile(copy)).toEqual({ ok: true, checked: 62, differences: [] });
  });

  it('is held only while the journal is small', async () => {
    await ledger.write(intentOf('open'));
    const decision = 'x'.repeat(400_000);
    for (const name of names(1, 4)) {
      await writeAll([intentOf(name), settlementOf(name, { request: { decision } })]);
      await until(`${name} is moved`, () => rows().includes(name));
    }
    await until('the open one is there', () => rows().includes('open'));
    expect(inFlight()).toBe(1);
    expect(journalSize()).toBeGreaterThan(1024 * 1024);
    expect(journalSize()).toBeLessThan(2 * 1024 * 1024);
    await ledger.write(settlementOf('open'));
  });

  it('is not held where each record is written to the disk', async () => {
    await ledger.close();
    ledger = open(path, 'one', 'power');
    await beginThirty();
    await until('all are moved', () => rows().length === 30);
    expect(inFlight()).toBe(5);
    await writeAll(names(26, 30).map((name) => settlementOf(name)));
  });
});
