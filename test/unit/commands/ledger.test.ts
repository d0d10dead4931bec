import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type LedgerTools,
  ledgerBackupCommand,
  ledgerMigrateCommand,
  ledgerPruneCommand,
  ledgerVerifyCommand,
} from '../../../src/commands/ledger.js';
import { type RepriceTools, repriceCommand } from '../../../src/commands/reprice.js';
import { makePrice } from '../../../src/composition/prices.js';
import { SCHEMA_VERSION } from '../../../src/ledger/migrations/migrate.js';
import {
  backUpLedgerFile,
  countPrunable,
  migrateLedgerFile,
  pruneLedgerFile,
  repriceLedgerFile,
  verifyLedgerFile,
} from '../../../src/ledger/sqlite/maintenance.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import { intentOf, PRICE_1, START, settlementOf } from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

const DAY_MS = 86_400_000;
let retention: number | null = null;
const tools: LedgerTools & RepriceTools = {
  verify: verifyLedgerFile,
  backUp: backUpLedgerFile,
  prune: pruneLedgerFile,
  countPrunable,
  migrate: migrateLedgerFile,
  reprice: repriceLedgerFile,
  makePrice,
  ledgerOfConfig: () => null,
  retentionOfConfig: () => retention,
  now: () => START + 10 * DAY_MS,
};

describe('waybill ledger', () => {
  let folder: string;
  let ledger: string;
  let out: string;
  let err: string;
  const io = { out: (text: string) => (out += text), err: (text: string) => (err += text) };

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'waybill-command-'));
    ledger = join(folder, 'waybill.db');
    out = '';
    err = '';
    const writer = openSqliteLedger({
      path: ledger,
      durability: 'process',
      clock: new FakeClock(),
      logger: silentLogger,
    });
    await writer.recordPrices([PRICE_1]);
    await writer.write(intentOf('a'));
    await writer.write(settlementOf('a'));
    await writer.close();
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  it('verify says that all is as it was written', async () => {
    expect(await ledgerVerifyCommand({ ledger }, io, tools)).toBe(0);
    expect({ out, err }).toEqual({ out: 'ok: 2 rows are as they were written\n', err: '' });
  });

  it('verify names a row that another tool changed by one byte, exit code 1', async () => {
    const db = new Database(ledger);
    db.exec("UPDATE attempts SET provider = 'hg'");
    db.close();
    expect(await ledgerVerifyCommand({ ledger }, io, tools)).toBe(1);
    expect(out).toMatch(/2026-03-01T12:00:00\.000Z {2}a attempt 1: the row is not as it was written/);
    out = '';
    expect(await ledgerVerifyCommand({ ledger, json: true }, io, tools)).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ ok: false, checked: 2, differences: [{ inference_id: 'a', attempt: 1 }] });
  });

  it('backup copies the ledger, and overwrites nothing', async () => {
    const target = join(folder, 'copy.db');
    expect(await ledgerBackupCommand({ ledger, target }, io, tools)).toBe(0);
    expect(verifyLedgerFile(target).checked).toBe(2);
    expect(await ledgerBackupCommand({ ledger, target }, io, tools)).toBe(2);
    expect(err).toMatch(/^waybill ledger backup: .*exists already.*\n$/);
    expect(existsSync(target)).toBe(true);
  });

  it('prune deletes what is older than asked, after saying how much', async () => {
    expect(await ledgerPruneCommand({ ledger, days: '9', dryRun: true }, io, tools)).toBe(0);
    expect(await ledgerPruneCommand({ ledger, days: '11' }, io, tools)).toBe(0);
    expect(await ledgerPruneCommand({ ledger, days: '9', json: true }, io, tools)).toBe(0);
    expect(out.split('\n')).toEqual([
      '1 requests older than 9 days would be deleted',
      '0 requests older than 11 days deleted; their hourly totals stay',
      '{"requests":1,"before":"2026-03-02T12:00:00.000Z","dry_run":false}',
      '',
    ]);
  });

  it('prune takes its days from the config, and wants to be told them', async () => {
    retention = 9;
    expect(await ledgerPruneCommand({ ledger }, io, tools)).toBe(0);
    retention = null;
    expect(out).toMatch(/^1 requests older than 9 days/);
    expect(await ledgerPruneCommand({ ledger }, io, tools)).toBe(2);
    expect(err).toMatch(/say what is to be kept: --days N/);
    expect(await ledgerPruneCommand({ ledger, days: '-1' }, io, tools)).toBe(2);
    expect(err).toMatch(/--days -1: expected whole days/);
  });

  it('migrate says from which schema to which, and refuses while a daemon runs', async () => {
    expect(await ledgerMigrateCommand({ ledger }, io, tools)).toBe(0);
    expect(out).toBe(`${ledger} is up to date (schema ${SCHEMA_VERSION})\n`);
    const daemon = openSqliteLedger({
      path: ledger,
      durability: 'process',
      clock: new FakeClock(),
      logger: silentLogger,
    });
    const db = new Database(ledger);
    db.pragma('user_version = 1');
    expect(await ledgerMigrateCommand({ ledger }, io, tools)).toBe(2);
    expect(err).toMatch(/a daemon has .* open \(process \d+\); stop it first/);
    db.pragma(`user_version = ${SCHEMA_VERSION}`);
    db.close();
    await daemon.close();
  });

  it('reprice tells what would change and what did, and changes it once', async () => {
    const price = join(folder, 'price.yaml');
    writeFileSync(price, 'unit: 1m_tokens\ninput_token_cost: 1\noutput_token_cost: 2\n');
    const options = { ledger, price, from: '2026-03-01', to: '2026-03-02' };
    expect(await repriceCommand({ ...options, dryRun: true }, io, tools)).toBe(0);
    expect(out).toMatch(
      /^price [0-9a-f]{16}: 1 of 1 attempts would be adjusted\ntheir cost: 0\.000004000 USD before, 0\.000020000 USD after\n$/,
    );
    for (const adjusted of [1, 0]) {
      out = '';
      expect(await repriceCommand({ ...options, json: true }, io, tools)).toBe(0);
      expect(JSON.parse(out)).toMatchObject({ looked: 1, adjusted, uncovered: 0, pruned_hours: 0, dry_run: false });
    }
    expect(verifyLedgerFile(ledger)).toMatchObject({ ok: true, checked: 3 });
  });

  it.each([
    ['input_token_cost: -1', {}, /line 1: input_token_cost: expected an amount of USD/],
    ['input_tokens: 1', {}, /input_tokens: unknown key/],
    ['unit: token', {}, /sets no price/],
    ['[1]', {}, /expected a mapping/],
    ['input_token_cost: 1', { from: '2026-02-30' }, /is no date/],
    ['input_token_cost: 1', { from: '2026-03-03' }, /must be before/],
    ['input_token_cost: 1', { to: undefined }, /say which requests/],
    ['input_token_cost: 1', { tz: 'Mars' }, /unknown time zone/],
    ['input_token_cost: 1', { price: '/nowhere.yaml' }, /cannot read the price file/],
    ['input_token_cost: 1', { price: undefined }, /name the price/],
  ])('reprice refuses %s with %o in one line, and changes nothing', async (text, wrong, expected) => {
    const price = join(folder, 'price.yaml');
    writeFileSync(price, text);
    const options = { ledger, price, from: '2026-03-01', to: '2026-03-02', ...wrong };
    expect(await repriceCommand(options, io, tools)).toBe(2);
    expect(err.trimEnd().split('\n').at(-1)).toMatch(expected);
    expect(verifyLedgerFile(ledger)).toMatchObject({ ok: true, checked: 2 });
  });

  it('complains in one line about a ledger that is not there', async () => {
    expect(await ledgerVerifyCommand({ ledger: '/nowhere/x.db' }, io, tools)).toBe(2);
    expect(err).toMatch(/^waybill ledger verify: no ledger at \/nowhere\/x\.db.*\n$/);
  });
});
