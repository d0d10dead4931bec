import { createHook } from 'node:async_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Deadlines } from '../../../src/upstream/deadlines.js';
import { until } from '../../support/until.js';

/** Timers that deadlines made, and nobody else in this process, as long as they run. */
const running = new Set<number>();
const hook = createHook({
  init(id, type) {
    if (type === 'Timeout' && new Error().stack?.includes('/upstream/deadlines.ts')) running.add(id);
  },
  destroy: (id) => void running.delete(id),
});

async function timers(): Promise<number> {
  // The end of a timer is told a turn later.
  await turn();
  await turn();
  return running.size;
}

describe('deadlines', () => {
  beforeAll(() => void hook.enable());
  afterAll(() => void hook.disable());

  it('expire in time, in their order, whatever their lengths', async () => {
    const deadlines = new Deadlines();
    const began = performance.now();
    const expired: [number, number][] = [];
    for (const ms of [60, 20, 40, 20]) deadlines.start(ms, () => expired.push([ms, performance.now() - began]));
    await until('all', () => expired.length === 4);
    expect(expired.map(([ms]) => ms)).toEqual([20, 20, 40, 60]);
    for (const [ms, after] of expired) expect(after).toBeGreaterThanOrEqual(ms - 1);
  });

  it('that are stopped do not, be they first, last or in between', async () => {
    const deadlines = new Deadlines();
    const expired: number[] = [];
    const all = [0, 1, 2, 3, 4].map((index) => deadlines.start(20, () => expired.push(index)));
    for (const index of [0, 2, 4]) {
      const deadline = all[index];
      if (deadline !== undefined) deadlines.stop(deadline);
      if (deadline !== undefined) deadlines.stop(deadline);
    }
    await until('the others', () => expired.length === 2);
    expect(expired).toEqual([1, 3]);
  });

  it('begin anew when they are told to, unless they were stopped', async () => {
    const deadlines = new Deadlines();
    const expired: string[] = [];
    const first = deadlines.start(40, () => expired.push('first'));
    const stopped = deadlines.start(40, () => expired.push('stopped'));
    deadlines.start(40, () => expired.push('second'));
    deadlines.restart(first);
    deadlines.stop(stopped);
    deadlines.restart(stopped);
    await until('both', () => expired.length === 2);
    expect(expired).toEqual(['second', 'first']);
  });

  it('that are all stopped leave no timer', async () => {
    const deadlines = new Deadlines();
    const before = await timers();
    const all = [10, 10, 20].map((ms) => deadlines.start(ms * 1_000, () => {}));
    expect(await timers()).toBe(before + 2);
    for (const deadline of all) deadlines.stop(deadline);
    expect(await timers()).toBe(before);
  });

  it('that begin anew as they expire have one timer, and leave none', async () => {
    const deadlines = new Deadlines();
    const before = await timers();
    let count = 0;
    const again = deadlines.start(10, () => {
      count += 1;
      deadlines.join(again);
    });
    await until('three', () => count === 3);
    expect(await timers()).toBe(before + 1);
    deadlines.stop(again);
    expect(await timers()).toBe(before);
  });

  it('may begin others as they expire', async () => {
    const deadlines = new Deadlines();
    let count = 0;
    const again = () => {
      count += 1;
      if (count < 3) deadlines.start(5, again);
    };
    deadlines.start(5, again);
    await until('three', () => count === 3);
  });
});
