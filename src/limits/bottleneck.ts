import Bottleneck from 'bottleneck';
import type { Logger } from '../domain/ports.js';

/** A wait ends by its own deadline; this much later Bottleneck ends one that did not. */
const EXPIRY_SLACK_MS = 1_000;
/** Node's timers fire at once when asked for more. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Where requests stay while they wait: so many at most, so long at most. */
export interface WaitingRooms {
  /**
   * Runs `wait` in the room of this name, which exists as long as somebody is in it.
   * @throws RoomError when the room is full, or the wait outlasts its time
   */
  hold<T>(room: string, maxWaitMs: number, wait: () => Promise<T>): Promise<T>;
}

/** The room is full, or the wait outlasted its time. */
export class RoomError extends Error {
  constructor(message: string, options: { cause: unknown }) {
    super(message, options);
    this.name = 'RoomError';
  }
}

/**
 * Waiting rooms kept by Bottleneck, one for each line and client: a wait is a running job, `maxConcurrent` the number of
 * places, `expiration` the longest stay. A job costs 300 to 600 µs and a few milliseconds of timers, which only those pay
 * who wait anyway; and one room a client, since the jobs of one room are started one after the other.
 */
export function createWaitingRooms(options: { places: () => number; logger: Logger }): WaitingRooms {
  const rooms = new Map<string, { bottleneck: Bottleneck; inside: number }>();

  function open(name: string, places: number): { bottleneck: Bottleneck; inside: number } {
    const bottleneck = new Bottleneck({
      maxConcurrent: Math.max(1, places),
      highWater: 0,
      strategy: Bottleneck.strategy.OVERFLOW,
      rejectOnDrop: true,
    });
    bottleneck.on('error', (error: unknown) => options.logger.error({ err: error }, 'a waiting room failed'));
    const room = { bottleneck, inside: 0 };
    rooms.set(name, room);
    return room;
  }

  return {
    async hold(line, maxWaitMs, wait) {
      const places = options.places();
      // A room keeps its places: after a reload that changes them the next to wait gets another room.
      const name = `${places} ${line}`;
      const room = rooms.get(name) ?? open(name, places);
      room.inside += 1;
      try {
        return await room.bottleneck.schedule(
          { expiration: Math.min(maxWaitMs + EXPIRY_SLACK_MS, MAX_TIMER_MS) },
          wait,
        );
      } catch (error) {
        throw error instanceof Bottleneck.BottleneckError ? new RoomError(error.message, { cause: error }) : error;
      } finally {
        room.inside -= 1;
        if (room.inside === 0) rooms.delete(name);
      }
    },
  };
}
