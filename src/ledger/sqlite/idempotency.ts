import { setImmediate as turn } from 'node:timers/promises';
import type { Database, Statement } from 'better-sqlite3';
import type { IdempotencyStore, KeptAnswer } from '../../domain/idempotency.js';
import { type Durability, openForWriting } from './open.js';

export interface IdempotencyStoreOptions {
  /** The ledger's file. */
  path: string;
  durability: Durability;
  /** Of all answers together; 256 MiB by default. */
  maxBytes?: number;
}

const DEFAULT_MAX_BYTES = 256 * 1024 * 1024;
/** Rows that one transaction deletes: a few milliseconds of the event loop. */
const DELETED_AT_ONCE = 200;

const BUSY_TIMEOUT_MS = 250;

const SQL = {
  total: 'SELECT coalesce(sum(bytes), 0) FROM idempotent_answers',
  find: 'SELECT * FROM idempotent_answers WHERE client = ? AND key = ? AND kept_at >= ?',
  bytesOf: 'SELECT bytes FROM idempotent_answers WHERE client = ? AND key = ?',
  keep: `INSERT OR REPLACE INTO idempotent_answers (client, key, request_hash, inference_id, kept_at, bytes, head, body)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  deleteOldest: `DELETE FROM idempotent_answers WHERE rowid =
    (SELECT rowid FROM idempotent_answers ORDER BY kept_at LIMIT 1) RETURNING bytes`,
  deleteBefore: `DELETE FROM idempotent_answers WHERE rowid IN
    (SELECT rowid FROM idempotent_answers WHERE kept_at < ? ORDER BY kept_at LIMIT ${DELETED_AT_ONCE}) RETURNING bytes`,
} as const;

type Statements = { [K in keyof typeof SQL]: Statement<unknown[]> };
type Head = Pick<KeptAnswer, 'kind' | 'provider' | 'model' | 'attempts' | 'headers' | 'contentType'> & {
  cost: string | null;
  /** The column holds text: bytes stand in it as base64. */
  base64?: true;
};

interface Row {
  client: string;
  key: string;
  request_hash: string;
  inference_id: string;
  kept_at: number;
  head: string;
  body: string;
}

/**
 * Kept answers beside the ledger's rows, over a connection of its own.
 * @throws UserError as opening a ledger does
 */
export function openSqliteIdempotency(options: IdempotencyStoreOptions): IdempotencyStore {
  const db = openForWriting(options.path, options.durability);
  try {
    // Another process's write is not waited for long: an answer that is not kept is still an answer.
    db.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
    return new SqliteIdempotency(db, options.maxBytes ?? DEFAULT_MAX_BYTES);
  } catch (error) {
    db.close();
    throw error;
  }
}

class SqliteIdempotency implements IdempotencyStore {
  readonly #db: Database;
  readonly #maxBytes: number;
  readonly #sql: Statements;
  /** Of all answers kept. Counted anew at each prune, for another process may share the file. */
  #total: number;

  constructor(db: Database, maxBytes: number) {
    this.#db = db;
    this.#maxBytes = maxBytes;
    this.#sql = Object.fromEntries(
      Object.entries(SQL).map(([name, sql]) => [name, db.prepare<unknown[]>(sql)]),
    ) as Statements;
    for (const statement of [this.#sql.total, this.#sql.bytesOf, this.#sql.deleteOldest, this.#sql.deleteBefore]) {
      statement.pluck();
    }
    this.#total = this.#count();
  }

  find(client: string, key: string, since: number): KeptAnswer | null {
    const row = this.#sql.find.get(client, key, Math.floor(since)) as Row | undefined;
    return row === undefined ? null : toKept(row);
  }

  keep(kept: KeptAnswer): void {
    const { client, key, kind, provider, model, attempts, headers, contentType, costNanoUsd } = kept;
    const cost = costNanoUsd === null ? null : costNanoUsd.toString();
    const isBytes = typeof kept.body !== 'string';
    const body = isBytes ? kept.body.toString('base64') : kept.body;
    const head: Head = { kind, provider, model, attempts, headers, cost };
    if (contentType !== undefined) head.contentType = contentType;
    if (isBytes) head.base64 = true;
    const bytes = Buffer.byteLength(body);
    let total = this.#total;
    this.#db
      .transaction(() => {
        total += bytes - ((this.#sql.bytesOf.get(client, key) as number | undefined) ?? 0);
        this.#sql.keep.run(
          client,
          key,
          kept.requestHash,
          kept.inferenceId,
          Math.floor(kept.keptAt),
          bytes,
          JSON.stringify(head),
          body,
        );
        while (total > this.#maxBytes) {
          const [freed] = this.#sql.deleteOldest.all() as number[];
          if (freed === undefined) break;
          total -= freed;
        }
      })
      .immediate();
    this.#total = total;
  }

  async prune(before: number): Promise<void> {
    let deleted = DELETED_AT_ONCE;
    while (deleted === DELETED_AT_ONCE && this.#db.open) {
      deleted = this.#sql.deleteBefore.all(Math.floor(before)).length;
      await turn();
    }
    if (this.#db.open) this.#total = this.#count();
  }

  close(): void {
    this.#db.close();
  }

  #count(): number {
    return this.#sql.total.get() as number;
  }
}

function toKept(row: Row): KeptAnswer {
  const { cost, base64, ...head } = JSON.parse(row.head) as Head;
  return {
    client: row.client,
    key: row.key,
    requestHash: row.request_hash,
    inferenceId: row.inference_id,
    keptAt: row.kept_at,
    ...head,
    body: base64 === true ? Buffer.from(row.body, 'base64') : row.body,
    costNanoUsd: cost === null ? null : BigInt(cost),
  };
}
