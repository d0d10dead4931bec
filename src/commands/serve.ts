import { startApp } from '../app.js';
import type { Config } from '../config/config.js';
import { ConfigFile, type ConfigReading } from '../config/config-file.js';
import type { KnownType } from '../config/entry-checks.js';
import { findConfigFile } from '../config/load.js';
import type { LoadModule } from '../config/provider-modules.js';
import { isLoopback, parseListen } from '../config/units.js';
import { UserError } from '../domain/errors.js';
import { formatProblem } from './check.js';

export interface ServeOptions {
  config?: string | undefined;
  /** `HOST:PORT` or `:PORT`, over the file's. */
  listen?: string | undefined;
}

export interface ServeIo {
  /** One line to standard output. */
  print(line: string): void;
  /** One line to standard error. */
  warn(line: string): void;
  env: Readonly<Record<string, string | undefined>>;
  knownTypes: readonly KnownType[];
  loadModule: LoadModule;
  /** Aborts at the first signal to stop. */
  stop: AbortSignal;
  /** Aborts at the second: what is under way is cut now. */
  hurry: AbortSignal;
  /** Calls back at each signal to reload; at once where one came before. */
  onReload(listener: () => void): void;
}

/**
 * `waybill serve`: runs the router until it is told to stop.
 * @returns the exit code
 * @throws UserError for whatever keeps it from starting
 */
export async function serveCommand(options: ServeOptions, io: ServeIo): Promise<number> {
  const source = openConfigFile(options, io);
  const { config, reading } = await readConfig(source, io);
  const app = await startApp({ config, source, reading, env: io.env });
  io.onReload(() => void app.reload());
  greet(config, app.url, io);
  if (app.recovered > 0) {
    io.print(`${app.recovered} request(s) were in flight when the last process died; they are marked interrupted.`);
  }
  if (!io.stop.aborted) {
    await new Promise<void>((resolve) => io.stop.addEventListener('abort', () => resolve(), { once: true }));
  }
  io.print('Stopping: waiting for what is under way.');
  await app.stop(io.hurry);
  return 0;
}

function openConfigFile({ config, listen }: ServeOptions, { env, knownTypes, loadModule }: ServeIo): ConfigFile {
  const file = findConfigFile({ flag: config, env });
  if (file === null) {
    throw new UserError(
      'there is no config file: name one with --config, or write ./config.yaml (see config.example.yaml)',
    );
  }
  return new ConfigFile({
    ...{ file, env, knownTypes, loadModule },
    adjust: (written) => (listen === undefined ? written : listeningOn(written, listen)),
  });
}

async function readConfig(source: ConfigFile, io: ServeIo): Promise<{ config: Config; reading: ConfigReading }> {
  const reading = await source.read();
  const { config, problems } = reading;
  for (const problem of problems) io.warn(formatProblem(source.path, problem));
  if (config !== null) return { config, reading };
  const errors = problems.filter((problem) => problem.severity === 'error').length;
  throw new UserError(`${source.path} has ${errors} error${errors === 1 ? '' : 's'}; nothing was started`);
}

function listeningOn(config: Config, listen: string): Config {
  const address = parseListen(listen);
  if (address === undefined) throw new UserError(`--listen ${listen}: expected HOST:PORT or :PORT`);
  if (config.clients === null && !isLoopback(address.host)) {
    throw new UserError(`--listen ${listen}: without \`api_keys\` the router listens on loopback only`);
  }
  return { ...config, server: { ...config.server, ...address } };
}

/** Where it listens, a first request that works as it stands, and how to see its cost. */
function greet(config: Config, url: string, { print }: ServeIo): void {
  print(`Waybill listens on ${url}`);
  for (const provider of config.providers) {
    if (provider.disabledReason !== null) print(`Provider ${provider.id} is disabled: ${provider.disabledReason}.`);
  }
  if (config.server.adminKey === null) print('No admin key is set: the admin API answers on loopback only.');
  const model = chatModel(config);
  if (model === null) return;
  const auth = config.clients === null ? '' : ` -H 'authorization: Bearer YOUR_CLIENT_KEY'`;
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello!' }] });
  print(`Try:  curl ${url}/v1/chat/completions${auth} -H 'content-type: application/json' -d '${body}'`);
  print('Cost: npx waybill report');
}

function chatModel(config: Config): string | null {
  for (const provider of config.providers) {
    if (provider.disabledReason !== null) continue;
    const listed = provider.models?.find((model) => model.tasks === null || model.tasks.includes('chat'));
    const model = listed?.id ?? (provider.model === null ? null : `${provider.id}:${provider.model}`);
    if (model !== null) return model;
  }
  return null;
}
