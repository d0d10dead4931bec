import { createHash } from 'node:crypto';
import { UserError } from '../domain/errors.js';
import type { Config, ConfigProblem } from './config.js';
import type { KnownType } from './entry-checks.js';
import { loadConfigAndModules, readTextFile } from './load.js';
import type { LoadModule } from './provider-modules.js';
import { type FileStamps, NO_REGULAR_FILE, stampNow } from './watch.js';
import type { YamlPath } from './yaml-path.js';

export interface ConfigFileOptions {
  file: string;
  env: Readonly<Record<string, string | undefined>>;
  knownTypes: readonly KnownType[];
  loadModule: LoadModule;
  /** What the command line says over the file. @throws UserError when the two do not go together */
  adjust?: (config: Config) => Config;
}

/** The file as it is at one moment. */
export interface ConfigReading {
  /** Null when there is an error among the problems. */
  config: Config | null;
  problems: ConfigProblem[];
  /** The same for the same content of the file and of every file that it names. */
  fingerprint: string;
  /** The line of a key, or of its nearest parent that is written. */
  lineOf: (path: YamlPath) => number;
}

/** The config file of a daemon, read at its start and again whenever it may have changed. */
export class ConfigFile {
  readonly path: string;
  readonly #options: ConfigFileOptions;
  #seen: FileStamps = new Map();

  constructor(options: ConfigFileOptions) {
    this.path = options.file;
    this.#options = options;
  }

  /** What the last reading saw of the file, of every `${file:…}` in it and of every module that it names: whoever watches compares with that. */
  get seen(): FileStamps {
    return this.#seen;
  }

  /** @throws UserError when the file cannot be read, or does not go with the command line */
  async read(): Promise<ConfigReading> {
    const { file, env, knownTypes, loadModule, adjust = (config) => config } = this.#options;
    const isAgain = this.#seen.size > 0;
    const seen = new Map<string, string>();
    const hash = createHash('sha256');
    const readFile = (path: string) => {
      // Before it is read: a write in between is then seen as one that came after.
      const stamp = stampNow(path);
      seen.set(path, stamp);
      // A pipe (`--config <(…)`) gives its content once, and a second look would wait for ever.
      if (isAgain && stamp.startsWith(NO_REGULAR_FILE)) throw new UserError('it is no regular file');
      const text = readTextFile(path);
      hash.update(JSON.stringify([path, text]));
      return text;
    };
    try {
      const { config, problems, lines } = await loadConfigAndModules({ file, env, knownTypes, loadModule, readFile });
      return {
        config: config === null ? null : adjust(config),
        problems,
        fingerprint: hash.digest('hex'),
        lineOf: (path) => lines.lineOf(path),
      };
    } finally {
      this.#seen = seen;
    }
  }
}
