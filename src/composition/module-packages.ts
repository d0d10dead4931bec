import { existsSync, readFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { join } from 'node:path';

/** A package's name, perhaps with a path within it. */
const PACKAGE = /^(?:@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*(?:\/[\w./-]+)?$/i;
/** What `import` looks for among a package's `exports`, the first that is there. */
const CONDITIONS = ['import', 'node', 'module-sync', 'default'];

/** The file a package is loaded from, or why there is none: nothing of this name, or one that cannot be used. */
export type PackagePlace = { file: string } | { problem: string } | { hint: string | null };

/** Finds a package as Node does, from the folder of the config file upwards. */
export function resolvePackage(name: string, folder: string): PackagePlace {
  if (!PACKAGE.test(name) || isBuiltin(name)) return { hint: null };
  const from = createRequire(join(folder, 'config.yaml'));
  try {
    return { file: from.resolve(name) };
  } catch (error) {
    const home = from.resolve
      .paths(name)
      ?.map((path) => join(path, nameOf(name)))
      .find((path) => existsSync(path));
    if (home === undefined) {
      const beside = existsSync(join(folder, name));
      return { hint: beside ? `write \`./${name}\` for the file beside the config` : null };
    }
    try {
      const file = name === nameOf(name) ? importEntry(home) : null;
      if (file !== null) return { file };
    } catch (cause) {
      return { problem: `the package.json in ${home} cannot be read: ${firstLine(cause)}` };
    }
    return { problem: `the package in ${home} cannot be imported: ${firstLine(error)}` };
  }
}

/** Of a package that is for `import` alone, which `require.resolve` does not find. */
function importEntry(home: string): string | null {
  const path = join(home, 'package.json');
  if (!existsSync(path)) return null;
  const { exports } = JSON.parse(readFileSync(path, 'utf8')) as { exports?: unknown };
  const main = typeof exports === 'object' && exports !== null && '.' in exports ? exports['.'] : exports;
  const entry = chosen(main);
  return entry === null ? null : join(home, entry);
}

function chosen(target: unknown): string | null {
  if (typeof target === 'string') return target;
  if (typeof target !== 'object' || target === null) return null;
  for (const condition of CONDITIONS) {
    const found = chosen((target as Record<string, unknown>)[condition]);
    if (found !== null) return found;
  }
  return null;
}

function nameOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** What an error says, as far as it fits into a line. */
export function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] as string;
}
