import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WaybillError } from '../../../src/domain/errors.js';
import { globMatches, NameResolver, type ResolvedAlias, whyNotAllowed } from '../../../src/routing/resolve.js';
import { anOffer, aTarget, EVERYTHING } from './builders.js';

const offers = [
  anOffer('a', [aTarget('a:m'), aTarget('a:only-a'), aTarget('a:org/x:7b')]),
  anOffer('b', [aTarget('b:m'), aTarget('b:b')], { open: true }),
  anOffer('none', [], { open: true }),
];
const aliases: Array<[string, ResolvedAlias]> = [
  ['fast', { targets: [{ model: 'a:m', weight: 1 }], fallback: [] }],
  ['m:alias/with:colons', { targets: [{ model: 'm', weight: 3 }], fallback: ['fast', 'only-a'] }],
  ['loop', { targets: [{ model: 'a:m', weight: 1 }], fallback: ['pool'] }],
  ['pool', { targets: [{ model: 'b:m', weight: 1 }], fallback: ['loop', 'only-a'] }],
  ['a:only-a', { targets: [{ model: 'b:m', weight: 1 }], fallback: [] }],
];
const resolver = new NameResolver(offers, new Map(aliases));

function meaning(name: string): string[] | null {
  return resolver.resolve(name)?.meanings.map(({ target }) => target.id) ?? null;
}

describe('a name means', () => {
  it.each([
    ['an alias first, even one that looks like provider:model', 'a:only-a', ['b:m']],
    ['a provider and its model', 'a:m', ['a:m']],
    ['a provider alone: its default model', 'a', ['a:m']],
    ['a model of a provider that takes any', 'b:some/thing:else', ['b:some/thing:else']],
    ['a model that several offer: all of them, in the order of the file', 'm', ['a:m', 'b:m']],
    ['a model with slashes and colons', 'org/x:7b', ['a:org/x:7b']],
    ['the provider b rather than the model b', 'b', ['b:m']],
    ['a model at one provider, by suffix', 'm:b', ['b:m']],
    ['a model with colons at one provider, by suffix', 'org/x:7b:a', ['a:org/x:7b']],
    ['an alias with slashes and colons', 'm:alias/with:colons', ['a:m', 'b:m']],
  ])('%s', (_what, name, targets) => {
    expect(meaning(name)).toEqual(targets);
  });

  it.each(['', 'nope', 'a:nope', 'nope:m', 'only-a:b', 'm:slowest', ':m', 'm:', 'a:', 'none', 'M', ' m'])(
    'nothing when it is %j',
    (name) => {
      expect(resolver.resolve(name)).toBeNull();
    },
  );

  it('a preference by its suffix, also on an alias and on a pinned model', () => {
    expect(resolver.resolve('m:cheapest')).toMatchObject({ preference: 'cheapest', pinned: false });
    expect(resolver.resolve('m:fastest')).toMatchObject({ preference: 'fastest' });
    expect(resolver.resolve('fast:preferred')).toMatchObject({ preference: 'preferred' });
    expect(resolver.resolve('a:m:cheapest')).toMatchObject({ preference: 'cheapest', pinned: true });
    expect(resolver.resolve('m')).toMatchObject({ preference: 'none', pinned: false });
  });

  it('weights of an alias, and its fallbacks after all of it', () => {
    const resolved = resolver.resolve('m:alias/with:colons');
    expect(resolved?.meanings.map(({ weight }) => weight)).toEqual([3, 3]);
    expect(resolved?.fallbacks.map(({ id }) => id)).toEqual(['a:m', 'a:only-a']);
  });

  it('no endless road where fallbacks lead back to themselves', () => {
    expect(resolver.resolve('loop')?.fallbacks.map(({ id }) => id)).toEqual(['b:m', 'a:m', 'a:only-a']);
  });

  it('the same whatever it is called: no name of Object’s own is one', () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      expect(resolver.resolve(name)).toBeNull();
    }
  });
});

describe('the list of names', () => {
  it('holds aliases and models once each', () => {
    const ids = resolver.list(EVERYTHING).map(({ id }) => id);
    expect(ids).toEqual([...new Set(ids)]);
    expect(ids).toEqual(['fast', 'm:alias/with:colons', 'loop', 'pool', 'a:only-a', 'm', 'only-a', 'org/x:7b', 'b']);
  });

  it('holds only what a client may use', () => {
    const only = { ...EVERYTHING, allowedProviders: ['b'], allowedModels: ['m'] };
    expect(resolver.list(only).map(({ id, targets }) => [id, targets.map((target) => target.id)])).toEqual([
      ['m:alias/with:colons', ['b:m']],
      ['pool', ['b:m']],
      ['a:only-a', ['b:m']],
      ['m', ['b:m']],
    ]);
  });
});

describe('an unknown name', () => {
  const said = (name: string, access = EVERYTHING): WaybillError => resolver.unknown(name, access);

  it('is answered with the nearest names, nearest first', () => {
    expect(said('ony-a')).toMatchObject({ code: 'model_not_found', status: 404, param: 'model' });
    expect(said('ony-a').message).toContain('Did you mean `only-a` or `a:only-a`?');
    expect(said('FAST').message).toContain('`fast`');
  });

  it('is answered without names where none is near, or the client may not use those', () => {
    expect(said('completely-different-thing').message).not.toContain('Did you mean');
    expect(said('only-aa', { ...EVERYTHING, allowedModels: ['nothing'] }).message).not.toContain('only-a`');
  });

  it('is cut where it is long', () => {
    expect(said('x'.repeat(10_000)).message.length).toBeLessThan(400);
  });
});

describe('what a client may use', () => {
  const target = aTarget('a:org/m', { region: 'eu' });

  it.each([
    [{}, null, 'org/m', true],
    [{ allowedProviders: ['b'] }, null, 'org/m', false],
    [{ allowedProviders: [] }, null, 'org/m', false],
    [{ allowedProviders: ['b', 'a*'] }, null, 'org/m', true],
    [{ allowedModels: ['org/*'] }, null, 'org/m', true],
    [{ allowedModels: ['a:org/m'] }, null, 'org/m', true],
    [{ allowedModels: ['nick'] }, null, 'nick', true],
    [{ allowedModels: ['nick'] }, null, 'org/m', false],
    [{ allowedModels: [] }, null, 'org/m', false],
    [{ region: 'eu' }, null, 'org/m', true],
    [{ region: 'us' }, null, 'org/m', false],
    [{ region: 'eu' }, 'us', 'org/m', false],
    [{}, 'eu', 'org/m', true],
    [{}, 'us', 'org/m', false],
  ])('%j asking for region %s by the name %s: %s', (access, region, asked, allowed) => {
    expect(whyNotAllowed(target, { ...EVERYTHING, ...access }, region, asked) === null).toBe(allowed);
  });

  it('in a region is nothing that has none', () => {
    expect(whyNotAllowed(aTarget('a:m'), { ...EVERYTHING, region: 'eu' }, null, 'm')).toMatch(/region eu/);
  });
});

describe('a glob', () => {
  it.each([
    ['*', '', true],
    ['*', 'a/b:c', true],
    ['gpt-*', 'gpt-4o', true],
    ['gpt-*', 'my-gpt-4o', false],
    ['*llama*', 'meta-llama/Llama-3', true],
    ['a*b', 'ab', true],
    ['a*a', 'a', false],
    ['a**c', 'abc', true],
    ['a.c', 'abc', false],
    ['', '', true],
    ['', 'x', false],
  ])('%j against %j: %s', (pattern, text, expected) => {
    expect(globMatches(pattern, text)).toBe(expected);
  });

  it('agrees with a regular expression', () => {
    const letters = fc.array(fc.constantFrom('a', 'b', '/', '.', '*'), { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(letters, letters, (pattern, text) => {
        const expression = pattern
          .split('*')
          .map((part) => part.replace(/[./]/g, '\\$&'))
          .join('.*');
        expect(globMatches(pattern, text)).toBe(new RegExp(`^${expression}$`, 's').test(text));
      }),
      { numRuns: 2_000 },
    );
  });

  it('is done in no time whatever the pattern', () => {
    const before = performance.now();
    expect(globMatches(`${'*a'.repeat(200)}b`, 'a'.repeat(20_000))).toBe(false);
    expect(performance.now() - before).toBeLessThan(200);
  });
});
