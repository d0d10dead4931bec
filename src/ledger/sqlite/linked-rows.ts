import type { Database, Statement } from 'better-sqlite3';
import {
  ATTEMPT_COLUMNS,
  ATTEMPT_END_COLUMNS,
  type AttemptCells,
  type AttemptEndCells,
  type Cell,
  REQUEST_COLUMNS,
  REQUEST_END_COLUMNS,
  type RequestCells,
  type RequestEndCells,
} from '../journal/cells.js';
import { partOf } from '../journal/row-entry.js';
import { ADJUSTMENT_CELLS, attemptText, type ChainLink, requestText } from './chain.js';
import { type CostedAttempt, toCostedAttempt } from './verify-cost.js';
import { readable } from './write-sql.js';

/** What was hashed of a row of `requests`, as JSON, before there were blocks of links. */
const REQUEST_CELLS_1 = `inference_id, received_at, ended_at, process_id, config_generation, client, tags, endpoint,
  task, model, region, stream, outcome, status, error_code, attempts, CAST(cost_nano_usd AS TEXT), decision`;

/** The same of a row of `attempts`. */
const ATTEMPT_CELLS_1 = `request_id, attempt, sent_at, first_byte_at, ended_at, provider, provider_model, key, region,
  outcome, status, error_code, CAST(held_nano_usd AS TEXT), CAST(cost_nano_usd AS TEXT), unpriced_reason, price_id,
  usage_source, input, cached_input, cache_write, output, reasoning, audio_input, audio_output, images, characters,
  audio_ms, search_units, provider_cost_usd, components`;

const OF_REQUEST = 'FROM requests WHERE id = ?';
const OF_ATTEMPT = 'FROM attempts WHERE request_id = ? AND attempt = ?';

const SQL = {
  request: `SELECT process_id, attempts, CAST(cost_nano_usd AS TEXT), ${readable([...REQUEST_COLUMNS, ...REQUEST_END_COLUMNS])} ${OF_REQUEST}`,
  attempt: `SELECT ${readable([...ATTEMPT_COLUMNS, ...ATTEMPT_END_COLUMNS])} ${OF_ATTEMPT}`,
  request1: `SELECT ${REQUEST_CELLS_1} ${OF_REQUEST}`,
  attempt1: `SELECT ${ATTEMPT_CELLS_1} ${OF_ATTEMPT}`,
  adjustment: `SELECT ${ADJUSTMENT_CELLS} FROM adjustments WHERE request_id = ? AND attempt = ? AND number = ?`,
} as const;

type Statements = { [K in keyof typeof SQL]: Statement<unknown[]> };

export interface LinkedRow {
  /** What is hashed of it. */
  text: string;
  /** Of an attempt or an adjustment of one: what its cost follows from. */
  costed: CostedAttempt | null;
}

/** The rows that links are about, as they are now. */
export class LinkedRows {
  readonly #sql: Statements;

  constructor(db: Database) {
    this.#sql = Object.fromEntries(
      Object.entries(SQL).map(([name, sql]) => [name, db.prepare<unknown[]>(sql).raw()]),
    ) as Statements;
  }

  /** Undefined where it was deleted. */
  read(link: ChainLink): LinkedRow | undefined {
    if (link.adjustment > 0) return this.#adjustment(link);
    return link.attempt === 0 ? this.#request(link) : this.#attempt(link);
  }

  #request({ requestId, version }: ChainLink): LinkedRow | undefined {
    if (version === 1) {
      const cells = this.#sql.request1.get(requestId) as Cell[] | undefined;
      return cells && { text: JSON.stringify(cells), costed: null };
    }
    const row = this.#sql.request.get(requestId) as [number, number, string | null, ...Cell[]] | undefined;
    if (row === undefined) return undefined;
    const [processId, attempts, cost, ...cells] = row;
    const begin = partOf(cells.slice(0, REQUEST_COLUMNS.length) as RequestCells);
    const end = partOf(cells.slice(REQUEST_COLUMNS.length) as RequestEndCells);
    return { text: requestText({ processId, attempts, cost, begin, end }), costed: null };
  }

  #attempt({ requestId, attempt, version }: ChainLink): LinkedRow | undefined {
    const cells = this.#sql.attempt.get(requestId, attempt) as Cell[] | undefined;
    if (cells === undefined) return undefined;
    const begin = partOf(cells.slice(0, ATTEMPT_COLUMNS.length) as AttemptCells);
    const end = partOf(cells.slice(ATTEMPT_COLUMNS.length) as AttemptEndCells);
    const costed = toCostedAttempt(begin.cells, end.cells);
    if (version !== 1) return { text: attemptText(requestId, { begin, end }), costed };
    return { text: JSON.stringify(this.#sql.attempt1.get(requestId, attempt)), costed };
  }

  #adjustment(link: ChainLink): LinkedRow | undefined {
    const { requestId, attempt, adjustment } = link;
    const cells = this.#sql.adjustment.get(requestId, attempt, adjustment) as Cell[] | undefined;
    if (cells === undefined) return undefined;
    const [, , , , priceId, cost, components] = cells as Array<string | null>;
    const adjusted = this.#attempt(link)?.costed;
    const costed = adjusted && {
      ...adjusted,
      priceId: priceId ?? null,
      cost: cost ?? null,
      components: components ?? null,
    };
    return { text: JSON.stringify(cells), costed: costed ?? null };
  }
}
