import type { Database, Statement } from 'better-sqlite3';
import type { CostsFilter } from '../../domain/ledger.js';
import type { NanoUsd } from '../../domain/money.js';

/**
 * What requests cost, looked up by id: their attempts' sum, as it was written when they were settled. Of one provider it
 * is the sum over its own attempts.
 */
const OF_REQUESTS = `
  SELECT CAST(cost_nano_usd AS TEXT) AS cost FROM requests
  WHERE inference_id = ? AND outcome <> 'in_flight' AND (? IS NULL OR client = ?)`;

const OF_ATTEMPTS = `
  SELECT CAST(sum(a.cost_nano_usd) AS TEXT) AS cost
  FROM requests r JOIN attempts a ON a.request_id = r.id
  WHERE r.inference_id = ? AND r.outcome <> 'in_flight' AND (? IS NULL OR r.client = ?) AND a.provider = ?
  HAVING count(*) = count(a.cost_nano_usd)`;

const HELD_OF_UNPRICED = `
  SELECT CAST(coalesce(a.held_nano_usd, 0) AS TEXT)
  FROM attempts a INDEXED BY attempts_unpriced JOIN requests r ON r.id = a.request_id
  WHERE a.cost_nano_usd IS NULL AND a.outcome <> 'in_flight' AND r.client = ? AND r.received_at >= ?`;

/** Prepared once; a look-up takes microseconds. */
export class CostLookup {
  readonly #ofRequests: Statement<unknown[]>;
  readonly #ofAttempts: Statement<unknown[]>;
  readonly #heldOfUnpriced: Statement<unknown[]>;

  constructor(db: Database) {
    this.#ofRequests = db.prepare<unknown[]>(OF_REQUESTS).pluck();
    this.#ofAttempts = db.prepare<unknown[]>(OF_ATTEMPTS).pluck();
    this.#heldOfUnpriced = db.prepare<unknown[]>(HELD_OF_UNPRICED).pluck();
  }

  heldOfUnpriced(client: string, from: number | null): NanoUsd {
    const held = this.#heldOfUnpriced.all(client, from ?? 0) as string[];
    return held.reduce((sum, amount) => sum + BigInt(amount), 0n);
  }

  /** Ids that are unknown, foreign, under way or of unknown cost are left out. */
  costsOf(ids: readonly string[], { client, provider }: CostsFilter): Map<string, NanoUsd> {
    const costs = new Map<string, NanoUsd>();
    for (const id of ids) {
      const cost = (
        provider === null
          ? this.#ofRequests.get(id, client, client)
          : this.#ofAttempts.get(id, client, client, provider)
      ) as string | null | undefined;
      if (cost != null) costs.set(id, BigInt(cost));
    }
    return costs;
  }
}
