import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { toRowEntry } from '../../../src/ledger/journal/row-entry.js';
import { BatchWriter } from '../../../src/ledger/sqlite/batch-writer.js';
import { verifyLedgerFile } from '../../../src/ledger/sqlite/maintenance.js';
import { openForWriting } from '../../../src/ledger/sqlite/open.js';
import { intentOf, PRICE_1, settlementOf } from '../../conformance/ledger-entries.js';

describe('whole requests', () => {
  let folder: string;
  let db: Database;
  let writer: BatchWriter;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'waybill-whole-'));
    db = openForWriting(join(folder, 'waybill.db'), 'process');
    db.exec("INSERT INTO processes (id, name, pid, started_at) VALUES (1, 'one', 1, 1)");
    writer = new BatchWriter(db, 1);
    writer.recordPrices([PRICE_1]);
  });

  afterEach(() => {
    db.close();
    rmSync(folder, { recursive: true });
  });

  const move = (seq: number, names: readonly string[]) => {
    const entries = names.flatMap((name) => [intentOf(name), settlementOf(name)]).map(toRowEntry);
    return writer.move(() => [{ seq, entries }]);
  };
  const verified = () => verifyLedgerFile(join(folder, 'waybill.db'));
  const names = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, at) => `n${first + at}`);

  it('are written once, though some of them have their rows already', () => {
    expect(move(1, names(1, 60))).toEqual([]);
    // As where a journal is moved of which nothing says how much has been.
    db.exec('DELETE FROM moved');
    expect(move(1, names(31, 130))).toEqual([]);
    expect(db.prepare('SELECT inference_id FROM requests ORDER BY id').pluck().all()).toEqual(names(1, 130));
    expect(db.prepare('SELECT total(requests), total(attempts) FROM rollups').raw().get()).toEqual([130, 130]);
    expect(verified()).toEqual({ ok: true, checked: 260, differences: [] });
  });

  it('are all written but the one that cannot be, in the order in which they began', () => {
    const entries = names(1, 50).flatMap((name) => [
      toRowEntry(intentOf(name, name === 'n20' ? { attempt: { sentAt: 0.5e300 } } : {})),
      toRowEntry(settlementOf(name)),
    ]);
    const errors = writer.move(() => [{ seq: 1, entries }]);
    expect(errors[0]?.message).toMatch(/cannot store REAL value in INTEGER column/);
    const rest = names(1, 50).filter((name) => name !== 'n20');
    expect(db.prepare('SELECT inference_id FROM requests ORDER BY id').pluck().all()).toEqual(rest);
    expect(verified()).toMatchObject({ ok: true, checked: 98 });
  });
});
