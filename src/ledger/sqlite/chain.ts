import { hash } from 'node:crypto';
import type { Database, Statement } from 'better-sqlite3';
import type { AttemptCells, AttemptEndCells, RequestCells, RequestEndCells } from '../journal/cells.js';
import type { Part } from '../journal/row-entry.js';
import { HOUR_MS } from './cuts.js';

/** What a row of `adjustments` says, in the order it is hashed. */
export const ADJUSTMENT_CELLS =
  'request_id, attempt, number, made_at, price_id, CAST(cost_nano_usd AS TEXT), components';

/** What is hashed of a settled row of `requests`. `cost`: in nano-USD, null when unknown */
export function requestText(row: {
  processId: number;
  attempts: number;
  cost: string | null;
  begin: Part<RequestCells>;
  end: Part<RequestEndCells>;
}): string {
  return `${row.processId},${row.attempts},${row.cost}${row.begin.text}${row.end.text}`;
}

/** What is hashed of a settled row of `attempts`. */
export function attemptText(requestId: number, row: { begin: Part<AttemptCells>; end: Part<AttemptEndCells> }): string {
  return `${requestId}${row.begin.text}${row.end.text}`;
}

/** The hash of a row, which takes in that of the row settled before it in the same hour. */
export function linkHash(previous: string, text: string): string {
  return hash('sha256', previous + text, 'base64url');
}

/** A row's place: `attempt` 0 is the request's own row; `adjustment` the number of one, where that is the row, else 0. */
export interface RowPlace {
  requestId: number;
  attempt: number;
  adjustment: number;
}

export interface ChainLink extends RowPlace {
  seq: number;
  hash: string;
  /** How the text of its row is made: 1 as before there were blocks, 2 as above. */
  version: number;
}

const VERSION = 2;
const LINE = /^(\d+)\/(-?\d+)\/(\d+) (.+)$/;

/** Whether it can be told how the text of a row is made that a link of this version is about. */
export function isKnownVersion(version: number): boolean {
  return version === 1 || version === VERSION;
}

/** The links of an hour in order, each with its number; null for a line that is none. */
export function* linksOfHour(db: Database, hour: number): Generator<{ seq: number; link: ChainLink | null }> {
  const blocks = db
    .prepare('SELECT seq, version, links FROM chain_blocks WHERE hour = ? ORDER BY seq')
    .raw()
    .iterate(hour);
  for (const [first, version, links] of blocks as IterableIterator<[number, number, string]>) {
    for (const [at, line] of links.split('\n').entries()) {
      const seq = first + at;
      yield { seq, link: toLink(line, { seq, version }) };
    }
  }
}

function toLink(line: string, place: { seq: number; version: number }): ChainLink | null {
  const [, requestId, attempt, adjustment, hash] = LINE.exec(line) ?? [];
  if (hash === undefined) return null;
  const row = { requestId: Number(requestId), attempt: Number(attempt), adjustment: Number(adjustment) };
  return { ...row, ...place, hash };
}

interface PendingLink {
  hour: number;
  /** As its line begins. */
  row: string;
  text: string;
}

/** The end of an hour's chain, and what a transaction adds to it. */
interface Tail {
  links: number;
  hash: string;
  lines: string[];
}

/** Collects the links of a transaction and writes them at its end. */
export class ChainWriter {
  readonly #readHead: Statement<unknown[]>;
  readonly #writeHead: Statement<unknown[]>;
  readonly #insert: Statement<unknown[]>;
  #links: PendingLink[] = [];

  constructor(db: Database) {
    this.#readHead = db.prepare('SELECT links, hash FROM chain_heads WHERE hour = ?');
    this.#writeHead = db.prepare('INSERT OR REPLACE INTO chain_heads (hour, links, hash) VALUES (?, ?, ?)');
    this.#insert = db.prepare('INSERT INTO chain_blocks (hour, seq, version, links) VALUES (?, ?, ?, ?)');
  }

  /** How many links wait to be written: what `drop` goes back to. */
  get pending(): number {
    return this.#links.length;
  }

  /** `receivedAt` is the request's, in epoch milliseconds; `text` what is hashed. */
  add(receivedAt: number, { requestId, attempt, adjustment }: RowPlace, text: string): void {
    this.#links.push({ hour: Math.floor(receivedAt / HOUR_MS), row: `${requestId}/${attempt}/${adjustment}`, text });
  }

  /** Forgets the links added since there were `kept`: their rows have been taken back. */
  drop(kept: number): void {
    this.#links.length = kept;
  }

  write(): void {
    const tails = new Map<number, Tail>();
    for (const { hour, row, text } of this.#links) {
      const tail = tails.get(hour) ?? this.#tailOf(hour);
      tails.set(hour, tail);
      tail.hash = linkHash(tail.hash, text);
      tail.lines.push(`${row} ${tail.hash}`);
    }
    for (const [hour, { links, hash, lines }] of tails) {
      this.#insert.run(hour, links + 1, VERSION, lines.join('\n'));
      this.#writeHead.run(hour, links + lines.length, hash);
    }
    this.#links = [];
  }

  /** Read anew in each transaction, for another process may have written since. */
  #tailOf(hour: number): Tail {
    const head = this.#readHead.get(hour) as { links: number; hash: string } | undefined;
    return { links: head?.links ?? 0, hash: head?.hash ?? '', lines: [] };
  }
}
