#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { offlineTools } from './app.js';
import { benchCommand } from './commands/bench.js';
import { checkCommand } from './commands/check.js';
import { addLedgerCommands } from './commands/ledger-program.js';
import { type PriceOptions, priceCommand } from './commands/price.js';
import { type ReconcileOptions, reconcileCommand } from './commands/reconcile.js';
import { type ReportOptions, reportCommand } from './commands/report.js';
import { addRoutingCommands } from './commands/routing-program.js';
import { sandboxCommand } from './commands/sandbox.js';
import { schemaCommand } from './commands/schema.js';
import { serveCommand } from './commands/serve.js';
import { findConfigFile, loadConfig } from './config/load.js';
import { UserError } from './domain/errors.js';

const { stdout, stderr, env } = process;
const print = (line: string) => void stdout.write(`${line}\n`);
const warn = (line: string) => void stderr.write(`${line}\n`);
const loadModule = offlineTools.moduleLoader((line) => warn(`waybill: ${line}`));

/** `waybill schema | head`: a reader that has had enough is no failure of ours. */
function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}

/** Aborts at the first and at the second signal to stop. */
function stopSignals(): { stop: AbortSignal; hurry: AbortSignal } {
  const stop = new AbortController();
  const hurry = new AbortController();
  const onSignal = () => (stop.signal.aborted ? hurry : stop).abort();
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return { stop: stop.signal, hurry: hurry.signal };
}

/** Notes a signal to reload from now on, so that none ends a daemon that is still starting. */
function reloadSignal(): (listener: () => void) => void {
  let isDue = false;
  let listener = () => {
    isDue = true;
  };
  process.on('SIGHUP', () => listener());
  return (next) => {
    listener = next;
    if (isDue) next();
  };
}

function collect(value: string, earlier: string[]): string[] {
  return [...earlier, value];
}

/** The ledger that a config names, and how long it keeps rows; null where there is no config, or it names another kind. */
function storageOfConfig(flag: string | undefined): { path: string; retentionDays: number | null } | null {
  const file = findConfigFile({ flag, env });
  if (file === null) return null;
  const { config } = loadConfig({ file, env, knownTypes: offlineTools.knownTypes });
  if (config === null) throw new UserError(`${file} has errors; \`waybill check ${file}\` lists them`);
  const { ledger } = config.storage;
  return ledger.type === 'sqlite' ? ledger : null;
}

const ledgerOfConfig = (flag: string | undefined) => storageOfConfig(flag)?.path ?? null;

function program(done: (code: number) => void): Command {
  const waybill = new Command('waybill')
    .description('A self-hosted LLM router that always knows what a request cost.')
    .showHelpAfterError()
    .exitOverride();

  waybill
    .command('serve')
    .description('run the router')
    .option('--config <file>', 'the config file (default: $WAYBILL_CONFIG, ./config.yaml, /etc/waybill/config.yaml)')
    .option('--listen <address>', 'HOST:PORT or :PORT, over the file')
    .addHelpText('after', '\nExample:\n  waybill serve --config config.yaml --listen 127.0.0.1:8080')
    .action(async (options) => {
      const { knownTypes } = offlineTools;
      const onReload = reloadSignal();
      done(await serveCommand(options, { print, warn, env, knownTypes, loadModule, onReload, ...stopSignals() }));
    });

  waybill
    .command('check')
    .description('find every mistake in a config file')
    .argument('[file]', 'the config file')
    .option('--config <file>', 'the config file')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  waybill check config.yaml')
    .action(async (file: string | undefined, options: { config?: string; json?: boolean }) => {
      const { knownTypes } = offlineTools;
      const given = { file: file ?? options.config, json: options.json };
      done(await checkCommand({ ...given, knownTypes, loadModule, out: stdout, err: stderr, env }));
    });

  waybill
    .command('schema')
    .description('print the JSON Schema of the config file')
    .addHelpText('after', '\nExample:\n  waybill schema > waybill.schema.json')
    .action(() => done(schemaCommand({ out: stdout })));

  waybill
    .command('report')
    .description('what it all cost, from the ledger file')
    .option('--since <duration>', 'the last 7d, 12h, …')
    .option('--from <instant>', 'from this date or time')
    .option('--to <instant>', 'up to this date or time')
    .option('--group-by <names>', 'client, provider, model, day, tag:NAME, …; several with commas', collect, [])
    .option('--tz <zone>', 'time zone of hours, days, weeks and months (default: UTC)')
    .option('--filter <name=value>', 'only these; may be given again', collect, [])
    .option('--client <id>', 'only this client', collect, [])
    .option('--provider <id>', 'only this provider', collect, [])
    .option('--model <name>', 'only this model', collect, [])
    .option('--waste', 'only what failed, cancelled and interrupted calls cost')
    .option('--format <format>', 'table, json, csv, ndjson or focus')
    .option('--json', 'as JSON')
    .option('--ledger <file>', 'the ledger (default: the config’s, else ./data/waybill.db)')
    .option('--config <file>', 'the config file')
    .addHelpText('after', '\nExample:\n  waybill report --since 7d --group-by client,model')
    .action(async (options: ReportOptions) => {
      const { reports, openReader } = offlineTools;
      const io = { out: (text: string) => void stdout.write(text), err: (text: string) => void stderr.write(text) };
      done(await reportCommand(options, io, { reports, openReader, ledgerOfConfig, now: () => Date.now() }));
    });

  waybill
    .command('reconcile')
    .description('compare the ledger with a provider’s bill')
    .requiredOption('--provider <id>', 'the provider entry')
    .requiredOption('--file <csv>', 'the bill: a header, and columns for date, model and cost in USD')
    .option('--tz <zone>', 'time zone of the bill’s days (default: UTC)')
    .option('--from <instant>', 'from this date (default: the first day of the bill)')
    .option('--to <instant>', 'up to this date (default: the day after the last of the bill)')
    .option('--tolerance <share>', 'name what differs by more (default: 0.5%)')
    .option('--columns <date=…,model=…,cost=…>', 'columns by name; model=- compares days alone', collect, [])
    .option('--json', 'as JSON, with every line')
    .option('--ledger <file>', 'the ledger (default: the config’s, else ./data/waybill.db)')
    .option('--config <file>', 'the config file')
    .addHelpText('after', '\nExample:\n  waybill reconcile --provider openai --file costs-2026-11.csv')
    .action(async (options: ReconcileOptions) => {
      const { reconciler, openReader } = offlineTools;
      const io = { out: (text: string) => void stdout.write(text), err: (text: string) => void stderr.write(text) };
      done(await reconcileCommand(options, io, { reconciler, openReader, ledgerOfConfig }));
    });

  waybill
    .command('price')
    .description('what a request would cost and where it would go; nothing is sent')
    .argument('[file]', 'the request’s body, JSON; - for standard input')
    .option(
      '--endpoint <name>',
      'chat/completions, completions, embeddings, images/generations, … (default: chat/completions)',
    )
    .option('--model <name>', 'instead of a file: the model …')
    .option('--prompt <text>', '… and the prompt')
    .option('--max-tokens <count>', 'the most output tokens')
    .option('--client <id>', 'as this client of api_keys')
    .option('--region <name>', 'only targets of this region')
    .option('--json', 'as JSON')
    .option('--config <file>', 'the config file')
    .addHelpText('after', '\nExample:\n  waybill price --model sandbox-small --prompt "Hello there" --max-tokens 100')
    .action(async (file: string | undefined, options: PriceOptions) => {
      const { knownTypes, quoteOffline: quote } = offlineTools;
      const tools = { knownTypes, loadModule, env, quote, readInput: () => readFileSync(0, 'utf8') };
      done(await priceCommand(file, options, { print, warn }, tools));
    });

  const { knownTypes, explainOffline: explain, offeredModels } = offlineTools;
  addRoutingCommands(waybill, {
    io: { print, warn },
    tools: { knownTypes, loadModule, env, explain, offeredModels, readInput: () => readFileSync(0, 'utf8') },
    done,
  });

  addLedgerCommands(waybill, {
    io: { out: (text: string) => void stdout.write(text), err: (text: string) => void stderr.write(text) },
    tools: {
      ...offlineTools.ledger,
      ledgerOfConfig,
      retentionOfConfig: (flag) => storageOfConfig(flag)?.retentionDays ?? null,
      now: () => Date.now(),
    },
    done,
  });

  waybill
    .command('sandbox')
    .description('run the bundled upstream alone')
    .option('--port <port>', 'the port to listen on; 0 for any free one', '0')
    .option('--host <host>', 'the address to listen on', '127.0.0.1')
    .addHelpText('after', '\nExample:\n  waybill sandbox --port 8081')
    .action(async ({ port, host }: { port: string; host: string }) => {
      if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) throw new UserError(`--port ${port}: expected 0 to 65535`);
      const { startSandbox } = offlineTools;
      done(await sandboxCommand({ port: Number(port), host }, { print, signal: stopSignals().stop, startSandbox }));
    });

  waybill
    .command('bench')
    .description('measure the router beside a bare proxy (from a checkout)')
    .allowUnknownOption()
    .argument('[args...]', 'passed on; `npm run bench -- --help` lists them')
    .addHelpText('after', '\nExample:\n  waybill bench --quick')
    .action(async (args: string[]) => done(await benchCommand(args, stopSignals().stop)));

  return waybill;
}

/** Exit codes: 0 done, 1 the answer is no, 2 it could not be done as asked. */
async function main(): Promise<number> {
  let code = 0;
  stdout.on('error', ignoreClosedPipe);
  stderr.on('error', ignoreClosedPipe);
  try {
    await program((result) => {
      code = result;
    }).parseAsync(process.argv);
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (!(error instanceof UserError)) throw error;
    warn(`waybill: ${error.message}`);
    return 2;
  }
}

process.exitCode = await main();
