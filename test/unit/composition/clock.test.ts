import { expect, it } from 'vitest';
import { systemClock } from '../../../src/composition/clock.js';
import { createIdSource } from '../../../src/composition/ids.js';

it('a sleep ends at once when it is ended, before or during it, and with the reason', async () => {
  const controller = new AbortController();
  const sleeping = expect(systemClock.sleep(60_000, controller.signal)).rejects.toThrow('enough');
  controller.abort(new Error('enough'));
  await sleeping;
  await expect(systemClock.sleep(60_000, controller.signal)).rejects.toThrow('enough');
});

it('a sleep lasts as long as it was told', async () => {
  const before = performance.now();
  await systemClock.sleep(20, new AbortController().signal);
  expect(performance.now() - before).toBeGreaterThanOrEqual(18);
});

it('ids are UUIDv7s of the instant they are asked with, all different', () => {
  const newId = createIdSource();
  const instants = [Date.UTC(2026, 0, 2), Date.UTC(2026, 0, 2) + 1, 1, Date.UTC(10_000, 0, 1)];
  const ids = instants.flatMap((at) => Array.from({ length: 1_000 }, () => newId(at)));
  expect(new Set(ids).size).toBe(4_000);
  for (const id of ids) {
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
  const told = ids.map((id) => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16));
  expect(told).toEqual(instants.flatMap((at) => Array.from({ length: 1_000 }, () => at)));
});

it('each digit of an id that is not told by its time or its kind is as likely as any other', () => {
  const newId = createIdSource();
  const counts = new Map<string, number>();
  for (let nth = 0; nth < 16_000; nth += 1) {
    for (const [place, digit] of [...newId(0).slice(14)].entries()) {
      counts.set(`${place} ${digit}`, (counts.get(`${place} ${digit}`) ?? 0) + 1);
    }
  }
  // The version and the dashes are always the same; the variant is one of four, all else one of sixteen.
  const varied = [...counts].filter(([, count]) => count < 16_000);
  for (const [name, count] of varied) {
    const expected = name.startsWith('5 ') ? 4_000 : 1_000;
    expect(Math.abs(count - expected), name).toBeLessThan(expected * 0.25);
  }
  expect(varied).toHaveLength(4 + 18 * 16);
});
