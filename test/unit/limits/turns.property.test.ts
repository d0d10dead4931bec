import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LimitOption, LimitSettings } from '../../../src/domain/limit.js';
import type { Ticket } from '../../../src/limits/line.js';
import type { HeldReservation } from '../../../src/limits/reservation.js';
import { Turns } from '../../../src/limits/turns.js';
import { FakeClock, settled } from '../../support/fake-clock.js';
import { anAsk, anOption, strictLogger } from './builders.js';

const MINUTE = 60_000;

interface Grant {
  at: number;
  key: string;
  tokens: number;
  client: string;
  nth: number;
}

/** A crowd of clients in front of one set of turns, with a log of every grant as an upstream would keep it. */
class Crowd {
  readonly clock = new FakeClock();
  readonly turns = new Turns({ clock: this.clock, queueMaxLength: () => 100_000, logger: strictLogger });
  readonly grants: Grant[] = [];
  readonly running: Array<{ reservation: HeldReservation; grant: Grant }> = [];
  readonly waiting = new Set<Ticket>();
  #nth = 0;

  readonly #serviceMs: number | null;

  /** With a service time every grant ends by itself after it. */
  constructor(options: { serviceMs?: number } = {}) {
    this.#serviceMs = options.serviceMs ?? null;
  }

  ask(fields: {
    client?: string;
    queue?: string;
    tokens: number;
    options: readonly LimitOption[];
    maxWaitMs?: number;
  }): void {
    const ask = anAsk({ maxWaitMs: 1e9, ...fields });
    const nth = this.#nth;
    this.#nth += 1;
    const reservation = this.turns.take(ask);
    if (reservation !== null) {
      this.#granted(reservation, { client: ask.client, tokens: ask.tokens, nth });
      return;
    }
    const ticket = this.turns.enter(ask);
    this.waiting.add(ticket);
    ticket.outcome.then(
      (granted) => {
        this.waiting.delete(ticket);
        this.#granted(granted, { client: ask.client, tokens: ask.tokens, nth });
      },
      () => this.waiting.delete(ticket),
    );
  }

  #granted(reservation: HeldReservation, fields: Pick<Grant, 'client' | 'tokens' | 'nth'>): void {
    const grant = { ...fields, at: this.clock.now(), key: reservation.option };
    this.grants.push(grant);
    this.running.push({ reservation, grant });
    if (this.#serviceMs === null) return;
    this.clock.sleep(this.#serviceMs).then(() => this.finish(reservation));
  }

  finish(reservation: HeldReservation | undefined): void {
    const found = this.running.findIndex((one) => one.reservation === reservation);
    if (found >= 0) this.running.splice(found, 1);
    reservation?.release();
  }

  /** The most that any window of `windowMs` holds, wherever it starts. */
  most(key: string, windowMs: number, amount: (grant: Grant) => number): number {
    const grants = this.grants.filter((grant) => grant.key === key);
    let most = 0;
    for (const first of grants) {
      const inside = grants.filter((grant) => grant.at >= first.at && grant.at < first.at + windowMs);
      most = Math.max(
        most,
        inside.reduce((sum, grant) => sum + amount(grant), 0),
      );
    }
    return most;
  }
}

type Step =
  | { do: 'ask'; client: string; queue: string; tokens: number; keys: string[] }
  | { do: 'wait'; ms: number }
  | { do: 'settle'; which: number; share: number; lowerBound: boolean }
  | { do: 'release'; which: number }
  | { do: 'leave'; which: number };

const KEYS = ['k1', 'k2', 'k3'];
const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('ask' as const),
        client: fc.constantFrom('a', 'b', 'c'),
        queue: fc.constantFrom('one', 'two'),
        tokens: fc.integer({ min: 0, max: 400 }),
        keys: fc.shuffledSubarray(KEYS, { minLength: 1 }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 30_000 }) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('settle' as const),
        which: fc.nat(),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
        lowerBound: fc.boolean(),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), which: fc.nat() }) },
  ),
  { maxLength: 120 },
);
const settings = fc.record({
  reqPerMin: fc.option(fc.integer({ min: 1, max: 12 })),
  tokensPerMin: fc.option(fc.integer({ min: 400, max: 1_000 })),
  concurrency: fc.option(fc.integer({ min: 1, max: 4 })),
  sessionTokens: fc.option(fc.integer({ min: 400, max: 2_000 })),
  sessionMs: fc.constant(5 * MINUTE),
});

async function play(crowd: Crowd, script: readonly Step[], limits: Record<string, LimitSettings>): Promise<void> {
  for (const step of script) {
    if (step.do === 'ask') crowd.ask({ ...step, options: step.keys.map((key) => anOption(key, limits[key] ?? {})) });
    if (step.do === 'wait') await crowd.clock.advance(step.ms);
    if (step.do === 'leave') {
      const ticket = [...crowd.waiting][step.which % Math.max(1, crowd.waiting.size)];
      if (ticket !== undefined) crowd.turns.leave(ticket, new Error('left'));
    }
    const one = crowd.running[('which' in step ? step.which : 0) % Math.max(1, crowd.running.length)];
    if (one !== undefined && step.do === 'settle') {
      const tokens = Math.floor(one.grant.tokens * step.share);
      one.reservation.settle(tokens, step.lowerBound);
      if (!step.lowerBound) one.grant.tokens = tokens;
    }
    if (one !== undefined && step.do === 'release') crowd.finish(one.reservation);
    await settled();
    expectNobodyOverlooked(crowd);
  }
}

/** Nobody could go at this moment, and somebody has no room at all: had anybody been forgotten, it would show here. */
function expectNobodyOverlooked(crowd: Crowd): void {
  if (crowd.waiting.size === 0) return;
  const now = crowd.turns.now();
  let isAnybodyWithoutRoom = false;
  for (const { ask, options } of crowd.waiting) {
    for (const { scopes } of options) expect(crowd.turns.isFree(scopes, ask.tokens, now)).toBe(false);
    isAnybodyWithoutRoom ||= options.every(({ scopes }) =>
      scopes.some(({ id, settings }) => !crowd.turns.states.get(id, now).hasRoom(settings, ask.tokens, now)),
    );
  }
  expect(isAnybodyWithoutRoom).toBe(true);
}

describe('limits under random traffic', () => {
  it('lets no window, wherever it starts, see more than the limit, and forgets nobody who waits', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.tuple(settings, settings, settings), async (script, [k1, k2, k3]) => {
        const crowd = new Crowd();
        const limits: Record<string, LimitSettings> = { k1, k2, k3 };
        await play(crowd, script, limits);
        // Whoever is left gets through in the end: nothing is stuck.
        for (let round = 0; crowd.waiting.size > 0 && round < 400; round += 1) {
          for (const { reservation } of [...crowd.running]) crowd.finish(reservation);
          await crowd.clock.advance(MINUTE);
        }
        expect(crowd.waiting.size).toBe(0);
        expect(crowd.turns.depth).toBe(0);
        expect(crowd.clock.sleeping).toBe(0);
        for (const key of KEYS) {
          const limit = limits[key];
          expect(crowd.most(key, MINUTE, () => 1)).toBeLessThanOrEqual(limit?.reqPerMin ?? Infinity);
          expect(crowd.most(key, MINUTE, (grant) => grant.tokens)).toBeLessThanOrEqual(limit?.tokensPerMin ?? Infinity);
          expect(crowd.most(key, 5 * MINUTE, (grant) => grant.tokens)).toBeLessThanOrEqual(
            limit?.sessionTokens ?? Infinity,
          );
        }
      }),
      { numRuns: 150 },
    );
  }, 60_000);

  it('uses at least 97% of what is allowed while there is demand', async () => {
    const crowd = new Crowd({ serviceMs: 800 });
    const limits = { reqPerMin: 60, tokensPerMin: 10_000 };
    const options = ['k1', 'k2', 'k3'].map((key) => anOption(key, limits));
    for (let second = 0; second < 300; second += 1) {
      const burst = second % 7 === 0 ? 25 : 0;
      for (let nth = 0; nth < burst; nth += 1) crowd.ask({ client: `c${nth % 3}`, tokens: 120, options });
      await crowd.clock.advance(1_000);
    }
    for (const key of KEYS) {
      const served = crowd.grants.filter((grant) => grant.key === key).length;
      expect(crowd.most(key, MINUTE, () => 1)).toBeLessThanOrEqual(60);
      expect(served).toBeGreaterThanOrEqual(0.97 * 5 * 60);
    }
  }, 30_000);
});

describe('turns among clients', () => {
  it('lets a single request wait for no more than one of a client with 1,000 in line', async () => {
    const serviceMs = 100;
    const crowd = new Crowd({ serviceMs });
    const options = [anOption('k1', { concurrency: 1 })];
    for (let nth = 0; nth < 1_001; nth += 1) crowd.ask({ client: 'busy', tokens: 1, options });
    await crowd.clock.advance(serviceMs * 2.5);
    const askedAt = crowd.clock.now();
    crowd.ask({ client: 'single', tokens: 1, options });
    await crowd.clock.advance(serviceMs * 5);
    const grant = crowd.grants.find((one) => one.client === 'single');
    expect(grant?.at).toBeLessThanOrEqual(askedAt + serviceMs);
  });

  it('serves the requests of one client in the order they came', async () => {
    const crowd = new Crowd({ serviceMs: 10 });
    const options = [anOption('k1', { concurrency: 2 })];
    for (let nth = 0; nth < 50; nth += 1) crowd.ask({ client: nth % 2 === 0 ? 'a' : 'b', tokens: 1, options });
    await crowd.clock.advance(1_000);
    for (const client of ['a', 'b']) {
      const order = crowd.grants.filter((grant) => grant.client === client).map((grant) => grant.nth);
      expect(order).toHaveLength(25);
      expect(order).toEqual([...order].sort((one, other) => one - other));
    }
  });
});
