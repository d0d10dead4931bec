/** `npm run mutation`: which lines of the adapters could be deleted without a test that fails. See CONTRIBUTING.md. */
import { cpSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readSources } from '../arch/source-files.js';
import { Judge } from './judge.js';
import { findMutants, type Mutant } from './mutants.js';
import { type Related, relatedIn, togetherOf } from './related.js';
import { type FileScore, fileLine, summary } from './score.js';

const USAGE = `Usage: npm run mutation -- [file or folder ...] [options]

Deletes one line of the source at a time, in a copy, and runs the conformance and unit tests that load the file. Prints
the lines without which every test passes. Without a path: src/providers.

  --sample N    N lines only, drawn from all of them
  --seed N      which ones (1)
  --report FILE every line and what became of it, as JSON
  --min N       exit code 1 below a score of N percent
  --help
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sample: { type: 'string' },
    seed: { type: 'string', default: '1' },
    report: { type: 'string' },
    min: { type: 'string', default: '0' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) process.stdout.write(USAGE);
else process.exitCode = await main(positionals.length === 0 ? ['src/providers'] : positionals);

async function main(paths: readonly string[]): Promise<number> {
  // Nobody waits for this one.
  setPriority(19);
  const home = resolve(import.meta.dirname, '../..');
  const root = mkdtempSync(join(tmpdir(), 'waybill-mutation-'));
  const judge = new Judge(root);
  try {
    for (const name of ['src', 'test', 'docs', 'package.json', 'tsconfig.json']) {
      cpSync(join(home, name), join(root, name), { recursive: true });
    }
    symlinkSync(join(home, 'node_modules'), join(root, 'node_modules'));
    const found = findMutants(root, sourceFiles(home, paths));
    const relatedTo = await relatedIn(root);
    const all = found.mutants.filter(({ file }) => relatedTo(file).tests.length > 0);
    const mutants = values.sample === undefined ? all : draw(all, Number(values.sample));
    const left = `${found.refused} the compiler refuses, ${found.notCode} without code of their own left aside`;
    say(`${mutants.length} of ${all.length} lines that can be deleted; ${left}`);
    const unread = found.mutants.length - all.length;
    if (unread > 0) say(`${unread} more stand in files that none of these tests loads: they are not tried`);
    const scores = await judgeAll(relatedTo, judge, mutants);
    say(summary(scores, all.length));
    if (values.report !== undefined) writeFileSync(values.report, `${JSON.stringify(scores, null, 2)}\n`);
    const killed = scores.reduce((sum, { results }) => sum + results.filter(({ by }) => by !== null).length, 0);
    return 100 * killed >= Number(values.min) * mutants.length ? 0 : 1;
  } finally {
    judge.close();
    rmSync(root, { recursive: true, force: true });
  }
}

async function judgeAll(
  relatedTo: (file: string) => Related,
  judge: Judge,
  mutants: readonly Mutant[],
): Promise<FileScore[]> {
  const scores: FileScore[] = [];
  const files = [...new Set(mutants.map((mutant) => mutant.file))];
  await judge.checkUntouched(togetherOf(files.map(relatedTo)));
  for (const file of files) {
    const related = relatedTo(file);
    const score: FileScore = { file, results: [] };
    for (const mutant of mutants.filter((one) => one.file === file)) {
      const verdict = await judge.judge(mutant, related);
      score.results.push({ line: mutant.line, text: mutant.text, by: verdict.killed ? verdict.by : null });
    }
    scores.push(score);
    say(fileLine(score));
  }
  return scores;
}

function sourceFiles(home: string, paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const full = resolve(home, path);
    if (statSync(full).isFile()) return [relative(home, full)];
    return readSources(full).map((file) => relative(home, join(full, file.path)));
  });
}

/** `count` of them in their order; the same ones for the same seed. */
function draw(mutants: readonly Mutant[], count: number): Mutant[] {
  let state = Number(values.seed) >>> 0;
  const random = () => {
    // xorshift32 over a Weyl sequence: nothing here needs better.
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x85ebca6b);
    mixed ^= mixed >>> 13;
    return Math.imul(mixed, 0xc2b2ae35) >>> 0;
  };
  const ranked = mutants.map((mutant, at) => ({ mutant, at, rank: random() }));
  const drawn = ranked.toSorted((a, b) => a.rank - b.rank).slice(0, count);
  return drawn.toSorted((a, b) => a.at - b.at).map(({ mutant }) => mutant);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
