import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, inject, it } from 'vitest';
import { ROOT } from './pages.js';

/** What `waybill/provider` promises to modules in TypeScript, by the compiler. */

const folder = mkdtempSync(join(tmpdir(), 'waybill-types-'));
afterAll(() => rmSync(folder, { recursive: true }));

const MODULE = `
import { bearer, defineAdapter, noCounts, openAiCompatible, type TaskHelper } from 'waybill/provider';

export const dialect = openAiCompatible({ id: 'one', baseUrl: 'https://api.example.com/v1', tasks: ['chat'] });

const chat: TaskHelper = {
  makeRoute: (_request, target) => ({ method: 'POST', url: target.baseUrl }),
  preparePayload: (request) => ({ kind: 'json', body: request.body.text }),
  getResponse: (answer) => {
    const usage = { counts: noCounts(), providerCostUsd: null, problems: [] };
    return { ok: true, answer: { body: answer.body.toString(), usage, outputTexts: () => [] } };
  },
};
const right = { id: 'two', baseUrl: null, needsKey: true, tasks: { chat }, authenticate: bearer };
export default defineAdapter(right);
// @ts-expect-error: a number is no id
defineAdapter({ ...right, id: 4 });
// @ts-expect-error: there is no such task
defineAdapter({ ...right, tasks: { chatt: chat } });
`;

it('types an adapter in a project that has the package installed', () => {
  const failure = inject('buildFailure');
  if (failure !== '') throw new Error(failure);
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, '@types'), { recursive: true });
  symlinkSync(ROOT, join(modules, 'waybill'));
  symlinkSync(join(ROOT, 'node_modules/@types/node'), join(modules, '@types/node'));
  writeFileSync(join(folder, 'mine.ts'), MODULE);
  const options = {
    module: 'NodeNext',
    target: 'ES2023',
    lib: ['ES2023'],
    strict: true,
    noEmit: true,
    types: ['node'],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['mine.ts'] }));
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  const { status, stdout } = spawnSync(tsc, ['-p', folder], { cwd: folder, encoding: 'utf8' });
  expect(stdout).toBe('');
  expect(status).toBe(0);
});
