import type { Database, Statement } from 'better-sqlite3';
import { ATTEMPT_COUNT_COLUMNS, amount, amountText } from '../journal/cells.js';
import type { RowEntry } from '../journal/row-entry.js';
import { attemptText, type ChainWriter, requestText } from './chain.js';
import type { AttemptFact } from './cuts.js';
import { ManyRows, type ManyRowsOptions } from './many-rows.js';
import { attemptFact, requestFact, sumOf } from './open-rows.js';
import type { RollupWriter } from './rollup-writer.js';
import type { WholeRequest } from './whole-requests.js';

/** A request of which everything is known, and the id its row is to have. */
export interface WholeRow {
  id: number;
  whole: WholeRequest;
  /** What it was told by. */
  entries: readonly RowEntry[];
}

interface Costs {
  facts: readonly AttemptFact[];
  /** In nano-USD; null when unknown. */
  cost: string | null;
}

const REQUESTS: ManyRowsOptions = {
  table: 'requests',
  own: ['id', 'inference_id', 'received_at', 'client', 'tags', 'ended_at', 'decision', 'cost_nano_usd'],
  shared: [
    'config_generation',
    'endpoint',
    'task',
    'model',
    'region',
    'stream',
    'outcome',
    'status',
    'error_code',
    'attempts',
    'process_id',
  ],
  onConflict: '(inference_id) DO NOTHING',
};

const ATTEMPTS: ManyRowsOptions = {
  table: 'attempts',
  own: [
    'request_id',
    'sent_at',
    'key',
    'held_nano_usd',
    'reserved_tokens',
    'first_byte_at',
    'ended_at',
    'cost_nano_usd',
    'components',
    'provider_cost_usd',
    ...ATTEMPT_COUNT_COLUMNS,
  ],
  shared: [
    'attempt',
    'provider',
    'provider_model',
    'region',
    'price_id',
    'outcome',
    'status',
    'error_code',
    'unpriced_reason',
    'usage_source',
  ],
};

const SQL = { idOf: 'SELECT id FROM requests WHERE inference_id = ?' } as const;

/** Writes requests of which everything is known, with their links in the chain and their part of the totals. */
export class WholeWriter {
  readonly #parts: { processId: number; chain: ChainWriter; rollups: RollupWriter };
  readonly #requests: ManyRows;
  readonly #attempts: ManyRows;
  readonly #idOf: Statement<unknown[]>;

  constructor(db: Database, parts: { processId: number; chain: ChainWriter; rollups: RollupWriter }) {
    this.#parts = parts;
    this.#requests = new ManyRows(db, REQUESTS);
    this.#attempts = new ManyRows(db, ATTEMPTS);
    this.#idOf = db.prepare<unknown[]>(SQL.idOf).pluck();
  }

  /** Writes the rows as they stay; returns those of requests that had a row already: nothing of them is written. */
  insert(rows: readonly WholeRow[]): readonly WholeRow[] {
    try {
      const costs = rows.map((row) => this.#addRequest(row));
      const known = this.#requests.flush() === 0 ? [] : rows.filter((row) => !this.#isOwn(row));
      const isKnown = new Set(known);
      for (const [at, row] of rows.entries()) if (!isKnown.has(row)) this.#addAttempts(row, costs[at] as Costs);
      this.#attempts.flush();
      return known;
    } finally {
      this.#requests.drop();
      this.#attempts.drop();
    }
  }

  #addRequest({ id, whole }: WholeRow): Costs {
    const { request, attempts, end } = whole;
    const facts = attempts.map((attempt) => attemptFact(attempt.begin.cells, attempt.end.cells));
    const cost = amountText(amount(sumOf(facts)));
    const [inferenceId, receivedAt, generation, client, tags, endpoint, task, model, region, stream] = request.cells;
    const [endedAt, outcome, status, errorCode, decision] = end.cells;
    this.#requests.add(
      [id, inferenceId, receivedAt, client, tags, endedAt, decision, amountCell(cost)],
      [
        generation,
        endpoint,
        task,
        model,
        region,
        stream,
        outcome,
        status,
        errorCode,
        attempts.length,
        this.#parts.processId,
      ],
    );
    return { facts, cost };
  }

  /** Its links and its part of the totals as well. */
  #addAttempts({ id, whole }: WholeRow, { facts, cost }: Costs): void {
    const { processId, chain, rollups } = this.#parts;
    const { request, attempts, end } = whole;
    const [, receivedAt] = request.cells;
    for (const attempt of attempts) {
      const [number, sentAt, provider, providerModel, key, region, held, reserved] = attempt.begin.cells;
      const [
        priceId,
        firstByteAt,
        endedAt,
        outcome,
        status,
        errorCode,
        cost,
        unpriced,
        components,
        theirs,
        source,
        ...counts
      ] = attempt.end.cells;
      this.#attempts.add(
        [
          id,
          sentAt,
          key,
          amountCell(held),
          reserved,
          firstByteAt,
          endedAt,
          amountCell(cost),
          components,
          theirs,
          ...counts,
        ],
        [number, provider, providerModel, region, priceId, outcome, status, errorCode, unpriced, source],
      );
      chain.add(receivedAt, { requestId: id, attempt: number, adjustment: 0 }, attemptText(id, attempt));
    }
    rollups.add(requestFact(request.cells, end.cells[1]), facts);
    const text = requestText({ processId, attempts: attempts.length, cost, begin: request, end });
    chain.add(receivedAt, { requestId: id, attempt: 0, adjustment: 0 }, text);
  }

  /** Whether the row of this request is the one that was just inserted. */
  #isOwn({ id, whole }: WholeRow): boolean {
    return this.#idOf.get(whole.request.cells[0]) === id;
  }
}

/** The longest text of an amount that is surely exact as a number. */
const MAX_EXACT_DIGITS = 15;

/** An amount as it is quickest to bind. */
function amountCell(text: string | null): string | number | null {
  return text !== null && text.length <= MAX_EXACT_DIGITS ? Number(text) : text;
}
