import { describe, expect, it } from 'vitest';
import { type CachedAnswer, CachedAnswers } from '../../../src/dispatch/cached-answers.js';
import { FakeClock } from '../../support/fake-clock.js';

const KB = 1_024;

function anAnswer(bytes = 10): CachedAnswer {
  return { kind: 'body', inferenceId: 'i', provider: 'p', model: 'm', headers: {}, body: Buffer.alloc(bytes) };
}

function someAnswers(rest: { ttlMs?: number; maxEntries?: number; maxBytes?: number } = {}) {
  const clock = new FakeClock();
  return { clock, kept: new CachedAnswers({ clock, ttlMs: 1_000, maxEntries: 3, maxBytes: 1_000 * KB, ...rest }) };
}

describe('kept answers', () => {
  it('are given for as long as they are to live, and not a millisecond longer', async () => {
    const { clock, kept } = someAnswers();
    const answer = anAnswer();
    kept.keep('a', answer);
    await clock.advance(999);
    expect(kept.find('a')).toBe(answer);
    await clock.advance(1);
    expect(kept.find('a')).toBeNull();
    expect(kept.size).toBe(0);
  });

  it('are not given after the clock was set back: nobody knows how old they are', () => {
    const { clock, kept } = someAnswers();
    kept.keep('a', anAnswer());
    clock.jumpTo(clock.now() - 1);
    expect(kept.find('a')).toBeNull();
  });

  it('are so many, the oldest gone first', () => {
    const { kept } = someAnswers();
    for (const key of ['a', 'b', 'c', 'd']) kept.keep(key, anAnswer());
    expect(kept.find('a')).toBeNull();
    expect(['b', 'c', 'd'].every((key) => kept.find(key) !== null)).toBe(true);
    // One that is replaced makes no room necessary.
    kept.keep('b', anAnswer());
    expect(kept.size).toBe(3);
    kept.keep('e', anAnswer());
    expect([kept.find('c'), kept.find('b')]).toEqual([null, expect.anything()]);
  });

  it('take so much room, and one that is larger is not kept', () => {
    const { kept } = someAnswers({ maxEntries: 100, maxBytes: 10 * KB });
    for (const key of ['a', 'b', 'c']) kept.keep(key, anAnswer(3 * KB - 1));
    // Each takes nearly 4 KB with what stands around it.
    expect(kept.size).toBe(2);
    kept.keep('large', anAnswer(10 * KB));
    expect(kept.find('large')).toBeNull();
    expect(kept.size).toBe(2);
    kept.keep('d', anAnswer(8 * KB));
    expect(kept.size).toBe(1);
    expect(kept.find('d')).not.toBeNull();
  });

  it('that have lived too long go when another comes', async () => {
    const { clock, kept } = someAnswers();
    kept.keep('a', anAnswer());
    kept.keep('b', anAnswer());
    await clock.advance(1_000);
    kept.keep('c', anAnswer());
    expect(kept.size).toBe(1);
  });
});
