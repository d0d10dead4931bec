import { describe, expect, it } from 'vitest';
import { type AttemptCut, CutNames, type RequestCut } from '../../../src/ledger/sqlite/cut-names.js';

const request: RequestCut = {
  client: 'client',
  model: 'model',
  endpoint: 'endpoint',
  task: 'task',
  region: 'request region',
  outcome: 'ok',
};
const attempt: AttemptCut = {
  provider: 'provider',
  provider_model: 'provider model',
  key: 'key',
  region: 'region',
  outcome: 'failed',
  usage_source: 'reported',
  error_code: 'timeout',
  price: 'price',
};

const ofAttempt = ['provider', 'provider model', 'key', 'region', 'reported', 'failed', 'timeout', 'price'];
const NAME = JSON.stringify(['client', 'model', 'endpoint', 'task', 'ok', ...ofAttempt]);

describe('the name of a cut', () => {
  it('says all that facts are told apart by, in the order of the columns', () => {
    expect(new CutNames().of(request, attempt)).toBe(NAME);
  });

  it('has the region of the request where the attempt has none, and nothing of an attempt where there is none', () => {
    const names = new CutNames();
    expect(names.of(request, { ...attempt, region: null })).toBe(NAME.replace('"region"', '"request region"'));
    const nothing = [null, null, null, 'request region', null, null, null, null];
    expect(names.of(request, null)).toBe(JSON.stringify(['client', 'model', 'endpoint', 'task', 'ok', ...nothing]));
  });

  it.each<[string, Partial<RequestCut>, Partial<AttemptCut> | null]>([
    ['client', { client: 'other' }, {}],
    ['model', { model: 'other' }, {}],
    ['endpoint', { endpoint: 'other' }, {}],
    ['task', { task: 'other' }, {}],
    ['outcome', { outcome: 'failed' }, {}],
    ['region', {}, { region: 'other' }],
    ['region of the request', { region: 'other' }, { region: null }],
    ['provider', {}, { provider: 'other' }],
    ['model of the provider', {}, { provider_model: 'other' }],
    ['key', {}, { key: 'other' }],
    ['key, of which there is none', {}, { key: null }],
    ['source of its usage', {}, { usage_source: null }],
    ['outcome of the attempt', {}, { outcome: 'ok' }],
    ['error', {}, { error_code: null }],
    ['price', {}, { price: null }],
    ['attempt, of which there is none', {}, null],
  ])('is another for another %s', (_, ofRequest, ofAttempt) => {
    const names = new CutNames();
    const [one, call] = [{ ...request, ...ofRequest }, ofAttempt === null ? null : { ...attempt, ...ofAttempt }];
    const [before, name, after] = [names.of(request, attempt), names.of(one, call), names.of(request, attempt)];
    expect([before, after]).toEqual([NAME, NAME]);
    expect(name).not.toBe(NAME);
    expect(names.of(one, call)).toBe(new CutNames().of(one, call));
  });

  it('is that of its own facts, whichever came before, and with more keys than are kept', () => {
    const names = new CutNames();
    const facts = Array.from({ length: 7_500 }, (_, nth): [RequestCut, AttemptCut | null] => [
      { ...request, client: `client ${nth % 3}` },
      nth % 7 === 0 ? null : { ...attempt, key: nth % 5 === 0 ? null : `key ${nth}`, price: `price ${nth % 2}` },
    ]);
    let most = 0;
    for (let turn = 0; turn < 2; turn += 1) {
      for (const [one, call] of facts) {
        expect(names.of(one, call)).toBe(new CutNames().of(one, call));
        most = Math.max(most, names.size);
      }
    }
    // Each is some 500 bytes.
    expect(most).toBe(4_096);
  });
});
