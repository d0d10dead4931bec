import { existsSync } from 'node:fs';
import { UserError } from '../domain/errors.js';
import type { CostQuery, LedgerReader } from '../domain/ledger.js';
import { type CostReports, parseCostQuery, QueryError, REPORT_FORMATS, type ReportFormat } from '../domain/report.js';

/** Which ledger a command is about. */
export interface LedgerChoice {
  ledger?: string | undefined;
  config?: string | undefined;
}

export interface ReportOptions extends LedgerChoice {
  since?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
  /** Each may hold several names with commas. */
  groupBy?: readonly string[] | undefined;
  tz?: string | undefined;
  /** `name=value`; the same name again accepts both values. */
  filter?: readonly string[] | undefined;
  client?: readonly string[] | undefined;
  provider?: readonly string[] | undefined;
  model?: readonly string[] | undefined;
  format?: string | undefined;
  json?: boolean | undefined;
  /** What calls without a whole answer cost, instead of everything. */
  waste?: boolean | undefined;
}

export interface LedgerPlace {
  /** The ledger that the config names; null where there is no config to be found. */
  ledgerOfConfig(configPath: string | undefined): string | null;
}

/** What the report is made with. */
export interface ReportTools extends LedgerPlace {
  reports: CostReports;
  openReader(path: string): LedgerReader;
  now(): number;
}

export interface CommandIo {
  out(text: string): void;
  err(text: string): void;
}

/** Where the ledger is when nothing says otherwise. */
export const DEFAULT_LEDGER = './data/waybill.db';

/**
 * `waybill report`: cost by any cut, from the ledger file, with or without a daemon running.
 * @returns the exit code: 0, or 2 with one line on `err` for what cannot be done as asked
 */
export async function reportCommand(options: ReportOptions, io: CommandIo, tools: ReportTools): Promise<number> {
  try {
    const format = parseFormat(options);
    const query = parseCostQuery(
      {
        since: options.since,
        from: options.from,
        to: options.to,
        tz: options.tz,
        groupBy: options.groupBy ?? [],
        filters: parseFilters(options),
      },
      tools.now(),
    );
    const reader = tools.openReader(ledgerPath(options, tools));
    try {
      io.out(print(tools.reports, reader, query, { format, waste: options.waste === true }));
    } finally {
      reader.close();
    }
    return 0;
  } catch (error) {
    if (!(error instanceof UserError || error instanceof QueryError)) throw error;
    io.err(`waybill report: ${error.message}\n`);
    return 2;
  }
}

function print(
  reports: CostReports,
  reader: LedgerReader,
  query: CostQuery,
  { format, waste }: { format: ReportFormat; waste: boolean },
): string {
  if (format === 'focus') {
    if (waste) throw new QueryError('format', 'FOCUS has no columns for waste; take --format csv');
    return reports.focus(reader, query);
  }
  if (waste) return reports.formatWaste(reports.buildWaste(reader, query), format);
  return reports.format(reports.build(reader, query), format);
}

/** @throws UserError when there is no such file */
export function ledgerPath(options: LedgerChoice, tools: LedgerPlace): string {
  const path = options.ledger ?? tools.ledgerOfConfig(options.config) ?? DEFAULT_LEDGER;
  if (existsSync(path)) return path;
  throw new UserError(`no ledger at ${path}: it is made when the daemon first starts; --ledger FILE names another`);
}

function parseFormat(options: ReportOptions): ReportFormat {
  const name = options.format ?? (options.json === true ? 'json' : 'table');
  const format = REPORT_FORMATS.find((known) => known === name);
  if (format === undefined) {
    throw new QueryError('format', `unknown format "${name}"; known: ${REPORT_FORMATS.join(', ')}`);
  }
  if (options.json === true && format !== 'json')
    throw new QueryError('format', `--json and --format ${name} disagree`);
  return format;
}

function parseFilters(options: ReportOptions): Record<string, string[]> {
  const filters: Record<string, string[]> = {};
  const add = (name: string, values: readonly string[]) => {
    if (values.length > 0) filters[name] = [...(filters[name] ?? []), ...values];
  };
  for (const text of options.filter ?? []) {
    const at = text.indexOf('=');
    if (at <= 0) throw new QueryError('filter', `"${text}" is no filter; write name=value, such as provider=openai`);
    add(text.slice(0, at), [text.slice(at + 1)]);
  }
  add('client', options.client ?? []);
  add('provider', options.provider ?? []);
  add('model', options.model ?? []);
  return filters;
}
