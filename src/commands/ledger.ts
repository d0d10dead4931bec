import { UserError } from '../domain/errors.js';
import type { LedgerVerification } from '../domain/ledger.js';
import { type CommandIo, type LedgerChoice, type LedgerPlace, ledgerPath } from './report.js';

/** What the ledger commands are made with. */
export interface LedgerTools extends LedgerPlace {
  verify(path: string, onHour: (hour: string, done: number, of: number) => void): LedgerVerification;
  backUp(path: string, target: string): Promise<void>;
  /** Deletes rows from before an instant; returns how many requests. */
  prune(path: string, options: { before: number; now: number; onStep: (deleted: number) => void }): number;
  countPrunable(path: string, before: number): number;
  migrate(path: string): { from: number; to: number };
  /** `storage.ledger.retention_days` of the config; null where there is none. */
  retentionOfConfig(configPath: string | undefined): number | null;
  now(): number;
}

export interface LedgerOptions extends LedgerChoice {
  json?: boolean | undefined;
}

/** Hours between two lines of progress, and deleted requests. */
const PROGRESS_HOURS = 100;
const PROGRESS_ROWS = 50_000;
const DAY_MS = 86_400_000;

/**
 * `waybill ledger verify`: every settled row against the chain, every cost against usage and price, every sum against
 * its parts.
 * @returns the exit code: 0, 1 when anything differs, 2 when the ledger cannot be read
 */
export async function ledgerVerifyCommand(options: LedgerOptions, io: CommandIo, tools: LedgerTools): Promise<number> {
  return orComplain('ledger verify', io, async () => {
    const result = tools.verify(ledgerPath(options, tools), (hour, done, of) => {
      if (done % PROGRESS_HOURS === 0) io.err(`${done} of ${of} hours, ${hour}\n`);
    });
    io.out(options.json === true ? toJson(result) : describe(result));
    return result.ok ? 0 : 1;
  });
}

/**
 * `waybill ledger backup FILE`: a copy as of one instant, safe while a daemon runs.
 * @returns the exit code: 0, or 2 when the copy cannot be made
 */
export async function ledgerBackupCommand(
  options: LedgerOptions & { target: string },
  io: CommandIo,
  tools: LedgerTools,
): Promise<number> {
  return orComplain('ledger backup', io, async () => {
    const path = ledgerPath(options, tools);
    const { target } = options;
    await tools.backUp(path, target);
    io.out(options.json === true ? `${JSON.stringify({ ledger: path, target })}\n` : `copied ${path} to ${target}\n`);
    return 0;
  });
}

/**
 * `waybill ledger prune [--days N] [--dry-run]`: deletes the rows of requests older than so many days; totals stay.
 * @returns the exit code: 0, or 2 when it cannot be done as asked
 */
export async function ledgerPruneCommand(
  options: LedgerOptions & { days?: string | undefined; dryRun?: boolean | undefined },
  io: CommandIo,
  tools: LedgerTools,
): Promise<number> {
  return orComplain('ledger prune', io, async () => {
    const path = ledgerPath(options, tools);
    const days = daysOf(options, tools);
    const now = tools.now();
    const before = now - days * DAY_MS;
    const dryRun = options.dryRun === true;
    let told = 0;
    const onStep = (deleted: number) => {
      if (deleted < told + PROGRESS_ROWS) return;
      told = deleted;
      io.err(`${deleted} requests deleted so far\n`);
    };
    const requests = dryRun ? tools.countPrunable(path, before) : tools.prune(path, { before, now, onStep });
    const done = dryRun ? 'would be deleted' : 'deleted; their hourly totals stay';
    io.out(
      options.json === true
        ? `${JSON.stringify({ requests, before: new Date(before).toISOString(), dry_run: dryRun })}\n`
        : `${requests} requests older than ${days} days ${done}\n`,
    );
    return 0;
  });
}

/**
 * `waybill ledger migrate`: brings an old file up to date, without a daemon.
 * @returns the exit code: 0, or 2 when it cannot be done
 */
export async function ledgerMigrateCommand(options: LedgerOptions, io: CommandIo, tools: LedgerTools): Promise<number> {
  return orComplain('ledger migrate', io, async () => {
    const path = ledgerPath(options, tools);
    const { from, to } = tools.migrate(path);
    const said = from === to ? `${path} is up to date (schema ${to})` : `${path} brought from schema ${from} to ${to}`;
    io.out(options.json === true ? `${JSON.stringify({ from, to })}\n` : `${said}\n`);
    return 0;
  });
}

/** @throws UserError when neither the command line nor the config says, or what is said is no number of days */
function daysOf(options: { days?: string | undefined; config?: string | undefined }, tools: LedgerTools): number {
  const { days } = options;
  if (days === undefined) {
    const configured = tools.retentionOfConfig(options.config);
    if (configured !== null) return configured;
    throw new UserError('say what is to be kept: --days N, or storage.ledger.retention_days in the config file');
  }
  if (/^[1-9]\d{0,4}$/.test(days)) return Number(days);
  throw new UserError(`--days ${days}: expected whole days from 1 to 99999`);
}

/** As `POST /ledger/verify` answers. */
function toJson({ ok, checked, differences }: LedgerVerification): string {
  const rows = differences.map(({ inferenceId, ...rest }) => ({ inference_id: inferenceId, ...rest }));
  return `${JSON.stringify({ ok, checked, differences: rows })}\n`;
}

function describe({ ok, checked, differences }: LedgerVerification): string {
  if (ok) return `ok: ${checked} rows are as they were written\n`;
  const lines = differences.map(({ inferenceId, attempt, hour, problem }) => {
    const row = inferenceId === null ? '' : `${inferenceId}${attempt === null ? '' : ` attempt ${attempt}`}: `;
    return `${hour}  ${row}${problem}\n`;
  });
  return `${lines.join('')}${differences.length} differences in ${checked} rows\n`;
}

/** Exit code 2 and one line for what a person can put right. */
export async function orComplain(command: string, io: CommandIo, run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    io.err(`waybill ${command}: ${error.message}\n`);
    return 2;
  }
}
