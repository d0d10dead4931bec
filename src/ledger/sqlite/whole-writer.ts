import type { Database, Statement } from 'better-sqlite3';
import { amount, amountText } from '../journal/cells.js';
import { attemptText, type ChainWriter, requestText } from './chain.js';
import { attemptFact, requestFact, sumOf } from './open-rows.js';
import type { RollupWriter } from './rollup-writer.js';
import type { WholeRequest } from './whole-requests.js';
import { WHOLE_SQL } from './write-sql.js';

/** Writes requests of which everything is known, with their links in the chain and their part of the totals. */
export class WholeWriter {
  readonly #parts: { processId: number; chain: ChainWriter; rollups: RollupWriter };
  readonly #request: Statement<unknown[]>;
  readonly #attempt: Statement<unknown[]>;

  constructor(db: Database, parts: { processId: number; chain: ChainWriter; rollups: RollupWriter }) {
    this.#parts = parts;
    this.#request = db.prepare(WHOLE_SQL.insertRequest);
    this.#attempt = db.prepare(WHOLE_SQL.insertAttempt);
  }

  /** The rows of a request as they stay; false where it has a row already. */
  insert({ request: begin, attempts, end }: WholeRequest): boolean {
    const { processId, chain, rollups } = this.#parts;
    const facts = attempts.map((attempt) => attemptFact(attempt.begin.cells, attempt.end.cells));
    const cost = amountText(amount(sumOf(facts)));
    const { changes, lastInsertRowid } = this.#request.run(begin.cells, end.cells, processId, attempts.length, cost);
    if (changes === 0) return false;
    const id = Number(lastInsertRowid);
    const [, receivedAt] = begin.cells;
    for (const attempt of attempts) {
      this.#attempt.run(id, attempt.begin.cells, attempt.end.cells);
      const row = { requestId: id, attempt: attempt.begin.cells[0], adjustment: 0 };
      chain.add(receivedAt, row, attemptText(id, attempt));
    }
    rollups.add(requestFact(begin.cells, end.cells[1]), facts);
    const text = requestText({ processId, attempts: attempts.length, cost, begin, end });
    chain.add(receivedAt, { requestId: id, attempt: 0, adjustment: 0 }, text);
    return true;
  }
}
