import { Server } from 'node:http';
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { HotPaths } from '../hot-paths.js';
import { AnswerHeads } from './answer-head.js';
import { type ConnectionHost, ShortConnection } from './connection.js';
import { SharedReads } from './shared-reads.js';

export interface ShortServerOptions {
  hotPaths: () => HotPaths;
  isDraining: () => boolean;
  refusal: ConnectionHost['refusal'];
  keepAliveMs: number;
  requestMs: number;
  takeMs: number;
  /** How often it is looked who has taken too long. */
  lookMs: number;
}

/**
 * The server of `node:http` with a short way in front (docs/decisions/0013): a connection is read here as long as its
 * requests are plain ones for the busiest paths, and is Node's from the first on that is not.
 */
export class ShortServer extends Server implements ConnectionHost {
  readonly heads: AnswerHeads;
  readonly reads = new SharedReads();
  readonly keepAliveMs: number;
  readonly requestMs: number;
  readonly takeMs: number;
  readonly hotPaths: () => HotPaths;
  readonly isDraining: () => boolean;
  readonly refusal: ConnectionHost['refusal'];
  /** A list in which places change hands. A socket that is destroyed leaves it later, so it can be gone through as it is. */
  readonly #connections: ShortConnection[] = [];
  readonly #toNode: (socket: Socket) => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: ShortServerOptions) {
    super({
      noDelay: true,
      keepAliveTimeout: options.keepAliveMs,
      requestTimeout: options.requestMs,
      connectionsCheckingInterval: options.lookMs,
    });
    this.heads = new AnswerHeads(options.keepAliveMs);
    this.keepAliveMs = options.keepAliveMs;
    this.requestMs = options.requestMs;
    this.takeMs = options.takeMs;
    this.hotPaths = options.hotPaths;
    this.isDraining = options.isDraining;
    this.refusal = options.refusal;
    const [toNode, another] = this.listeners('connection') as Array<(this: Server, socket: Socket) => void>;
    // A Node that takes its connections in another way has to be looked at first.
    if (toNode === undefined || another !== undefined) throw new Error('node:http has not one listener of connections');
    this.#toNode = toNode;
    this.off('connection', toNode);
    this.on('connection', (socket) => this.#take(socket));
    this.on('listening', () => {
      this.#timer = setInterval(() => this.#lookAtTime(), options.lookMs).unref();
    });
    this.on('close', () => {
      if (this.#timer !== null) clearInterval(this.#timer);
    });
  }

  handOver(connection: ShortConnection): void {
    this.left(connection);
    this.#toNode.call(this, connection.socket);
    connection.socket.resume();
  }

  left(connection: ShortConnection): void {
    if (this.#connections[connection.place] !== connection) return;
    const last = this.#connections.pop() as ShortConnection;
    if (last !== connection) {
      this.#connections[connection.place] = last;
      last.place = connection.place;
    }
    connection.place = -1;
  }

  /**
   * `close` calls it as well, which is enough: connections of ours are the server's own sockets, which it waits for. Those with
   * a request under way, and those that have sent nothing yet, are let be as Node lets its own, until `closeAllConnections`.
   */
  override closeIdleConnections(): void {
    for (const connection of this.#connections) {
      if (connection.isIdle) connection.socket.destroy();
    }
    super.closeIdleConnections();
  }

  override closeAllConnections(): void {
    for (const connection of this.#connections) connection.socket.destroy();
    super.closeAllConnections();
  }

  #take(socket: Socket): void {
    const connection = new ShortConnection(socket, this);
    connection.place = this.#connections.length;
    this.#connections.push(connection);
  }

  #lookAtTime(): void {
    const now = performance.now();
    for (const connection of this.#connections) connection.lookAtTime(now);
  }
}
