import { performance } from 'node:perf_hooks';
import { HeadBefore } from './answer-head.js';
import type { BlockPool } from './block-pool.js';
import { Connection, type ConnectionOwner } from './connection.js';
import type { Exchange } from './exchange.js';
import type { Address } from './open-socket.js';
import { ProtocolError } from './protocol-error.js';
import type { RequestText } from './request-text.js';
import type { WriteTurns } from './write-turns.js';

/** An idle connection is kept so long, or less where the server says so. */
const KEEP_ALIVE_MS = 30_000;
/** So much sooner than the server, which may close it while a request is on its way. */
const KEEP_ALIVE_MARGIN_MS = 2_000;
/**
 * Of a server that has kept a connection over so many answers, the last of them so lately, another look at it before each
 * write would cost a busy daemon 5 µs a call.
 */
const PROVEN_ANSWERS = 8;
const PROVEN_WITHIN_MS = 1_000;
/** How often idle connections are looked at. */
const SWEEP_MS = 1_000;

/** What the pools of one client share. */
export interface PoolParts {
  /** What is read is copied out of it before anything else is read. */
  readBuffer: Buffer;
  blocks: BlockPool;
  turns: WriteTurns;
}

/** The connections to one origin: one call each at a time, as many as there are calls; the last used goes first. */
export class ConnectionPool implements ConnectionOwner {
  readonly readBuffer: Buffer;
  readonly blocks: BlockPool;
  readonly headBefore = new HeadBefore();
  session: Buffer | null = null;
  readonly #address: Address;
  readonly #connectMs: number;
  readonly #turns: WriteTurns;
  readonly #all = new Set<Connection>();
  #idle: Connection[] = [];
  /** Those that became free in the turn of the loop that `#freshIn` counts: the others go first. */
  #fresh: Connection[] = [];
  #freshIn = 0;
  #sweep: NodeJS.Timeout | null = null;
  #whenUnused: (() => void) | null = null;

  constructor(address: Address, connectMs: number, parts: PoolParts) {
    this.#address = address;
    this.#connectMs = connectMs;
    this.readBuffer = parts.readBuffer;
    this.blocks = parts.blocks;
    this.#turns = parts.turns;
  }

  dispatch(exchange: Exchange, request: RequestText, now: number = performance.now()): void {
    this.#mergeFresh();
    const rested = this.#taken(this.#idle, now);
    const kept = rested ?? this.#taken(this.#fresh, now);
    if (kept !== null) {
      kept.carry(exchange, request);
      if (rested !== null && isProven(kept, now)) kept.write();
      else this.#turns.add(kept, rested === null);
      return;
    }
    const connection = new Connection(this, this.#address, this.#connectMs);
    this.#all.add(connection);
    connection.carry(exchange, request);
  }

  /** Closes what is idle, and the rest as its call ends. `whenUnused` is called once there is none. */
  close(whenUnused: () => void): void {
    this.#whenUnused = whenUnused;
    for (const connection of [...this.#idle, ...this.#fresh]) connection.abort();
    this.#lookForEnd();
  }

  /** Closes everything, and fails what is under way. Resolves once all of it is closed. */
  async destroy(): Promise<void> {
    this.#stopSweep();
    const reason = new ProtocolError('UND_ERR_DESTROYED', 'The client is destroyed');
    await Promise.all([...this.#all].map((connection) => connection.destroy(reason)));
  }

  rested(connection: Connection, keepMs: number | null): void {
    const ms = Math.min(KEEP_ALIVE_MS, (keepMs ?? Number.POSITIVE_INFINITY) - KEEP_ALIVE_MARGIN_MS);
    if (ms <= 0 || this.#whenUnused !== null) {
      connection.abort();
      return;
    }
    connection.answers += 1;
    connection.restedAt = performance.now();
    connection.idleUntil = connection.restedAt + ms;
    this.#mergeFresh();
    this.#fresh.push(connection);
    this.#turns.expect();
    this.#sweep ??= setTimeout(() => this.#sweepIdle(), SWEEP_MS).unref();
  }

  returned(exchange: Exchange, request: RequestText): void {
    this.dispatch(exchange, request);
  }

  ended(connection: Connection): void {
    if (!this.#all.delete(connection)) return;
    remove(this.#idle, connection);
    remove(this.#fresh, connection);
    this.#lookForEnd();
  }

  #mergeFresh(): void {
    if (this.#freshIn === this.#turns.count) return;
    this.#freshIn = this.#turns.count;
    for (const connection of this.#fresh) this.#idle.push(connection);
    this.#fresh.length = 0;
  }

  /** The last of them that can still be used. */
  #taken(from: Connection[], now: number): Connection | null {
    for (let kept = from.pop(); kept !== undefined; kept = from.pop()) {
      if (kept.idleUntil > now) return kept;
      kept.abort();
    }
    return null;
  }

  #sweepIdle(): void {
    this.#sweep = null;
    this.#mergeFresh();
    const now = performance.now();
    const isFit = (connection: Connection) => connection.idleUntil > now && !connection.isWriting;
    const unfit = this.#idle.filter((connection) => !isFit(connection));
    this.#idle = this.#idle.filter(isFit);
    for (const connection of unfit) connection.abort();
    for (const connection of this.#idle) connection.unref();
    if (this.#idle.length > 0) this.#sweep = setTimeout(() => this.#sweepIdle(), SWEEP_MS).unref();
  }

  #stopSweep(): void {
    if (this.#sweep !== null) clearTimeout(this.#sweep);
    this.#sweep = null;
  }

  #lookForEnd(): void {
    if (this.#whenUnused === null || this.#all.size > 0) return;
    this.#stopSweep();
    this.#whenUnused();
  }
}

function isProven({ answers, restedAt }: Connection, now: number): boolean {
  return answers >= PROVEN_ANSWERS && now - restedAt < PROVEN_WITHIN_MS;
}

function remove(list: Connection[], connection: Connection): void {
  const at = list.indexOf(connection);
  if (at !== -1) list.splice(at, 1);
}
