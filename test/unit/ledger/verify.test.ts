import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Ledger } from '../../../src/domain/ledger.js';
import { SCHEMA_VERSION } from '../../../src/ledger/migrations/migrate.js';
import { backUpLedgerFile, migrateLedgerFile, verifyLedgerFile } from '../../../src/ledger/sqlite/maintenance.js';
import { openSqliteReader } from '../../../src/ledger/sqlite/reader.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import {
  anAttempt,
  anAttemptEnd,
  aRequest,
  aRequestEnd,
  aUsage,
  intentOf,
  PRICE_1,
  START,
  settlementOf,
} from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';
import { until } from '../../support/until.js';

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
    await ledger.recordPrices([PRICE_1]);
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
        attemptSettlement: anAttemptEnd({
          inferenceId: 'b',
          outcome: 'failed',
          usage: aUsage({ images: 1 }),
          costNanoUsd: null,
          unpricedReason: 'no-price',
          components: [],
        }),
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

  it('does not call rows from before there was a chain added', async () => {
    await fill();
    // As the first version left it.
    edit('PRAGMA user_version = 1');
    const db = new Database(path);
    const others = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all() as string[];
    for (const name of others) {
      if (!['processes', 'prices', 'requests', 'attempts'].includes(name)) db.exec(`DROP TABLE ${name}`);
    }
    db.exec('ALTER TABLE attempts DROP COLUMN reserved_tokens; DROP INDEX attempts_uncertain');
    db.close();
    expect(migrateLedgerFile(path)).toEqual({ from: 1, to: SCHEMA_VERSION });
    expect(problems()).toEqual([]);
    await write(async (ledger) => {
      await ledger.write(intentOf('new'));
      await ledger.write(settlementOf('new'));
    });
    expect(verifyLedgerFile(path)).toEqual({ ok: true, checked: 4, differences: [] });
    const reader = openSqliteReader(path);
    const query = { from: null, to: null, groupBy: [], filters: {}, timeZone: 'UTC' };
    expect(reader.summarise(query).total).toMatchObject({ requests: 6, attempts: 6, unpricedRequests: 1 });
    reader.close();
    edit(
      "INSERT INTO requests SELECT 99, 'forged', received_at, ended_at, process_id, config_generation, client, tags, endpoint, task, model, region, stream, 'refused', status, error_code, 0, 0, decision FROM requests WHERE inference_id = 'new'",
    );
    expect(problems()).toContain('forged null the row was added by something else');
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
