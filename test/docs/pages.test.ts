import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfigText } from '../../src/config/parse.js';
import { adapters } from '../../src/providers/registry.js';
import { blocksOf, type Page, ROOT, readPages } from './pages.js';

const pages = readPages();
const blocks = pages.flatMap(blocksOf);

/** Every variable that a page names has a value: what is tested is the page, not this machine. */
function environmentOf(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(/\$\{([A-Z_][A-Z0-9_]*)/g)].map((match) => [match[1] as string, `value-of-${match[1]}`]),
  );
}

/** A block without providers shows one part of a file: it is tried with the smallest rest. */
const REST = 'llm_providers:\n  - { id: sandbox, type: sandbox }\n';

describe('the YAML in the docs', () => {
  const yaml = blocks.filter(({ language }) => language === 'yaml');

  it('is there at all', () => {
    expect(yaml.length).toBeGreaterThan(4);
  });

  it.each(yaml.map((block) => ({ name: `${block.page}:${block.line}`, block })))('loads: $name', ({ block }) => {
    const text = /^llm_providers:/m.test(block.text) ? block.text : `${block.text}${REST}`;
    const readFile = () => 'content';
    const { config, problems } = parseConfigText({ text, env: environmentOf(text), readFile, knownTypes: adapters });
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(config).not.toBeNull();
  });
});

describe('the JSON in the docs', () => {
  it('parses, blocks and bodies of curl alike', () => {
    const json = blocks.filter(({ language }) => language === 'json').map(({ text }) => text);
    const bodies = blocks
      .filter(({ language }) => language === 'sh' || language === '')
      .flatMap(({ text }) => bodiesOf(text));
    expect(bodies.length).toBeGreaterThan(2);
    for (const text of [...json, ...bodies]) expect(() => JSON.parse(text), text).not.toThrow();
  });
});

describe('links in the docs', () => {
  it('lead somewhere', () => {
    expect(pages.flatMap(brokenLinks)).toEqual([]);
  });

  it('are noticed when they do not', () => {
    expect(brokenLinks({ path: 'docs/x.md', text: '[a](nowhere.md) [b](errors.md) [c](https://example.com)' })).toEqual(
      ['docs/x.md: nowhere.md'],
    );
  });
});

describe('commands in the docs', () => {
  it('are scripts that package.json has', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object };
    const named = pages.flatMap(({ text }) =>
      [...text.matchAll(/\bnpm run ([a-z:]+)/g)].map((match) => match[1] as string),
    );
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });
});

function bodiesOf(shell: string): string[] {
  return [...shell.matchAll(/(?:-d|--data) '([^']+)'/g)].map((match) => match[1] as string);
}

function brokenLinks({ path, text }: Page): string[] {
  const prose = text.replace(/^```[\s\S]*?^```$/gm, '');
  return [...prose.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
    .map((match) => match[1] as string)
    .filter((target) => !/^[a-z]+:/.test(target) && !existsSync(join(ROOT, dirname(path), target)))
    .map((target) => `${path}: ${target}`);
}
