import { createHash } from 'node:crypto';
import Database from 'better-sqlite3';

/** Makes a closed ledger one of the schema before there were blocks: a row for each link, hashed over JSON of the row. */
export function toSchema8(path: string): void {
  const db = new Database(path);
  const request = db
    .prepare(
      `SELECT inference_id, received_at, ended_at, process_id, config_generation, client, tags, endpoint, task, model,
         region, stream, outcome, status, error_code, attempts, CAST(cost_nano_usd AS TEXT), decision
       FROM requests WHERE id = ?`,
    )
    .raw();
  const attempt = db
    .prepare(
      `SELECT request_id, attempt, sent_at, first_byte_at, ended_at, provider, provider_model, key, region, outcome,
         status, error_code, CAST(held_nano_usd AS TEXT), CAST(cost_nano_usd AS TEXT), unpriced_reason, price_id,
         usage_source, input, cached_input, cache_write, output, reasoning, audio_input, audio_output, images,
         characters, audio_ms, search_units, provider_cost_usd, components
       FROM attempts WHERE request_id = ? AND attempt = ?`,
    )
    .raw();
  const adjustment = db
    .prepare(
      `SELECT request_id, attempt, number, made_at, price_id, CAST(cost_nano_usd AS TEXT), components
       FROM adjustments WHERE request_id = ? AND attempt = ? AND number = ?`,
    )
    .raw();
  const cellsOf = (id: unknown, number: unknown, of: unknown) => {
    if (of !== 0) return adjustment.get(id, number, of);
    return number === 0 ? request.get(id) : attempt.get(id, number);
  };
  db.exec(
    `CREATE TABLE chain (hour INTEGER NOT NULL, seq INTEGER NOT NULL, request_id INTEGER NOT NULL, attempt INTEGER NOT NULL,
       hash TEXT NOT NULL, adjustment INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (hour, seq)) STRICT, WITHOUT ROWID`,
  );
  const insert = db.prepare(
    'INSERT INTO chain (hour, seq, request_id, attempt, adjustment, hash) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const blocks = db.prepare('SELECT hour, links FROM chain_blocks ORDER BY hour, seq').raw().all() as Array<
    [number, string]
  >;
  for (const hour of new Set(blocks.map(([of]) => of))) {
    let last = '';
    const lines = blocks.filter(([of]) => of === hour).flatMap(([, links]) => links.split('\n'));
    for (const [at, line] of lines.entries()) {
      const place = line.split(/[/ ]/, 3).map(Number);
      const [id, number, of] = place;
      last = createHash('sha256')
        .update(`${last}${JSON.stringify(cellsOf(id, number, of))}`)
        .digest('base64url');
      insert.run(hour, at + 1, ...place, last);
    }
    db.prepare('UPDATE chain_heads SET hash = ? WHERE hour = ?').run(last, hour);
  }
  db.exec('DROP TABLE chain_blocks; PRAGMA user_version = 8');
  db.close();
}
