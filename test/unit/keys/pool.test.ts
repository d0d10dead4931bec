import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DISABLED_KEY_MS } from '../../../src/domain/failure.js';
import type { KeyPool, ProviderKey } from '../../../src/domain/keys.js';
import { Secret } from '../../../src/domain/secret.js';
import { keyFingerprint } from '../../../src/keys/fingerprint.js';
import { createKeyMemory, forgetKeys, forgiveDisabled, type KeyMemory } from '../../../src/keys/memory.js';
import { createKeyPool, keylessKey } from '../../../src/keys/pool.js';
import { FakeClock } from '../../support/fake-clock.js';

const NONE: ReadonlySet<string> = new Set();

function aKey(id: string, weight = 1): ProviderKey {
  return { id, secret: new Secret(`secret-${id}`), weight, limits: {} };
}

function aPool(
  keys: ProviderKey[],
  options: { clock?: FakeClock; memory?: KeyMemory; random?: () => number } = {},
): KeyPool {
  return createKeyPool({
    keys,
    clock: options.clock ?? new FakeClock(),
    random: options.random ?? (() => 1),
    baseCooldownMs: 1_000,
    maxCooldownMs: 60_000,
    ...(options.memory === undefined ? {} : { memory: options.memory }),
  });
}

function order(pool: KeyPool, used = NONE): string[] {
  const turn = pool.turn(used);
  return turn === null ? [] : [turn.first, ...turn.others()].map((key) => key.id);
}

describe('rotation', () => {
  it('gives every key its turn', () => {
    const pool = aPool([aKey('a'), aKey('b'), aKey('c')]);
    expect([order(pool)[0], order(pool)[0], order(pool)[0], order(pool)[0]]).toEqual(['a', 'b', 'c', 'a']);
    expect(order(pool)).toHaveLength(3);
  });

  it('moves no turn for a question', () => {
    const pool = aPool([aKey('a'), aKey('b'), aKey('c')]);
    const firsts = Array.from({ length: 4 }, () => {
      expect(pool.usable().map((key) => key.id)).toEqual(['a', 'b', 'c']);
      return order(pool)[0];
    });
    expect(firsts.join('')).toBe('abca');
    pool.report('b', { action: 'rotate-key', cooldownMs: 1_000 });
    expect(pool.usable().map((key) => key.id)).toEqual(['a', 'c']);
  });

  it('gives keys turns in proportion to their weights, spread evenly', () => {
    const pool = aPool([aKey('a', 5), aKey('b', 1), aKey('c', 1)]);
    const firsts = Array.from({ length: 7 }, () => order(pool)[0]);
    expect(firsts.join('')).toBe('aabacaa');
  });

  it('keeps to any weights exactly over a whole round', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 }), (weights) => {
        const pool = aPool(weights.map((weight, nth) => aKey(`k${nth}`, weight)));
        const turns = new Map<string, number>();
        const round = weights.reduce((sum, weight) => sum + weight, 0);
        for (let nth = 0; nth < round; nth += 1) {
          const first = order(pool)[0] ?? '';
          turns.set(first, (turns.get(first) ?? 0) + 1);
        }
        weights.forEach((weight, nth) => {
          expect(turns.get(`k${nth}`)).toBe(weight);
        });
      }),
    );
  });

  it('puts keys last that this request has used already', () => {
    const pool = aPool([aKey('a'), aKey('b'), aKey('c')]);
    for (let nth = 0; nth < 4; nth += 1) {
      const keys = order(pool, new Set(['a', 'b']));
      expect(keys[0]).toBe('c');
      expect(keys).toHaveLength(3);
    }
  });
});

describe('a key that was refused', () => {
  it('is left alone for as long as the provider asked', async () => {
    const clock = new FakeClock();
    const pool = aPool([aKey('a'), aKey('b')], { clock });
    pool.report('a', { action: 'rotate-key', cooldownMs: 7_000 }, '429');
    expect(order(pool)).toEqual(['b']);
    expect(pool.snapshot()[0]).toEqual({ id: 'a', state: 'cooling', until: clock.now() + 7_000, reason: '429' });
    await clock.advance(7_000);
    expect(order(pool)).toHaveLength(2);
    expect(pool.snapshot()[0]).toEqual({ id: 'a', state: 'ready', until: null, reason: null });
  });

  it('is left alone twice as long each time when the provider does not say, up to the most', async () => {
    const clock = new FakeClock();
    const pool = aPool([aKey('a')], { clock });
    const waits: Array<number | null> = [];
    for (let nth = 0; nth < 8; nth += 1) {
      pool.report('a', { action: 'rotate-key', cooldownMs: null });
      const wait = pool.readyInMs();
      waits.push(wait);
      await clock.advance(wait ?? 0);
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    pool.report('a', 'ok');
    pool.report('a', { action: 'rotate-key', cooldownMs: null });
    expect(pool.readyInMs()).toBe(1_000);
  });

  it('counts many refusals at the same time as one', () => {
    const pool = aPool([aKey('a')]);
    for (let nth = 0; nth < 20; nth += 1) pool.report('a', { action: 'rotate-key', cooldownMs: null });
    expect(pool.readyInMs()).toBe(1_000);
  });

  it('waits by chance between half and the whole of its back-off', () => {
    const pool = aPool([aKey('a')], { random: () => 0 });
    pool.report('a', { action: 'rotate-key', cooldownMs: null });
    expect(pool.readyInMs()).toBe(500);
  });

  it('stays cooling when a call that was under way succeeds', () => {
    const pool = aPool([aKey('a')]);
    pool.report('a', { action: 'rotate-key', cooldownMs: 5_000 });
    pool.report('a', 'ok');
    expect(pool.readyInMs()).toBe(5_000);
  });
});

describe('a key that is bad or out of credit', () => {
  const disable = { action: 'rotate-key', cooldownMs: DISABLED_KEY_MS, disable: true } as const;

  it('is out for an hour', async () => {
    const clock = new FakeClock();
    const pool = aPool([aKey('a')], { clock });
    pool.report('a', disable, '401');
    expect(order(pool)).toEqual([]);
    expect(pool.readyInMs()).toBeNull();
    expect(pool.snapshot()[0]).toMatchObject({ state: 'disabled', reason: '401' });
    await clock.advance(DISABLED_KEY_MS);
    expect(order(pool)).toEqual(['a']);
  });

  it('is not brought back by a later 429', () => {
    const pool = aPool([aKey('a')]);
    pool.report('a', disable);
    pool.report('a', { action: 'rotate-key', cooldownMs: 10 });
    expect(pool.readyInMs()).toBeNull();
  });

  it('does not count for when the next key is ready', () => {
    const pool = aPool([aKey('a'), aKey('b')]);
    pool.report('a', disable);
    pool.report('b', { action: 'rotate-key', cooldownMs: 3_000 });
    expect(pool.readyInMs()).toBe(3_000);
  });
});

it.each([
  { action: 'retry', afterMs: 10 },
  { action: 'wait', afterMs: 10 },
  { action: 'fall-back' },
  { action: 'reject' },
] as const)('a verdict of $action is not held against the key', (verdict) => {
  const pool = aPool([aKey('a')]);
  pool.report('a', verdict);
  expect(pool.readyInMs()).toBe(0);
});

describe('a reload', () => {
  it('keeps cooldowns, forgets keys that are gone, and gives disabled keys another chance', () => {
    const memory = createKeyMemory();
    const clock = new FakeClock();
    const old = aPool([aKey('a'), aKey('b'), aKey('c')], { memory, clock });
    old.report('a', { action: 'rotate-key', cooldownMs: 9_000 });
    old.report('b', { action: 'rotate-key', cooldownMs: null, disable: true });
    old.report('c', { action: 'rotate-key', cooldownMs: 9_000 });
    forgetKeys(memory, new Set(['a', 'b']));
    forgiveDisabled(memory);
    const renewed = aPool([aKey('b'), aKey('a')], { memory, clock });
    expect(order(renewed)).toEqual(['b']);
    expect(memory.has('c')).toBe(false);
  });
});

describe('what a key is called', () => {
  it('is the provider and the start of the SHA-256 of its secret', () => {
    expect(keyFingerprint('groq', new Secret('abc'))).toBe('groq:ba7816bf8f01');
  });

  it('of a provider without keys is `none`, with an empty secret', () => {
    const key = keylessKey('ollama', { concurrency: 2 });
    expect(key.id).toBe('ollama:none');
    expect(key.secret.reveal()).toBe('');
    expect(key.limits).toEqual({ concurrency: 2 });
  });
});

it('forgets what a key did once it works again', async () => {
  const clock = new FakeClock();
  const memory: KeyMemory = new Map();
  const pool = aPool([aKey('a'), aKey('b')], { clock, memory });
  pool.report('a', { action: 'rotate-key', cooldownMs: 1_000 });
  pool.report('a', 'ok');
  expect(order(pool)).toEqual(['b']);
  await clock.advance(1_001);
  pool.report('a', 'ok');
  expect(memory.size).toBe(0);
  expect(order(pool)).toHaveLength(2);
});
