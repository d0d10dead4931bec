import { WaybillError } from '../domain/errors.js';
import type { Limiter, Reservation, WaitingAsk } from '../domain/limit.js';
import type { Clock, Logger } from '../domain/ports.js';
import { createWaitingRooms, RoomError, type WaitingRooms } from './bottleneck.js';
import type { Ticket } from './line.js';
import { outOfRoom } from './refusals.js';
import type { HeldReservation } from './reservation.js';
import { Turns } from './turns.js';

export interface LimiterOptions {
  clock: Clock;
  /** Requests that may wait at the same time, in all lines together. */
  queueMaxLength: () => number;
  logger: Logger;
}

/**
 * Limits of one process. A request for which there is room goes through by counting; one that has to wait stands in
 * line, in a waiting room of Bottleneck's. Make one for the life of the process: settings come with each ask, so a
 * reload keeps the counts.
 */
export function createLimiter(options: LimiterOptions): Limiter {
  const turns = new Turns(options);
  const rooms = createWaitingRooms({ places: options.queueMaxLength, logger: options.logger });
  let isClosed = false;

  return {
    tryReserve: (demand) => (isClosed ? null : turns.take(demand)),

    async reserve(ask) {
      if (isClosed) throw shuttingDown();
      ask.signal.throwIfAborted();
      return turns.take(ask) ?? (await handOver({ turns, rooms, ticket: turns.enter(ask), ask }));
    },

    hasRoom: (scopes, tokens) => turns.isFree(scopes, tokens, turns.now()),

    snapshot(scope) {
      const now = turns.now();
      return turns.states.get(scope.id, now).snapshot(scope.settings, now);
    },

    observe(scope, stated) {
      const now = turns.now();
      turns.states.get(scope.id, now).observe(stated, now);
      turns.changed();
    },

    restore(scope, taking) {
      const now = turns.now();
      turns.states.get(scope.id, now).restore(scope.settings, taking, now);
    },

    queueDepth: () => turns.depth,

    async close() {
      isClosed = true;
      turns.dismissAll(shuttingDown());
    },
  };
}

/**
 * The outcome of a ticket for the one who waits. It comes through the waiting room, failures directly; a client that
 * leaves before its reservation reached it leaves nothing behind.
 */
function handOver(parts: { turns: Turns; rooms: WaitingRooms; ticket: Ticket; ask: WaitingAsk }): Promise<Reservation> {
  const { turns, rooms, ticket, ask } = parts;
  return new Promise((resolve, reject) => {
    let held: HeldReservation | null = null;
    let isOver = false;
    const fail = (error: unknown) => {
      isOver = true;
      ask.signal.removeEventListener('abort', onAbort);
      turns.leave(ticket, error);
      held?.undo();
      held = null;
      reject(error);
    };
    const onAbort = () => fail(ask.signal.reason);
    ask.signal.addEventListener('abort', onAbort, { once: true });
    ticket.outcome.then((reservation) => {
      if (isOver) reservation.undo();
      else held = reservation;
    }, fail);
    rooms
      .hold(JSON.stringify([ask.queue, ask.client]), ask.maxWaitMs, () => ticket.outcome)
      .then(
        () => {
          if (held === null) return;
          ask.signal.removeEventListener('abort', onAbort);
          resolve(held);
        },
        (error: unknown) => {
          if (!isOver) fail(error instanceof RoomError ? outOfRoom(ask, error) : error);
        },
      );
  });
}

function shuttingDown(): WaybillError {
  return new WaybillError('shutting_down', { message: 'The router is shutting down.', shouldRetry: true });
}
