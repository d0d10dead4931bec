import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { configJsonSchema } from '../../../src/config/schema.js';
import { check } from './known-types.js';
import { keysOf } from './schema-keys.js';

const PAGES = ['configuration.md', 'migrating-from-coo-llm.md'];
/** Entries that examples of other parts of the file may refer to. */
const PROVIDERS = 'llm_providers: [{ id: openai, type: openai, api_keys: [k] }, { id: huggingface, type: ollama }]\n';

function page(name: string): string {
  return readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');
}

describe.each(PAGES)('docs/%s', (name) => {
  const blocks = [...page(name).matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '');

  it('has examples', () => expect(blocks.length).toBeGreaterThan(0));

  it.each(blocks)('has an example that loads without a warning (%#)', (block) => {
    const text = block.includes('llm_providers:') ? block : `${block}${PROVIDERS}`;
    const names = [...text.matchAll(/\$\{(\w+)/g)].map((match) => match[1] ?? '');
    const env = Object.fromEntries(names.map((variable, index) => [variable, `value-${index}`]));
    const { config, problems } = check(text, env);
    expect(problems).toEqual([]);
    expect(config).not.toBeNull();
  });
});

describe('docs/configuration.md', () => {
  const text = page('configuration.md');
  const documented = new Set(
    [...text.matchAll(/`([\w.[\]-]+)`/g)].map((match) => (match[1] ?? '').replaceAll('[]', '')),
  );

  it('documents every key there is', () => {
    const missing = keysOf(configJsonSchema()).filter((key) => {
      const steps = key.split('.');
      // A table names its keys from the section it stands in.
      return !steps.some((_step, index) => documented.has(steps.slice(index).join('.')));
    });
    expect(missing).toEqual([]);
  });

  it('names the defaults that hold', () => {
    const defaults = [...text.matchAll(/^\| `([\w.]+)` +\| (?:duration|size|number|seconds) +\| `([^`]+)` +\|/gm)];
    expect(defaults.length).toBeGreaterThan(20);
    const schema = configJsonSchema();
    for (const [, key = '', value] of defaults) {
      if (key === 'weight') continue;
      const found = defaultsOf(schema, key.split('.'));
      expect(found, key).toContain(value);
    }
  });
});

type Schema = { [key: string]: unknown };

/** The default of every key of the schema whose path ends like this, as text. */
function defaultsOf(schema: Schema, ending: readonly string[], path: readonly string[] = []): string[] {
  const properties = Object.entries((schema['properties'] ?? {}) as Record<string, Schema>);
  const own = properties.flatMap(([key, inner]) => {
    const at = [...path, key];
    const matches = ending.every((step, index) => at.at(index - ending.length) === step);
    return [...(matches && 'default' in inner ? [String(inner['default'])] : []), ...defaultsOf(inner, ending, at)];
  });
  const items = typeof schema['items'] === 'object' ? defaultsOf(schema['items'] as Schema, ending, path) : [];
  const forms = ((schema['anyOf'] ?? []) as Schema[]).flatMap((form) => defaultsOf(form, ending, path));
  return [...own, ...items, ...forms];
}
