import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.js';
import type { KnownType } from '../config/entry-checks.js';
import { findConfigFile, loadConfigAndModules } from '../config/load.js';
import type { LoadModule } from '../config/provider-modules.js';
import { UserError } from '../domain/errors.js';

/** What commands need that work from a config file. */
export interface ConfigTools {
  knownTypes: readonly KnownType[];
  loadModule: LoadModule;
  env: Readonly<Record<string, string | undefined>>;
}

/**
 * The configuration of the file that is named, or found where `serve` looks.
 * @throws UserError when there is none, or it has errors
 */
export async function openConfig(
  flag: string | undefined,
  { knownTypes, loadModule, env }: ConfigTools,
): Promise<Config> {
  const file = findConfigFile({ flag, env });
  if (file === null) throw new UserError('there is no config file; name one with --config FILE');
  const { config } = await loadConfigAndModules({ file, env, knownTypes, loadModule });
  if (config === null) throw new UserError(`${file} has errors; \`waybill check ${file}\` lists them`);
  return config;
}

/**
 * A file's text; for `-` what `readInput` gives.
 * @throws UserError when it cannot be read
 */
export function readText(file: string, readInput: () => string): string {
  if (file === '-') return readInput();
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new UserError(`cannot read ${file}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
