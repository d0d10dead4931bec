import { expect, it } from 'vitest';
import { parseConfigText } from '../../src/config/parse.js';
import { adapters } from '../../src/providers/registry.js';

it.each(adapters.map((adapter) => [adapter.id, adapter] as const))(
  'the sample entry of %s loads, and takes part',
  (_id, adapter) => {
    const env = { HF_TOKEN: 'k1', OPENAI_API_KEY: 'k2', LOCAL_API_KEY: 'k3', GEMINI_API_KEY: 'k4' };
    // JSON is YAML.
    const text = JSON.stringify({ llm_providers: [adapter.sampleConfig()] });
    const { config, problems } = parseConfigText({ text, env, readFile: () => '', knownTypes: adapters });
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(config?.providers[0]).toMatchObject({ type: adapter.id, disabledReason: null });
  },
);
