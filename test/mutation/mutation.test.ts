import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { findMutants } from './mutants.js';
import { relatedIn } from './related.js';
import { summary } from './score.js';

const ROOT = join(import.meta.dirname, '../..');

const SUM = `import type { Sums } from './sums.js';

/** The sum, nine at most. */
export function sum(list: readonly number[]): number {
  let total = 0;
  for (const one of list) {
    total += one; // Each.
  }
  const names: Sums = { sum };
  if (total > 9) return 9;
  return total;
}
`;

/** Without a line of it the compiler says something else than of a file that is no TypeScript. */
const SUMS = 'export interface Sums {\n  sum: unknown;\n}\n';

it('deletes each line that the program can do without, and no other', () => {
  const root = mkdtempSync(join(tmpdir(), 'waybill-mutants-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'src'));
  writeFileSync(join(root, 'src/sum.ts'), SUM);
  writeFileSync(join(root, 'src/sums.ts'), SUMS);
  for (const file of ['package.json', 'tsconfig.json']) cpSync(join(ROOT, file), join(root, file));
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
  const { mutants, refused, notCode } = findMutants(root, ['src/sum.ts', 'src/sums.ts']);
  expect(mutants.map(({ file, line, text }) => [file, line, text])).toEqual([
    ['src/sum.ts', 7, 'total += one; // Each.'],
    ['src/sum.ts', 9, 'const names: Sums = { sum };'],
    ['src/sum.ts', 10, 'if (total > 9) return 9;'],
  ]);
  expect(mutants[0]?.source).toBe(SUM.replace('    total += one; // Each.\n', ''));
  // The head, a variable that is used, the loop, the last return; the interface's head.
  expect(refused).toBe(5);
  expect(notCode).toBe(12 + 3 - 3 - 5);
});

it('runs the tests that load a file, and the adapters that do', async () => {
  const related = await relatedIn(ROOT);
  const groq = related('src/providers/groq.ts');
  expect(groq.adapters).toEqual(['groq']);
  expect(groq.tests).toContain('test/conformance/adapters.test.ts');
  expect(groq.tests).not.toContain('test/unit/providers/cohere.test.ts');
  expect(related('src/providers/bedrock/sign.ts').adapters).toEqual(['bedrock']);
  expect(related('src/providers/parameter-rules.ts').adapters.length).toBeGreaterThan(10);
});

it('says how far the score of a sample can be off', () => {
  const results = Array.from({ length: 10 }, (_, line) => ({ line, text: '', by: line < 9 ? 'a test' : null }));
  expect(summary([{ file: 'a.ts', results }], 10)).toBe('9 of 10 killed: 90.0 %');
  expect(summary([{ file: 'a.ts', results }], 200)).toBe(
    '9 of 10 killed: 90.0 % (a sample of 200: 59.6 % to 98.2 % at 95 %)',
  );
});
