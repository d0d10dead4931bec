import { describe, expect, it } from 'vitest';
import type { WaybillError } from '../../../src/domain/errors.js';
import type { RouteAsk, Target } from '../../../src/domain/route.js';
import { createTargetHealth } from '../../../src/routing/health.js';
import { NameResolver, type ResolvedAlias } from '../../../src/routing/resolve.js';
import { createRouter, type RouterSettings } from '../../../src/routing/router.js';
import { FakeClock } from '../../support/fake-clock.js';
import { anAsk, anOffer, aPool, aTarget, EVERYTHING, seeded } from './builders.js';

interface Setting {
  aliases?: Array<[string, ResolvedAlias]>;
  algorithm?: RouterSettings['algorithm'];
  fallback?: Partial<RouterSettings['fallback']>;
  full?: string[];
  /** Calls at once, by target. */
  capacities?: Record<string, number>;
}

function aRouter(targets: Target[], setting: Setting = {}) {
  const { aliases = [], algorithm = 'round_robin', fallback, full = [], capacities = {} } = setting;
  const ids = [...new Set(targets.map((target) => target.providerId))];
  const health = createTargetHealth({
    clock: new FakeClock(),
    settings: () => ({ failures: 1, windowMs: 1_000, openMs: 5_000 }),
  });
  const offers = ids.map((id) =>
    anOffer(
      id,
      targets.filter((target) => target.providerId === id),
    ),
  );
  const router = createRouter({
    resolver: new NameResolver(offers, new Map(aliases)),
    health,
    settings: {
      algorithm,
      hybridWeights: { tokenRatio: 0.2, reqRatio: 0.2, errorScore: 0.2, latency: 0.2, costRatio: 0.2 },
      fallback: { enabled: true, maxProviders: 2, providers: [], ...fallback },
    },
    offered: (provider, model) => targets.find(({ id }) => id === `${provider}:${model}`) ?? null,
    capacity: ({ id }) => capacities[id] ?? null,
    expectedOutput: (_, { outputTokens }) => outputTokens ?? 0,
    hasRoom: (target) => !full.includes(target.id),
    used: () => ({ reqRatio: null, tokenRatio: null }),
    random: seeded(5),
  });
  const order = (model: string, rest: Partial<RouteAsk> = {}) =>
    router.plan(anAsk(model, rest)).candidates.map(({ target }) => target.id);
  const refusal = (model: string, rest: Partial<RouteAsk> = {}): WaybillError => {
    try {
      router.plan(anAsk(model, rest));
    } catch (error) {
      return error as WaybillError;
    }
    throw new Error('nothing was refused');
  };
  return { router, health, order, refusal };
}

const three = () => ['a:m', 'b:m', 'c:m'].map((id) => aTarget(id));

describe('targets that are left alone', () => {
  const failed = { ok: false, firstByteMs: null };

  it('are last resorts of a plan, the soonest first, within the providers it may reach', () => {
    const { router, health } = aRouter([...three(), aTarget('d:m')], { fallback: { maxProviders: 2 } });
    for (const id of ['a:m', 'c:m', 'd:m']) health.record(id, failed);
    const plan = router.plan(anAsk('m'));
    expect(plan.candidates.map(({ target }) => target.id)).toEqual(['b:m']);
    expect(plan.lastResorts.map(({ id }) => id)).toEqual(['a:m', 'c:m']);
    expect(plan.excluded).toContainEqual({ provider: 'd', model: 'm', reason: 'beyond fallback.max_providers' });
  });

  it('are no last resort without a key, nor where there is no fallback', () => {
    const keyless = aRouter([aTarget('a:m', { keys: aPool(null) }), aTarget('b:m')]);
    keyless.health.record('a:m', failed);
    expect(keyless.router.plan(anAsk('m')).lastResorts).toEqual([]);
    const alone = aRouter(three(), { fallback: { enabled: false } });
    alone.health.record('a:m', failed);
    expect(alone.router.plan(anAsk('m')).lastResorts).toEqual([]);
  });

  it('are all there is of a plan where several are', () => {
    const { router, health } = aRouter([aTarget('a:m'), aTarget('b:m')]);
    for (const id of ['a:m', 'b:m']) health.record(id, failed);
    expect(router.plan(anAsk('m')).lastResorts.map(({ id }) => id)).toEqual(['a:m', 'b:m']);
  });
});

describe('a plan', () => {
  it('rotates truly, and apart for each name', () => {
    const { order } = aRouter([...three(), aTarget('a:n'), aTarget('b:n')]);
    expect([order('m')[0], order('n')[0], order('m')[0], order('n')[0], order('m')[0], order('m')[0]]).toEqual([
      'a:m',
      'a:n',
      'b:m',
      'b:n',
      'c:m',
      'a:m',
    ]);
  });

  it('puts what has room before what would wait', () => {
    const { router } = aRouter(three(), { full: ['a:m'] });
    const { candidates } = router.plan(anAsk('m'));
    expect(candidates.map(({ target }) => target.id)).toEqual(['b:m', 'c:m', 'a:m']);
    expect(candidates.at(-1)?.reason).toContain('no room');
  });

  it('puts a fallback that has room before what would wait', () => {
    const alias: ResolvedAlias = { targets: [{ model: 'a:m', weight: 1 }], fallback: ['b:m'] };
    const order = (full: string[]) => aRouter(three(), { aliases: [['nick', alias]], full }).order('nick');
    expect(order(['a:m'])).toEqual(['b:m', 'a:m']);
    expect(order(['a:m', 'b:m'])).toEqual(['a:m', 'b:m']);
  });

  it('passes over what is broken or has no key left, and says why', () => {
    const targets = [aTarget('a:m'), aTarget('b:m'), aTarget('c:m', { keys: aPool(null) })];
    const { router, health } = aRouter(targets);
    health.record('b:m', { ok: false, firstByteMs: null });
    const { candidates, excluded } = router.plan(anAsk('m'));
    expect(candidates.map(({ target }) => target.id)).toEqual(['a:m']);
    expect(excluded).toEqual([
      { provider: 'b', model: 'm', reason: expect.stringContaining('5000 ms') },
      { provider: 'c', model: 'm', reason: 'every key is disabled' },
    ]);
  });

  it('keeps what only cools down: it may be ready in time', () => {
    expect(aRouter([aTarget('a:m', { keys: aPool(500) })]).order('m')).toEqual(['a:m']);
  });

  it('falls back to so many other providers and no more', () => {
    const four = [...three(), aTarget('d:m')];
    expect(aRouter(four).order('m')).toEqual(['a:m', 'b:m', 'c:m']);
    expect(aRouter(four, { fallback: { maxProviders: 0 } }).order('m')).toEqual(['a:m']);
    expect(aRouter(four, { fallback: { enabled: false } }).order('m')).toEqual(['a:m']);
  });

  it('of an alias has its fallbacks last, each target once', () => {
    const alias: ResolvedAlias = { targets: [{ model: 'c:m', weight: 1 }], fallback: ['m', 'c:m'] };
    const { order } = aRouter(three(), { aliases: [['nick', alias]] });
    expect(order('nick')).toEqual(['c:m', 'a:m', 'b:m']);
    expect(aRouter(three(), { aliases: [['nick', alias]], fallback: { enabled: false } }).order('nick')).toEqual([
      'c:m',
    ]);
  });

  it('of a pinned model leaves its provider only for those that are listed', () => {
    expect(aRouter(three()).order('a:m')).toEqual(['a:m']);
    expect(aRouter(three(), { fallback: { providers: ['c'] } }).order('a:m')).toEqual(['a:m', 'c:m']);
  });

  it('keeps to what the client may use, fallbacks too', () => {
    const { order } = aRouter(three(), { fallback: { providers: ['b', 'c'] } });
    expect(order('a:m', { access: { ...EVERYTHING, allowedProviders: ['a', 'c'] } })).toEqual(['a:m', 'c:m']);
    const regions = [aTarget('a:m', { region: 'us' }), aTarget('b:m', { region: 'eu' })];
    expect(aRouter(regions).order('m', { region: 'eu' })).toEqual(['b:m']);
  });

  it('has only what does the task', () => {
    const targets = [aTarget('a:m', { tasks: ['embedding'] }), aTarget('b:m', { tasks: ['chat'] })];
    expect(aRouter(targets).order('m', { task: 'chat' })).toEqual(['b:m']);
    expect(aRouter(targets).order('m', { task: 'embedding' })).toEqual(['a:m']);
  });

  it('by cost takes this request’s cost, and by :cheapest the output price', () => {
    const price = (input: bigint, output: bigint) => ({ id: 'p', origin: 't', rates: { input, output }, tiers: [] });
    const targets = [
      aTarget('a:m', { price: price(1_000_000n, 9_000_000n) }),
      aTarget('b:m', { price: price(5_000_000n, 2_000_000n) }),
      aTarget('c:m'),
    ];
    const { order } = aRouter(targets, { algorithm: 'lowest_cost' });
    expect(order('m', { inputTokens: 1_000, outputTokens: 10 })).toEqual(['a:m', 'b:m', 'c:m']);
    expect(order('m', { inputTokens: 10, outputTokens: 1_000 })).toEqual(['b:m', 'a:m', 'c:m']);
    expect(order('m:cheapest', { inputTokens: 1_000, outputTokens: 10 })).toEqual(['b:m', 'a:m', 'c:m']);
    expect(order('m:preferred')).toEqual(['a:m', 'b:m', 'c:m']);
  });

  it('by load takes the one with fewest under way', () => {
    const { order, health } = aRouter(three(), { algorithm: 'least_loaded' });
    const end = health.begin('a:m');
    health.begin('b:m');
    health.begin('b:m');
    expect(order('m')).toEqual(['c:m', 'a:m', 'b:m']);
    end();
    expect(order('m').at(-1)).toBe('b:m');
  });

  it('by load goes by the calls that each may have at once, where all are limited in that', () => {
    const busy = (capacities: Record<string, number>) => {
      const { order, health } = aRouter(three(), { algorithm: 'least_loaded', capacities });
      for (const id of ['a:m', 'a:m', 'a:m', 'b:m', 'b:m', 'c:m']) health.begin(id);
      return order('m');
    };
    expect(busy({ 'a:m': 30, 'b:m': 10, 'c:m': 2 })).toEqual(['a:m', 'b:m', 'c:m']);
    // One without a limit can only be compared by its weight.
    expect(busy({ 'a:m': 30, 'b:m': 10 })).toEqual(['c:m', 'b:m', 'a:m']);
  });
});

describe('a refusal', () => {
  it('says what is wrong, in the order in which it is found', () => {
    const { refusal } = aRouter([aTarget('a:m', { tasks: ['embedding'], keys: aPool(null) })]);
    expect(refusal('nope')).toMatchObject({ code: 'model_not_found', param: 'model' });
    expect(refusal('m', { access: { ...EVERYTHING, allowedModels: ['x'] } })).toMatchObject({
      code: 'model_not_allowed',
    });
    expect(refusal('m', { region: 'eu' })).toMatchObject({ code: 'model_not_allowed' });
    expect(refusal('m')).toMatchObject({ code: 'task_not_supported' });
    expect(refusal('m', { task: 'embedding' })).toMatchObject({
      code: 'upstream_credentials_exhausted',
      shouldRetry: false,
    });
  });

  it('of a model whose only target is broken says when to come again', () => {
    const { refusal, health } = aRouter([aTarget('a:m')]);
    health.record('a:m', { ok: false, firstByteMs: null });
    expect(refusal('m')).toMatchObject({ code: 'no_target_available', retryAfterMs: 5_000 });
  });

  it('of a model that is broken here and without keys there tells the one that will pass', () => {
    const { refusal, health } = aRouter([aTarget('a:m'), aTarget('b:m', { keys: aPool(null) })]);
    health.record('a:m', { ok: false, firstByteMs: null });
    expect(refusal('m')).toMatchObject({ code: 'no_target_available', retryAfterMs: 5_000 });
  });
});

describe('a key that the request brought', () => {
  const brought = { providerId: 'b', keys: aPool(), price: { id: 'free', origin: 'byok', rates: {}, tiers: [] } };
  const ownOnly = (id: string) => aTarget(id, { keys: aPool(null), needsBroughtKey: true });

  it('puts the targets of its provider first, with that key, and leaves the others as they are', () => {
    const { router, order } = aRouter(three());
    expect(order('m', { brought })).toEqual(['b:m', 'a:m', 'c:m']);
    const [first, second] = router.plan(anAsk('m', { brought })).candidates.map(({ target }) => target);
    expect(first).toMatchObject({ isBrought: true, keys: brought.keys, price: brought.price, modelScope: null });
    expect(second?.isBrought).toBeUndefined();
  });

  it('opens a target whose own keys are all disabled, or that has none', () => {
    for (const target of [aTarget('b:m', { keys: aPool(null) }), ownOnly('b:m')]) {
      expect(aRouter([target]).order('m', { brought })).toEqual(['b:m']);
    }
  });

  it('is asked for where nothing else can answer', () => {
    const { refusal } = aRouter([ownOnly('b:m'), ownOnly('c:m')]);
    expect(refusal('m')).toMatchObject({ code: 'invalid_request', param: 'x-waybill-provider-key' });
    const { router } = aRouter([aTarget('a:m'), ownOnly('b:m')]);
    expect(router.plan(anAsk('m')).excluded).toEqual([
      { provider: 'b', model: 'm', reason: 'it takes only keys that requests bring' },
    ]);
  });

  it('leaves a fallback a fallback', () => {
    const targets = [{ model: 'a:m', weight: 1 }];
    const { order } = aRouter(three(), { aliases: [['nick', { targets, fallback: ['b:m'] }]] });
    expect(order('nick', { brought })).toEqual(['a:m', 'b:m']);
  });
});
