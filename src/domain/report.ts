import { type CostQuery, type CostRow, GROUP_NAMES, type GroupBy, type LedgerReader } from './ledger.js';
import type { EstimateError } from './metering.js';
import type { NanoUsd } from './money.js';
import { createZonedCalendar, isTimeZone, type ZonedCalendar } from './time-zone.js';

export const REPORT_FORMATS = ['table', 'json', 'csv', 'ndjson', 'focus'] as const;
export type ReportFormat = (typeof REPORT_FORMATS)[number];

/** A report as it was asked for and what came of it. */
export interface CostReport {
  query: CostQuery;
  rows: CostRow[];
  total: CostRow;
  /** Parts of the total's cost by how their usage is known. */
  shares: { estimatedNanoUsd: NanoUsd; lowerBoundNanoUsd: NanoUsd };
  /** Null where no input was both estimated and reported, or the report's filters are not kept with the estimates. */
  estimateError: EstimateError | null;
}

/** Money spent on calls without a whole answer. Wasted and useful are all of the total. */
export interface WasteReport {
  query: CostQuery;
  /** By the query's groups (provider and provider model where it has none) and the call's outcome. */
  rows: CostRow[];
  wasted: CostRow;
  usefulNanoUsd: NanoUsd;
  totalNanoUsd: NanoUsd;
}

/** Builds and prints cost reports. Texts end with a line end. */
export interface CostReports {
  build(reader: LedgerReader, query: CostQuery): CostReport;
  format(report: CostReport, format: Exclude<ReportFormat, 'focus'>): string;
  buildWaste(reader: LedgerReader, query: CostQuery): WasteReport;
  formatWaste(report: WasteReport, format: Exclude<ReportFormat, 'focus'>): string;
  /** Charges in the columns of FOCUS, as CSV: by day, or by hour where the query groups by hours. */
  focus(reader: LedgerReader, query: CostQuery): string;
}

/** A report that cannot be made as asked; `param` names what is wrong: `from`, `group_by`, `tz`, `filter`, … */
export class QueryError extends Error {
  readonly param: string;

  constructor(param: string, message: string) {
    super(message);
    this.name = 'QueryError';
    this.param = param;
  }
}

/** A report's parameters as text, from a command line or a query string. */
export interface CostQueryInput {
  from?: string | undefined;
  to?: string | undefined;
  /** `90m`, `36h`, `7d`, `2w`: back from now; not together with `from`. */
  since?: string | undefined;
  tz?: string | undefined;
  /** Each may hold several names with commas. */
  groupBy: readonly string[];
  filters: Readonly<Record<string, readonly string[]>>;
}

/**
 * Reads a report's parameters. Dates without a time are midnight in the time zone; `to` is not included.
 * @throws QueryError naming the parameter
 */
export function parseCostQuery(input: CostQueryInput, now: number): CostQuery {
  const timeZone = input.tz ?? 'UTC';
  if (!isTimeZone(timeZone)) {
    throw new QueryError('tz', `unknown time zone "${timeZone}"; use an IANA name such as Europe/Berlin`);
  }
  const calendar = createZonedCalendar(timeZone);
  if (input.since !== undefined && input.from !== undefined) {
    throw new QueryError('since', 'give either since or from, not both');
  }
  const from =
    input.since === undefined ? parseInstant(input.from, 'from', calendar) : now - parseSpan(input.since, 'since');
  const to = parseInstant(input.to, 'to', calendar);
  checkRange(from, to);
  const filters: Record<string, readonly string[]> = {};
  for (const [name, values] of Object.entries(input.filters)) filters[parseGroupName(name, 'filter')] = values;
  return { from, to, groupBy: parseGroupBy(input.groupBy), filters, timeZone };
}

/**
 * `names` are those of the two parameters.
 * @throws QueryError when `from` is not before `to`
 */
export function checkRange(from: number | null, to: number | null, names = { from: 'from', to: 'to' }): void {
  if (from === null || to === null || from < to) return;
  const hint = from === to ? `; "${names.to}" is not included` : '';
  throw new QueryError(names.from, `"${names.from}" (${iso(from)}) must be before "${names.to}" (${iso(to)})${hint}`);
}

/**
 * Group-by names, each once; each text may hold several with commas.
 * @throws QueryError
 */
export function parseGroupBy(texts: readonly string[]): GroupBy[] {
  const names = texts.flatMap((text) => text.split(',')).map((name) => name.trim());
  return [...new Set(names.filter((name) => name !== '').map((name) => parseGroupName(name, 'group_by')))];
}

function parseGroupName(name: string, param: string): GroupBy {
  const known = GROUP_NAMES.find((candidate) => candidate === name);
  if (known !== undefined) return known;
  if (name.startsWith('tag:') && name.length > 4) return name as `tag:${string}`;
  const what = param === 'filter' ? 'filter' : 'group-by';
  throw new QueryError(param, `unknown ${what} "${name}"; known: ${GROUP_NAMES.join(', ')}, tag:NAME`);
}

const SPAN = /^(\d{1,6})(m|h|d|w)$/;
const SPAN_MS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** `7d` → milliseconds. */
function parseSpan(text: string, param: string): number {
  const match = SPAN.exec(text.trim());
  const unit = SPAN_MS[match?.[2] ?? ''];
  if (match === null || unit === undefined || Number(match[1]) === 0) {
    throw new QueryError(param, `"${text}" is no span of time; write 90m, 36h, 7d or 2w`);
  }
  return Number(match[1]) * unit;
}

const DATE = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3})\d*)?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

/**
 * `2026-11-20`, `2026-11-20T18:00`, `2026-11-20T18:00:00Z`, unix seconds (12 digits and more: milliseconds); null when
 * absent. Without an offset it is local to the calendar's zone.
 * @throws QueryError
 */
export function parseInstant(text: string | undefined, param: string, calendar: ZonedCalendar): number | null {
  if (text === undefined || text.trim() === '') return null;
  const trimmed = text.trim();
  if (/^\d{1,11}(\.\d+)?$/.test(trimmed)) return Math.floor(Number(trimmed) * 1000);
  if (/^\d{12,14}$/.test(trimmed)) return Number(trimmed);
  const match = DATE.exec(trimmed);
  const bad = (): never => {
    throw new QueryError(param, `"${text}" is no date; write 2026-11-20, 2026-11-20T18:00:00Z or unix seconds`);
  };
  if (match === null) return bad();
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0));
  const ms = Number((match[7] ?? '').padEnd(3, '0'));
  const wall = new Date(Date.UTC(year as number, (month as number) - 1, day as number));
  // Date.UTC rolls 31 February over into March: such a date is a mistake, not March.
  const isReal = wall.getUTCMonth() === (month as number) - 1 && wall.getUTCDate() === day;
  if (!isReal || (hour as number) > 23 || (minute as number) > 59 || (second as number) > 59) return bad();
  const local = {
    year: year as number,
    month: month as number,
    day: day as number,
    hour: hour as number,
    minute: minute as number,
    ms: (second as number) * 1000 + ms,
  };
  if (match[8] === undefined) return calendar.toInstant(local);
  const offset = parseOffset(match[8]);
  return offset === null ? bad() : createZonedCalendar('UTC').toInstant(local) - offset;
}

function parseOffset(text: string): number | null {
  if (text === 'Z') return 0;
  const digits = text.replace(/\D/g, '');
  const hours = Number(digits.slice(0, 2));
  const minutes = Number(digits.slice(2));
  if (hours > 14 || minutes > 59) return null;
  return (text.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}

function iso(instant: number): string {
  return new Date(instant).toISOString();
}
