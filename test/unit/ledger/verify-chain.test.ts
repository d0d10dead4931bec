import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Ledger } from '../../../src/domain/ledger.js';
import { SCHEMA_VERSION } from '../../../src/ledger/migrations/migrate.js';
import { migrateLedgerFile, repriceLedgerFile, verifyLedgerFile } from '../../../src/ledger/sqlite/maintenance.js';
import { openSqliteReader } from '../../../src/ledger/sqlite/reader.js';
import {
  anAttempt,
  anAttemptEnd,
  aPriceRecord,
  aRequest,
  aUsage,
  intentOf,
  START,
  settlementOf,
} from '../../conformance/ledger-entries.js';
import { toSchema8 } from '../../support/former-schema.js';
import { editFile, fillLedger, problemsOf, writeLedger } from './filled-ledger.js';

describe('the chain of a ledger', () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'waybill-chain-'));
    path = join(folder, 'waybill.db');
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  const write = (use: (ledger: Ledger) => Promise<void>) => writeLedger(path, use);
  const fill = () => fillLedger(path);
  const edit = (sql: string) => editFile(path, sql);
  const problems = () => problemsOf(path);

  it('holds for text that is no proper Unicode', async () => {
    await write(async (ledger) => {
      const half = 'half \ud800 and \\ud83d';
      await ledger.write(
        intentOf('a', {
          request: { client: half, model: half, region: half, tags: { x: '\udfff' } },
          attempt: { providerModel: half, region: half },
        }),
      );
      const end = { errorCode: '\udc00\u0000', providerCostUsd: half };
      await ledger.write(settlementOf('a', { attempt: end, request: { errorCode: half } }));
      expect(ledger.reader().getRequest('a')).toMatchObject({ region: 'half \ufffd and \\ud83d' });
    });
    expect(verifyLedgerFile(path)).toEqual({ ok: true, checked: 2, differences: [] });
  });

  it('names rows that were deleted or added, and chains that were cut', async () => {
    await fill();
    edit("DELETE FROM requests WHERE inference_id = 'c'");
    expect(problems()).toEqual([expect.stringMatching(/^null null the row was deleted/)]);
    edit("UPDATE attempts SET outcome = 'ok' WHERE outcome = 'in_flight'");
    expect(problems()).toContainEqual('left in flight 1 the row was added by something else');
    const [first, last] = ['(SELECT min(hour) FROM chain_blocks)', '(SELECT max(hour) FROM chain_blocks)'];
    const line = 'substr(links, 1, instr(links, char(10)) - 1)';
    edit(`UPDATE chain_blocks SET links = ${line} WHERE hour = ${last}`);
    expect(problems()).toContainEqual(expect.stringMatching(/the chain ends at link 1, its head says 2/));
    edit(
      `UPDATE chain_blocks SET links = replace(links, char(10), char(10) || 'no link' || char(10)) WHERE hour = ${first}`,
    );
    expect(problems()).toContainEqual('null null link 2 of the chain is none');
    edit(`DELETE FROM chain_blocks WHERE hour = ${first}`);
    expect(problems()).toContainEqual('a 1 the row was added by something else');
    edit('DELETE FROM chain_heads');
    expect(problems()).toContainEqual('null null the head of the chain is missing');
  });

  /** Puts other lines in place of those of the first hour, all in one block. */
  function relink(change: (lines: string[]) => string[]): void {
    const db = new Database(path);
    const hour = db.prepare('SELECT min(hour) FROM chain_blocks').pluck().get();
    const blocks = db.prepare('SELECT links FROM chain_blocks WHERE hour = ? ORDER BY seq').pluck().all(hour);
    const lines = blocks.flatMap((links) => String(links).split('\n'));
    db.prepare('DELETE FROM chain_blocks WHERE hour = ?').run(hour);
    db.prepare('INSERT INTO chain_blocks VALUES (?, 1, 2, ?)').run(hour, change(lines).join('\n'));
    db.close();
  }

  it.each<[string, (lines: string[]) => string[], string[]]>([
    ['a text behind the last', (lines) => [...lines, 'no link'], ['null null link 7 of the chain is none']],
    ['nothing behind the last', (lines) => [...lines, ''], ['null null link 7 of the chain is none']],
    [
      'a text in place of the last',
      (lines) => [...lines.slice(0, -1), `-${lines.at(-1)}`],
      ['null null link 6 of the chain is none'],
    ],
    ['a text in place of one', (lines) => lines.with(2, 'x'), ['null null link 3 of the chain is none']],
    ['nothing at all', () => [], ['null null link 1 of the chain is none']],
  ])('names what is no link: %s', async (_, change, expected) => {
    await fill();
    relink((lines) => lines);
    expect(problems()).toEqual([]);
    relink(change);
    const found = problems();
    expect(found).toEqual(expect.arrayContaining(expected));
    // What follows cannot be told from its hash alone.
    expect(found.filter((problem) => problem.includes('not as it was written'))).toEqual([]);
  });

  it('names links that are there twice', async () => {
    await fill();
    relink((lines) => lines);
    edit('INSERT INTO chain_blocks SELECT hour, 2, version, links FROM chain_blocks WHERE seq = 1');
    expect(problems()).toContainEqual('null null link 2 of the chain is there twice');
  });

  it('names rows whose links are of a version that nobody knows', async () => {
    await fill();
    edit('UPDATE chain_blocks SET version = 3 WHERE hour = (SELECT max(hour) FROM chain_blocks)');
    expect(problems()).toEqual([
      'd 1 the row cannot be checked: its link is of version 3, which nobody knows (row 4, link 1)',
      'd null the row cannot be checked: its link is of version 3, which nobody knows (row 4, link 2)',
    ]);
  });

  it('has a link for an attempt of any number', async () => {
    await write(async (ledger) => {
      await ledger.write({ request: aRequest({ inferenceId: 'a' }) });
      await ledger.write({ attemptIntent: anAttempt({ inferenceId: 'a', attempt: -1 }) });
      await ledger.write({ attemptSettlement: anAttemptEnd({ inferenceId: 'a', attempt: -1 }) });
    });
    expect(problems()).toEqual([]);
    edit('UPDATE attempts SET status = 201');
    expect(problems()).toEqual([expect.stringMatching(/^a -1 the row is not as it was written/)]);
  });

  it('goes on with a chain from before there were blocks, and still names what was changed in it', async () => {
    await fill();
    toSchema8(path);
    edit('DELETE FROM chain WHERE hour = (SELECT max(hour) FROM chain) AND seq = 1');
    expect(migrateLedgerFile(path)).toEqual({ from: 8, to: SCHEMA_VERSION });
    const cut = [
      expect.stringMatching(/^null null links 1 to 1 of the chain are missing/),
      'd 1 the row was added by something else',
    ];
    expect(problems()).toEqual(cut);
    await write(async (ledger) => {
      for (const id of ['x', 'y']) {
        await ledger.write(intentOf(id));
        await ledger.write(settlementOf(id));
      }
    });
    expect(problems()).toEqual(cut);
    edit(
      "UPDATE attempts SET status = 201 WHERE request_id = 2 AND attempt = 2; UPDATE requests SET task = 'x' WHERE id = 3",
    );
    expect(problems().slice(0, 2)).toEqual([
      expect.stringMatching(/^b 2 the row is not as it was written/),
      expect.stringMatching(/^c null the row is not as it was written/),
    ]);
  });

  it('is kept by links that were made before there were blocks, adjustments among them, and their costs are checked', async () => {
    await fill();
    const record = aPriceRecord('price-2', { input: '800000000', output: '0', audioMinute: '0' });
    const rates = { input: 800_000_000n, output: 0n, audioMinute: 0n };
    const price = { id: record.id, origin: record.origin, rates, tiers: [] };
    const range = { from: START - 1, to: START + 7_200_000, provider: null, model: null, dryRun: false };
    expect(repriceLedgerFile(path, { ...range, price, record }, { now: START + 99 })).toMatchObject({ adjusted: 3 });
    expect(problems()).toEqual([]);
    toSchema8(path);
    migrateLedgerFile(path);
    expect(verifyLedgerFile(path)).toEqual({ ok: true, checked: 11, differences: [] });
    edit(`UPDATE prices SET content = replace(content, '800000000', '900000000') WHERE id = 'price-2'`);
    expect(problems()).toEqual([
      'a 1 the cost is 8000 nano-USD, its usage at price price-2 comes to 9000',
      'b 2 the cost is 8000 nano-USD, its usage at price price-2 comes to 9000',
      'd 1 the cost is 8000 nano-USD, its usage at price price-2 comes to 9000',
    ]);
    edit(`UPDATE prices SET content = replace(content, '900000000', '800000000') WHERE id = 'price-2'`);
    edit(`UPDATE prices SET content = replace(content, '400000000', '500000000') WHERE id = 'price-1'`);
    expect(problems()).toEqual([
      'a 1 the cost is 4000 nano-USD, its usage at price price-1 comes to 5000',
      'b 2 the cost is 4000 nano-USD, its usage at price price-1 comes to 5000',
      'd 1 the cost is 4000 nano-USD, its usage at price price-1 comes to 5000',
    ]);
    edit(`UPDATE prices SET content = replace(content, '500000000', '400000000') WHERE id = 'price-1'`);
    edit('UPDATE adjustments SET made_at = made_at + 1 WHERE request_id = 4');
    expect(problems()).toEqual([expect.stringMatching(/^d 1 adjustment 1 is not as it was written/)]);
    edit('DELETE FROM adjustments WHERE request_id = 4');
    expect(problems()).toContainEqual(expect.stringMatching(/^d 1 adjustment 1 was deleted/));
  });

  it('holds for whatever entries say, written whole or step by step', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 12 });
    const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
    const json = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)));
    const said = fc.record({
      request: fc.record({
        client: text,
        tags: fc.dictionary(text, text),
        region: fc.option(text),
        model: text,
        receivedAt: fc.double({ min: START, max: START + 1, noNaN: true }),
      }),
      attempt: fc.record({ heldNanoUsd: fc.option(fc.bigInt({ min: 0n, max: 1n << 70n })), priceId: fc.option(text) }),
      attemptEnd: fc.record({
        errorCode: fc.option(text),
        priceId: fc.option(text),
        costNanoUsd: fc.option(fc.bigInt({ min: 0n, max: 1n << 70n })),
        providerCostUsd: fc.option(text),
        status: fc.option(count),
        usage: fc.option(count.map((input) => aUsage({ input, audioMs: input }))),
      }),
      requestEnd: fc.record({ decision: json, errorCode: fc.option(text) }),
    });
    const samples = fc.sample(said, 400);
    await write(async (ledger) => {
      const begin = (at: number) => {
        const { request, attempt } = samples[at] as (typeof samples)[number];
        return ledger.write(intentOf(`r${at}`, { request, attempt }));
      };
      const end = (at: number) => {
        const { attemptEnd, requestEnd } = samples[at] as (typeof samples)[number];
        return ledger.write(settlementOf(`r${at}`, { attempt: attemptEnd, request: requestEnd }));
      };
      const places = [...samples.keys()];
      const [some, others] = [places.slice(0, 200), places.slice(200)];
      await Promise.all(some.map(begin));
      // Has everything moved: what follows is written into rows that are there.
      ledger.reader().getRequest('r0');
      await Promise.all(some.map(end));
      await Promise.all(others.map(begin));
      await Promise.all(others.map(end));
    });
    const { checked, differences } = verifyLedgerFile(path);
    expect(checked).toBe(800);
    expect(differences.filter(({ problem }) => !/^the cost|^its price|^it costs/.test(problem))).toEqual([]);
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
});
