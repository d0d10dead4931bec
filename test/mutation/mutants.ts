import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** A source file without one of its lines. */
export interface Mutant {
  /** Below the root: `src/providers/groq.ts`. */
  file: string;
  /** From 1. */
  line: number;
  /** What stands there, trimmed. */
  text: string;
  /** The file's text without it. */
  source: string;
}

export interface Found {
  mutants: Mutant[];
  /** Lines left aside: no code, or none that runs (comments, imports, types, brackets alone). */
  notCode: number;
  /** Lines without which the compiler refuses the file. */
  refused: number;
}

const NO_CODE = /^(?:$|\/\/|\/?\*|import\b|[\s)\]}>([{;,]*$)/;

/**
 * Every line that can be deleted from `files`: the file still compiles without it, and to another program. The compiler
 * is asked once about all of them, as files beside their originals in `root`, which is a copy nobody else uses. Of an
 * exported line it is known that the compiler refuses: somebody imports it.
 */
export function findMutants(root: string, files: readonly string[]): Found {
  const candidates: Mutant[] = [];
  let lineCount = 0;
  for (const file of files) {
    const lines = readFileSync(join(root, file), 'utf8').trimEnd().split('\n');
    lineCount += lines.length;
    for (const [at, text] of lines.entries()) {
      if (NO_CODE.test(text.trim())) continue;
      const source = `${lines.toSpliced(at, 1).join('\n')}\n`;
      candidates.push({ file, line: at + 1, text: text.trim(), source });
    }
  }
  const { accepted, output } = compile(root, files, candidates);
  const mutants = accepted.filter((mutant) => output(variantOf(mutant)) !== output(mutant.file));
  const refused = candidates.length - accepted.length;
  return { mutants, refused, notCode: lineCount - refused - mutants.length };
}

/** The file a mutant is compiled as; beside the original, so that its imports hold. */
function variantOf({ file, line }: Mutant): string {
  return join(dirname(file), `without-${line}-${basename(file)}`);
}

interface Compiled {
  accepted: Mutant[];
  /** The program a source file is compiled to. */
  output(file: string): string;
}

function compile(root: string, files: readonly string[], candidates: readonly Mutant[]): Compiled {
  for (const mutant of candidates) writeFileSync(join(root, variantOf(mutant)), mutant.source);
  let accepted = candidates.filter(({ text }) => !text.startsWith('export '));
  // As long as one file is no TypeScript at all, the compiler looks no further at any.
  for (;;) {
    const refused = refusedBy(root, [...files, ...accepted.map(variantOf)]);
    const broken = files.find((file) => refused.has(file));
    if (broken !== undefined) throw new Error(`${broken} does not compile as it is`);
    if (refused.size === 0) break;
    accepted = accepted.filter((mutant) => !refused.has(variantOf(mutant)));
  }
  for (const mutant of candidates) rmSync(join(root, variantOf(mutant)));
  return {
    accepted,
    output: (file) => readFileSync(join(root, 'compiled', file.replace(/\.ts$/, '.js')), 'utf8'),
  };
}

/** Compiles to `compiled`. @returns the files with an error, as the compiler names them */
function refusedBy(root: string, files: readonly string[]): Set<string> {
  const config = {
    extends: './tsconfig.json',
    compilerOptions: {
      noEmit: false,
      outDir: 'compiled',
      rootDir: '.',
      sourceMap: false,
      removeComments: true,
      // What a deleted line leaves unused says nothing about whether the program holds.
      noUnusedLocals: false,
      noUnusedParameters: false,
    },
    include: [],
    files,
  };
  writeFileSync(join(root, 'tsconfig.mutants.json'), JSON.stringify(config));
  mkdirSync(join(root, 'compiled'), { recursive: true });
  const tsc = join(root, 'node_modules', '.bin', 'tsc');
  const run = spawnSync(tsc, ['-p', 'tsconfig.mutants.json', '--pretty', 'false'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  if (run.error !== undefined) throw run.error;
  const refused = new Set(
    [...run.stdout.matchAll(/^(\S+\.ts)\(\d+,\d+\): error/gm)].map((match) => match[1] as string),
  );
  const isUnexplained = run.status !== 0 && refused.size === 0;
  if (isUnexplained || refused.size > [...refused].filter((file) => files.includes(file)).length) {
    throw new Error(`the compiler fails beside the files it was given: ${run.stdout.slice(0, 2_000)}${run.stderr}`);
  }
  return refused;
}
