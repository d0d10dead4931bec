import type { Database, Statement } from 'better-sqlite3';
import type { ChainWriter } from './chain.js';
import { attemptCells, requestCells, sumOf, toOpenRequest, toSettledAttempt } from './open-rows.js';
import type { RollupWriter } from './rollup-writer.js';
import type { WholeRequest } from './whole-requests.js';

/** In the order of `REQUEST_CELLS`. */
const INSERT_REQUEST = `
    INSERT INTO requests (inference_id, received_at, ended_at, process_id, config_generation, client, tags, endpoint, task,
      model, region, stream, outcome, status, error_code, attempts, cost_nano_usd, decision)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (inference_id) DO NOTHING`;

/** In the order of `ATTEMPT_CELLS`. */
const INSERT_ATTEMPT = `
    INSERT INTO attempts (request_id, attempt, sent_at, first_byte_at, ended_at, provider, provider_model, key, region,
      outcome, status, error_code, held_nano_usd, cost_nano_usd, unpriced_reason, price_id, usage_source, input,
      cached_input, cache_write, output, reasoning, audio_input, audio_output, images, characters, audio_ms, search_units,
      provider_cost_usd, components, reserved_tokens)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;

/** Writes requests of which everything is known, with their links in the chain and their part of the totals. */
export class WholeWriter {
  readonly #parts: { processId: number; chain: ChainWriter; rollups: RollupWriter };
  readonly #request: Statement<unknown[]>;
  readonly #attempt: Statement<unknown[]>;

  constructor(db: Database, parts: { processId: number; chain: ChainWriter; rollups: RollupWriter }) {
    this.#parts = parts;
    this.#request = db.prepare(INSERT_REQUEST);
    this.#attempt = db.prepare(INSERT_ATTEMPT);
  }

  /** The rows of a request as they stay; false where it has a row already. */
  insert({ request, attempts, end }: WholeRequest): boolean {
    const open = toOpenRequest(request, this.#parts.processId, attempts.length);
    open.outcome = end.outcome;
    const calls = attempts.map((attempt) => toSettledAttempt(attempt.intent, attempt.end));
    const facts = calls.map(({ fact }) => fact);
    const cells = requestCells(open, end, sumOf(facts));
    const { changes, lastInsertRowid } = this.#request.run(...cells);
    if (changes === 0) return false;
    open.id = Number(lastInsertRowid);
    for (const [at, call] of calls.entries()) {
      const row = attemptCells(open.id, at + 1, call.open, call.values);
      this.#attempt.run(...row, call.reservedTokens);
      this.#parts.chain.add({ receivedAt: open.received_at, requestId: open.id, attempt: at + 1, cells: row });
    }
    this.#parts.rollups.add(open, facts);
    this.#parts.chain.add({ receivedAt: open.received_at, requestId: open.id, attempt: 0, cells });
    return true;
  }
}
