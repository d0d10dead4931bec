import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs, WaitBudget } from '../../../src/dispatch/backoff.js';
import { FakeClock, settled } from '../../support/fake-clock.js';

const SETTINGS = { intervalMs: 1_000, maxIntervalMs: 20_000 };

describe('the back-off', () => {
  it('doubles up to its bound', () => {
    const whole = [0, 1, 2, 3, 4, 5, 60, 2_000].map((retry) => backoffMs(retry, SETTINGS, () => 1));
    expect(whole).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000, 20_000]);
  });

  it('is jittered in its upper half, and never beyond its bound', () => {
    fc.assert(
      fc.property(fc.nat(100), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (retry, drawn) => {
        const whole = Math.min(1_000 * 2 ** retry, 20_000);
        const waited = backoffMs(retry, SETTINGS, () => drawn);
        expect(waited).toBeGreaterThanOrEqual(whole / 2);
        expect(waited).toBeLessThanOrEqual(whole);
      }),
    );
  });
});

describe('all waits of a request', () => {
  it('together are no longer than max_wait', async () => {
    const clock = new FakeClock();
    const waits = new WaitBudget(1_500, clock);
    const { signal } = new AbortController();
    let done = 0;
    const waiting = (async () => {
      for (const ms of [1_000, 1_000, 1_000]) {
        await waits.wait(ms, signal);
        done += 1;
      }
    })();
    await clock.advance(1_000);
    expect({ done, left: waits.leftMs }).toEqual({ done: 1, left: 0 });
    await clock.advance(500);
    await waiting;
    expect(done).toBe(3);
  });

  it('end at once when the request does', async () => {
    const clock = new FakeClock();
    const controller = new AbortController();
    const waiting = new WaitBudget(60_000, clock).wait(60_000, controller.signal);
    const failed = expect(waiting).rejects.toThrow('left');
    controller.abort(new Error('left'));
    await failed;
    await settled();
    expect(clock.sleeping).toBe(0);
  });
});
