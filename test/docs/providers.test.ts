import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { providersMarkdown } from '../../src/commands/providers.js';
import { adapters } from '../../src/providers/registry.js';

const page = readFileSync(new URL('../../docs/providers.md', import.meta.url), 'utf8');

it('the table of providers is what `waybill providers --markdown` prints', () => {
  const table = page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .join('\n');
  expect(table).toBe(providersMarkdown(adapters));
});
