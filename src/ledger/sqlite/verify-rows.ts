import type { Database } from 'better-sqlite3';
import {
  type AttemptFact,
  COUNT_COLUMNS,
  CUT_COLUMNS,
  type CutSum,
  type CutSums,
  HOUR_MS,
  type RequestFact,
} from './cuts.js';
import { ATTEMPT_FACT_COLUMNS, type AttemptFactSql, toAttemptFact } from './facts.js';

/** A settled request with its attempts, as the second look at an hour reads them. */
export interface HourRequest {
  id: number;
  inferenceId: string;
  fact: RequestFact;
  endedAt: number;
  /** As its own row says. */
  cost: string | null;
  attempts: Array<{ attempt: number; endedAt: number | null; ownCost: string | null; fact: AttemptFact }>;
}

interface JoinedSql extends AttemptFactSql {
  id: number;
  inference_id: string;
  received_at: number;
  client: string;
  model: string;
  endpoint: string;
  task: string;
  request_region: string | null;
  request_outcome: RequestFact['outcome'];
  request_ended_at: number;
  request_cost: string | null;
  attempt: number | null;
  ended_at: number | null;
  own_cost: string | null;
}

/** The settled requests received within an hour. */
export function* requestsOfHour(db: Database, hour: number): Generator<HourRequest> {
  const rows = db
    .prepare(
      `SELECT r.id, r.inference_id, r.received_at, r.client, r.model, r.endpoint, r.task, r.region AS request_region,
         r.outcome AS request_outcome, r.ended_at AS request_ended_at, CAST(r.cost_nano_usd AS TEXT) AS request_cost,
         a.attempt, a.ended_at, CAST(a.cost_nano_usd AS TEXT) AS own_cost, ${ATTEMPT_FACT_COLUMNS}
       FROM requests r LEFT JOIN attempts a ON a.request_id = r.id
       WHERE r.received_at >= ? AND r.received_at < ? AND r.outcome <> 'in_flight'
       ORDER BY r.received_at, r.id, a.attempt`,
    )
    .iterate(hour * HOUR_MS, (hour + 1) * HOUR_MS) as IterableIterator<JoinedSql>;
  let request: HourRequest | null = null;
  for (const row of rows) {
    if (row.id !== request?.id) {
      if (request !== null) yield request;
      request = toRequest(row);
    }
    if (row.attempt === null) continue;
    const { attempt, ended_at: endedAt, own_cost: ownCost } = row;
    request.attempts.push({ attempt, endedAt, ownCost, fact: toAttemptFact(row) });
  }
  if (request !== null) yield request;
}

function toRequest(row: JoinedSql): HourRequest {
  return {
    id: row.id,
    inferenceId: row.inference_id,
    fact: {
      received_at: row.received_at,
      client: row.client,
      model: row.model,
      endpoint: row.endpoint,
      task: row.task,
      region: row.request_region,
      outcome: row.request_outcome,
    },
    endedAt: row.request_ended_at,
    cost: row.request_cost,
    attempts: [],
  };
}

/** What a request should cost by its attempts; null when one of them is unknown. */
export function costProblemOf(request: HourRequest): string | null {
  let sum: bigint | null = 0n;
  let isLate = false;
  for (const { ownCost, endedAt } of request.attempts) {
    sum = sum === null || ownCost === null ? null : sum + BigInt(ownCost);
    // It ended after its request did, when the cost of the whole was written as unknown.
    if (endedAt === null || endedAt > request.endedAt) isLate = true;
  }
  const stated = request.cost === null ? null : BigInt(request.cost);
  const isTooLarge = stated === null && sum !== null && sum >= 2n ** 63n;
  if (stated === sum || isTooLarge || (stated === null && isLate)) return null;
  return `the request costs ${request.cost}, its attempts ${sum}`;
}

/** Where the hourly totals say something else than the rows. */
export function* totalsProblems(db: Database, hour: number, expected: CutSums): Generator<string> {
  const seen = new Set<string>();
  for (const total of totalsOf(db, hour)) {
    seen.add(total.name);
    const problem = difference(total, expected.get(hour, total.name));
    if (problem !== null) yield problem;
  }
  for (const sum of expected.values()) {
    if (!seen.has(sum.name)) yield difference(undefined, sum) ?? '';
  }
}

function totalsOf(db: Database, hour: number): Iterable<CutSum> {
  const rows = db
    .prepare(
      `SELECT ${CUT_COLUMNS.map((column) => `c.${column} AS cut_${column}`).join(', ')},
         ${COUNT_COLUMNS.map((column) => `t.${column}`).join(', ')},
         CAST(t.cost_high AS TEXT) AS cost_high, CAST(t.cost_low AS TEXT) AS cost_low,
         CAST(t.estimated_high AS TEXT) AS estimated_high, CAST(t.estimated_low AS TEXT) AS estimated_low
       FROM rollups t INDEXED BY rollups_by_hour CROSS JOIN cuts c ON c.id = t.cut_id WHERE t.hour = ?`,
    )
    .all(hour) as Array<Record<string, string | number | null>>;
  // One cut may have been named in two ways; together they are what a report sees.
  const sums = new Map<string, CutSum>();
  for (const row of rows) {
    const name = JSON.stringify(CUT_COLUMNS.map((column) => row[`cut_${column}`] ?? null));
    const sum = sums.get(name) ?? ({ hour, name, cost: 0n, estimated: 0n } as CutSum);
    for (const column of COUNT_COLUMNS) sum[column] = (sum[column] ?? 0) + (row[column] as number);
    sum.cost += joined(row['cost_high'], row['cost_low']);
    sum.estimated += joined(row['estimated_high'], row['estimated_low']);
    sums.set(name, sum);
  }
  return sums.values();
}

function joined(high: unknown, low: unknown): bigint {
  return (BigInt(high as string) << 32n) + BigInt(low as string);
}

function difference(total: CutSum | undefined, sum: CutSum | undefined): string | null {
  const columns = [...COUNT_COLUMNS, 'cost', 'estimated'] as const;
  for (const column of columns) {
    const [said, due] = [total?.[column] ?? 0, sum?.[column] ?? 0];
    if (isSame(said, due)) continue;
    const cut = (JSON.parse((total ?? sum)?.name ?? '[]') as Array<string | null>).map((part) => part ?? '-').join(' ');
    return `the hourly total of ${cut} says ${column} ${said}, its rows say ${due}`;
  }
  return null;
}

/** Sums of counts beyond 2^53 depend on their order. */
function isSame(said: number | bigint, due: number | bigint): boolean {
  if (typeof said === 'number' && typeof due === 'number' && Math.abs(due) > Number.MAX_SAFE_INTEGER) {
    return Math.abs(said - due) <= Math.abs(due) * 1e-12;
  }
  return BigInt(said) === BigInt(due);
}
