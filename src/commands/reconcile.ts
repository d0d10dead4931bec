import { readFileSync } from 'node:fs';
import { UserError } from '../domain/errors.js';
import type { LedgerReader } from '../domain/ledger.js';
import { type Decimal, parseDecimal } from '../domain/money.js';
import type { InvoiceColumns, Reconciler } from '../domain/reconciliation.js';
import { checkRange, parseInstant, QueryError } from '../domain/report.js';
import { createZonedCalendar, isTimeZone } from '../domain/time-zone.js';
import { type CommandIo, type LedgerChoice, type LedgerPlace, ledgerPath } from './report.js';

export interface ReconcileOptions extends LedgerChoice {
  provider?: string | undefined;
  /** The bill, a CSV file. */
  file?: string | undefined;
  tz?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
  /** `0.5%` or `0.005`. */
  tolerance?: string | undefined;
  /** `date=…,model=…,cost=…`; each may hold several with commas. */
  columns?: readonly string[] | undefined;
  json?: boolean | undefined;
}

/** What a reconciliation is made with. */
export interface ReconcileTools extends LedgerPlace {
  reconciler: Reconciler;
  openReader(path: string): LedgerReader;
}

const DEFAULT_TOLERANCE = '0.5%';

/**
 * `waybill reconcile`: the ledger beside a provider's bill.
 * @returns the exit code: 0, 1 when anything differs by more than the tolerance, 2 for what cannot be done as asked
 */
export async function reconcileCommand(
  options: ReconcileOptions,
  io: CommandIo,
  tools: ReconcileTools,
): Promise<number> {
  try {
    const { provider, file, tz: timeZone = 'UTC' } = options;
    if (provider === undefined || provider === '') throw new QueryError('provider', '--provider ID is needed');
    if (file === undefined) throw new QueryError('file', '--file INVOICE.csv is needed');
    if (!isTimeZone(timeZone)) {
      throw new QueryError('tz', `unknown time zone "${timeZone}"; use an IANA name such as Europe/Berlin`);
    }
    const calendar = createZonedCalendar(timeZone);
    const from = parseInstant(options.from, 'from', calendar);
    const to = parseInstant(options.to, 'to', calendar);
    checkRange(from, to);
    const tolerance = parseTolerance(options.tolerance ?? DEFAULT_TOLERANCE);
    const columns = parseColumns(options.columns ?? []);
    const invoice = readInvoice(file);
    const reader = tools.openReader(ledgerPath(options, tools));
    try {
      const ask = { reader, provider, invoice, timeZone, tolerance, columns, from, to };
      const result = tools.reconciler.reconcile(ask);
      io.out(tools.reconciler.format(result, options.json === true ? 'json' : 'table'));
      return result.differences.length === 0 ? 0 : 1;
    } finally {
      reader.close();
    }
  } catch (error) {
    if (!(error instanceof UserError || error instanceof QueryError)) throw error;
    io.err(`waybill reconcile: ${error.message}\n`);
    return 2;
  }
}

function readInvoice(file: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new UserError(`cannot read ${file}: ${code === 'ENOENT' ? 'no such file' : code}`, { cause: error });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new UserError(`${file} is no text in UTF-8; export the bill as CSV`, { cause: error });
  }
}

/** `0.5%` and `0.005` alike, exactly. */
function parseTolerance(text: string): Decimal {
  const isPercent = text.trim().endsWith('%');
  const decimal = parseDecimal(text.trim().replace(/\s*%$/, ''));
  if (decimal === null || decimal.digits < 0n || decimal.scale > 30) {
    throw new QueryError('tolerance', `"${text}" is no tolerance; write 0.5% or 0.005`);
  }
  const tolerance = { digits: decimal.digits, scale: decimal.scale + (isPercent ? 2 : 0) };
  if (tolerance.digits > 10n ** BigInt(tolerance.scale)) {
    throw new QueryError('tolerance', `a tolerance of "${text}" is more than the whole bill; write 0.5% or 0.005`);
  }
  return tolerance;
}

function parseColumns(texts: readonly string[]): Partial<InvoiceColumns> {
  const columns: Partial<InvoiceColumns> = {};
  for (const text of texts.flatMap((each) => each.split(','))) {
    if (text.trim() === '') continue;
    const at = text.indexOf('=');
    const what = text.slice(0, Math.max(at, 0)).trim();
    const name = text.slice(at + 1).trim();
    if (at < 0 || name === '' || !(what === 'date' || what === 'model' || what === 'cost')) {
      throw new QueryError('columns', `"${text}" names no column; write date=…, model=… or cost=…`);
    }
    if (what === 'model') columns.model = name === '-' ? null : name;
    else columns[what] = name;
  }
  return columns;
}
