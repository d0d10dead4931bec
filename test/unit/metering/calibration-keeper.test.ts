import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, describe, expect, it } from 'vitest';
import type { CostQuery } from '../../../src/domain/ledger.js';
import { openCalibrationStore } from '../../../src/ledger/sqlite/calibration.js';
import { openSqliteReader } from '../../../src/ledger/sqlite/reader.js';
import { createCalibration } from '../../../src/metering/calibration.js';
import { keepCalibration } from '../../../src/metering/calibration-keeper.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

const MODEL = { providerId: 'groq', providerModel: 'llama' };
const HOUR = 3_600_000;
const NOW = 1_000 * HOUR;
const ALL: CostQuery = { from: null, to: null, groupBy: [], filters: {}, timeZone: 'UTC' };

describe('keeping what was learned', () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-calibration-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  let files = 0;
  const newFile = () => join(folder, `${files++}.db`);

  function open(path: string, clock = new FakeClock(NOW), logger = silentLogger) {
    const store = openCalibrationStore(path, () => clock.now());
    const calibration = createCalibration({ initial: store.load() });
    return { clock, calibration, keeper: keepCalibration({ calibration, store, clock, logger }) };
  }

  it('goes on after a restart where it ended', async () => {
    const path = newFile();
    const before = open(path);
    before.calibration.learn(MODEL, 100, 130);
    before.calibration.learnOutput(MODEL, 250);
    await before.keeper.close();
    const after = open(path);
    expect(after.calibration.factor(MODEL)).toBeCloseTo(1.3);
    expect(after.calibration.averageOutput(MODEL)).toBe(250);
    expect(after.calibration.entries()).toEqual(before.calibration.entries());
    await after.keeper.close();
  });

  it('writes every 30 seconds, and nothing where nothing is new', async () => {
    const path = newFile();
    const { clock, calibration, keeper } = open(path);
    const db = new Database(path, { readonly: true });
    const kept = () => db.prepare('SELECT weight FROM calibrations').pluck().all();
    calibration.learn(MODEL, 100, 130);
    await clock.advance(29_000);
    expect(kept()).toEqual([]);
    await clock.advance(1_000);
    expect(kept()).toEqual([1]);
    const version = db.pragma('data_version', { simple: true });
    await clock.advance(60_000);
    expect(db.pragma('data_version', { simple: true })).toBe(version);
    calibration.learn(MODEL, 100, 130);
    await keeper.close();
    expect(kept()).toEqual([2]);
    db.close();
  });

  it('logs what cannot be written, and writes it when it can', async () => {
    const path = newFile();
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (_: object, message = '') => void warnings.push(message) };
    const { clock, calibration, keeper } = open(path, new FakeClock(NOW), logger);
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    calibration.learn(MODEL, 100, 130);
    calibration.noteError(MODEL, { estimated: 100, reported: 130, now: NOW });
    await clock.advance(30_000);
    expect(warnings).toEqual([expect.stringMatching(/could not be kept; it will be tried again/)]);
    other.exec('ROLLBACK');
    await clock.advance(30_000);
    expect(other.prepare('SELECT calls FROM estimate_errors').pluck().all()).toEqual([1]);
    expect(other.prepare('SELECT weight FROM calibrations').pluck().all()).toEqual([1]);
    other.close();
    await keeper.close();
  });

  it('tells median and p95 of the errors by time, provider and model', async () => {
    const path = newFile();
    const { calibration, keeper } = open(path);
    const note = (model: string, off: number, now: number, times = 1) => {
      for (let nth = 0; nth < times; nth += 1) {
        calibration.noteError({ ...MODEL, providerModel: model }, { estimated: 1_000 + off, reported: 1_000, now });
      }
    };
    note('llama', 20, NOW, 60);
    note('llama', -50, NOW + HOUR, 30);
    note('mixtral', 400, NOW, 10);
    await keeper.close();
    const reader = openSqliteReader(path);
    const off = (query: Partial<CostQuery>) => reader.estimateError({ ...ALL, ...query });
    expect(off({})).toEqual({ calls: 100, medianPerMille: 20, p95PerMille: 400 });
    expect(off({ filters: { provider_model: ['llama'] } })).toEqual({ calls: 90, medianPerMille: 20, p95PerMille: 50 });
    expect(off({ from: NOW + HOUR })).toEqual({ calls: 30, medianPerMille: 50, p95PerMille: 50 });
    expect(off({ to: NOW + HOUR, filters: { provider: ['groq'] } })).toMatchObject({ calls: 70 });
    expect(off({ filters: { provider: ['nobody'] } })).toBeNull();
    expect(off({ filters: { client: ['a'] } })).toBeNull();
    reader.close();
  });
});
