import { UserError } from '../domain/errors.js';
import type { LedgerVerification } from '../domain/ledger.js';
import { type CommandIo, type LedgerChoice, type LedgerPlace, ledgerPath } from './report.js';

/** What the ledger commands are made with. */
export interface LedgerTools extends LedgerPlace {
  verify(path: string, onHour: (hour: string, done: number, of: number) => void): LedgerVerification;
  backUp(path: string, target: string): Promise<void>;
}

/** Hours between two lines of progress. */
const PROGRESS_HOURS = 100;

/**
 * `waybill ledger verify`: every settled row against the chain, every cost against its components.
 * @returns the exit code: 0, 1 when anything differs, 2 when the ledger cannot be read
 */
export async function ledgerVerifyCommand(
  options: LedgerChoice & { json?: boolean | undefined },
  io: CommandIo,
  tools: LedgerTools,
): Promise<number> {
  return orComplain('verify', io, async () => {
    const result = tools.verify(ledgerPath(options, tools), (hour, done, of) => {
      if (done % PROGRESS_HOURS === 0) io.err(`${done} of ${of} hours, ${hour}\n`);
    });
    io.out(options.json === true ? `${JSON.stringify(result)}\n` : describe(result));
    return result.ok ? 0 : 1;
  });
}

/**
 * `waybill ledger backup FILE`: a copy as of one instant, safe while a daemon runs.
 * @returns the exit code: 0, or 2 when the copy cannot be made
 */
export async function ledgerBackupCommand(
  options: LedgerChoice & { target: string },
  io: CommandIo,
  tools: LedgerTools,
): Promise<number> {
  return orComplain('backup', io, async () => {
    const path = ledgerPath(options, tools);
    await tools.backUp(path, options.target);
    io.out(`copied ${path} to ${options.target}\n`);
    return 0;
  });
}

function describe({ ok, checked, differences }: LedgerVerification): string {
  if (ok) return `ok: ${checked} rows are as they were written\n`;
  const lines = differences.map(({ inferenceId, attempt, hour, problem }) => {
    const row = inferenceId === null ? 'unknown request' : inferenceId;
    return `${hour}  ${row}${attempt === null ? '' : ` attempt ${attempt}`}: ${problem}\n`;
  });
  return `${lines.join('')}${differences.length} differences in ${checked} rows\n`;
}

async function orComplain(command: string, io: CommandIo, run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    io.err(`waybill ledger ${command}: ${error.message}\n`);
    return 2;
  }
}
