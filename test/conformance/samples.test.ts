import { expect, it } from 'vitest';
import { parseConfigText } from '../../src/config/parse.js';
import { adapters } from '../../src/providers/registry.js';

it.each(adapters.map((adapter) => [adapter.id, adapter] as const))(
  'the sample entry of %s loads, and takes part',
  (_id, adapter) => {
    // JSON is YAML.
    const text = JSON.stringify({ llm_providers: [adapter.sampleConfig()] });
    const env = Object.fromEntries([...text.matchAll(/\$\{(\w+)/g)].map(([, name]) => [name, `key-of-${name}`]));
    const { config, problems } = parseConfigText({ text, env, readFile: () => '', knownTypes: adapters });
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(config?.providers[0]).toMatchObject({ type: adapter.id, disabledReason: null });
  },
);
