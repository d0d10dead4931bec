import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RollingWindow } from '../../../src/limits/window.js';

const MINUTE = 60_000;
const SLACK = 511;

describe('a rolling window', () => {
  it('counts what was taken until the whole window and its margin have passed', () => {
    const window = new RollingWindow(MINUTE);
    window.add(1_000, 3);
    expect(window.used(1_000 + MINUTE)).toBe(3);
    expect(window.used(1_000 + MINUTE + SLACK)).toBe(0);
  });

  it('says to the millisecond when it falls to a given use', () => {
    const window = new RollingWindow(MINUTE);
    window.add(0, 2);
    window.add(5_000, 3);
    const at = window.fallsTo(3, 6_000);
    expect(window.used(at - 1)).toBe(5);
    expect(window.used(at)).toBe(3);
    expect(window.fallsTo(5, 6_000 + MINUTE)).toBe(6_000 + MINUTE);
  });

  it('never falls below zero', () => {
    expect(new RollingWindow(MINUTE).fallsTo(-1, 0)).toBe(Number.POSITIVE_INFINITY);
  });

  it('corrects an amount at its own instant, and drops what has passed', () => {
    const window = new RollingWindow(MINUTE);
    window.add(0, 100);
    window.add(30_000, 50);
    window.correct(0, -60, 31_000);
    expect(window.used(31_000)).toBe(90);
    expect(window.used(MINUTE + SLACK)).toBe(50);
    window.correct(0, -40, MINUTE + SLACK);
    expect(window.used(MINUTE + SLACK)).toBe(50);
    expect(window.used(30_000 + MINUTE + SLACK)).toBe(0);
  });

  it('adds what was taken as nothing and turned out to be more', () => {
    const window = new RollingWindow(MINUTE);
    window.add(0, 0);
    window.correct(0, 7, 10);
    expect(window.used(10)).toBe(7);
  });

  it('corrects whichever of its takings is meant, near or far, with gaps between them or none', () => {
    const gaps = fc.array(fc.constantFrom(0, 3, 10, 20, 500, 9_000), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(gaps, fc.nat(), fc.integer({ min: -3, max: 9 }), (waits, nth, delta) => {
        const window = new RollingWindow(60 * MINUTE);
        const instants: number[] = [];
        let now = 0;
        for (const wait of waits) {
          now += wait;
          window.add(now, 3);
          instants.push(now);
        }
        const at = instants[nth % instants.length] as number;
        window.correct(at, delta, now);
        // An hour is cut into slices of 3.6 s: what was taken after that of the corrected one leaves later.
        const slice = (instant: number) => Math.floor(instant / 3_600);
        const leaves = (slice(at) + 1) * 3_600 + 60 * MINUTE + 500;
        expect(window.used(now)).toBe(3 * instants.length + delta);
        expect(window.used(leaves)).toBe(3 * instants.filter((instant) => slice(instant) > slice(at)).length);
      }),
    );
  });

  it('keeps its takings when its length changes', () => {
    const window = new RollingWindow(MINUTE);
    window.add(0, 5);
    const hour = window.resized(60 * MINUTE);
    hour.add(1, 2);
    expect(hour.used(59 * MINUTE)).toBe(7);
    expect(hour.used(61 * MINUTE + SLACK)).toBe(0);
  });

  it('agrees with a plain list of events, never counting too little nor for long too much', () => {
    const step = fc.record({ wait: fc.integer({ min: 0, max: 40_000 }), amount: fc.integer({ min: 0, max: 50 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.constantFrom(MINUTE, 600_000, 86_400_000), (steps, length) => {
        const window = new RollingWindow(length);
        const events: Array<{ at: number; amount: number }> = [];
        const allowance = SLACK + length / 1_000;
        let now = 1_700_000_000_000;
        for (const { wait, amount } of steps) {
          now += wait * (length / MINUTE);
          window.add(now, amount);
          events.push({ at: now, amount });
          const sumSince = (from: number) => events.reduce((sum, one) => (one.at > from ? sum + one.amount : sum), 0);
          expect(window.used(now)).toBeGreaterThanOrEqual(sumSince(now - length));
          expect(window.used(now)).toBeLessThanOrEqual(sumSince(now - length - allowance));
        }
      }),
    );
  });
});
