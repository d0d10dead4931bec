import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ERROR_TABLE } from '../../src/domain/errors.js';

const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');

/** Rows of the first table: code, status, type. */
const documented = [...page.matchAll(/^\| `([a-z_]+)` +\| (\d{3}) +\| ([a-z_]+) +\|/gm)].map(
  ([, code, status, type]) => ({
    code,
    status: Number(status),
    type,
  }),
);

it('documents every error code with its status and its type, and no other', () => {
  const byCode = (a: { code?: string | undefined }, b: { code?: string | undefined }) =>
    String(a.code).localeCompare(String(b.code));
  const real = Object.entries(ERROR_TABLE).map(([code, { status, type }]) => ({ code, status, type }));
  expect(documented.sort(byCode)).toEqual(real.sort(byCode));
});

it('says of every error when it happens', () => {
  const rows = page.split('\n').filter((line) => /^\| `[a-z_]+` +\| \d{3} /.test(line));
  expect(rows.length).toBe(documented.length);
  expect(rows.filter((row) => (row.split('|')[4] ?? '').trim().length < 10)).toEqual([]);
});
