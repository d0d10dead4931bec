import type { Command } from 'commander';
import {
  type LedgerOptions,
  type LedgerTools,
  ledgerBackupCommand,
  ledgerMigrateCommand,
  ledgerPruneCommand,
  ledgerVerifyCommand,
} from './ledger.js';
import type { CommandIo } from './report.js';
import { type RepriceOptions, type RepriceTools, repriceCommand } from './reprice.js';

/** Adds `waybill ledger …` and `waybill reprice`. `done` is told the exit code. */
export function addLedgerCommands(
  waybill: Command,
  parts: { io: CommandIo; tools: LedgerTools & RepriceTools; done: (code: number) => void },
): void {
  const { io, tools, done } = parts;
  const ledger = waybill.command('ledger').description('check, copy and tidy the ledger file');
  const sub = (parent: Command, name: string, description: string, example: string) =>
    parent
      .command(name)
      .description(description)
      .option('--json', 'as JSON')
      .option('--ledger <file>', 'the ledger (default: the config’s, else ./data/waybill.db)')
      .option('--config <file>', 'the config file')
      .addHelpText('after', `\nExample:\n  ${example}`);

  sub(ledger, 'verify', 'find every row that is not as it was written', 'waybill ledger verify').action(
    async (options: LedgerOptions) => done(await ledgerVerifyCommand(options, io, tools)),
  );
  sub(ledger, 'backup', 'copy the ledger, safe while the daemon runs', 'waybill ledger backup waybill-2026-11-20.db')
    .argument('<file>', 'the copy; it must not exist')
    .action(async (target: string, options: LedgerOptions) =>
      done(await ledgerBackupCommand({ ...options, target }, io, tools)),
    );
  sub(ledger, 'prune', 'delete old rows; hourly totals stay', 'waybill ledger prune --days 90 --dry-run')
    .option('--days <count>', 'keep so many days (default: storage.ledger.retention_days)')
    .option('--dry-run', 'say how many rows would go')
    .action(async (options: LedgerOptions & { days?: string; dryRun?: boolean }) =>
      done(await ledgerPruneCommand(options, io, tools)),
    );
  sub(ledger, 'migrate', 'bring an old ledger file up to date', 'waybill ledger migrate --ledger old.db').action(
    async (options: LedgerOptions) => done(await ledgerMigrateCommand(options, io, tools)),
  );
  sub(
    waybill,
    'reprice',
    'record what past requests cost at another price; nothing is edited',
    'waybill reprice --from 2026-11-01 --to 2026-12-01 --price new.yaml --provider openai --dry-run',
  )
    .option('--from <instant>', 'requests from this date or time')
    .option('--to <instant>', 'up to this date or time')
    .option('--tz <zone>', 'time zone of dates (default: UTC)')
    .option('--price <file>', 'YAML or JSON with the keys of `pricing`')
    .option('--provider <id>', 'only attempts at this provider')
    .option('--model <name>', 'only this model, as asked for or as the provider names it')
    .option('--dry-run', 'say what would change')
    .action(async (options: RepriceOptions) => done(await repriceCommand(options, io, tools)));
}
