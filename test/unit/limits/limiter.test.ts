import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { Limiter } from '../../../src/domain/limit.js';
import { LimitWaitError } from '../../../src/domain/limit.js';
import { createLimiter } from '../../../src/limits/limiter.js';
import { FakeClock, settled } from '../../support/fake-clock.js';
import { anAsk, anOption, strictLogger } from './builders.js';

const MINUTE = 60_000;

function aLimiter(queueMaxLength = 100): { clock: FakeClock; limiter: Limiter } {
  const clock = new FakeClock();
  return { clock, limiter: createLimiter({ clock, queueMaxLength: () => queueMaxLength, logger: strictLogger }) };
}

async function refusal(promise: Promise<unknown>): Promise<LimitWaitError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(LimitWaitError);
  return error as LimitWaitError;
}

describe('a call that goes out later than its room was taken', () => {
  it('counts from when it goes out', async () => {
    const { clock, limiter } = aLimiter();
    const scope = { id: 'key', settings: { reqPerMin: 1, tokensPerMin: 100 } };
    const ask = anAsk({ options: [{ option: 'key', scopes: [scope] }], tokens: 60 });
    const reservation = limiter.tryReserve(ask);
    await clock.advance(4_000);
    reservation?.sent();
    reservation?.settle(30, false);
    reservation?.release();
    expect(limiter.snapshot(scope).map(({ remaining }) => remaining)).toEqual([0, 70]);
    await clock.advance(MINUTE - 1);
    expect(limiter.tryReserve(ask)).toBeNull();
    expect(limiter.snapshot(scope).map(({ remaining }) => remaining)).toEqual([0, 70]);
    await clock.advance(1_000);
    expect(limiter.snapshot(scope).map(({ remaining }) => remaining)).toEqual([1, 100]);
  });

  it('is not among what the provider said is left before it did', async () => {
    const { clock, limiter } = aLimiter();
    const scope = { id: 'key', settings: { reqPerMin: 10 } };
    const reservation = limiter.tryReserve(anAsk({ options: [{ option: 'key', scopes: [scope] }] }));
    await clock.advance(1_000);
    limiter.observe(scope, { kind: 'requests', remaining: 5, resetMs: 30_000 });
    await clock.advance(1_000);
    reservation?.sent();
    expect(limiter.snapshot(scope)[0]?.remaining).toBe(4);
  });
});

describe('room now', () => {
  it('is given by the first option that has it, in the order of the ask', () => {
    const { limiter } = aLimiter();
    const options = [anOption('a', { reqPerMin: 1 }), anOption('b', { reqPerMin: 1 })];
    expect(limiter.tryReserve(anAsk({ options }))?.option).toBe('a');
    expect(limiter.tryReserve(anAsk({ options }))?.option).toBe('b');
    expect(limiter.tryReserve(anAsk({ options }))).toBeNull();
  });

  it('is needed in every scope of an option, and taken in none when one lacks it', () => {
    const { limiter } = aLimiter();
    const model = { id: 'model', settings: { tokensPerMin: 10 } };
    const key = { id: 'key', settings: { reqPerMin: 5 } };
    const options = [{ option: 'key', scopes: [key, model] }];
    expect(limiter.tryReserve(anAsk({ options, tokens: 11 }))).toBeNull();
    expect(limiter.snapshot(key)[0]?.remaining).toBe(5);
    expect(limiter.tryReserve(anAsk({ options, tokens: 10 }))).not.toBeNull();
    expect(limiter.snapshot(key)[0]?.remaining).toBe(4);
    expect(limiter.hasRoom([model], 1)).toBe(false);
    expect(limiter.hasRoom([key], 1)).toBe(true);
  });

  it.each([
    ['reqPerMin', MINUTE],
    ['reqPerDay', 86_400_000],
    ['reqPerMonth', 31 * 86_400_000],
  ] as const)('counts %s over a window that rolls', async (setting, windowMs) => {
    const { clock, limiter } = aLimiter();
    const ask = anAsk({ options: [anOption('key', { [setting]: 1 })] });
    expect(limiter.tryReserve(ask)).not.toBeNull();
    await clock.advance(windowMs - 1);
    expect(limiter.tryReserve(ask)).toBeNull();
    await clock.advance(windowMs / 100 + 1_000);
    expect(limiter.tryReserve(ask)).not.toBeNull();
  });

  it('keeps its counts when the limits change', () => {
    const { limiter } = aLimiter();
    const before = anAsk({ options: [anOption('key', { reqPerMin: 3 })] });
    for (let nth = 0; nth < 3; nth += 1) expect(limiter.tryReserve(before)).not.toBeNull();
    const after = anAsk({ options: [anOption('key', { reqPerMin: 4 })] });
    expect(limiter.tryReserve(after)).not.toBeNull();
    expect(limiter.tryReserve(after)).toBeNull();
  });

  it('does not freeze when the machine sets its clock back', async () => {
    const { clock, limiter } = aLimiter();
    const ask = anAsk({ options: [anOption('key', { reqPerMin: 1 })] });
    expect(limiter.tryReserve(ask)).not.toBeNull();
    clock.jumpTo(clock.now() - 3_600_000);
    expect(limiter.tryReserve(ask)).toBeNull();
    await clock.advance(MINUTE + 1_000);
    expect(limiter.tryReserve(ask)).not.toBeNull();
  });
});

describe('a reservation that is held for long', () => {
  it('gives back what it took, however many others have come and been forgotten meanwhile', async () => {
    const { clock, limiter } = aLimiter();
    const options = [anOption('key', { concurrency: 1, tokensPerMin: 100 })];
    const held = limiter.tryReserve(anAsk({ options, tokens: 60 }));
    await clock.advance(2 * MINUTE);
    for (let nth = 0; nth < 10_000; nth += 1) limiter.hasRoom([{ id: `other-${nth}`, settings: {} }], 1);
    expect(limiter.tryReserve(anAsk({ options, tokens: 60 }))).toBeNull();
    held?.settle(90, false);
    held?.release();
    expect(limiter.tryReserve(anAsk({ options, tokens: 60 }))).not.toBeNull();
    expect(limiter.tryReserve(anAsk({ options, tokens: 60 }))).toBeNull();
  });
});

describe('a settled reservation', () => {
  const options = [anOption('key', { tokensPerMin: 1_000 })];
  const left = (limiter: Limiter) => limiter.snapshot({ id: 'key', settings: { tokensPerMin: 1_000 } })[0]?.remaining;

  it('gives back what was not used', () => {
    const { limiter } = aLimiter();
    limiter.tryReserve(anAsk({ options, tokens: 900 }))?.settle(100, false);
    expect(left(limiter)).toBe(900);
  });

  it('gives nothing back for a lower bound, and nothing for an unknown', () => {
    const { limiter } = aLimiter();
    const reservation = limiter.tryReserve(anAsk({ options, tokens: 600 }));
    reservation?.settle(100, true);
    reservation?.settle(null, false);
    expect(left(limiter)).toBe(400);
  });

  it('adds what was used beyond the estimate, lower bound or not', () => {
    const { limiter } = aLimiter();
    limiter.tryReserve(anAsk({ options, tokens: 100 }))?.settle(300, true);
    limiter.tryReserve(anAsk({ options, tokens: 100 }))?.settle(1_200, false);
    expect(left(limiter)).toBe(0);
    expect(limiter.tryReserve(anAsk({ options, tokens: 0 }))).toBeNull();
  });

  it('drops a refund for a window that has passed', async () => {
    const { clock, limiter } = aLimiter();
    const old = limiter.tryReserve(anAsk({ options, tokens: 1_000 }));
    await clock.advance(MINUTE + 1_000);
    expect(limiter.tryReserve(anAsk({ options, tokens: 1_000 }))).not.toBeNull();
    old?.settle(0, false);
    expect(left(limiter)).toBe(0);
  });

  it('ends its concurrency once, however often it is released', () => {
    const { limiter } = aLimiter();
    const ask = anAsk({ options: [anOption('key', { concurrency: 2 })] });
    const first = limiter.tryReserve(ask);
    limiter.tryReserve(ask);
    first?.release();
    first?.release();
    expect(limiter.tryReserve(ask)).not.toBeNull();
    expect(limiter.tryReserve(ask)).toBeNull();
  });
});

describe('waiting', () => {
  it('ends when time has made room', async () => {
    const { clock, limiter } = aLimiter();
    const ask = anAsk({ options: [anOption('key', { reqPerMin: 1 })] });
    limiter.tryReserve(ask);
    const waiting = limiter.reserve(ask);
    expect(limiter.queueDepth()).toBe(1);
    await clock.advance(MINUTE + 600);
    expect((await waiting).option).toBe('key');
    expect(limiter.queueDepth()).toBe(0);
    expect(clock.sleeping).toBe(0);
  });

  it.each(['release', 'settle'] as const)('ends when another request gives back room by %s', async (how) => {
    const { limiter } = aLimiter();
    const limits = how === 'release' ? { concurrency: 1 } : { tokensPerMin: 100 };
    const ask = anAsk({ options: [anOption('key', limits)], tokens: 60 });
    const first = limiter.tryReserve(ask);
    const waiting = limiter.reserve(ask);
    if (how === 'release') first?.release();
    else first?.settle(10, false);
    expect((await waiting).option).toBe('key');
  });

  it('is for whichever option has room first', async () => {
    const { limiter } = aLimiter();
    const options = [anOption('a', { concurrency: 1 }), anOption('b', { concurrency: 1 })];
    limiter.tryReserve(anAsk({ options }));
    const second = limiter.tryReserve(anAsk({ options }));
    const waiting = limiter.reserve(anAsk({ options }));
    second?.release();
    expect((await waiting).option).toBe('b');
  });

  it('ends when the provider says that it has room again', async () => {
    const { clock, limiter } = aLimiter();
    const scope = { id: 'key', settings: {} };
    limiter.observe(scope, { kind: 'tokens', remaining: 5, resetMs: 10_000 });
    const waiting = limiter.reserve(anAsk({ options: [{ option: 'key', scopes: [scope] }], tokens: 50 }));
    await clock.advance(1_000);
    expect(limiter.queueDepth()).toBe(1);
    limiter.observe(scope, { kind: 'tokens', remaining: 50, resetMs: 10_000 });
    expect((await waiting).option).toBe('key');
  });

  it('is not overtaken by a newcomer, however small', async () => {
    const { limiter } = aLimiter();
    const options = [anOption('key', { tokensPerMin: 100 })];
    const first = limiter.tryReserve(anAsk({ options, tokens: 50 }));
    const large = limiter.reserve(anAsk({ options, tokens: 90 }));
    expect(limiter.tryReserve(anAsk({ options, tokens: 1, client: 'other', queue: 'other' }))).toBeNull();
    const small = limiter.reserve(anAsk({ options, tokens: 10, client: 'other' }));
    first?.settle(0, false);
    await large;
    expect((await small).option).toBe('key');
  });

  it('holds up nobody who asks for another key', async () => {
    const { limiter } = aLimiter();
    const options = [anOption('key', { tokensPerMin: 100 })];
    limiter.tryReserve(anAsk({ options, tokens: 50 }));
    const abort = new AbortController();
    const large = limiter.reserve(anAsk({ options, tokens: 90, signal: abort.signal }));
    expect(limiter.tryReserve(anAsk({ options: [anOption('other', { tokensPerMin: 100 })] }))?.option).toBe('other');
    abort.abort(new Error('enough'));
    await expect(large).rejects.toThrow('enough');
  });

  it('is refused at once when it can never fit', async () => {
    const { limiter } = aLimiter();
    const options = [anOption('a', { tokensPerMin: 100 }), anOption('b', { sessionTokens: 200, sessionMs: MINUTE })];
    const error = await refusal(limiter.reserve(anAsk({ options, tokens: 201 })));
    expect(error).toMatchObject({ reason: 'never-fits', retryAfterMs: null, scopeId: 'a' });
    expect((await limiter.reserve(anAsk({ options, tokens: 200 }))).option).toBe('b');
  });

  it('is refused at once when room comes after the longest wait, saying when', async () => {
    const { clock, limiter } = aLimiter();
    const options = [anOption('key', { reqPerMin: 1 })];
    limiter.tryReserve(anAsk({ options }));
    await clock.advance(10_000);
    const error = await refusal(limiter.reserve(anAsk({ options, maxWaitMs: 20_000 })));
    expect(error).toMatchObject({ reason: 'too-long', scopeId: 'key' });
    expect(error.retryAfterMs).toBeGreaterThanOrEqual(50_000);
    expect(error.retryAfterMs).toBeLessThanOrEqual(50_600);
    expect(limiter.queueDepth()).toBe(0);
  });

  it('ends by itself after the longest wait when a running call gives nothing back', async () => {
    const { clock, limiter } = aLimiter();
    const options = [anOption('key', { concurrency: 1 })];
    limiter.tryReserve(anAsk({ options }));
    const waiting = refusal(limiter.reserve(anAsk({ options, maxWaitMs: 5_000 })));
    await clock.advance(5_000);
    expect(await waiting).toMatchObject({ reason: 'too-long', scopeId: 'key' });
    expect(limiter.queueDepth()).toBe(0);
    expect(clock.sleeping).toBe(0);
  });

  it('finds a longer line once a reload says so', async () => {
    const clock = new FakeClock();
    let longest = 1;
    const limiter = createLimiter({ clock, queueMaxLength: () => longest, logger: strictLogger });
    const options = [anOption('key', { concurrency: 1 })];
    const first = limiter.tryReserve(anAsk({ options }));
    const waiting = [limiter.reserve(anAsk({ options }))];
    expect((await refusal(limiter.reserve(anAsk({ options })))).reason).toBe('queue-full');
    longest = 2;
    waiting.push(limiter.reserve(anAsk({ options })));
    expect(limiter.queueDepth()).toBe(2);
    first?.release();
    for (const each of waiting) (await each).release();
    expect(limiter.queueDepth()).toBe(0);
  });

  it('is refused when the line is full', async () => {
    const { limiter } = aLimiter(1);
    const options = [anOption('key', { concurrency: 1 })];
    const first = limiter.tryReserve(anAsk({ options }));
    const second = limiter.reserve(anAsk({ options }));
    expect((await refusal(limiter.reserve(anAsk({ options })))).reason).toBe('queue-full');
    first?.release();
    (await second).release();
  });

  it('ends at once when the client leaves, and leaves no listener, place or claim behind', async () => {
    const { clock, limiter } = aLimiter();
    const options = [anOption('key', { tokensPerMin: 100 })];
    limiter.tryReserve(anAsk({ options, tokens: 50 }));
    const abort = new AbortController();
    const waiting = limiter.reserve(anAsk({ options, tokens: 90, signal: abort.signal }));
    abort.abort(new Error('gone'));
    expect(limiter.queueDepth()).toBe(0);
    await expect(waiting).rejects.toThrow('gone');
    expect(getEventListeners(abort.signal, 'abort')).toHaveLength(0);
    expect(limiter.tryReserve(anAsk({ options, tokens: 50 }))).not.toBeNull();
    await settled();
    expect(clock.sleeping).toBe(0);
  });

  it('leaves no claim behind for those who wait for something else', async () => {
    const { limiter } = aLimiter();
    const options = [anOption('key', { tokensPerMin: 100 })];
    const others = [anOption('other', { concurrency: 1 })];
    limiter.tryReserve(anAsk({ options, tokens: 50 }));
    limiter.tryReserve(anAsk({ options: others }));
    const abort = new AbortController();
    const gone = limiter.reserve(anAsk({ options, tokens: 90, signal: abort.signal }));
    abort.abort(new Error('gone'));
    await expect(gone).rejects.toThrow('gone');
    const waiting = limiter.reserve(anAsk({ options: others }));
    expect(limiter.tryReserve(anAsk({ options, tokens: 50 }))).not.toBeNull();
    await limiter.close();
    await expect(waiting).rejects.toMatchObject({ code: 'shutting_down' });
  });

  it.each([1, 10])('gives back a reservation whose client left before it arrived (%i ticks)', async (ticks) => {
    const { limiter } = aLimiter();
    const options = [anOption('key', { reqPerMin: 3, concurrency: 1 })];
    const first = limiter.tryReserve(anAsk({ options }));
    const abort = new AbortController();
    const waiting = limiter.reserve(anAsk({ options, signal: abort.signal }));
    first?.release();
    for (let nth = 0; nth < ticks; nth += 1) await Promise.resolve();
    expect(limiter.queueDepth()).toBe(0);
    abort.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    const [requests, concurrency] = limiter.snapshot(options[0]?.scopes[0] ?? { id: 'key', settings: {} });
    expect(requests?.remaining).toBe(2);
    expect(concurrency?.remaining).toBe(1);
  });

  it('is over for everybody when the limiter closes', async () => {
    const { clock, limiter } = aLimiter();
    const options = [anOption('key', { reqPerMin: 1 })];
    limiter.tryReserve(anAsk({ options }));
    const waiting = [limiter.reserve(anAsk({ options })), limiter.reserve(anAsk({ options, client: 'other' }))];
    const outcomes = Promise.allSettled(waiting);
    await limiter.close();
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason: { code: 'shutting_down' } });
    await expect(limiter.reserve(anAsk())).rejects.toMatchObject({ code: 'shutting_down' });
    expect(clock.sleeping).toBe(0);
  });
});

describe('what a provider states', () => {
  const scope = { id: 'key', settings: { reqPerMin: 100, tokensPerMin: 1_000 } };
  const options = [{ option: 'key', scopes: [scope] }];

  it('is believed over our own count until its reset', async () => {
    const { clock, limiter } = aLimiter();
    limiter.observe(scope, { kind: 'requests', remaining: 2, resetMs: 30_000 });
    expect(limiter.tryReserve(anAsk({ options }))).not.toBeNull();
    expect(limiter.tryReserve(anAsk({ options }))).not.toBeNull();
    expect(limiter.tryReserve(anAsk({ options }))).toBeNull();
    expect(limiter.snapshot(scope)[0]).toMatchObject({ kind: 'requests', limit: 100, remaining: 0 });
    await clock.advance(30_000);
    expect(limiter.tryReserve(anAsk({ options }))).not.toBeNull();
    expect(limiter.snapshot(scope)[0]?.remaining).toBe(97);
  });

  it('never widens the limit of the config', () => {
    const { limiter } = aLimiter();
    limiter.observe(scope, { kind: 'tokens', remaining: 5_000, resetMs: 30_000 });
    expect(limiter.tryReserve(anAsk({ options, tokens: 1_000 }))).not.toBeNull();
    expect(limiter.tryReserve(anAsk({ options, tokens: 1 }))).toBeNull();
  });
});

describe('a snapshot', () => {
  it('shows every limit with what is left and when all of it is back', async () => {
    const { clock, limiter } = aLimiter();
    const settings = {
      reqPerMin: 10,
      tokensPerMin: 1_000,
      reqPerDay: 50,
      concurrency: 3,
      sessionTokens: 500,
      sessionMs: 600_000,
    };
    const scope = { id: 'key', settings };
    expect(limiter.snapshot(scope).every((row) => row.remaining === row.limit && row.resetMs === 0)).toBe(true);
    limiter.tryReserve(anAsk({ options: [{ option: 'key', scopes: [scope] }], tokens: 200 }));
    await clock.advance(20_000);
    const rows = limiter.snapshot(scope);
    expect(rows.map(({ kind, windowMs, limit, remaining }) => [kind, windowMs, limit, remaining])).toEqual([
      ['requests', 60_000, 10, 9],
      ['tokens', 60_000, 1_000, 800],
      ['requests', 86_400_000, 50, 49],
      ['tokens', 600_000, 500, 300],
      ['concurrency', null, 3, 2],
    ]);
    expect(rows[0]?.resetMs).toBeGreaterThanOrEqual(40_000);
    expect(rows[0]?.resetMs).toBeLessThanOrEqual(40_520);
  });
});
