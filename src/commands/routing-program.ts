import type { Command } from 'commander';
import { type ExplainOptions, type ExplainTools, explainCommand } from './explain.js';
import { type ModelsOptions, type ModelsTools, modelsCommand } from './models.js';
import { type ProvidersOptions, type ProvidersTools, providersCommand } from './providers.js';

/** Adds `waybill explain`, `waybill models` and `waybill providers`. `done` is told the exit code. */
export function addRoutingCommands(
  waybill: Command,
  parts: {
    io: { print(line: string): void; warn(line: string): void };
    tools: ExplainTools & ModelsTools & ProvidersTools;
    done: (code: number) => void;
  },
): void {
  const { io, tools, done } = parts;
  waybill
    .command('explain')
    .description('where a request would go, and why; nothing is sent')
    .argument('[request]', 'a model’s name, or a file with the request’s body, JSON; - for standard input')
    .option('--model <name>', 'the model, where its name is also a file’s')
    .option('--message <text>', 'what is asked of it (default: Hello)')
    .option('--endpoint <name>', 'chat/completions, completions or embeddings (default: as the request tells)')
    .option('--client <id>', 'as this client of api_keys')
    .option('--region <name>', 'only targets of this region')
    .option('--url <address>', 'ask a running daemon, which knows loads, limits and failures')
    .option('--admin-key <key>', 'its admin key (default: the variable ADMIN_API_KEY)')
    .option('--json', 'as JSON')
    .option('--config <file>', 'the config file')
    .addHelpText(
      'after',
      '\nExamples:\n  waybill explain sandbox-small --message "Hello there"\n' +
        '  waybill explain request.json --client team-search --url http://127.0.0.1:2906',
    )
    .action(async (request: string | undefined, options: ExplainOptions) =>
      done(await explainCommand(request, options, io, tools)),
    );

  waybill
    .command('models')
    .description('what the config offers: names, providers, tasks, prices')
    .option('--provider <id>', 'only this provider')
    .option('--client <id>', 'only what this client of api_keys may use')
    .option('--json', 'as JSON')
    .option('--config <file>', 'the config file')
    .addHelpText('after', '\nExample:\n  waybill models --provider sandbox')
    .action(async (options: ModelsOptions) => done(await modelsCommand(options, io, tools)));

  waybill
    .command('providers')
    .description('the types of providers there are, and what each can do')
    .option('--sample <type>', 'an entry of this type for a config file')
    .option('--markdown', 'as the table of docs/providers.md')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  waybill providers --sample claude')
    .action((options: ProvidersOptions) => done(providersCommand(options, io, tools)));
}
