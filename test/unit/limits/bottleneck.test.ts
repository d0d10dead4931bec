import { describe, expect, it } from 'vitest';
import { createWaitingRooms, RoomError } from '../../../src/limits/bottleneck.js';
import { strictLogger } from './builders.js';

describe('a waiting room', () => {
  it('hands on what the wait ends with, good or bad', async () => {
    const rooms = createWaitingRooms({ places: () => 2, logger: strictLogger });
    await expect(rooms.hold('room', 1_000, async () => 'in')).resolves.toBe('in');
    const failing = rooms.hold('room', 1_000, () => Promise.reject(new TypeError('left')));
    await expect(failing).rejects.toThrow(TypeError);
  });

  it('has so many places and no more, and a place is free again when a wait ends', async () => {
    const rooms = createWaitingRooms({ places: () => 1, logger: strictLogger });
    let end: () => void = () => {};
    let first: Promise<void> = Promise.resolve();
    await new Promise<void>((started) => {
      first = rooms.hold('room', 60_000, () => {
        started();
        return new Promise<void>((resolve) => {
          end = resolve;
        });
      });
    });
    await expect(rooms.hold('room', 60_000, async () => 'in')).rejects.toThrow(RoomError);
    await expect(rooms.hold('another', 60_000, async () => 'in')).resolves.toBe('in');
    end();
    await first;
    await expect(rooms.hold('room', 60_000, async () => 'in')).resolves.toBe('in');
  });

  it('ends a wait that nothing else ends', async () => {
    const rooms = createWaitingRooms({ places: () => 1, logger: strictLogger });
    // One second of grace is added to the longest wait.
    await expect(rooms.hold('room', -950, () => new Promise(() => {}))).rejects.toThrow(RoomError);
  });
});
