import type { Database } from 'better-sqlite3';
import type { CostQuery } from '../../domain/ledger.js';
import type { CalibrationStore, EstimateError, Learned, LearnedModel } from '../../domain/metering.js';
import { openForWriting, orExplain } from './open.js';

const HOUR_MS = 3_600_000;
/** A save that finds the file locked by another process is tried again later. */
const BUSY_TIMEOUT_MS = 50;
/** The models that were learned from last; who was not asked for longer learns again. */
const MAX_LOADED = 2_000;

/**
 * Keeps what was learned of token counts in the ledger's file, by a connection of its own: a save never stands within a
 * write of requests.
 * @throws UserError when the file cannot be used
 */
export function openCalibrationStore(path: string, now: () => number): CalibrationStore {
  const db = openForWriting(path, 'process');
  db.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
  const saveModel = db.prepare(`
    INSERT INTO calibrations (provider, provider_model, factor, weight, average_output, outputs, updated_at)
    VALUES (@providerId, @providerModel, @factor, @weight, @averageOutput, @outputs, @now)
    ON CONFLICT (provider, provider_model) DO UPDATE SET factor = excluded.factor, weight = excluded.weight,
      average_output = excluded.average_output, outputs = excluded.outputs, updated_at = excluded.updated_at`);
  const addErrors = db.prepare(`
    INSERT INTO estimate_errors (hour, provider, provider_model, per_mille, calls)
    VALUES (@hour, @providerId, @providerModel, @perMille, @calls)
    ON CONFLICT (hour, provider, provider_model, per_mille) DO UPDATE SET calls = calls + excluded.calls`);
  const save = db.transaction(({ models, errors }: Learned) => {
    for (const model of models) saveModel.run({ ...model, now: now() });
    for (const count of errors) addErrors.run(count);
  });
  return {
    load: () =>
      orExplain(path, () =>
        db
          .prepare<[number], LearnedModel>(
            `SELECT * FROM (SELECT provider AS providerId, provider_model AS providerModel, factor, weight,
               average_output AS averageOutput, outputs, updated_at
             FROM calibrations ORDER BY updated_at DESC LIMIT ?) ORDER BY updated_at`,
          )
          .all(MAX_LOADED)
          .map(({ providerId, providerModel, factor, weight, averageOutput, outputs }) => {
            return { providerId, providerModel, factor, weight, averageOutput, outputs };
          }),
      ),
    save: (learned) => save.immediate(learned),
    close: () => {
      db.close();
    },
  };
}

const COLUMNS: Readonly<Record<string, string>> = { provider: 'provider', provider_model: 'provider_model' };

/**
 * How far input estimates were off, of whole hours that lie in the query's range or touch it. Null where there is
 * nothing, and where the query filters by what is not kept: estimates are counted by provider and model.
 */
export function readEstimateError(db: Database, query: CostQuery): EstimateError | null {
  const conditions: string[] = [];
  const params: Array<string | number> = [];
  if (query.from !== null) {
    conditions.push('hour >= ?');
    params.push(Math.floor(query.from / HOUR_MS));
  }
  if (query.to !== null) {
    conditions.push('hour < ?');
    params.push(Math.ceil(query.to / HOUR_MS));
  }
  for (const [name, values] of Object.entries(query.filters)) {
    const column = COLUMNS[name];
    if (column === undefined) return null;
    conditions.push(`${column} IN (${values.map(() => '?').join(', ')})`);
    params.push(...values);
  }
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
  const rows = db
    .prepare<unknown[], { per_mille: number; calls: number }>(
      `SELECT per_mille, sum(calls) AS calls FROM estimate_errors ${where} GROUP BY per_mille ORDER BY per_mille`,
    )
    .all(...params);
  const calls = rows.reduce((sum, row) => sum + row.calls, 0);
  if (calls === 0) return null;
  return { calls, medianPerMille: quantile(rows, calls * 0.5), p95PerMille: quantile(rows, calls * 0.95) };
}

/** The error that so many calls do not exceed; rows in order. */
function quantile(rows: ReadonlyArray<{ per_mille: number; calls: number }>, rank: number): number {
  let seen = 0;
  for (const row of rows) {
    seen += row.calls;
    if (seen >= rank) return row.per_mille;
  }
  return rows.at(-1)?.per_mille ?? 0;
}
