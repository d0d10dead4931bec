import { hash } from 'node:crypto';
import type { Database, Statement } from 'better-sqlite3';
import { CutNames } from './cut-names.js';
import { type AttemptFact, COUNT_COLUMNS, CUT_COLUMNS, type CutSum, CutSums, type RequestFact } from './cuts.js';
import { ManyRows, type ManyRowsOptions } from './many-rows.js';

interface Change {
  request: RequestFact;
  attempts: readonly AttemptFact[];
  sign: 1 | -1;
}

/** Ids of cuts that are remembered; beyond this they are looked up anew. */
const MAX_KNOWN_CUTS = 20_000;

const AMOUNT_COLUMNS = ['cost_high', 'cost_low', 'estimated_high', 'estimated_low'] as const;
const FIGURE_COLUMNS = [...COUNT_COLUMNS, ...AMOUNT_COLUMNS];

const SQL = {
  findCut: 'SELECT id FROM cuts WHERE name = ?',
  insertCut: `INSERT INTO cuts (name, ${CUT_COLUMNS.join(', ')}) VALUES (?${', ?'.repeat(CUT_COLUMNS.length)})`,
  isPruned: 'SELECT 1 FROM pruned_hours WHERE hour = ?',
  sealPruned: 'UPDATE pruned_hours SET rollups_hash = ? WHERE hour = ?',
} as const;

const TOTALS: ManyRowsOptions = {
  table: 'rollups',
  own: ['cut_id', ...FIGURE_COLUMNS],
  shared: ['hour'],
  onConflict: `(cut_id, hour) DO UPDATE SET ${FIGURE_COLUMNS.map((name) => `${name} = ${name} + excluded.${name}`).join(', ')}`,
};

type Statements = { [K in keyof typeof SQL]: Statement<unknown[]> };

/** Collects what the requests of a transaction add to the hourly totals, and writes it at the end: once for each cut. */
export class RollupWriter {
  readonly #db: Database;
  readonly #sql: Statements;
  readonly #totals: ManyRows;
  readonly #names = new CutNames();
  readonly #cutIds = new Map<string, number>();
  /** Names among `#cutIds` that the present transaction made. */
  #newNames: string[] = [];
  #changes: Change[] = [];

  constructor(db: Database) {
    this.#db = db;
    this.#sql = Object.fromEntries(
      Object.entries(SQL).map(([name, sql]) => [name, db.prepare<unknown[]>(sql)]),
    ) as Statements;
    this.#totals = new ManyRows(db, TOTALS);
    this.#sql.findCut.pluck();
    this.#sql.isPruned.pluck();
  }

  /** How many changes wait to be written: what `drop` goes back to. */
  get pending(): number {
    return this.#changes.length;
  }

  /** A request that has ended, with its attempts in order. */
  add(request: RequestFact, attempts: readonly AttemptFact[], sign: 1 | -1 = 1): void {
    this.#changes.push({ request, attempts, sign });
  }

  /** Forgets the changes added since there were `kept`: their rows have been taken back. */
  drop(kept: number): void {
    this.#changes.length = kept;
    this.#totals.drop();
    for (const name of this.#newNames) this.#cutIds.delete(name);
    this.#newNames = [];
  }

  /** Writes what was collected, inside the caller's transaction. `written` tells that the transaction has been. */
  write(): void {
    if (this.#changes.length === 0) return;
    const sums = new CutSums(this.#names);
    for (const { request, attempts, sign } of this.#changes) sums.add(request, attempts, sign);
    const hours = new Set<number>();
    for (const sum of sums.values()) {
      this.#totals.add([this.#cutId(sum.name), ...figures(sum)], [sum.hour]);
      hours.add(sum.hour);
    }
    this.#totals.flush();
    for (const hour of hours) this.#sealAgain(hour);
  }

  /** The transaction is on disk: what it made may be relied on. */
  written(): void {
    this.#changes = [];
    this.#newNames = [];
    if (this.#cutIds.size > MAX_KNOWN_CUTS) this.#cutIds.clear();
  }

  #cutId(name: string): number {
    const known = this.#cutIds.get(name);
    if (known !== undefined) return known;
    const found = this.#sql.findCut.get(name) as number | undefined;
    const id =
      found ?? Number(this.#sql.insertCut.run(name, ...(JSON.parse(name) as Array<string | null>)).lastInsertRowid);
    this.#cutIds.set(name, id);
    if (found === undefined) this.#newNames.push(name);
    return id;
  }

  /** A row that arrives after its hour was pruned changes what the hour is sealed with. */
  #sealAgain(hour: number): void {
    if (this.#sql.isPruned.get(hour) === undefined) return;
    this.#sql.sealPruned.run(rollupsHash(this.#db, hour), hour);
  }
}

/** Amounts in halves: what `FIGURE_COLUMNS` names. */
function figures(sum: CutSum): number[] {
  return [
    ...COUNT_COLUMNS.map((column) => sum[column]),
    Number(sum.cost >> 32n),
    Number(sum.cost & 0xffff_ffffn),
    Number(sum.estimated >> 32n),
    Number(sum.estimated & 0xffff_ffffn),
  ];
}

/** A hash over the totals of an hour: what a pruned hour is sealed with, for its rows are gone. */
export function rollupsHash(db: Database, hour: number): string {
  const rows = db
    .prepare(
      `SELECT ${[...CUT_COLUMNS.map((name) => `c.${name}`), ...FIGURE_COLUMNS.map((name) => `t.${name}`)].join(', ')}
       FROM rollups t JOIN cuts c ON c.id = t.cut_id WHERE t.hour = ? ORDER BY c.name, c.id`,
    )
    .raw()
    .safeIntegers()
    .all(hour) as unknown[][];
  const text = JSON.stringify(rows, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value));
  return hash('sha256', text, 'base64url');
}
