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

it('ids are UUIDv7s of this moment, all different, in the order of their milliseconds', () => {
  const newId = createIdSource();
  const before = Date.now();
  const ids = Array.from({ length: 2_000 }, newId);
  const after = Date.now();
  expect(new Set(ids).size).toBe(2_000);
  const milliseconds = ids.map((id) => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16));
  expect([...milliseconds].sort((a, b) => a - b)).toEqual(milliseconds);
  for (const id of ids) {
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
  expect(milliseconds.at(0)).toBeGreaterThanOrEqual(before);
  expect(milliseconds.at(-1)).toBeLessThanOrEqual(after);
});
