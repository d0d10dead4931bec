import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '../domain/errors.js';
import { findType, type KnownType } from './entry-checks.js';
import { checkDraft, draftConfig, type ParseResult, parseConfigText } from './parse.js';
import { type LoadModule, loadModules } from './provider-modules.js';
import { isMapping, type YamlMapping } from './yaml-source.js';

type Env = Readonly<Record<string, string | undefined>>;

export interface LoadOptions {
  file: string;
  knownTypes: readonly KnownType[];
  /** Default: the environment of this process. */
  env?: Env;
  /** Default: from disk. Used for the file itself and for `${file:…}`. @throws when it cannot be read */
  readFile?: (path: string) => string;
}

export interface LoadResult extends ParseResult {
  sourceText: string;
}

/**
 * Reads and checks a config file, without the modules that it names: for what asks nothing of providers.
 * @throws UserError when the file itself cannot be read
 */
export function loadConfig(options: LoadOptions): LoadResult {
  const { file, knownTypes, env = process.env, readFile = readTextFile } = options;
  const sourceText = readSource(file, readFile);
  return { ...parseConfigText({ text: sourceText, env, readFile, knownTypes, modules: 'unread' }), sourceText };
}

/**
 * Reads and checks a config file, and loads the modules that it names as types of providers.
 * @throws UserError when the file itself cannot be read
 */
export async function loadConfigAndModules(options: LoadOptions & { loadModule: LoadModule }): Promise<LoadResult> {
  const { file, knownTypes, loadModule, env = process.env, readFile = readTextFile } = options;
  const sourceText = readSource(file, readFile);
  const draft = draftConfig({ text: sourceText, env, readFile });
  if ('problems' in draft) return { ...draft, sourceText };
  const types = moduleTypes(draft.adopted.tree, knownTypes);
  const modules = await loadModules(types, loadModule, { folder: dirname(resolve(file)), readFile });
  return { ...checkDraft(draft, { env, knownTypes, modules }), sourceText };
}

/** Each `type` of the file once that is not built in. */
function moduleTypes(tree: YamlMapping, knownTypes: readonly KnownType[]): string[] {
  const entries = Array.isArray(tree['llm_providers']) ? tree['llm_providers'] : [];
  const types = entries.flatMap((entry) =>
    isMapping(entry) && typeof entry['type'] === 'string' ? [entry['type']] : [],
  );
  return [...new Set(types)].filter((type) => type.trim() !== '' && findType(type, knownTypes) === undefined);
}

/** A text file, UTF-8. @throws the file system's error */
export function readTextFile(path: string): string {
  return readFileSync(path, 'utf8');
}

function readSource(file: string, readFile: (path: string) => string): string {
  try {
    return readFile(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why =
      code === 'ENOENT'
        ? 'there is no such file'
        : code === 'EISDIR'
          ? 'it is a directory'
          : code === 'EACCES'
            ? 'permission denied'
            : (error as Error).message;
    throw new UserError(`cannot read the config file ${file}: ${why}`, { cause: error });
  }
}

export interface FindOptions {
  /** What `--config` names. */
  flag?: string | undefined;
  env?: Env;
  cwd?: string;
}

/** Where the config file is: `--config`, WAYBILL_CONFIG, ./config.yaml, /etc/waybill/config.yaml; null when there is none. */
export function findConfigFile(options: FindOptions = {}): string | null {
  const { flag, env = process.env, cwd = process.cwd() } = options;
  if (flag !== undefined && flag !== '') return flag;
  const named = env['WAYBILL_CONFIG'];
  if (named !== undefined && named !== '') return named;
  const local = join(cwd, 'config.yaml');
  if (existsSync(local)) return local;
  const system = '/etc/waybill/config.yaml';
  return existsSync(system) ? system : null;
}
