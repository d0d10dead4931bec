import { ATTEMPT_FACT_COLUMNS } from './facts.js';

/** Every statement of the write path. Settling changes only what is in flight, which makes a second settle a no-op. */
export const WRITE_SQL = {
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

  insertRequest: `
    INSERT INTO requests (inference_id, received_at, process_id, config_generation, client, tags, endpoint, task, model,
      region, stream, outcome, attempts)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'in_flight', ?) ON CONFLICT (inference_id) DO NOTHING`,

  findRequest: `
    SELECT id, inference_id, received_at, process_id, config_generation, client, tags, endpoint, task, model, region,
      stream, attempts, outcome
    FROM requests WHERE inference_id = ?`,

  findAttempt: `
    SELECT sent_at, provider, provider_model, key, region, CAST(held_nano_usd AS TEXT) AS held
    FROM attempts WHERE request_id = ? AND attempt = ?`,

  insertAttempt: `
    INSERT INTO attempts (request_id, attempt, sent_at, provider, provider_model, key, region, outcome, held_nano_usd,
      price_id, reserved_tokens)
    VALUES (?, ?, ?, ?, ?, ?, ?, 'in_flight', ?, ?, ?) ON CONFLICT (request_id, attempt) DO NOTHING`,

  countAttempt: 'UPDATE requests SET attempts = max(attempts, ?) WHERE id = ?',

  settleAttempt: `
    UPDATE attempts SET first_byte_at = ?, ended_at = ?, outcome = ?, status = ?, error_code = ?, cost_nano_usd = ?,
      unpriced_reason = ?, price_id = ?, usage_source = ?, input = ?, cached_input = ?, cache_write = ?, output = ?,
      reasoning = ?, audio_input = ?, audio_output = ?, images = ?, characters = ?, audio_ms = ?, search_units = ?,
      provider_cost_usd = ?, components = ?
    WHERE request_id = ? AND attempt = ? AND outcome = 'in_flight'`,

  readMoved: 'SELECT seq FROM moved WHERE process_id = ?',
  noteMoved: 'INSERT OR REPLACE INTO moved (process_id, seq) VALUES (?, ?)',

  attemptFacts: `SELECT ${ATTEMPT_FACT_COLUMNS} FROM attempts a WHERE a.request_id = ? ORDER BY a.attempt`,

  settleRequest: `
    UPDATE requests SET ended_at = ?, outcome = ?, status = ?, error_code = ?, cost_nano_usd = ?, decision = ?
    WHERE id = ? AND outcome = 'in_flight'`,
} as const;
