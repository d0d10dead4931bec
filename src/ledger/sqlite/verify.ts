import type { Database } from 'better-sqlite3';
import type { LedgerDifference, LedgerVerification } from '../../domain/ledger.js';
import { ceilDiv } from '../../domain/money.js';
import type { RateClass } from '../../domain/pricing.js';
import { ATTEMPT_CELLS, type Cell, CHAIN_HOUR_MS, linkHash, REQUEST_CELLS } from './chain.js';

interface ChainRow {
  seq: number;
  request_id: number;
  attempt: number;
  hash: string;
}

/** More than this many are not listed: a ledger so damaged needs its backup. */
const MAX_DIFFERENCES = 1_000;

/**
 * Checks every settled row against the chain of its hour, every cost against its components, and every request's cost
 * against those of its attempts. Sees one state of the ledger, whatever is written meanwhile.
 */
export function verifySqlite(
  db: Database,
  onHour: (hour: string, done: number, of: number) => void,
): LedgerVerification {
  return db.transaction(() => new Verifier(db).run(onHour)).deferred();
}

class Verifier {
  readonly #db: Database;
  readonly #differences: LedgerDifference[] = [];
  #checked = 0;

  constructor(db: Database) {
    this.#db = db;
  }

  run(onHour: (hour: string, done: number, of: number) => void): LedgerVerification {
    const hours = this.#db
      .prepare(
        `SELECT hour FROM chain_heads UNION SELECT hour FROM chain
         UNION SELECT received_at / ${CHAIN_HOUR_MS} FROM requests WHERE outcome <> 'in_flight' ORDER BY 1`,
      )
      .pluck()
      .all() as number[];
    for (const [index, hour] of hours.entries()) {
      this.#verifyHour(hour);
      onHour(isoHour(hour), index + 1, hours.length);
    }
    return { ok: this.#differences.length === 0, checked: this.#checked, differences: this.#differences };
  }

  #verifyHour(hour: number): void {
    const readRequest = this.#db.prepare(`SELECT ${REQUEST_CELLS} FROM requests WHERE id = ?`).raw();
    const readAttempt = this.#db
      .prepare(`SELECT ${ATTEMPT_CELLS} FROM attempts WHERE request_id = ? AND attempt = ?`)
      .raw();
    const links = this.#db.prepare('SELECT seq, request_id, attempt, hash FROM chain WHERE hour = ? ORDER BY seq');
    const linked = new Set<string>();
    let previous = '';
    let expectedSeq = 1;
    for (const link of links.iterate(hour) as IterableIterator<ChainRow>) {
      const { seq, request_id: requestId, attempt, hash } = link;
      if (seq !== expectedSeq)
        this.#note(hour, null, null, `links ${expectedSeq} to ${seq - 1} of the chain are missing`);
      linked.add(`${requestId}/${attempt}`);
      this.#checked += 1;
      const read = attempt === 0 ? readRequest.get(requestId) : readAttempt.get(requestId, attempt);
      const cells = read as Cell[] | undefined;
      const name = this.#inferenceIdOf(requestId);
      if (cells === undefined) {
        this.#note(hour, name, attempt, `the row was deleted (row ${requestId}, link ${seq})`);
      } else if (seq === expectedSeq && linkHash(previous, cells) !== hash) {
        this.#note(hour, name, attempt, `the row is not as it was written (row ${requestId}, link ${seq})`);
      } else if (attempt > 0) {
        this.#verifyCost(hour, name, attempt, cells);
      }
      previous = hash;
      expectedSeq = seq + 1;
    }
    this.#verifyHead(hour, { links: expectedSeq - 1, hash: previous });
    this.#verifyRows(hour, linked);
  }

  /** Links cut off at the end leave no gap: the head says how many there were. */
  #verifyHead(hour: number, found: { links: number; hash: string }): void {
    const head = this.#db.prepare('SELECT links, hash FROM chain_heads WHERE hour = ?').get(hour) as
      | { links: number; hash: string }
      | undefined;
    if (head === undefined) {
      if (found.links > 0) this.#note(hour, null, null, 'the head of the chain is missing');
    } else if (head.links !== found.links || head.hash !== found.hash) {
      this.#note(hour, null, null, `the chain ends at link ${found.links}, its head says ${head.links}`);
    }
  }

  /** Settled rows that no link knows, and requests that do not cost what their attempts do. */
  #verifyRows(hour: number, linked: ReadonlySet<string>): void {
    const rows = this.#db
      .prepare(
        `SELECT r.id, r.inference_id AS name, r.outcome, a.attempt, a.outcome AS attempt_outcome,
           CAST(r.cost_nano_usd AS TEXT) AS cost, CAST(a.cost_nano_usd AS TEXT) AS attempt_cost
         FROM requests r LEFT JOIN attempts a ON a.request_id = r.id
         WHERE r.received_at >= ? AND r.received_at < ? ORDER BY r.received_at, r.id, a.attempt`,
      )
      .iterate(hour * CHAIN_HOUR_MS, (hour + 1) * CHAIN_HOUR_MS) as IterableIterator<RowSql>;
    let request: RowSql | null = null;
    let sum: bigint | null = 0n;
    const finish = () => {
      if (request === null || request.outcome === 'in_flight') return;
      const stated = request.cost === null ? null : BigInt(request.cost);
      const isTooLarge = stated === null && sum !== null && sum >= 2n ** 63n;
      if (stated !== sum && !isTooLarge) {
        this.#note(hour, request.name, null, `the request costs ${request.cost}, its attempts ${sum}`);
      }
      if (!linked.has(`${request.id}/0`)) this.#note(hour, request.name, null, 'the row was added by something else');
    };
    for (const row of rows) {
      if (row.id !== request?.id) {
        finish();
        request = row;
        sum = 0n;
      }
      if (row.attempt === null) continue;
      sum = sum === null || row.attempt_cost === null ? null : sum + BigInt(row.attempt_cost);
      if (row.attempt_outcome !== 'in_flight' && !linked.has(`${row.id}/${row.attempt}`)) {
        this.#note(hour, row.name, row.attempt, 'the row was added by something else');
      }
    }
    finish();
  }

  /** What the components add up to, rounded up once, is the cost. */
  #verifyCost(hour: number, name: string | null, attempt: number, cells: readonly Cell[]): void {
    const cost = cells[13] as string | null;
    const components = cells[29] as string | null;
    if (components === null || cost === null) return;
    let numerator = 0n;
    for (const [rateClass, units, rate] of JSON.parse(components) as Array<[RateClass, number, string]>) {
      // A price per minute, units in milliseconds.
      numerator += BigInt(units) * BigInt(rate) * (rateClass === 'audioMinute' ? 1n : 60_000n);
    }
    const sum = ceilDiv(numerator, 60_000_000_000n);
    if (sum !== BigInt(cost)) {
      this.#note(hour, name, attempt, `the cost is ${cost} nano-USD, its components add up to ${sum}`);
    }
  }

  #inferenceIdOf(requestId: number): string | null {
    const name = this.#db.prepare('SELECT inference_id FROM requests WHERE id = ?').pluck().get(requestId);
    return (name as string | undefined) ?? null;
  }

  #note(hour: number, inferenceId: string | null, attempt: number | null, problem: string): void {
    if (this.#differences.length >= MAX_DIFFERENCES) return;
    this.#differences.push({ inferenceId, attempt: attempt === 0 ? null : attempt, hour: isoHour(hour), problem });
  }
}

interface RowSql {
  id: number;
  name: string;
  outcome: string;
  attempt: number | null;
  attempt_outcome: string | null;
  cost: string | null;
  attempt_cost: string | null;
}

function isoHour(hour: number): string {
  return new Date(hour * CHAIN_HOUR_MS).toISOString();
}
