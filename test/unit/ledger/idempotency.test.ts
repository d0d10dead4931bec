import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { IdempotencyStore, KeptAnswer } from '../../../src/domain/idempotency.js';
import { openSqliteIdempotency } from '../../../src/ledger/sqlite/idempotency.js';

let folder: string;
let store: IdempotencyStore;

function open(maxBytes?: number): IdempotencyStore {
  const path = join(folder, 'waybill.db');
  return openSqliteIdempotency({ path, durability: 'process', ...(maxBytes === undefined ? {} : { maxBytes }) });
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-kept-'));
  store = open(1_000);
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

function anAnswer(overrides: Partial<KeptAnswer> = {}): KeptAnswer {
  return {
    client: 'a',
    key: 'k',
    requestHash: 'hash',
    inferenceId: 'id',
    keptAt: 1_000,
    kind: 'body',
    provider: 'p',
    model: null,
    attempts: 3,
    headers: { 'openai-processing-ms': '5' },
    body: 'ü\u{1F600}\u0000 {"n": 1}',
    costNanoUsd: 2n ** 62n,
    ...overrides,
  };
}

const found = (key: string, client = 'a') => store.find(client, key, 0) !== null;

describe('kept answers', () => {
  it('come back byte for byte where they are no text', () => {
    const body = Buffer.from([0x00, 0xff, 0xc3, 0x28, 0x80]);
    store.keep(anAnswer({ body, contentType: 'audio/mpeg' }));
    expect(store.find('a', 'k', 0)).toEqual(anAnswer({ body, contentType: 'audio/mpeg' }));
  });

  it('come back as they were, also after the file was closed and opened', () => {
    store.keep(anAnswer());
    store.keep(anAnswer({ key: 'stream', kind: 'stream', costNanoUsd: null }));
    store.close();
    store = open();
    expect(store.find('a', 'k', 0)).toEqual(anAnswer());
    expect(store.find('a', 'stream', 0)).toEqual(anAnswer({ key: 'stream', kind: 'stream', costNanoUsd: null }));
    expect(found('k', 'b')).toBe(false);
  });

  it('are found only when they are new enough, and replaced by newer ones', () => {
    store.keep(anAnswer());
    expect(store.find('a', 'k', 1_001)).toBeNull();
    store.keep(anAnswer({ keptAt: 2_000, body: 'new' }));
    expect(store.find('a', 'k', 1_001)?.body).toBe('new');
  });

  it('are bounded in all: the oldest go', () => {
    for (let n = 1; n <= 5; n += 1) store.keep(anAnswer({ key: `k${n}`, keptAt: n, body: 'x'.repeat(300) }));
    expect(['k1', 'k2', 'k3', 'k4', 'k5'].filter((key) => found(key))).toEqual(['k3', 'k4', 'k5']);
    // One that is replaced counts once.
    for (let n = 6; n <= 9; n += 1) store.keep(anAnswer({ key: 'k5', keptAt: n, body: 'x'.repeat(300) }));
    expect(['k3', 'k4', 'k5'].filter((key) => found(key))).toEqual(['k3', 'k4', 'k5']);
  });

  it('keep their bound when the file is opened again', () => {
    for (let n = 1; n <= 3; n += 1) store.keep(anAnswer({ key: `k${n}`, keptAt: n, body: 'x'.repeat(300) }));
    store.close();
    store = open(1_000);
    store.keep(anAnswer({ key: 'k4', keptAt: 4, body: 'x'.repeat(300) }));
    expect(['k1', 'k2', 'k3', 'k4'].filter((key) => found(key))).toEqual(['k2', 'k3', 'k4']);
  });

  it('are pruned by their time, however many they are', async () => {
    for (let n = 0; n < 450; n += 1) store.keep(anAnswer({ key: `k${n}`, keptAt: n, body: '' }));
    await store.prune(449);
    expect(found('k448')).toBe(false);
    expect(found('k449')).toBe(true);
  });
});
