import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from 'better-sqlite3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Logger } from '../../../src/domain/ports.js';
import { Checkpoints } from '../../../src/ledger/sqlite/checkpoints.js';
import { openForWriting } from '../../../src/ledger/sqlite/open.js';
import { until } from '../../support/until.js';

let directory: string;
let path: string;
let db: Database;
const said: unknown[][] = [];
const say = (...line: unknown[]) => void said.push(line);
const logger: Logger = { trace: say, debug: say, info: say, warn: say, error: say, fatal: say };

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'waybill-checkpoints-'));
  path = join(directory, 'waybill.db');
  db = openForWriting(path, 'process');
  db.exec('CREATE TABLE words (word TEXT)');
  said.length = 0;
});

afterEach(() => {
  if (db.open) db.close();
  rmSync(directory, { recursive: true });
});

const insert = (count: number, checkpoints: Checkpoints) => {
  const statement = db.prepare('INSERT INTO words VALUES (?)');
  for (let index = 0; index < count; index += 1) {
    statement.run('word '.repeat(200));
    checkpoints.committed();
  }
};

it('moves commits into the database on a thread of its own', async () => {
  const checkpoints = new Checkpoints({ db, path, logger });
  const before = statSync(path).size;
  db.pragma('wal_autocheckpoint = 0');
  insert(1_000, checkpoints);
  await until('the pages are moved', () => statSync(path).size > before + 500_000);
  await checkpoints.close();
  expect(said).toEqual([]);
  expect(db.pragma('wal_autocheckpoint', { simple: true })).toBe(40_000);
  expect(db.prepare('SELECT count(*) AS words FROM words').get()).toEqual({ words: 1_000 });
});

it('begins the log anew when it is large, though commits never pause', async () => {
  const checkpoints = new Checkpoints({ db, path, logger });
  for (let round = 0; round < 40; round += 1) {
    // Those after the thousandth come while the thread is at work.
    insert(1_400, checkpoints);
    await checkpoints.idle();
  }
  await checkpoints.close();
  // 56,000 commits of one to two pages: without a new beginning 160 MB, where SQLite itself would step in.
  expect(statSync(`${path}-wal`).size).toBeLessThan(80_000_000);
  expect(said).toEqual([]);
});

it('leaves the work to commits when the thread cannot work', async () => {
  const checkpoints = new Checkpoints({ db, path: join(directory, 'nowhere', 'waybill.db'), logger });
  insert(1_000, checkpoints);
  await until('the thread is given up', () => said.length > 0);
  expect(said[0]?.[1]).toBe('the ledger is checkpointed within commits from now on');
  expect(db.pragma('wal_autocheckpoint', { simple: true })).toBe(4_000);
  insert(2_000, checkpoints);
  await checkpoints.close();
  expect(said).toHaveLength(1);
});

it('does nothing, and begins no thread, for a few commits', async () => {
  const checkpoints = new Checkpoints({ db, path, logger });
  insert(999, checkpoints);
  await checkpoints.close();
  expect(db.pragma('wal_autocheckpoint', { simple: true })).toBe(4_000);
});
