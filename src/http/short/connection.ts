import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { HotPaths } from '../hot-paths.js';
import { leaveUntimed, lookAtTaking } from '../taking.js';
import type { AnswerHeads } from './answer-head.js';
import { Backlog } from './backlog.js';
import { IncomingBody } from './incoming-body.js';
import { PlainHeads } from './plain-heads.js';
import type { SharedReads } from './shared-reads.js';
import { ShortExchange, type Wire } from './short-exchange.js';

/** So much is kept of what a client sends before its answer is given. One that sends more is ended. */
const MOST_BEFORE_ANSWER_BYTES = 1_024 * 1_024;
/** The same while an answer waits to be taken. Beyond it the client is not read until it has taken it. */
const MOST_BEFORE_TAKEN_BYTES = 64 * 1_024;

/** An error of a socket: its close follows, which says enough. */
function untold(): void {}

/** What the connections of a server share. */
export interface ConnectionHost {
  readonly heads: AnswerHeads;
  readonly reads: SharedReads;
  readonly keepAliveMs: number;
  readonly requestMs: number;
  readonly takeMs: number;
  /** Of the configuration that is current. */
  hotPaths(): HotPaths;
  isDraining(): boolean;
  /** Whole answers to what is no request. */
  refusal(why: 'timeout' | 'broken'): string;
  /** Gives the connection to `node:http`, with what was read of it put back. */
  handOver(connection: ShortConnection): void;
  left(connection: ShortConnection): void;
}

/**
 * What is waited for: the first byte there is, the rest of a body, the next request, or that the client closes too; null
 * for an answer, which takes as long as it takes.
 */
type Awaited = 'first' | 'body' | 'next' | 'close' | null;

/**
 * One connection, as long as its requests are plain. One request is under way at a time: what comes before it is answered
 * is held back.
 */
export class ShortConnection implements Wire {
  readonly socket: Socket;
  /** In the server's list; -1 when it is in none. */
  place = -1;
  readonly #host: ConnectionHost;
  readonly #heads = new PlainHeads();
  #exchange: ShortExchange | null = null;
  /** Null once it has come whole. */
  #body: IncomingBody | null = null;
  readonly #backlog = new Backlog();
  #awaited: Awaited = 'first';
  /** Milliseconds of `performance.now`. */
  #since = performance.now();

  constructor(socket: Socket, host: ConnectionHost) {
    this.socket = socket;
    this.#host = host;
    if (!host.reads.begin(socket, this.#take)) socket.on('data', this.#onData);
    socket.on('end', this.#onEnd).on('drain', this.#onDrain);
    socket.on('error', untold).on('close', this.#onClose);
  }

  get heads(): AnswerHeads {
    return this.#host.heads;
  }

  /** True between requests. */
  get isIdle(): boolean {
    return this.#awaited === 'next';
  }

  bodyAsked(): void {
    if (this.#backlog.bytes === 0) this.socket.resume();
  }

  readonly onWritten = (error?: Error | null): void => {
    const exchange = this.#exchange;
    if (exchange === null) return;
    this.#exchange = null;
    const isTaken = (error ?? null) === null && !this.socket.destroyed;
    if (isTaken) exchange.written();
    exchange.close();
    // Nobody is there to take what else could be answered. Its close follows.
    if (!isTaken) return;
    if (exchange.closes) this.#closeAfter(null);
    else if (this.#body === null) this.#next();
  };

  /** Ends what has taken too long. `now`: of `performance.now` */
  lookAtTime(now: number): void {
    const { requestMs, keepAliveMs, takeMs, refusal } = this.#host;
    lookAtTaking(this.socket, takeMs);
    const waitedMs = now - this.#since;
    if (this.#awaited === 'next' || this.#awaited === 'close') {
      // Of an answer that is read slowly the rest may still be on its way.
      if (waitedMs >= keepAliveMs && this.socket.writableLength === 0) this.socket.destroy();
    } else if (this.#awaited !== null && waitedMs >= requestMs) {
      const isAnswered = this.#awaited === 'body' && this.#exchange?.isBegun !== false;
      this.#closeAfter(isAnswered ? null : refusal('timeout'));
    }
  }

  /** Lets go of the socket, with nothing lost of what came: the first `size` bytes. */
  release(data: Buffer, size: number): void {
    const { socket } = this;
    socket.off('data', this.#onData).off('end', this.#onEnd).off('drain', this.#onDrain);
    leaveUntimed(socket.off('error', untold).off('close', this.#onClose));
    // Until there is another who reads.
    socket.pause();
    this.#host.reads.end(socket);
    socket.unshift(Buffer.from(data.subarray(0, size)));
  }

  readonly #onData = (data: Buffer): void => this.#take(data, data.length);

  /** The first `size` bytes of a read. What is kept of them is copied. */
  readonly #take = (data: Buffer, size: number): void => {
    if (this.#awaited === 'close') return;
    if (this.#exchange === null && this.#body === null) this.#begin(data, size);
    else if (this.#body === null) this.#hold(data, size);
    else this.#takeBody(this.#body, data, size);
  };

  #begin(data: Buffer, size: number, isHeld = false): void {
    const paths = this.#host.hotPaths();
    const head = this.#heads.read(data, size, paths.has);
    if (head === null) {
      this.release(data, size);
      this.#host.handOver(this);
      return;
    }
    const body = new IncomingBody(head.bodyBytes);
    const end = body.take(data, head.headBytes, size);
    if (end < size && isHeld) this.#backlog.giveBack(data.subarray(end));
    else if (end < size) this.#backlog.add(data, end, size);
    this.#awaited = body.isWhole ? null : 'body';
    if (!body.isWhole) {
      this.#body = body;
      this.#since = performance.now();
    }
    const closes = this.#host.isDraining();
    this.#exchange = new ShortExchange({ wire: this, head, body, state: paths.beginRequest(), closes });
    paths.answer(this.#exchange);
  }

  #takeBody(body: IncomingBody, data: Buffer, size: number): void {
    const end = body.take(data, 0, size);
    if (end < size) this.#backlog.add(data, end, size);
    if (!body.isWhole) {
      if (!body.isAsked) this.socket.pause();
      return;
    }
    this.#body = null;
    this.#awaited = null;
    if (this.#exchange === null) this.#next();
  }

  /** While a request is under way, nothing but reading tells that its client has left. Later the last write tells it too. */
  #hold(data: Buffer, size: number): void {
    this.#backlog.add(data, 0, size);
    const { bytes } = this.#backlog;
    if (this.#exchange?.isOpen !== false) {
      if (bytes > MOST_BEFORE_ANSWER_BYTES) this.socket.destroy();
    } else if (bytes > MOST_BEFORE_TAKEN_BYTES) this.socket.pause();
  }

  #next(): void {
    this.#awaited = 'next';
    this.#since = performance.now();
    const held = this.#backlog.take();
    if (held === null) return;
    this.socket.resume();
    this.#begin(held, held.length, true);
  }

  /** The client sends no more: as it cannot be told from one that left, its request ends. */
  readonly #onEnd = (): void => {
    const isCutOff = this.#awaited === 'body' && this.#exchange?.isBegun === false;
    this.#closeAfter(isCutOff ? this.#host.refusal('broken') : null);
  };

  /** Writes what is left to say, and waits for the client to close too. */
  #closeAfter(text: string | null): void {
    this.#awaited = 'close';
    this.#since = performance.now();
    if (text === null) this.socket.destroySoon();
    else this.socket.end(text);
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.close();
  }

  readonly #onDrain = (): void => this.#exchange?.onDrain();

  readonly #onClose = (): void => {
    this.#host.left(this);
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.close();
  };
}
