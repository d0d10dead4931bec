// biome-ignore-all lint/suspicious/noTemplateCurlyInString: `${NAME}` is what the config file says.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { check } from './known-types.js';

const EXAMPLE = readFileSync(new URL('../../../config.example.yaml', import.meta.url), 'utf8');

describe('config.example.yaml', () => {
  it('loads with one warning: the Hugging Face token that is not set', () => {
    const { config, problems } = check(EXAMPLE);
    expect(problems.map(({ severity, path }) => `${severity} ${path}`)).toEqual([
      'warning llm_providers[1].api_keys[0]',
    ]);
    expect(config?.providers.map(({ id, disabledReason }) => [id, disabledReason])).toEqual([
      ['sandbox', null],
      ['huggingface', 'no API key'],
    ]);
  });

  it('loads without a word once the token is set', () => {
    const { config, problems } = check(EXAMPLE, { HF_TOKEN: 'hf_x' });
    expect(problems).toEqual([]);
    expect(config?.providers[1]?.disabledReason).toBeNull();
  });

  it('answers on this machine without a key, and knows what the sandbox costs', () => {
    const { config } = check(EXAMPLE);
    expect(config?.server).toMatchObject({ host: '127.0.0.1', port: 2906, adminKey: null });
    expect(config?.clients).toBeNull();
    const models = config?.providers[0]?.models?.map(({ id, tasks, pricing }) => [id, tasks, pricing?.rates]);
    expect(models).toEqual([
      ['sandbox-small', ['chat', 'completion'], { input: 150_000_000n, output: 600_000_000n }],
      ['sandbox-embed', ['embedding'], { input: 20_000_000n }],
    ]);
  });

  it('shows defaults that are the defaults', () => {
    const shown = check(EXAMPLE).config;
    const bare = check('llm_providers: [{ id: o, type: ollama }]').config;
    for (const part of ['server', 'logging', 'storage', 'policy', 'catalog'] as const) {
      expect(shown?.[part]).toEqual(bare?.[part]);
    }
    const { timeouts, weight, onDisconnect, extraBody, dropParams, headers } = shown?.providers[1] ?? {};
    expect(bare?.providers[0]).toMatchObject({ timeouts, weight, onDisconnect, extraBody, dropParams, headers });
  });

  it('still loads when what is commented out is taken in', () => {
    const clients = EXAMPLE.replace(/^# api_keys:\n(# .*\n)+/m, (block) => block.replace(/^# /gm, ''));
    expect(clients).toMatch(/^ {2}- id: team-search$/m);
    const { config, problems } = check(clients, { HF_TOKEN: 'hf_x', CLIENT_KEY: 'k' });
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(config?.clients?.[0]).toMatchObject({ id: 'team-search', budget: { nanoUsd: 50_000_000_000n } });
  });
});
