import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createClientDirectory, createOpenDirectory } from '../../../src/access/client-keys.js';
import type { Client } from '../../../src/domain/client.js';
import { WaybillError } from '../../../src/domain/errors.js';
import { FakeClock } from '../../support/fake-clock.js';

function aClient(id: string): Client {
  return {
    id,
    access: { allowedProviders: ['*'], allowedModels: ['*'], region: null },
    limits: { id: `client:${id}`, settings: {} },
    tags: {},
    hasBudget: false,
  };
}

function known(id: string, key: string, expiresAt: number | null = null) {
  return { client: aClient(id), keySha256: createHash('sha256').update(key).digest('hex'), expiresAt };
}

function refusal(identify: () => Client): WaybillError {
  try {
    identify();
  } catch (error) {
    expect(error).toBeInstanceOf(WaybillError);
    return error as WaybillError;
  }
  throw new Error('it was let in');
}

const clock = new FakeClock();
const directory = createClientDirectory(
  [known('a', 'key-of-a'), known('b', 'schlüssel-👋'), known('gone', 'key-of-gone', clock.now() + 1_000)],
  clock,
);

describe('a client', () => {
  it('is known by its own key alone', () => {
    expect(directory.identify('key-of-a').id).toBe('a');
    expect(directory.identify('schlüssel-👋').id).toBe('b');
    for (const key of [null, '', ' ', 'key-of-', 'key-of-a ', 'KEY-OF-A', 'a', '__proto__']) {
      expect(refusal(() => directory.identify(key))).toMatchObject({ code: 'invalid_api_key', status: 401 });
    }
  });

  it('is not known by the hash that is stored of its key', () => {
    const { keySha256 } = known('a', 'key-of-a');
    expect(refusal(() => directory.identify(keySha256)).code).toBe('invalid_api_key');
  });

  it('is let in until its key expires, and told when that was', async () => {
    expect(directory.identify('key-of-gone').id).toBe('gone');
    await clock.advance(999);
    expect(directory.identify('key-of-gone').id).toBe('gone');
    await clock.advance(1);
    expect(refusal(() => directory.identify('key-of-gone')).message).toMatch(/gone.*expired on \d{4}-/);
  });

  it('is never told back the key that was presented', () => {
    expect(refusal(() => directory.identify('sent-by-mistake')).message).not.toContain('sent-by-mistake');
  });
});

it('in open mode everybody is the one client, with or without a key', () => {
  const open = createOpenDirectory(aClient('open'));
  expect(open.identify(null).id).toBe('open');
  expect(open.identify('anything').id).toBe('open');
});
