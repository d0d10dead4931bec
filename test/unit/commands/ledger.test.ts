import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LedgerTools, ledgerBackupCommand, ledgerVerifyCommand } from '../../../src/commands/ledger.js';
import { backUpLedgerFile, verifyLedgerFile } from '../../../src/ledger/sqlite/maintenance.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import { intentOf, settlementOf } from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

const tools: LedgerTools = { verify: verifyLedgerFile, backUp: backUpLedgerFile, ledgerOfConfig: () => null };

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
    expect(JSON.parse(out)).toMatchObject({ ok: false, checked: 2, differences: [{ inferenceId: 'a', attempt: 1 }] });
  });

  it('backup copies the ledger, and overwrites nothing', async () => {
    const target = join(folder, 'copy.db');
    expect(await ledgerBackupCommand({ ledger, target }, io, tools)).toBe(0);
    expect(verifyLedgerFile(target).checked).toBe(2);
    expect(await ledgerBackupCommand({ ledger, target }, io, tools)).toBe(2);
    expect(err).toMatch(/^waybill ledger backup: .*exists already.*\n$/);
    expect(existsSync(target)).toBe(true);
  });

  it('complains in one line about a ledger that is not there', async () => {
    expect(await ledgerVerifyCommand({ ledger: '/nowhere/x.db' }, io, tools)).toBe(2);
    expect(err).toMatch(/^waybill ledger verify: no ledger at \/nowhere\/x\.db.*\n$/);
  });
});
