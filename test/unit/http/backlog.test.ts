import { expect, it } from 'vitest';
import { Backlog } from '../../../src/http/short/backlog.js';

const SHARED = Buffer.from('-abc-defgh-');

it('what is added is copied, whatever becomes of where it came from', () => {
  const backlog = new Backlog();
  const shared = Buffer.from(SHARED);
  backlog.add(shared, 1, 4);
  shared.fill('x');
  SHARED.copy(shared);
  backlog.add(shared, 5, 10);
  shared.fill('x');
  expect(backlog.bytes).toBe(8);
  expect(backlog.take()?.toString()).toBe('abcdefgh');
  expect([backlog.take(), backlog.bytes]).toEqual([null, 0]);
});

it('what is given back is not copied, and what is added later stands behind it', () => {
  const backlog = new Backlog();
  backlog.add(SHARED, 1, 4);
  const taken = backlog.take() as Buffer;
  backlog.giveBack(taken.subarray(1));
  const again = backlog.take() as Buffer;
  expect([again.toString(), again.buffer, again.byteOffset]).toEqual(['bc', taken.buffer, taken.byteOffset + 1]);
  backlog.giveBack(again);
  backlog.add(SHARED, 5, 10);
  expect(backlog.take()?.toString()).toBe('bcdefgh');
});
