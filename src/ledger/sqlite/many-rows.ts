import type { Database, Statement } from 'better-sqlite3';
import type { Cell } from '../journal/cells.js';

export interface ManyRowsOptions {
  table: string;
  /** Columns in which nearly every row differs from the next. */
  own: readonly string[];
  /** Columns in which rows that come together mostly say the same. */
  shared: readonly string[];
  /** What becomes of a row that is there already, as SQL says it behind ON CONFLICT. Absent: it is an error. */
  onConflict?: string;
}

/** Rows that say the same in their shared columns. */
interface Group {
  shared: readonly Cell[];
  /** Their own cells, one row after the other. */
  own: Cell[];
  rows: number;
}

/** Statements insert so many rows, the largest first. */
const SIZES = [40, 8, 1] as const;
const MOST_ROWS = SIZES[0];
/** Groups that are collected at a time: each is looked at for each row. */
const MAX_GROUPS = 16;

/**
 * Inserts rows of a table many at a time. What rows have in common is bound once for all of them: a value takes as long to
 * get from JavaScript into SQLite as from there into a row.
 */
export class ManyRows {
  readonly #statements: ReadonlyArray<{ rows: number; insert: Statement<unknown[]> }>;
  readonly #options: ManyRowsOptions;
  #groups: Group[] = [];
  #leftOut = 0;

  constructor(db: Database, options: ManyRowsOptions) {
    this.#options = options;
    this.#statements = SIZES.map((rows) => ({ rows, insert: db.prepare<unknown[]>(sqlFor(options, rows)) }));
  }

  /**
   * `own` and `shared` in the order of their columns. It is inserted at once or by `flush`, in no order.
   * @throws TypeError for a cell that is an object, and what SQLite throws
   */
  add(own: readonly Cell[], shared: readonly Cell[]): void {
    const group = this.#groupOf(shared);
    refuseObjects(own);
    for (const cell of own) group.own.push(cell);
    group.rows += 1;
    if (group.rows === MOST_ROWS) this.#insert(group);
  }

  /**
   * Inserts what has been added; returns how many rows were left out since the last time.
   * @throws what SQLite throws; `drop` then forgets what was added
   */
  flush(): number {
    for (const group of this.#groups) this.#insert(group);
    const leftOut = this.#leftOut;
    this.drop();
    return leftOut;
  }

  drop(): void {
    this.#groups = [];
    this.#leftOut = 0;
  }

  #groupOf(shared: readonly Cell[]): Group {
    for (let at = this.#groups.length - 1; at >= 0; at -= 1) {
      const group = this.#groups[at] as Group;
      if (isSame(group.shared, shared)) return group;
    }
    if (this.#groups.length === MAX_GROUPS) this.#insert(this.#groups.shift() as Group);
    refuseObjects(shared);
    const group = { shared, own: [], rows: 0 };
    this.#groups.push(group);
    return group;
  }

  #insert(group: Group): void {
    const { own, shared } = this.#options;
    if (group.rows === 0) return;
    const named: Record<string, Cell> = {};
    for (let at = 0; at < shared.length; at += 1) named[shared[at] as string] = group.shared[at] as Cell;
    let done = 0;
    for (const { rows, insert } of this.#statements) {
      while (group.rows - done >= rows) {
        const cells = group.own.slice(done * own.length, (done + rows) * own.length);
        this.#leftOut += rows - insert.run(...cells, named).changes;
        done += rows;
      }
    }
    group.own = [];
    group.rows = 0;
  }
}

function sqlFor({ table, own, shared, onConflict }: ManyRowsOptions, rows: number): string {
  const row = `(${[...own.map(() => '?'), ...shared.map((name) => `@${name}`)].join(', ')})`;
  const rest = onConflict === undefined ? '' : ` ON CONFLICT ${onConflict}`;
  const columns = [...own, ...shared].join(', ');
  return `INSERT INTO ${table} (${columns}) VALUES ${Array(rows).fill(row).join(', ')}${rest}`;
}

/** A list would be bound as if its members were cells. */
function refuseObjects(cells: readonly unknown[]): void {
  for (const cell of cells) {
    if (typeof cell === 'object' && cell !== null) throw new TypeError('a cell holds text, a number or nothing');
  }
}

function isSame(one: readonly Cell[], other: readonly Cell[]): boolean {
  for (let at = 0; at < one.length; at += 1) if (one[at] !== other[at]) return false;
  return true;
}
