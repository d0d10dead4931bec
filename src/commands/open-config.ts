import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.js';
import type { KnownType } from '../config/entry-checks.js';
import { findConfigFile, loadConfig } from '../config/load.js';
import { UserError } from '../domain/errors.js';

/** What commands need that work from a config file. */
export interface ConfigTools {
  knownTypes: readonly KnownType[];
  env: Readonly<Record<string, string | undefined>>;
}

/**
 * The configuration of the file that is named, or found where `serve` looks.
 * @throws UserError when there is none, or it has errors
 */
export function openConfig(flag: string | undefined, { knownTypes, env }: ConfigTools): Config {
  const file = findConfigFile({ flag, env });
  if (file === null) throw new UserError('there is no config file; name one with --config FILE');
  const { config } = loadConfig({ file, env, knownTypes });
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
