import { isAbsolute } from 'node:path';
import type { ProviderAdapter } from '../domain/provider.js';

/** What became of a `type` that is none of those that are built in. */
export type ProviderModule =
  | { kind: 'adapter'; adapter: ProviderAdapter }
  /** It names a module that cannot be used; each problem is a sentence without its end. */
  | { kind: 'broken'; problems: readonly string[] }
  /** It names nothing: there is no package of this name. `hint` says more where there is more to say. */
  | { kind: 'nothing'; hint: string | null };

/** By `type`, as the file has it. */
export type ProviderModules = ReadonlyMap<string, ProviderModule>;

export interface ModuleSurroundings {
  /** Where the config file lies: paths and packages are looked for from there. */
  folder: string;
  /** So that whoever watches the config file watches the module too. @throws when it cannot be read */
  readFile: (path: string) => string;
}

/** Loads what a `type` names. Never throws for what a module does. */
export type LoadModule = (type: string, surroundings: ModuleSurroundings) => Promise<ProviderModule>;

/** True for a `type` that is a path; any other is the name of a package. */
export function isModulePath(type: string): boolean {
  return /^\.{0,2}[/\\]/.test(type) || isAbsolute(type);
}

/** Loads every module that the file names, one after the other. Two different ones may not have one id. */
export async function loadModules(
  types: readonly string[],
  load: LoadModule,
  surroundings: ModuleSurroundings,
): Promise<ProviderModules> {
  const modules = new Map<string, ProviderModule>();
  const byId = new Map<string, { type: string; adapter: ProviderAdapter }>();
  for (const type of types) {
    let loaded = await load(type, surroundings);
    if (loaded.kind === 'adapter') {
      const { adapter } = loaded;
      const other = byId.get(adapter.id);
      if (other === undefined) byId.set(adapter.id, { type, adapter });
      else if (other.adapter !== adapter) {
        const problem = `its adapter has the id \`${adapter.id}\`, and so has that of \`${other.type}\`; give one another`;
        loaded = { kind: 'broken', problems: [problem] };
      }
    }
    modules.set(type, loaded);
  }
  return modules;
}

/** The adapters of those that loaded. */
export function adaptersOf(modules: ProviderModules | 'unread'): ReadonlyMap<string, ProviderAdapter> {
  const adapters = new Map<string, ProviderAdapter>();
  if (modules === 'unread') return adapters;
  for (const [type, loaded] of modules) {
    if (loaded.kind === 'adapter') adapters.set(type, loaded.adapter);
  }
  return adapters;
}
