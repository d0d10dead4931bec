import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const SRC = fileURLToPath(new URL('../../src', import.meta.url));

export interface SourceFile {
  /** Below src, with forward slashes: `ledger/sqlite/open.ts`. */
  path: string;
  /** The first folder, or the file's own name without `.ts` for a file that stands in src itself. */
  room: string;
  /** Comments blanked. */
  code: string;
  imports: Import[];
}

export interface Import {
  specifier: string;
  /** The file below src that it names; null for a package. */
  target: string | null;
}

const IMPORT = /(?:^\s*(?:import|export)\s[^'"`;=()]*?\bfrom\s*|\bimport\s*\(\s*|^\s*import\s+)(['"])([^'"\n]+)\1/gm;

/** Every TypeScript file of a folder, with what it imports, types too. */
export function readSources(folder: string = SRC): SourceFile[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => readSource(folder, join(folder, name)));
}

export function readSource(folder: string, file: string): SourceFile {
  const path = relative(folder, file).replaceAll('\\', '/');
  const code = withoutComments(readFileSync(file, 'utf8'));
  return { path, room: roomOf(path), code, imports: importsOf(folder, file, code) };
}

export function roomOf(path: string): string {
  return (path.split('/')[0] as string).replace(/\.tsx?$/, '');
}

function importsOf(folder: string, file: string, code: string): Import[] {
  return [...code.matchAll(IMPORT)].map((match) => {
    const specifier = match[2] as string;
    if (!specifier.startsWith('.')) return { specifier, target: null };
    const target = relative(folder, resolve(dirname(file), specifier)).replaceAll('\\', '/');
    return { specifier, target: target.replace(/\.js(x?)$/, '.ts$1') };
  });
}

/** Comments as blanks, strings left alone: a slash in a URL is no comment. */
function withoutComments(code: string): string {
  return code.replace(
    /('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|(?<=^|[\s;,{(])\/\/[^\n]*/g,
    (match, text: string | undefined) => text ?? match.replace(/[^\n]/g, ' '),
  );
}

/** The first circle of imports found, as the files along it; null when there is none. */
export function findCycle(files: readonly SourceFile[]): string[] | null {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();
  const visit = (path: string, way: string[]): string[] | null => {
    const at = way.indexOf(path);
    if (at >= 0) return [...way.slice(at), path];
    if (done.has(path)) return null;
    for (const { target } of byPath.get(path)?.imports ?? []) {
      const found = target === null ? null : visit(target, [...way, path]);
      if (found !== null) return found;
    }
    done.add(path);
    return null;
  };
  for (const { path } of files) {
    const found = visit(path, []);
    if (found !== null) return found;
  }
  return null;
}
