import type { Database } from 'better-sqlite3';
import type { RecoveredRow } from '../../domain/ledger.js';
import type { Logger } from '../../domain/ports.js';
import { noCounts } from '../../domain/usage.js';
import type { AnyEntry } from '../journal/row-entry.js';
import type { BatchWriter } from './batch-writer.js';
import { moveJournal, type Owner, removeJournal } from './journals.js';
import { isProcessDead } from './process-lock.js';

interface OpenAttempt {
  inference_id: string;
  attempt: number;
  held: string | null;
  price_id: string | null;
}

/**
 * Moves what dead processes have journaled into the tables, and ends what they left in flight: the money may have been
 * spent, so an attempt costs what was held for it, marked as estimated. Rows of a process that still lives are its own.
 */
export function recover(options: {
  db: Database;
  path: string;
  writer: BatchWriter;
  processId: number;
  now: number;
  logger: Logger;
}): RecoveredRow[] {
  const { db, path, writer, processId, now, logger } = options;
  const owners = db
    .prepare(
      `SELECT id, name FROM processes WHERE ended_at IS NULL OR id IN (
         SELECT process_id FROM requests WHERE outcome = 'in_flight'
         UNION
         SELECT r.process_id FROM attempts a JOIN requests r ON r.id = a.request_id WHERE a.outcome = 'in_flight')`,
    )
    .all() as Owner[];
  // Rows under this process's own name are of its previous life: it has only just opened the ledger.
  const dead = owners.filter(({ id, name }) => id === processId || isProcessDead(path, name));
  for (const owner of dead) {
    for (const error of moveJournal(db, path, owner)) logger.error({ err: error }, 'ledger entry turned down');
  }
  const recovered = dead.flatMap(({ id }) => recoverRowsOf(db, writer, id, now));
  for (const { name } of dead) removeJournal(path, name);
  const note = db.prepare('UPDATE processes SET ended_at = ? WHERE id = ? AND ended_at IS NULL');
  for (const { id } of dead) if (id !== processId) note.run(now, id);
  return recovered;
}

function recoverRowsOf(db: Database, writer: BatchWriter, processId: number, now: number): RecoveredRow[] {
  const attempts = db
    .prepare(
      `SELECT r.inference_id, a.attempt, CAST(a.held_nano_usd AS TEXT) AS held, a.price_id
       FROM attempts a JOIN requests r ON r.id = a.request_id
       WHERE a.outcome = 'in_flight' AND r.process_id = ? ORDER BY a.request_id, a.attempt`,
    )
    .all(processId) as OpenAttempt[];
  const requests = db
    .prepare("SELECT inference_id FROM requests WHERE outcome = 'in_flight' AND process_id = ? ORDER BY id")
    .all(processId) as Array<{ inference_id: string }>;
  const results = writer.commit([
    ...attempts.map((row) => interruptedAttempt(row, now)),
    ...requests.map((row) => interruptedRequest(row.inference_id, now)),
  ]);
  const fault = results.find((result) => result !== null);
  if (fault != null) throw fault;
  const touched = new Set([...requests, ...attempts].map((row) => row.inference_id));
  const read = db.prepare(
    `SELECT a.provider, CAST(r.cost_nano_usd AS TEXT) AS cost
     FROM requests r LEFT JOIN attempts a ON a.request_id = r.id AND a.attempt = r.attempts WHERE r.inference_id = ?`,
  );
  return [...touched].map((inferenceId) => {
    const row = read.get(inferenceId) as { provider: string | null; cost: string | null };
    return { inferenceId, provider: row.provider, costNanoUsd: row.cost === null ? null : BigInt(row.cost) };
  });
}

function interruptedAttempt(row: OpenAttempt, now: number): AnyEntry {
  return {
    attemptSettlement: {
      inferenceId: row.inference_id,
      attempt: row.attempt,
      endedAt: now,
      firstByteAt: null,
      outcome: 'interrupted',
      status: null,
      errorCode: 'interrupted',
      usage: { counts: noCounts(), source: 'estimated' },
      costNanoUsd: row.held === null ? null : BigInt(row.held),
      unpricedReason: row.held === null ? 'no-price' : null,
      priceId: row.price_id,
      components: [],
      providerCostUsd: null,
    },
  };
}

function interruptedRequest(inferenceId: string, now: number): AnyEntry {
  return {
    requestSettlement: {
      inferenceId,
      endedAt: now,
      outcome: 'interrupted',
      status: null,
      errorCode: 'interrupted',
      decision: null,
    },
  };
}
