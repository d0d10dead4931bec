import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, expect, it } from 'vitest';
import { systemClock } from '../../src/composition/clock.js';
import { openSqliteLedger } from '../../src/ledger/sqlite/sqlite-ledger.js';
import { intentOf } from '../conformance/ledger-entries.js';
import { silentLogger } from '../conformance/silent-logger.js';

const folder = mkdtempSync(join(tmpdir(), 'waybill-locked-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('waits for another writer’s transaction without holding up the event loop', async () => {
  const path = join(folder, 'waybill.db');
  const ledger = openSqliteLedger({ path, durability: 'process', clock: systemClock, logger: silentLogger });
  const other = new Database(path);
  other.exec('BEGIN IMMEDIATE');
  const written = ledger.write(intentOf('waits'));
  let longest = 0;
  let last = performance.now();
  const ticker = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  await new Promise((resolve) => setTimeout(resolve, 600));
  other.exec('COMMIT');
  await written;
  clearInterval(ticker);
  // One look at the lock takes 20 ms; what is ten times that is the machine's.
  expect(longest).toBeLessThan(250);
  expect(ledger.reader().getRequest('waits')).not.toBeNull();
  other.close();
  await ledger.close();
});
