import { createHash } from 'node:crypto';
import { register } from 'node:module';
import { basename, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isModulePath, type LoadModule, type ProviderModule } from '../config/provider-modules.js';
import type { ProviderAdapter } from '../domain/provider.js';
import { checkShape } from '../providers/external/adapter-shape.js';
import { guarded } from '../providers/external/guarded-adapter.js';
import { firstLine, resolvePackage } from './module-packages.js';

/** A module that waits for something as it loads would keep the daemon from starting. */
const LOAD_MS = 10_000;

export interface ModuleLoaderOptions {
  builtIn: readonly ProviderAdapter[];
  /** Told once of each function of a module that threw where the request went on without it. */
  warn: (line: string) => void;
}

/**
 * Loads modules that export an adapter. What has the same content is loaded once; another content is another module, and the
 * one before it stays in memory, for Node forgets none. What a module imports itself is loaded once and no more.
 */
export function createModuleLoader({ builtIn, warn }: ModuleLoaderOptions): LoadModule {
  const loaded = new Map<string, ProviderAdapter>();
  const said = new Set<string>();
  const failures = new Map<string, number>();
  const sayOnce = (message: string) => {
    if (said.size < 1_000 && !said.has(message)) warn(message);
    said.add(message);
  };
  const published = publishedOnce();

  return async (type, { folder, readFile }) => {
    const place = isModulePath(type) ? { file: resolve(folder, type) } : resolvePackage(type, folder);
    if ('hint' in place) return { kind: 'nothing', hint: place.hint };
    if ('problem' in place) return broken(place.problem);
    let content: string;
    try {
      content = readFile(place.file);
    } catch (error) {
      return broken(`the module cannot be read: ${whyUnread(error, place.file)}`);
    }
    const url = pathToFileURL(place.file);
    url.searchParams.set('v', createHash('sha256').update(content).digest('hex').slice(0, 16));
    const known = loaded.get(url.href);
    if (known !== undefined) return { kind: 'adapter', adapter: known };
    published();
    let exported: Record<string, unknown>;
    try {
      // Node remembers what failed to load, which may have been the fault of another file: by another name it tries anew.
      const failed = failures.get(url.href);
      exported = await inTime(import(failed === undefined ? url.href : `${url.href}&again=${failed}`));
    } catch (error) {
      failures.set(url.href, (failures.get(url.href) ?? 0) + 1);
      return broken(`the module ${place.file} does not load: ${firstLine(error)}${helpWith(error, place.file)}`);
    }
    const outcome = adapterIn(exported, type, builtIn, sayOnce);
    if (outcome.kind === 'adapter') loaded.set(url.href, outcome.adapter);
    return outcome;
  };
}

function adapterIn(
  exported: Record<string, unknown>,
  type: string,
  builtIn: readonly ProviderAdapter[],
  sayOnce: (message: string) => void,
): ProviderModule {
  const value = exported['adapter'] ?? exported['default'];
  if (value === undefined) {
    const names = Object.keys(exported).join(', ') || 'nothing';
    return broken(
      `the module exports no adapter: expected a default export, or one named \`adapter\`; it exports ${names}`,
    );
  }
  const check = checkShape(value);
  if (!check.ok) return { kind: 'broken', problems: check.problems.map((problem) => `${basename(type)}: ${problem}`) };
  const { id, aliases = [] } = check.adapter;
  const taken = [id, ...aliases].find((name) =>
    builtIn.some((each) => each.id === name || each.aliases?.includes(name)),
  );
  if (taken !== undefined) {
    return broken(`its adapter has the name \`${taken}\`, which is that of a built-in type; give it another`);
  }
  return { kind: 'adapter', adapter: guarded(check.adapter, type, sayOnce) };
}

function helpWith(error: unknown, file: string): string {
  // Node keeps the line of a mistake of syntax to itself.
  if (error instanceof SyntaxError) return `; \`node ${file}\` shows where`;
  // The hook is for `import` alone.
  const isRequired = /^Cannot find module 'waybill\/provider'/.test(firstLine(error));
  return isRequired ? '; it is there for `import`, not for `require`: make this an ES module (`.mjs`)' : '';
}

/** Lets modules import `waybill/provider` wherever they lie, and get the code that runs here: one `WaybillError` for all. */
function publishedOnce(): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    const url = new URL('../providers/public.js', import.meta.url).href;
    register('../composition/module-hook.js', { parentURL: import.meta.url, data: { url } });
  };
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it takes longer than ${LOAD_MS / 1_000} s`)), LOAD_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}

function broken(problem: string): ProviderModule {
  return { kind: 'broken', problems: [problem] };
}

function whyUnread(error: unknown, file: string): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return `there is no file ${file}; a path is relative to the folder of the config file`;
  return code === 'EISDIR' ? `${file} is a folder; name its file` : firstLine(error);
}
