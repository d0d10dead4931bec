import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readSources, type SourceFile } from '../arch/source-files.js';

/** What is run for a file: the tests that load it, and of the conformance suite the adapters that do. */
export interface Related {
  /** Those that load the least come first: most lines are missed by one of them. */
  tests: string[];
  /** Ids of adapters. */
  adapters: string[];
}

export const CONFORMANCE = 'test/conformance/adapters.test.ts';
const REGISTRY = 'src/providers/registry.ts';
const TESTS =
  /^test\/(?:conformance\/(?:adapters|samples)|docs\/providers|unit\/(?:providers|wire)\/[\w./-]+)\.test\.ts$/;

/** Answers by file; `root` is where `src` and `test` stand. */
export async function relatedIn(root: string): Promise<(file: string) => Related> {
  const files = new Map(
    ['src', 'test'].flatMap((folder) =>
      readSources(join(root, folder)).map((file) => [`${folder}/${file.path}`, file]),
    ),
  );
  const reach = new Map<string, Set<string>>();
  const loads = (path: string): Set<string> => {
    const known = reach.get(path);
    if (known !== undefined) return known;
    const all = new Set([path]);
    for (const next of all) for (const target of importsOf(next, files.get(next))) all.add(target);
    reach.set(path, all);
    return all;
  };
  const adapters = await adapterFiles(root, importsOf(REGISTRY, files.get(REGISTRY)));
  const tests = [...files.keys()].filter((path) => TESTS.test(path)).toSorted((a, b) => loads(a).size - loads(b).size);
  return (file) => ({
    tests: tests.filter((test) => loads(test).has(file)),
    adapters: [...adapters].filter(([, path]) => loads(path).has(file)).map(([id]) => id),
  });
}

/** What is run for any of several files. */
export function togetherOf(all: readonly Related[]): Related {
  return {
    tests: [...new Set(all.flatMap(({ tests }) => tests))],
    adapters: [...new Set(all.flatMap(({ adapters }) => adapters))],
  };
}

function importsOf(path: string, file: SourceFile | undefined): string[] {
  const folder = path.slice(0, path.indexOf('/'));
  // A test's own folder is `test`: what it imports from `../src` is named as seen from there.
  return (file?.imports ?? []).flatMap(({ target }) =>
    target === null ? [] : [target.startsWith('../') ? target.slice(3) : `${folder}/${target}`],
  );
}

/** Where each adapter of the registry is made, by its id. */
async function adapterFiles(root: string, imports: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const path of imports) {
    const module = (await import(pathToFileURL(join(root, path)).href)) as Record<string, unknown>;
    for (const value of Object.values(module)) {
      const { id, tasks } = Object(value) as { id?: unknown; tasks?: unknown };
      if (typeof id === 'string' && typeof tasks === 'object') found.set(id, path);
    }
  }
  return found;
}
