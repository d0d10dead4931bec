import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { lookAtTaking } from './taking.js';

/**
 * The answers of `node:http` that have not ended, by their connection. Of requests that came at once, Node tells only the
 * one whose answer is being written that its connection is gone; those behind it would be under way for ever. Nor does it
 * look whether a client takes its answer.
 */
export class OpenAnswers {
  readonly #bySocket = new Map<Socket, Set<ServerResponse>>();

  /** Sees every answer before whoever listens to `request` from now on. */
  constructor(server: Server, times: { takeMs: number; lookMs: number }) {
    server.on('request', ({ socket }, response) => {
      const answers = this.#of(socket);
      answers.add(response);
      response.once('close', () => answers.delete(response));
    });
    let timer: NodeJS.Timeout | undefined;
    server.on('listening', () => {
      timer = setInterval(() => this.#lookAtTime(times.takeMs), times.lookMs).unref();
    });
    server.on('close', () => clearInterval(timer));
  }

  #of(socket: Socket): Set<ServerResponse> {
    const known = this.#bySocket.get(socket);
    if (known !== undefined) return known;
    const answers = new Set<ServerResponse>();
    this.#bySocket.set(socket, answers);
    socket.once('close', () => {
      this.#bySocket.delete(socket);
      for (const answer of answers) closeQueued(answer);
    });
    return answers;
  }

  /** Between answers the timeout of a socket is Node's. */
  #lookAtTime(takeMs: number): void {
    for (const [socket, answers] of this.#bySocket) {
      if (answers.size > 0) lookAtTaking(socket, takeMs);
    }
  }
}

/** The one that has the socket is closed by Node. */
function closeQueued(answer: ServerResponse): void {
  if (answer.socket !== null) return;
  answer.destroy();
  answer.emit('close');
}
