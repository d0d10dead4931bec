import Database from 'better-sqlite3';
import { expect, it } from 'vitest';
import { chainBlocks } from '../../../../src/ledger/migrations/0009-chain-blocks.js';
import { linksOfHour } from '../../../../src/ledger/sqlite/chain.js';

/** [hour, seq, request, attempt, adjustment] */
type Row = [number, number, number, number, number];

it('puts links together in blocks, each hour by itself, and keeps their numbers and what they are about', () => {
  const db = new Database(':memory:');
  db.exec(
    `CREATE TABLE chain (hour INTEGER NOT NULL, seq INTEGER NOT NULL, request_id INTEGER NOT NULL, attempt INTEGER NOT NULL,
       hash TEXT NOT NULL, adjustment INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (hour, seq)) STRICT, WITHOUT ROWID`,
  );
  const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at);
  const rows: Row[] = [
    // Links that are missing in the middle, and before the first.
    ...[...numbers(1, 130), ...numbers(140, 150), 152].map((seq): Row => [7, seq, seq + 1_000, seq % 3, 0]),
    ...numbers(3, 260).map((seq): Row => [8, seq, seq, 1, 0]),
    [9, 1, 5, 1, 2],
    [9, 2, 5, 0, 0],
  ];
  const insert = db.prepare(
    'INSERT INTO chain (hour, seq, request_id, attempt, adjustment, hash) VALUES (?, ?, ?, ?, ?, ?)',
  );
  for (const row of rows.toReversed()) insert.run(...row, `hash-${row[0]}-${row[1]}`);

  db.exec(chainBlocks);

  const found = [7, 8, 9].flatMap((hour) => [...linksOfHour(db, hour)].map((place) => ({ hour, ...place })));
  expect(found).toEqual(
    rows.map(([hour, seq, requestId, attempt, adjustment]) => {
      const link = { seq, requestId, attempt, adjustment, hash: `hash-${hour}-${seq}`, version: 1 };
      return { hour, seq, link };
    }),
  );
  const blocks = db.prepare('SELECT links FROM chain_blocks').pluck().all() as string[];
  expect(blocks.length).toBeLessThan(12);
  for (const links of blocks) expect(links.split('\n').length).toBeLessThanOrEqual(100);
  expect(db.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'chain'").pluck().get()).toBe(0);
  db.close();
});
