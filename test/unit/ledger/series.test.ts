import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LedgerReader } from '../../../src/domain/ledger.js';
import { QueryError } from '../../../src/domain/report.js';
import { openSqliteReader } from '../../../src/ledger/sqlite/reader.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import { intentOf, START, settlementOf } from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

const MINUTE = 60_000;
const HOUR = 3_600_000;

describe('series of a ledger', () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-series-'));
  const path = join(folder, 'waybill.db');
  let reader: LedgerReader;

  beforeAll(async () => {
    const ledger = openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger });
    const add = async (id: string, at: number, tookMs: number, provider = 'hf') => {
      await ledger.write(intentOf(id, { request: { receivedAt: at }, attempt: { provider } }));
      const attempt = { endedAt: at + tookMs, firstByteAt: at + 10 };
      await ledger.write(settlementOf(id, { attempt, request: { endedAt: at + tookMs } }));
    };
    for (let nth = 0; nth < 20; nth += 1) await add(`a${nth}`, START + nth * 10_000, 100 + nth * 10);
    await add('late', START + 3 * HOUR, 5_678, 'groq');
    await ledger.write(intentOf('under way', { request: { receivedAt: START + 1 } }));
    await ledger.close();
    reader = openSqliteReader(path);
  });

  afterAll(() => {
    reader.close();
    rmSync(folder, { recursive: true });
  });

  const query = { from: START, to: START + 6 * HOUR, stepMs: MINUTE, filters: {} };

  it('add up to the report of the same range, in steps of any length', () => {
    const { total } = reader.summarise({ ...query, groupBy: [], timeZone: 'UTC' });
    for (const stepMs of [7_000, MINUTE, 90 * MINUTE, HOUR, 6 * HOUR, 168 * HOUR]) {
      const points = reader.series({ ...query, stepMs });
      expect(points.reduce((sum, { row }) => sum + row.costNanoUsd, 0n)).toBe(total.costNanoUsd);
      expect(points.reduce((sum, { row }) => sum + row.requests, 0)).toBe(total.requests);
      expect(points.every(({ at }) => at % stepMs === 0)).toBe(true);
    }
    expect(reader.series(query).map(({ at, row }) => [(at - START) / MINUTE, row.requests])).toEqual([
      [0, 7],
      [1, 6],
      [2, 6],
      [3, 2],
      [180, 1],
    ]);
  });

  it('leave out what was received before and after, to the millisecond', () => {
    const within = { ...query, from: START + 10_000, to: START + 30_000, stepMs: HOUR };
    expect(reader.series(within).reduce((sum, { row }) => sum + row.requests, 0)).toBe(2);
    expect(reader.series({ ...within, stepMs: MINUTE }).reduce((sum, { row }) => sum + row.requests, 0)).toBe(2);
  });

  it('tell times in two digits, of requests that ended', () => {
    const { points, total } = reader.latencies({ ...query, stepMs: HOUR });
    expect(points).toMatchObject([
      { at: START, requests: 20, averageMs: 195, p50Ms: 190, p95Ms: 280, p99Ms: 290, maxMs: 290, firstByteP50Ms: 10 },
      { at: START + 3 * HOUR, requests: 1, p50Ms: 5_600, maxMs: 5_600, firstByteP95Ms: 10 },
    ]);
    expect(total).toMatchObject({ requests: 21, maxMs: 5_600 });
    const filters = { provider: ['nobody'] };
    expect(reader.latencies({ ...query, filters })).toEqual({
      points: [],
      total: {
        requests: 0,
        averageMs: null,
        p50Ms: null,
        p95Ms: null,
        p99Ms: null,
        maxMs: null,
        firstByteP50Ms: null,
        firstByteP95Ms: null,
      },
    });
  });

  it('look at a part of very many requests for their times, and add no more up than they can in a moment', async () => {
    const many = join(folder, 'many.db');
    const ledger = openSqliteLedger({
      path: many,
      durability: 'process',
      clock: new FakeClock(),
      logger: silentLogger,
    });
    const db = new Database(many);
    // Two requests, a million ids apart.
    const insert = db.prepare(
      `INSERT INTO requests (id, inference_id, received_at, ended_at, process_id, config_generation, client, endpoint, task,
         model, stream, outcome, attempts) VALUES (?, ?, ?, ?, 1, 1, 'c', 'e', 't', 'm', 0, 'refused', 0)`,
    );
    insert.run(1, 'x', START, START + 5);
    insert.run(1_000_000, 'y', START + MINUTE, START + MINUTE + 5);
    db.close();
    const huge = openSqliteReader(many);
    try {
      expect(() => huge.series(query)).toThrow(QueryError);
      expect(huge.series({ ...query, stepMs: HOUR })).toBeDefined();
      expect(huge.latencies(query).total.requests).toBe(1);
    } finally {
      huge.close();
      await ledger.close();
    }
  });
});
