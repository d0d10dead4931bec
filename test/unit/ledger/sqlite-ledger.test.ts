import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/domain/errors.js';
import { requestsAndAttempts } from '../../../src/ledger/migrations/0001-requests-and-attempts.js';
import { APPLICATION_ID, SCHEMA_VERSION } from '../../../src/ledger/migrations/migrate.js';
import { openCalibrationStore } from '../../../src/ledger/sqlite/calibration.js';
import { verifyLedgerFile } from '../../../src/ledger/sqlite/maintenance.js';
import { openSqliteReader } from '../../../src/ledger/sqlite/reader.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import { aRequest, aRequestEnd, intentOf, settlementOf } from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';
import { toSchema8 } from '../../support/former-schema.js';
import { until } from '../../support/until.js';

const CHILD = fileURLToPath(new URL('./opening-child.ts', import.meta.url));

describe('a SQLite ledger file', () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'waybill-file-'));
    path = join(folder, 'waybill.db');
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  const open = (
    options: { path?: string; processId?: string; clock?: FakeClock; durability?: 'process' | 'power' } = {},
  ) => openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger, ...options });

  /** The one line that a person gets to read. */
  function complaint(run: () => unknown): string {
    try {
      run();
    } catch (error) {
      expect(error).toBeInstanceOf(UserError);
      const { message } = error as UserError;
      expect(message).not.toContain('\n');
      return message;
    }
    throw new Error('nothing was thrown');
  }

  function edit(sql: string): void {
    const db = new Database(path);
    db.exec(sql);
    db.close();
  }

  it('is made with its directory, and leaves nothing beside it once closed', async () => {
    const nested = join(folder, 'a', 'b', 'waybill.db');
    await open({ path: nested }).close();
    expect(readdirSync(join(folder, 'a', 'b'))).toEqual(['waybill.db']);
  });

  it.each(['process', 'power'] as const)('takes writes at durability %s', async (durability) => {
    const ledger = open({ durability });
    await ledger.write(intentOf('a'));
    await ledger.close();
    const db = new Database(path, { readonly: true });
    expect(db.pragma('journal_mode', { simple: true })).toBe('wal');
    db.close();
  });

  it('from the future is refused, by writer and reader, and left as it is', async () => {
    await open().close();
    edit(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
    expect(complaint(() => open())).toMatch(/newer Waybill \(schema/);
    expect(complaint(() => openSqliteReader(path))).toMatch(/newer Waybill \(schema/);
    const db = new Database(path);
    expect(db.pragma('user_version', { simple: true })).toBe(SCHEMA_VERSION + 1);
    db.close();
  });

  it('from the past is brought up to date by the writer, its rows kept, and refused by the reader before', async () => {
    edit(requestsAndAttempts);
    edit(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 1`);
    edit("INSERT INTO prices VALUES ('price-1', 'config:x', 1, 1, '{}')");
    expect(complaint(() => openSqliteReader(path))).toMatch(/has schema 1, .*`waybill ledger migrate`/);
    const ledger = open();
    await ledger.write(intentOf('a'));
    expect(ledger.reader().getRequest('a')?.prices).toHaveLength(1);
    await ledger.close();
  });

  it('of an older schema that an older daemon has open is left as it is, until that has gone', async () => {
    const older = open({ processId: 'older' });
    await older.write(intentOf('a'));
    expect(older.reader().getRequest('a')?.outcome).toBe('in_flight');
    edit(`PRAGMA user_version = ${SCHEMA_VERSION - 1}`);
    const before = schema();
    expect(complaint(() => open())).toMatch(/a daemon has .* open \(process \d+\); stop it first, .* older/);
    expect(complaint(() => openCalibrationStore(path, () => 0))).toMatch(/a daemon has .* open/);
    expect(schema()).toEqual(before);
    edit(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    // Of this schema any number may be open.
    const other = open();
    await older.write(settlementOf('a'));
    expect(other.reader().getRequest('a')?.outcome).toBe('ok');
    await other.close();
    await older.close();
    toSchema8(path);
    await open().close();
    expect(schema()).toContain(SCHEMA_VERSION);
  });

  it('of an older schema is brought up to date once by several processes that start at once', async () => {
    const ledger = open();
    const refused = aRequestEnd({ inferenceId: 'a', outcome: 'refused', status: 429 });
    await ledger.write({ request: aRequest({ inferenceId: 'a' }), requestSettlement: refused });
    await ledger.close();
    toSchema8(path);
    const children = Array.from({ length: 4 }, () =>
      spawn(process.execPath, ['--import', 'tsx', CHILD, path], { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    const ends = children.map((child) => once(child, 'close'));
    // All of them are there at once, or have failed.
    await Promise.all(children.map(({ stdout }, at) => Promise.race([once(stdout, 'data'), ends[at]])));
    for (const { stdin } of children) stdin.end();
    expect((await Promise.all(ends)).map(([code]) => code)).toEqual([0, 0, 0, 0]);
    await open().close();
    expect(verifyLedgerFile(path).differences).toEqual([]);
  });

  /** Its number, and every table it has. */
  function schema(): unknown[] {
    const db = new Database(path, { readonly: true });
    const tables = db.prepare('SELECT sql FROM sqlite_schema ORDER BY name').pluck().all();
    const version = db.pragma('user_version', { simple: true });
    db.close();
    return [version, ...tables];
  }

  it('of another program is refused', () => {
    edit('CREATE TABLE songs (id INTEGER)');
    expect(complaint(() => open())).toMatch(/not a Waybill ledger/);
    expect(complaint(() => openSqliteReader(path))).toMatch(/not a Waybill ledger/);
  });

  it('that is no database is refused', () => {
    writeFileSync(path, 'this is a text of some length, and not a database at all.\n'.repeat(40));
    expect(complaint(() => open())).toMatch(/not a SQLite database/);
    expect(complaint(() => openSqliteReader(path))).toMatch(/not a SQLite database/);
  });

  it('that is a directory, or lies below a file, is refused', () => {
    mkdirSync(path);
    expect(complaint(() => open())).toMatch(/cannot open the ledger/);
    writeFileSync(join(folder, 'file'), '');
    expect(complaint(() => open({ path: join(folder, 'file', 'waybill.db') }))).toMatch(/not a directory/);
  });

  it('in a place where nobody may write is refused', () => {
    expect(complaint(() => open({ path: '/proc/waybill/waybill.db' }))).toMatch(/cannot open the ledger/);
  });

  it('that is missing or empty cannot be read', () => {
    expect(complaint(() => openSqliteReader(path))).toMatch(/does not exist/);
    writeFileSync(path, '');
    expect(complaint(() => openSqliteReader(path))).toMatch(/empty/);
  });

  it('is read while a daemon writes to it, and after', async () => {
    const ledger = open();
    await ledger.write(intentOf('a'));
    const reader = openSqliteReader(path);
    expect(reader.getRequest('a')?.outcome).toBe('in_flight');
    await ledger.write(settlementOf('a'));
    expect(reader.getRequest('a')?.outcome).toBe('ok');
    await ledger.close();
    expect(reader.getRequest('a')?.outcome).toBe('ok');
    reader.close();
  });

  it('is not opened twice by processes of one name', async () => {
    const ledger = open({ processId: 'one' });
    expect(complaint(() => open({ processId: 'one' }))).toMatch(/another process named one/);
    await ledger.write(intentOf('a'));
    await ledger.close();
    await open({ processId: 'one' }).close();
  });

  it('gives requests their rows in the order in which they began, whichever have ended', async () => {
    const ledger = open();
    const names = ['a', 'b', 'c', 'd', 'e'];
    await Promise.all(names.map((name) => ledger.write(intentOf(name))));
    await Promise.all(['d', 'b'].map((name) => ledger.write(settlementOf(name))));
    await ledger.close();
    const db = new Database(path, { readonly: true });
    expect(db.prepare('SELECT inference_id FROM requests ORDER BY id').pluck().all()).toEqual(names);
    db.close();
  });

  it('that another process holds locked for a moment takes everything, and has it in its tables when it is free', async () => {
    const ledger = open();
    await ledger.write(intentOf('a'));
    const other = new Database(path);
    await until('what was written is moved', () => other.prepare('SELECT 1 FROM requests').get() !== undefined);
    other.exec('BEGIN IMMEDIATE');
    await Promise.all([ledger.write(settlementOf('a')), ledger.write(intentOf('b'))]);
    expect(ledger.reader().getRequest('a')?.outcome).toBe('in_flight');
    other.exec('COMMIT');
    expect(ledger.isWritable()).toBe(true);
    expect(ledger.reader().getRequest('a')).toMatchObject({ outcome: 'ok', costNanoUsd: 4_000n });
    expect(ledger.reader().getRequest('b')?.outcome).toBe('in_flight');
    other.close();
    await ledger.close();
  });

  it('that another process holds locked for long refuses intents, keeps settlements, and takes both when it is free', async () => {
    const clock = new FakeClock();
    const ledger = open({ clock });
    await ledger.write(intentOf('a'));
    const other = new Database(path);
    await until('what was written is moved', () => other.prepare('SELECT 1 FROM requests').get() !== undefined);
    other.exec('BEGIN IMMEDIATE');
    await ledger.write(intentOf('c'));
    await until('the lock has lasted too long', () => !ledger.isWritable());
    const results = await Promise.allSettled([ledger.write(settlementOf('a')), ledger.write(intentOf('b'))]);
    for (const result of results) expect(result).toMatchObject({ reason: { code: 'ledger_unavailable' } });
    expect(ledger.isWritable()).toBe(false);
    expect(ledger.reader().getRequest('a')?.outcome).toBe('in_flight');

    other.exec('COMMIT');
    other.close();
    await clock.advance(5_000);
    expect(ledger.isWritable()).toBe(true);
    expect(ledger.reader().getRequest('a')).toMatchObject({ outcome: 'ok', costNanoUsd: 4_000n });
    expect(ledger.reader().getRequest('b')).toBeNull();
    expect(ledger.reader().getRequest('c')?.outcome).toBe('in_flight');
    await ledger.write(intentOf('b'));
    await ledger.close();
  });
});
