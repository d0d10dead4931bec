import { ATTEMPT_COLUMNS, ATTEMPT_END_COLUMNS, REQUEST_COLUMNS, REQUEST_END_COLUMNS } from '../journal/cells.js';
import { ATTEMPT_FACT_COLUMNS } from './facts.js';

const AMOUNTS: ReadonlySet<string> = new Set(['held_nano_usd', 'cost_nano_usd']);

/** Columns as cells have them: amounts as text. */
export function readable(columns: readonly string[]): string {
  return columns.map((name) => (AMOUNTS.has(name) ? `CAST(${name} AS TEXT)` : name)).join(', ');
}

function insert(table: string, columns: readonly string[], isFirstToStand: string): string {
  return `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')}) ${isFirstToStand}`;
}

function assigned(columns: readonly string[]): string {
  return columns.map((name) => `${name} = ?`).join(', ');
}

/** What a transaction of the write path needs, whatever is written. */
export const BATCH_SQL = {
  begin: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
  savepoint: 'SAVEPOINT entry',
  release: 'RELEASE entry',
  rollbackTo: 'ROLLBACK TO entry',

  probe: 'UPDATE processes SET ended_at = NULL WHERE id = ?',

  insertPrice: `
    INSERT INTO prices (id, origin, effective_from, config_generation, content)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,

  newestRequest: 'SELECT coalesce(max(id), 0) FROM requests',

  readMoved: 'SELECT seq FROM moved WHERE process_id = ?',
  noteMoved: 'INSERT OR REPLACE INTO moved (process_id, seq) VALUES (?, ?)',
} as const;

/** What is written as it happens. Settling changes only what is in flight, which makes a second settle a no-op. */
export const STEP_SQL = {
  insertRequest: insert(
    'requests',
    ['id', ...REQUEST_COLUMNS, 'process_id', 'attempts', 'outcome'],
    'ON CONFLICT (inference_id) DO NOTHING',
  ),

  findRequest: `SELECT id, process_id, attempts, outcome, ${readable(REQUEST_COLUMNS)} FROM requests WHERE inference_id = ?`,

  findAttempt: `SELECT ${readable(ATTEMPT_COLUMNS)} FROM attempts WHERE request_id = ? AND attempt = ?`,

  insertAttempt: insert(
    'attempts',
    ['request_id', ...ATTEMPT_COLUMNS, 'price_id', 'outcome'],
    'ON CONFLICT (request_id, attempt) DO NOTHING',
  ),

  countAttempt: 'UPDATE requests SET attempts = max(attempts, ?) WHERE id = ?',

  settleAttempt: `
    UPDATE attempts SET ${assigned(ATTEMPT_END_COLUMNS)}
    WHERE request_id = ? AND attempt = ? AND outcome = 'in_flight'`,

  attemptFacts: `SELECT ${ATTEMPT_FACT_COLUMNS} FROM attempts a WHERE a.request_id = ? ORDER BY a.attempt`,

  settleRequest: `
    UPDATE requests SET ${assigned(REQUEST_END_COLUMNS)}, cost_nano_usd = ? WHERE id = ? AND outcome = 'in_flight'`,
} as const;
