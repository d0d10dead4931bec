import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { InFlight } from '../../../src/composition/in-flight.js';
import { ShutdownError } from '../../../src/domain/lifeline.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a stop', () => {
  it('lets nothing in once it drains', () => {
    const inFlight = new InFlight();
    inFlight.enter();
    inFlight.drain();
    expect(inFlight.isDraining).toBe(true);
    expect(() => inFlight.enter()).toThrow(expect.objectContaining({ code: 'shutting_down', status: 503 }));
    expect(inFlight.count).toBe(1);
  });

  it('is idle at once when nothing is under way', async () => {
    expect(await new InFlight().idleWithin(60_000)).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('waits for the last that is under way, and no longer', async () => {
    const inFlight = new InFlight();
    const [first, second] = [inFlight.enter(), inFlight.enter()];
    let isIdle: boolean | null = null;
    const waiting = inFlight.idleWithin(60_000).then((idle) => {
      isIdle = idle;
    });
    inFlight.leave(first);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(isIdle).toBeNull();
    inFlight.leave(second);
    await waiting;
    expect(isIdle).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('gives up when the time is over, or when it is hastened, also before it waits', async () => {
    const inFlight = new InFlight();
    inFlight.enter();
    const timed = inFlight.idleWithin(500);
    await vi.advanceTimersByTimeAsync(500);
    expect(await timed).toBe(false);
    const hurry = new AbortController();
    const hastened = inFlight.idleWithin(60_000, hurry.signal);
    hurry.abort();
    expect(await hastened).toBe(false);
    expect(await inFlight.idleWithin(60_000, hurry.signal)).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('cuts everything that is left, saying why', () => {
    const inFlight = new InFlight();
    const lives = [inFlight.enter(), inFlight.enter()];
    const gone = inFlight.enter();
    inFlight.leave(gone);
    inFlight.cut();
    for (const life of lives) {
      expect(life.isEnded).toBe(true);
      expect(life.reason).toBeInstanceOf(ShutdownError);
      expect(life.signal.aborted).toBe(true);
    }
    expect(gone.isEnded).toBe(false);
  });
});

describe('a reload', () => {
  it('waits for those who came before it, and for nobody who comes after', async () => {
    const inFlight = new InFlight();
    const [first, second] = [inFlight.enter(), inFlight.enter()];
    const gone: string[] = [];
    const one = inFlight.turnOver().then(() => gone.push('one'));
    const third = inFlight.enter();
    const two = inFlight.turnOver().then(() => gone.push('two'));
    inFlight.enter();
    inFlight.leave(first);
    inFlight.leave(third);
    await two;
    expect(gone).toEqual(['two']);
    inFlight.leave(second);
    inFlight.leave(second);
    await one;
    expect([gone, inFlight.count]).toEqual([['two', 'one'], 1]);
  });
});
