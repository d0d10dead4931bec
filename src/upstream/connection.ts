import type { Socket } from 'node:net';
import type { HeadBefore } from './answer-head.js';
import { AnswerReader } from './answer-reader.js';
import type { BlockPool } from './block-pool.js';
import type { Carrier } from './carrier.js';
import type { Exchange } from './exchange.js';
import { type Address, beforeConnected, connectedEvent, connectTimeout, openSocket } from './open-socket.js';
import { socketError } from './protocol-error.js';
import { type RequestText, writeRequest } from './request-text.js';

/** What a connection says about itself. */
export interface ConnectionOwner {
  /** All of the owner's connections read to it, one after the other. */
  readonly readBuffer: Buffer;
  /** What they read large bodies to. */
  readonly blocks: BlockPool;
  readonly headBefore: HeadBefore;
  /** What the last TLS connection left for the next to begin faster. */
  session: Buffer | null;
  /** It can carry another call, and is kept for `keepMs` (null: the server does not say). */
  rested(connection: Connection, keepMs: number | null): void;
  /** It ended before anything of the call was sent: the call is still to be made. */
  returned(exchange: Exchange, request: RequestText): void;
  /** It carries nothing any more. */
  ended(connection: Connection): void;
}

/**
 * One connection to a provider, and the one call it carries at a time. The first goes out when the connection is there,
 * another when `write` is called.
 */
export class Connection implements Carrier {
  /** How many it has brought. */
  answers = 0;
  /** Since when it carries nothing, and until when it can be reused, on `performance.now()`'s clock. */
  restedAt = 0;
  idleUntil = 0;
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #reader: AnswerReader;
  #exchange: Exchange | null = null;
  /** Null once it was written. */
  #request: RequestText | null = null;
  #connecting: NodeJS.Timeout | null;
  #isPaused = false;
  #isReferenced = true;

  constructor(owner: ConnectionOwner, address: Address, connectMs: number) {
    this.#owner = owner;
    this.#reader = new AnswerReader(owner.blocks, owner.headBefore);
    const onread = {
      buffer: () => this.#reader.space ?? owner.readBuffer,
      callback: (size: number, read: Uint8Array) => {
        try {
          this.#read(read as Buffer, size);
        } catch (error) {
          // Of whoever was told of what came: thrown on, it would end the process, and not only the call.
          this.#lost(error as Error);
        }
        return true;
      },
    };
    this.#socket = openSocket(address, onread, owner.session);
    this.#connecting = setTimeout(() => this.#lost(connectTimeout(address, connectMs)), connectMs);
    this.#socket
      .once(connectedEvent(address), () => this.#connected())
      .on('session', (session: Buffer) => {
        owner.session = session;
      })
      .on('error', (error) => this.#lost(error))
      .on('end', () => this.#closedByPeer())
      .on('close', () => this.#lost(socketError('closed')));
  }

  carry(exchange: Exchange, request: RequestText): void {
    this.#exchange = exchange;
    this.#request = request;
    if (!this.#isReferenced) this.#socket.ref();
    this.#isReferenced = true;
    exchange.carriedBy(this);
  }

  /** Throws nothing: what goes wrong fails the call. */
  write(): void {
    const request = this.#request;
    const exchange = this.#exchange;
    if (request === null || exchange === null) return;
    if (this.isWriting) {
      this.#lost(socketError('the request before was not taken'));
      return;
    }
    this.#request = null;
    try {
      exchange.sent();
      writeRequest(this.#socket, request);
    } catch (error) {
      this.#lost(error as Error);
    }
  }

  /**
   * Whether what was written is still to go out. Of an idle connection that was told of at once: the loop may tell of an
   * answer before it tells that its request was written. Later it says that the server answered without reading on.
   */
  get isWriting(): boolean {
    return this.#socket.writableLength > 0;
  }

  /** An idle connection keeps no process alive. */
  unref(): void {
    if (this.#isReferenced) this.#socket.unref();
    this.#isReferenced = false;
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#socket.resume();
  }

  abort(): void {
    this.#exchange = null;
    this.#request = null;
    this.#close();
  }

  /** Fails what it carries. Resolves once it is closed. */
  destroy(reason: Error): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      if (this.#socket.closed) resolve();
      else this.#socket.once('close', () => resolve());
    });
    const exchange = this.#exchange;
    this.abort();
    exchange?.fail(reason);
    return closed;
  }

  #connected(): void {
    this.#endConnecting();
    this.write();
  }

  #read(read: Buffer, size: number): void {
    const exchange = this.#exchange;
    // Nobody asked for anything.
    if (exchange === null || this.#request !== null) {
      this.#lost(socketError('bad response'));
      return;
    }
    const reader = this.#reader;
    const isBegun = reader.head !== null;
    reader.take(read, size);
    const { head, part, error } = reader;
    reader.part = null;
    if (head !== null && !isBegun) exchange.head(head.status, head.headers);
    if (part !== null) exchange.data(part);
    // A reader that has enough ends the call, and the connection with it.
    if (this.#exchange !== exchange) return;
    if (error !== null) this.#lost(error);
    else if (reader.isWhole) this.#finish(exchange);
  }

  #finish(exchange: Exchange): void {
    const reader = this.#reader;
    const keepMs = reader.head?.keepMs ?? null;
    const isClean = reader.excess === 0;
    exchange.lent = reader.lent;
    reader.reset();
    this.#exchange = null;
    if (isClean && keepMs !== 0) {
      if (this.#isPaused) this.resume();
      this.#owner.rested(this, keepMs);
    } else this.#close();
    exchange.end();
  }

  #closedByPeer(): void {
    const exchange = this.#exchange;
    if (exchange !== null && this.#reader.endsHere) {
      this.abort();
      exchange.end();
    } else this.#lost(socketError('other side closed'));
  }

  #lost(error: Error): void {
    const exchange = this.#exchange;
    const request = this.#request;
    const isConnecting = this.#connecting !== null;
    const isUnsent = exchange !== null && request !== null && !isConnecting;
    // A session may be why: the next begins without.
    if (isConnecting) this.#owner.session = null;
    if (isUnsent) this.#owner.returned(exchange, request);
    this.abort();
    if (!isUnsent) exchange?.fail(isConnecting ? beforeConnected(error) : error);
  }

  #close(): void {
    this.#endConnecting();
    this.#socket.destroy();
    this.#owner.ended(this);
  }

  #endConnecting(): void {
    if (this.#connecting !== null) clearTimeout(this.#connecting);
    this.#connecting = null;
  }
}
