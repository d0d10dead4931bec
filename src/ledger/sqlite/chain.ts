import { hash } from 'node:crypto';
import type { Database, Statement } from 'better-sqlite3';
import { HOUR_MS } from './cuts.js';

/** A column's value as it enters a hash; amounts of money as text. */
export type Cell = string | number | null;

/** What a row of `requests` says, in the order it is hashed. */
export const REQUEST_CELLS = `inference_id, received_at, ended_at, process_id, config_generation, client, tags, endpoint,
  task, model, region, stream, outcome, status, error_code, attempts, CAST(cost_nano_usd AS TEXT), decision`;

/** What a row of `attempts` says, in the order it is hashed. */
export const ATTEMPT_CELLS = `request_id, attempt, sent_at, first_byte_at, ended_at, provider, provider_model, key, region,
  outcome, status, error_code, CAST(held_nano_usd AS TEXT), CAST(cost_nano_usd AS TEXT), unpriced_reason, price_id,
  usage_source, input, cached_input, cache_write, output, reasoning, audio_input, audio_output, images, characters,
  audio_ms, search_units, provider_cost_usd, components`;

/** What a row of `adjustments` says, in the order it is hashed. */
export const ADJUSTMENT_CELLS =
  'request_id, attempt, number, made_at, price_id, CAST(cost_nano_usd AS TEXT), components';

/** The hash of a row, which takes in that of the row settled before it in the same hour. */
export function linkHash(previous: string, cells: readonly Cell[]): string {
  return hash('sha256', previous + JSON.stringify(cells), 'base64url');
}

interface Link {
  hour: number;
  requestId: number;
  attempt: number;
  adjustment: number;
  cells: readonly Cell[];
}

/** Collects the links of a transaction and writes them at its end. */
export class ChainWriter {
  readonly #readHead: Statement<unknown[]>;
  readonly #writeHead: Statement<unknown[]>;
  readonly #insert: Statement<unknown[]>;
  #links: Link[] = [];

  constructor(db: Database) {
    this.#readHead = db.prepare('SELECT links, hash FROM chain_heads WHERE hour = ?');
    this.#writeHead = db.prepare('INSERT OR REPLACE INTO chain_heads (hour, links, hash) VALUES (?, ?, ?)');
    this.#insert = db.prepare(
      'INSERT INTO chain (hour, seq, request_id, attempt, adjustment, hash) VALUES (?, ?, ?, ?, ?, ?)',
    );
  }

  /** How many links wait to be written: what `drop` goes back to. */
  get pending(): number {
    return this.#links.length;
  }

  /** `attempt` 0 is the request's own row; `adjustment` the number of one, where that is the row. */
  add(row: {
    receivedAt: number;
    requestId: number;
    attempt: number;
    adjustment?: number;
    cells: readonly Cell[];
  }): void {
    const { receivedAt, requestId, attempt, adjustment = 0, cells } = row;
    this.#links.push({ hour: Math.floor(receivedAt / HOUR_MS), requestId, attempt, adjustment, cells });
  }

  /** Forgets the links added since there were `kept`: their rows have been taken back. */
  drop(kept: number): void {
    this.#links.length = kept;
  }

  /** Heads are read anew in each transaction, for another process may have written since. */
  write(): void {
    const heads = new Map<number, { links: number; hash: string }>();
    for (const { hour, requestId, attempt, adjustment, cells } of this.#links) {
      let head = heads.get(hour);
      if (head === undefined) {
        head = (this.#readHead.get(hour) as { links: number; hash: string } | undefined) ?? { links: 0, hash: '' };
        heads.set(hour, head);
      }
      head.links += 1;
      head.hash = linkHash(head.hash, cells);
      this.#insert.run(hour, head.links, requestId, attempt, adjustment, head.hash);
    }
    for (const [hour, head] of heads) this.#writeHead.run(hour, head.links, head.hash);
    this.#links = [];
  }
}
