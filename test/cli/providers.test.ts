import { expect, it } from 'vitest';
import { providersCommand } from '../../src/commands/providers.js';
import { parseConfigText } from '../../src/config/parse.js';
import { adapters } from '../../src/providers/registry.js';

function printed(options: Parameters<typeof providersCommand>[0]): string {
  const lines: string[] = [];
  expect(providersCommand(options, { print: (line) => lines.push(line) }, { knownTypes: adapters })).toBe(0);
  return lines.join('\n');
}

it.each(adapters.map(({ id }) => id))('prints an entry of type %s that loads', (id) => {
  const text = printed({ sample: id });
  const env = Object.fromEntries(
    [...text.matchAll(/\$\{(\w+)/g)].map(([, name]) => [name as string, `key-of-${name}`]),
  );
  const { config, problems } = parseConfigText({ text, env, readFile: () => '', knownTypes: adapters });
  expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
  expect(config?.providers[0]?.type).toBe(id);
});

it('knows a type by its other names, and says which there are where it does not', () => {
  expect(printed({ sample: 'anthropic' })).toContain('type: claude');
  expect(() => printed({ sample: 'nope' })).toThrow(/there is no type "nope"; known: .*claude/);
});

it('lists every type with its tasks', () => {
  const { providers } = JSON.parse(printed({ json: true })) as { providers: Array<{ type: string; tasks: string[] }> };
  expect(providers.map(({ type }) => type)).toEqual(adapters.map(({ id }) => id));
  expect(providers.find(({ type }) => type === 'cohere')?.tasks).toEqual(['chat', 'embedding', 'rerank']);
  const lines = printed({}).split('\n');
  expect(lines).toHaveLength(adapters.length + 1);
});
