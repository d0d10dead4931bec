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
  aRequest,
  aRequestEnd,
  aUsage,
  intentOf,
  START,
  settlementOf,
} from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

describe('verification of a ledger', () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'waybill-verify-'));
    path = join(folder, 'waybill.db');
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  async function write(use: (ledger: Ledger) => Promise<void>): Promise<void> {
    const ledger = openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger });
    await use(ledger);
    await ledger.close();
  }

  /** Three requests in one hour, one in the next, of every kind. */
  const fill = () =>
    write(async (ledger) => {
      await ledger.write(
        intentOf('a', { request: { tags: { team: 'ü' }, region: 'eu', stream: true, receivedAt: START + 0.7 } }),
      );
      await ledger.write(
        settlementOf('a', {
          attempt: { usage: aUsage({ input: 10, audioMs: 2 ** 53 - 1 }, 'estimated'), providerCostUsd: '1e-6' },
          request: { decision: { candidates: [{ reason: '"quoted"', score: 0.1 }] } },
        }),
      );
      await ledger.write({ request: aRequest({ inferenceId: 'b' }) });
      await ledger.write({ attemptIntent: anAttempt({ inferenceId: 'b', heldNanoUsd: 2n ** 62n }) });
      await ledger.write({
        attemptSettlement: anAttemptEnd({ inferenceId: 'b', outcome: 'failed', costNanoUsd: null, components: [] }),
        attemptIntent: anAttempt({ inferenceId: 'b', attempt: 2 }),
      });
      await Promise.all([
        ledger.write(settlementOf('b', { attempt: { attempt: 2 } })),
        ledger.write({
          request: aRequest({ inferenceId: 'c' }),
          requestSettlement: aRequestEnd({ inferenceId: 'c', outcome: 'refused', status: 429 }),
        }),
      ]);
      // A second settle and an entry that is wrong leave no link behind.
      await Promise.allSettled([
        ledger.write(settlementOf('a', { attempt: { costNanoUsd: 1n } })),
        ledger.write(intentOf('wrong', { attempt: { provider: null as unknown as string } })),
        ledger.write(settlementOf('nobody')),
      ]);
      await ledger.write(intentOf('d', { request: { receivedAt: START + 3_600_000 } }));
      await ledger.write(settlementOf('d'));
      await ledger.write(intentOf('left in flight', { request: { receivedAt: START + 3_600_000 } }));
    });

  /** As another tool would. */
  function edit(sql: string): void {
    const db = new Database(path);
    db.exec(sql);
    db.close();
  }

  const problems = () =>
    verifyLedgerFile(path).differences.map(
      ({ inferenceId, attempt, problem }) => `${inferenceId} ${attempt} ${problem}`,
    );

  it('finds nothing amiss in what the ledger wrote, recovered rows included', async () => {
    await fill();
    expect(verifyLedgerFile(path)).toEqual({ ok: true, checked: 8, differences: [] });
    await write(async (ledger) => expect(ledger.recovered()).toHaveLength(1));
    expect(verifyLedgerFile(path)).toEqual({ ok: true, checked: 10, differences: [] });
  });

  it('holds for text that is no proper Unicode', async () => {
    await write(async (ledger) => {
      await ledger.write(intentOf('a', { request: { model: 'half \ud800 and \\ud83d', tags: { x: '\udfff' } } }));
      await ledger.write(settlementOf('a', { attempt: { errorCode: '\udc00\u0000' } }));
    });
    expect(verifyLedgerFile(path)).toEqual({ ok: true, checked: 2, differences: [] });
  });

  it('goes on with one chain when several processes write', async () => {
    const open = () => openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger });
    const ledgers = [open(), open()];
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
    await ledger.write(intentOf('a'));
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    await Promise.allSettled([
      ledger.write({
        attemptSettlement: anAttemptEnd({ inferenceId: 'a', outcome: 'failed' }),
        attemptIntent: anAttempt({ inferenceId: 'a', attempt: 2 }),
      }),
      ledger.write(intentOf('b')),
    ]);
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

  it('names rows that were deleted or added, and chains that were cut', async () => {
    await fill();
    edit("DELETE FROM requests WHERE inference_id = 'c'");
    expect(problems()).toEqual([expect.stringMatching(/^null null the row was deleted/)]);
    edit("UPDATE attempts SET outcome = 'ok' WHERE outcome = 'in_flight'");
    expect(problems()).toContainEqual('left in flight 1 the row was added by something else');
    edit('DELETE FROM chain WHERE hour = (SELECT max(hour) FROM chain) AND seq = 2');
    expect(problems()).toContainEqual(expect.stringMatching(/the chain ends at link 1, its head says 2/));
    edit('DELETE FROM chain WHERE hour = (SELECT min(hour) FROM chain) AND seq = 2');
    expect(problems()).toContainEqual(expect.stringMatching(/links 2 to 2 of the chain are missing/));
  });

  it('names a cost that is not what its components add up to', async () => {
    await write(async (ledger) => {
      await ledger.write(intentOf('a'));
      await ledger.write(settlementOf('a', { attempt: { costNanoUsd: 3_999n } }));
    });
    expect(problems()).toEqual(['a 1 the cost is 3999 nano-USD, its components add up to 4000']);
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
