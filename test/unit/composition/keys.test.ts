import { describe, expect, it } from 'vitest';
import { buildProviders } from '../../../src/composition/providers.js';
import { parseConfigText } from '../../../src/config/parse.js';
import { createKeyMemory } from '../../../src/keys/memory.js';
import { adapters, findAdapter } from '../../../src/providers/registry.js';
import { FakeClock } from '../../support/fake-clock.js';
import { isOfOneKind } from '../../support/object-kinds.js';

const KEYS = Array.from({ length: 50 }, (_, nth) => (nth % 2 === 0 ? `key-${nth}` : { key: `key-${nth}`, weight: 2 }));
const ENTRY = { id: 'one', type: 'openai_compatible', base_url: 'http://localhost/v1', api_keys: KEYS };

describe('the keys of an entry', () => {
  it('are of one kind, however they were written: with thousands each call is made with another', () => {
    const text = JSON.stringify({ version: '1.0', llm_providers: [ENTRY] });
    const { config, problems } = parseConfigText({ text, env: {}, readFile: () => '', knownTypes: adapters });
    if (config === null) throw new Error(JSON.stringify(problems));
    const { all } = buildProviders(config, {
      findAdapter,
      keyMemory: createKeyMemory(),
      clock: new FakeClock(),
      random: () => 0.5,
      backoff: { intervalMs: 1, maxIntervalMs: 1 },
      sandboxUrl: null,
    });
    const keys = all[0]?.keys ?? [];
    expect(keys).toHaveLength(50);
    expect(keys.filter((key) => !isOfOneKind(key, keys[0] ?? {}))).toEqual([]);
  });
});
