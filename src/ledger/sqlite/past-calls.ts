import type { Database } from 'better-sqlite3';
import type { PastTaking } from '../../domain/limit.js';
import { HOUR_MS } from './cuts.js';
import { openUpToDate } from './journals.js';

/** Requests whose calls are read one by one, which takes a tenth of a second; what is older comes as hourly totals. */
const MOST_READ_SINGLY = 20_000;
/** A call may be sent so long after its request was received: it waits in line and between attempts. */
const LATE_MS = 300_000;

/** What calls by one key, to one model, for one client took. */
export interface PastCalls extends PastTaking {
  client: string;
  /** Fingerprint. */
  key: string;
  provider: string;
  providerModel: string;
  /** Requests as the client's limits count them; `requests` are the calls they needed. */
  clientRequests: number;
}

/** As `PastCalls`, in the order of the statements below. */
type Row = [client: string, key: string, provider: string, model: string, at: number, ...counts: number[]];

const USED = ['input', 'cached_input', 'cache_write', 'output', 'reasoning', 'audio_input', 'audio_output'];
const ATTEMPT_TOKENS = USED.map((name) => `coalesce(a.${name}, 0)`).join(' + ');
const ROLLUP_TOKENS = USED.map((name) => `total(t.${name})`).join(' + ');
/** Where usage is not known for sure, an estimate is not given back: as the limits themselves have it. */
const IS_UNCERTAIN = `(a.outcome = 'interrupted' OR a.usage_source = 'lower-bound')`;
const COUNTED_TOKENS = `CASE WHEN a.outcome = 'in_flight' OR ${IS_UNCERTAIN}
  THEN max(coalesce(a.reserved_tokens, 0), ${ATTEMPT_TOKENS}) ELSE ${ATTEMPT_TOKENS} END`;

/**
 * What was taken of limits since an instant, from a ledger file, oldest first. The newest 20,000 requests are exact. Those before them count as taken at the end of their hour: for too long rather than too short.
 * @throws UserError when the file cannot be used
 */
export function readPastCalls(path: string, from: number, mostSingly = MOST_READ_SINGLY): PastCalls[] {
  const db = openUpToDate(path);
  try {
    const first = firstReadSingly(db, from, mostSingly);
    const single = singleCalls(db, first.id);
    return [...olderCalls(db, from, first, single), ...single.map(toPastCalls)].sort((one, other) => one.at - other.at);
  } finally {
    db.close();
  }
}

interface FirstRow {
  id: number;
  receivedAt: number;
}

/** No row is left of the time in question; totals may be. */
const AFTER_ALL: FirstRow = { id: Number.MAX_SAFE_INTEGER, receivedAt: Number.MAX_SAFE_INTEGER };

function firstReadSingly(db: Database, from: number, most: number): FirstRow {
  const columns = 'SELECT id, received_at AS receivedAt FROM requests';
  const oldest = db.prepare(`${columns} WHERE received_at >= ? ORDER BY received_at LIMIT 1`).get(from - LATE_MS);
  if (oldest === undefined) return AFTER_ALL;
  const newest = db.prepare('SELECT max(id) FROM requests').pluck().get() as number;
  const found = oldest as FirstRow;
  if (newest - found.id < most) return found;
  return db.prepare(`${columns} WHERE id > ? ORDER BY id LIMIT 1`).get(Math.max(found.id, newest - most)) as FirstRow;
}

/** With the request's hour behind the counts. */
function singleCalls(db: Database, firstId: number): Row[] {
  // CROSS JOIN keeps the order of the tables: both are read from front to back.
  return db
    .prepare(
      `SELECT r.client, a.key, a.provider, a.provider_model, a.sent_at, 1, a.attempt = 1, ${COUNTED_TOKENS},
         r.received_at / ${HOUR_MS}, a.attempt = r.attempts, ${ATTEMPT_TOKENS}
       FROM attempts a CROSS JOIN requests r ON r.id = a.request_id
       WHERE a.request_id >= ? AND a.key IS NOT NULL`,
    )
    .raw()
    .all(firstId) as Row[];
}

/** Hourly totals of what came before; of the hour in which single rows begin, what those leave of it. */
function olderCalls(db: Database, from: number, first: FirstRow, single: readonly Row[]): PastCalls[] {
  const lastHour = Math.floor(first.receivedAt / HOUR_MS);
  const firstHour = Math.floor((from - LATE_MS) / HOUR_MS);
  const read = db
    .prepare(
      `SELECT c.client, c.key, c.provider, c.provider_model, t.hour, sum(t.attempts), sum(t.requests), ${ROLLUP_TOKENS}
       FROM rollups t JOIN cuts c ON c.id = t.cut_id
       WHERE t.hour BETWEEN ? AND ? AND c.key IS NOT NULL GROUP BY 1, 2, 3, 4, 5 ORDER BY t.hour`,
    )
    .raw()
    .all(firstHour, lastHour) as Row[];
  const byCut = new Map<string, PastCalls>();
  for (const row of read) {
    const calls = toPastCalls(row);
    const hour = calls.at;
    calls.at = hour === lastHour ? first.receivedAt : (hour + 1) * HOUR_MS - 1;
    byCut.set(cutName(row, hour), calls);
  }
  for (const row of single) {
    const hour = row[8] as number;
    if (hour > lastHour) continue;
    const calls = byCut.get(cutName(row, hour));
    if (calls === undefined) continue;
    calls.requests -= row[5] as number;
    calls.clientRequests -= row[9] as number;
    calls.tokens -= row[10] as number;
  }
  return [...byCut.values(), ...uncertainCalls(db, from, first)].filter(
    ({ requests, tokens }) => requests + tokens > 0,
  );
}

/** What calls without sure usage hold beyond what the totals count of them. */
function uncertainCalls(db: Database, from: number, first: FirstRow): PastCalls[] {
  const rows = db
    .prepare(
      `SELECT r.client, a.key, a.provider, a.provider_model, a.sent_at, 0, 0, ${COUNTED_TOKENS} - (${ATTEMPT_TOKENS})
       FROM attempts a JOIN requests r ON r.id = a.request_id
       WHERE ${IS_UNCERTAIN} AND a.request_id < ? AND a.sent_at >= ? AND a.key IS NOT NULL ORDER BY a.request_id`,
    )
    .raw()
    .all(first.id, from) as Row[];
  return rows.map(toPastCalls);
}

function cutName(row: Row, hour: number): string {
  return `${hour} ${row[1]} ${row[2]} ${row[0]} ${row[3]}`;
}

function toPastCalls(row: Row): PastCalls {
  const [client, key, provider, providerModel, at, requests = 0, clientRequests = 0, tokens = 0] = row;
  return { client, key, provider, providerModel, at, requests, clientRequests, tokens };
}
