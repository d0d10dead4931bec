import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { crc32 } from 'node:zlib';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../../src/domain/errors.js';
import { Journal, readJournal } from '../../src/ledger/journal/journal.js';
import { joinEntries, toRowEntry } from '../../src/ledger/journal/row-entry.js';
import { migrateLedgerFile, verifyLedgerFile } from '../../src/ledger/sqlite/maintenance.js';
import { openSqliteReader } from '../../src/ledger/sqlite/reader.js';
import { openSqliteLedger } from '../../src/ledger/sqlite/sqlite-ledger.js';
import { anAttempt, anAttemptEnd, aPriceRecord, intentOf, START, settlementOf } from '../conformance/ledger-entries.js';
import { silentLogger } from '../conformance/silent-logger.js';
import { FakeClock } from '../support/fake-clock.js';
import { toSchema8 } from '../support/former-schema.js';
import { until } from '../support/until.js';

const CHILD = fileURLToPath(new URL('./ledger-child.ts', import.meta.url));
const PRICE = aPriceRecord('price-1', { input: '400000000', output: '0' });
const EVERYTHING = { from: null, to: null, groupBy: [], filters: {}, timeZone: 'UTC' } as const;

/** So many arrays, each within the other. */
function nested(depth: number): unknown {
  let value: unknown = null;
  for (let at = 0; at < depth; at += 1) value = [value];
  return value;
}

/** Holds the lock for longer than a reader waits for it, and then has moved everything. */
const SLOW_OWNER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const db = new (require(workerData.driver))(workerData.path);
  db.exec('BEGIN IMMEDIATE');
  parentPort.postMessage('locked');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60);
  db.exec("INSERT OR REPLACE INTO moved SELECT id, 101 FROM processes WHERE name = 'owner'");
  db.exec('COMMIT');
  db.close();
`;

describe('a journal beside the ledger', () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'waybill-entries-'));
    path = join(folder, 'waybill.db');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const open = (processId?: string) =>
    openSqliteLedger({
      path,
      durability: 'process',
      clock: new FakeClock(),
      logger: silentLogger,
      ...(processId === undefined ? {} : { processId }),
    });
  const journals = () => readdirSync(folder).filter((name) => name.includes('-entries-'));

  /** A ledger that was closed while another process held it locked: what came last could not be moved. */
  async function closedWhileLocked(processId: string): Promise<void> {
    const ledger = open(processId);
    await ledger.recordPrices([PRICE]);
    await ledger.write(intentOf('first'));
    const other = new Database(path);
    await until('what was written is moved', () => other.prepare('SELECT 1 FROM requests').get() !== undefined);
    other.exec('BEGIN IMMEDIATE');
    await ledger.write(settlementOf('first'));
    await ledger.write(intentOf('second'));
    await ledger.close();
    other.exec('COMMIT');
    other.close();
  }

  it('is gone once the ledger is closed and everything is in its tables', async () => {
    const ledger = open();
    await ledger.write(intentOf('a'));
    expect(journals()).toHaveLength(1);
    await ledger.close();
    expect(journals()).toEqual([]);
  });

  it('holds few entries back for a moment, for company', async () => {
    const ledger = open();
    const other = new Database(path, { readonly: true });
    const rows = other.prepare('SELECT count(*) FROM requests').pluck();
    const began = performance.now();
    await ledger.write(intentOf('a'));
    await until('it is moved', () => rows.get() === 1);
    expect(performance.now() - began).toBeGreaterThan(45);
    other.close();
    await ledger.close();
  });

  it('is moved into the tables by the next process when the last could not', async () => {
    await closedWhileLocked('one');
    expect(journals()).toEqual(['waybill.db-entries-one']);
    const ledger = open('two');
    expect(ledger.recovered()).toEqual([{ inferenceId: 'second', provider: 'hf', costNanoUsd: 9_000n }]);
    expect(ledger.reader().getRequest('first')).toMatchObject({ outcome: 'ok', costNanoUsd: 4_000n });
    expect(journals()).toEqual(['waybill.db-entries-two']);
    await ledger.close();
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, differences: [] });
  });

  it('is moved once, by whoever reads, recovers or comes back under the same name', async () => {
    await closedWhileLocked('one');
    const reader = openSqliteReader(path);
    expect(reader.getRequest('first')).toMatchObject({ outcome: 'ok', costNanoUsd: 4_000n });
    expect(reader.getRequest('second')?.outcome).toBe('in_flight');
    reader.close();
    const ledger = open('one');
    expect(ledger.recovered()).toMatchObject([{ inferenceId: 'second' }]);
    await ledger.write(intentOf('third'));
    await ledger.write(settlementOf('third'));
    const { total } = ledger.reader().summarise(EVERYTHING);
    expect(total).toMatchObject({ requests: 3, attempts: 3, costNanoUsd: 17_000n });
    await ledger.close();
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, differences: [] });
  });

  it('counts without its last record when the process was killed while it wrote that', async () => {
    await closedWhileLocked('one');
    const file = join(folder, 'waybill.db-entries-one');
    const next = String((readJournal(file).at(-1)?.seq as number) + 1).padStart(16, '0');
    appendFileSync(file, `WBJ2 ${next} 00000fff 12345678\n[[["torn`);
    const ledger = open('two');
    expect(ledger.reader().listRequests({ from: null, to: null, limit: 10 }).requests).toHaveLength(2);
    await ledger.close();
  });

  describe('of the former version', () => {
    const times = { received: START, sent: START + 1, first: START + 20, ended: START + 50, settled: START + 60 };
    const { received, sent, first, ended, settled } = times;
    const request = (id: string) =>
      `["${id}",${received},"team-a",{"team":"ü"},"/v1/chat/completions","chat","llama","eu",false,1]`;
    const attempt = (id: string, number: number) =>
      `["${id}",${number},${sent},"hf","big","key",null,"9000","price-1",40]`;
    const attemptEnd = (id: string, number: number, outcome: string) =>
      `["${id}",${number},${ended},${first},"${outcome}",200,null,["reported",10,null,null,null,null,null,null,null,null,null,null],
        "4000",null,"price-1",[["input",10,"400000000"]],null]`;
    const requestEnd = (id: string) => `["${id}",${settled},"ok",200,null,{"candidates":[]}]`;
    const texts = [
      // Moved before its process died.
      `[[${request('moved')},${attempt('moved', 1)},null,null]]`,
      `[[${request('retried')},${attempt('retried', 1)},null,null],[${request('open')},${attempt('open', 1)},null,null]]`,
      `[[null,${attempt('retried', 2)},${attemptEnd('retried', 1, 'failed')},null]]`,
      '[]',
      `[[null,null,${attemptEnd('retried', 2, 'ok')},${requestEnd('retried')}]]`,
    ];

    function record(seq: number, text: string): Buffer {
      const bytes = Buffer.from(text);
      const hex = (value: number) => value.toString(16).padStart(8, '0');
      const head = `WBJ1 ${String(seq).padStart(16, '0')} ${hex(bytes.length)} ${hex(crc32(bytes, seq))}\n`;
      return Buffer.concat([Buffer.from(head), bytes]);
    }

    /** A ledger as the former version leaves it when it is killed. */
    async function killedFormer(): Promise<void> {
      const ledger = open('one');
      await ledger.recordPrices([PRICE]);
      await ledger.write(intentOf('before'));
      await ledger.write(settlementOf('before'));
      await ledger.close();
      toSchema8(path);
      const db = new Database(path);
      db.exec("UPDATE processes SET ended_at = NULL WHERE name = 'one'");
      const last = db.prepare('SELECT max(seq) FROM moved').pluck().get() as number;
      db.exec(`UPDATE moved SET seq = ${last + 1}`);
      db.close();
      const records = texts.map((text, at) => record(last + 1 + at, text));
      writeFileSync(join(folder, 'waybill.db-entries-one'), Buffer.concat(records));
    }

    it('is moved by the start that brings the ledger up to date', async () => {
      await killedFormer();
      const ledger = open('two');
      expect(ledger.recovered()).toEqual([{ inferenceId: 'open', provider: 'hf', costNanoUsd: 9_000n }]);
      expect(ledger.reader().getRequest('moved')).toBeNull();
      expect(ledger.reader().getRequest('retried')).toMatchObject({
        outcome: 'ok',
        attempts: 2,
        tags: { team: 'ü' },
        region: 'eu',
        costNanoUsd: 8_000n,
        attemptRows: [
          { attempt: 1, outcome: 'failed', costNanoUsd: 4_000n },
          { attempt: 2, outcome: 'ok', costNanoUsd: 4_000n, heldNanoUsd: 9_000n },
        ],
      });
      expect(journals()).toEqual(['waybill.db-entries-two']);
      await ledger.close();
      expect(verifyLedgerFile(path)).toEqual({ ok: true, checked: 7, differences: [] });
    });

    it('is moved by whoever reads, once the ledger is up to date', async () => {
      await killedFormer();
      migrateLedgerFile(path);
      for (let round = 0; round < 2; round += 1) {
        const reader = openSqliteReader(path);
        expect(reader.getRequest('retried')).toMatchObject({ outcome: 'ok', attempts: 2, costNanoUsd: 8_000n });
        expect(reader.getRequest('open')?.outcome).toBe('in_flight');
        expect(reader.summarise(EVERYTHING).total).toMatchObject({ requests: 3, attempts: 4 });
        reader.close();
      }
      expect(verifyLedgerFile(path)).toEqual({ ok: true, checked: 5, differences: [] });
      const ledger = open('one');
      expect(ledger.recovered()).toMatchObject([{ inferenceId: 'open' }]);
      await ledger.close();
      expect(verifyLedgerFile(path)).toEqual({ ok: true, checked: 7, differences: [] });
    });
  });

  it('is read by another process while its own lives and goes on', async () => {
    const ledger = open();
    await ledger.recordPrices([PRICE]);
    for (let index = 0; index < 50; index += 1) {
      await ledger.write(intentOf(`r${index}`));
      await ledger.write(settlementOf(`r${index}`));
      const reader = openSqliteReader(path);
      const { total } = reader.summarise(EVERYTHING);
      reader.close();
      expect(total).toMatchObject({ requests: index + 1, costNanoUsd: 4_000n * BigInt(index + 1) });
    }
    await ledger.close();
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, checked: 100, differences: [] });
  });

  it('may be moved by a reader between any two steps of a request', async () => {
    const ledger = open();
    await ledger.recordPrices([PRICE]);
    const outside = () => {
      const reader = openSqliteReader(path);
      const row = reader.getRequest('a');
      reader.close();
      return row;
    };
    const failed = anAttemptEnd({ inferenceId: 'a', outcome: 'failed' });
    const second = anAttempt({ inferenceId: 'a', attempt: 2 });
    await ledger.write(intentOf('a'));
    // Its own process moves it, and remembers what it wrote.
    expect(ledger.reader().getRequest('a')?.attempts).toBe(1);
    await ledger.write({ attemptSettlement: failed, attemptIntent: second });
    expect(outside()).toMatchObject({ attempts: 2, outcome: 'in_flight' });
    await ledger.write(settlementOf('a', { attempt: { attempt: 2 } }));
    expect(outside()).toMatchObject({ attempts: 2, outcome: 'ok', costNanoUsd: 8_000n });
    await ledger.close();
    expect(verifyLedgerFile(path)).toEqual({ ok: true, checked: 3, differences: [] });
  });

  it('is not moved again after its rows were pruned', async () => {
    await closedWhileLocked('one');
    const reader = openSqliteReader(path);
    expect(reader.getRequest('first')?.outcome).toBe('ok');
    reader.close();
    // As retention would; the one in flight stays.
    const db = new Database(path);
    db.exec("DELETE FROM attempts; DELETE FROM requests WHERE inference_id = 'first'");
    db.close();
    const ledger = open('two');
    expect(ledger.reader().getRequest('first')).toBeNull();
    await ledger.close();
  });

  it('turns down alone what has no text, or what no table takes, and is written for the others', async () => {
    const ledger = open();
    const cycle: unknown[] = [];
    cycle.push(cycle);
    await ledger.write(intentOf('a'));
    await ledger.write(intentOf('b'));
    const results = await Promise.allSettled([
      ledger.write(settlementOf('a', { request: { decision: cycle } })),
      ledger.write(intentOf('c', { request: { receivedAt: 1e300 } })),
      ledger.write(settlementOf('a', { request: { decision: nested(20_000) } })),
      ledger.write(settlementOf('a', { attempt: { costNanoUsd: 1.5 as unknown as bigint } })),
      ledger.write(settlementOf('a', { attempt: { costNanoUsd: 7 as unknown as bigint } })),
      ledger.write(intentOf('d', { attempt: { heldNanoUsd: '9' as unknown as bigint } })),
      ledger.write({ ...intentOf('e'), attemptSettlement: anAttemptEnd({ inferenceId: 'b' }) }),
      ledger.write(settlementOf('b')),
    ]);
    expect(results.map(({ status }) => status)).toEqual([...Array(7).fill('rejected'), 'fulfilled']);
    for (const id of ['c', 'd', 'e']) expect(ledger.reader().getRequest(id)).toBeNull();
    expect(ledger.isWritable()).toBe(true);
    expect(ledger.reader().getRequest('b')?.outcome).toBe('ok');
    await ledger.write(settlementOf('a'));
    expect(ledger.reader().getRequest('a')?.outcome).toBe('ok');
    await ledger.close();
  });

  it('is for the eyes of those who may read the ledger', async () => {
    await open('one').close();
    chmodSync(path, 0o600);
    const ledger = open('two');
    expect(statSync(join(folder, 'waybill.db-entries-two')).mode & 0o777).toBe(0o600);
    await ledger.close();
  });

  it('stands beside the file itself, whatever link leads there', async () => {
    await closedWhileLocked('one');
    const link = join(folder, 'link.db');
    symlinkSync(path, link);
    const reader = openSqliteReader(link);
    expect(reader.getRequest('first')).toMatchObject({ outcome: 'ok', costNanoUsd: 4_000n });
    reader.close();
  });

  it('is missed aloud while another program holds the ledger locked', async () => {
    await closedWhileLocked('one');
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    const reader = openSqliteReader(path);
    expect(() => reader.getRequest('first')).toThrow(UserError);
    expect(() => verifyLedgerFile(path)).toThrow(/lacks what is in a journal beside it/);
    other.exec('COMMIT');
    other.close();
    expect(reader.getRequest('first')?.outcome).toBe('ok');
    reader.close();
  });

  it('is waited for by another daemon while its owner, which waits for company and for a lock, takes its time', async () => {
    await closedWhileLocked('owner');
    const ledger = open('reader');
    const reader = ledger.reader();
    expect(reader.getRequest('first')?.outcome).toBe('ok');
    const journal = new Journal({ path: `${path}-entries-owner`, mode: 0o600, lastSeq: 100, isSynced: false });
    journal.append(joinEntries([toRowEntry(intentOf('third'))]));
    const driver = createRequire(import.meta.url).resolve('better-sqlite3');
    const owner = new Worker(SLOW_OWNER, { eval: true, workerData: { path, driver } });
    await once(owner, 'message');
    expect(reader.getRequest('first')?.outcome).toBe('ok');
    await once(owner, 'exit');
    journal.remove();
    await ledger.close();
  });

  describe.skipIf(process.getuid?.() !== 0)('for a user who may only read', () => {
    /** What a reader says while this process is nobody in particular. */
    function asNobody<T>(run: () => T): T {
      chmodSync(folder, 0o755);
      process.seteuid?.(65_534);
      try {
        return run();
      } finally {
        process.seteuid?.(0);
      }
    }

    function requests(): number {
      const reader = openSqliteReader(path);
      try {
        return reader.summarise(EVERYTHING).total.requests;
      } finally {
        reader.close();
      }
    }

    it('is missed aloud when no process is left that could move it', async () => {
      await closedWhileLocked('one');
      // Somebody has the file open, without whom a user who may not write could not read it at all.
      const kept = new Database(path);
      kept.prepare('SELECT count(*) FROM requests').get();
      expect(() => asNobody(requests)).toThrow(/lacks what is in a journal beside it/);
      expect(requests()).toBe(2);
      kept.close();
    });

    it('is waited for while its process lives', async () => {
      const child = spawn(process.execPath, ['--import', 'tsx', CHILD, path, 'r'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let ended = 0;
      child.stdout.on('data', (said: Buffer) => {
        ended += said.toString().split('\n=').length - 1;
      });
      await until('it has ended some', () => ended > 200);
      for (let round = 0; round < 20; round += 1) {
        const before = ended;
        expect(asNobody(requests)).toBeGreaterThanOrEqual(before);
        await turn();
      }
      child.kill('SIGKILL');
      await once(child, 'close');
    });
  });
});
