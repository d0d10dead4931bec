import { WaybillError } from '../../domain/errors.js';
import { type CostQuery, GROUP_NAMES, type LedgerReader } from '../../domain/ledger.js';
import { type CostReports, parseCostQuery, QueryError } from '../../domain/report.js';

/** An answer of the operators' interface, ready to be sent. */
export interface AdminAnswer {
  status: number;
  contentType: string;
  body: string;
}

const CONTENT_TYPES = {
  json: 'application/json; charset=utf-8',
  csv: 'text/csv; charset=utf-8',
  focus: 'text/csv; charset=utf-8',
  ndjson: 'application/x-ndjson; charset=utf-8',
} as const;

const OWN_PARAMETERS = new Set(['from', 'to', 'since', 'tz', 'group_by', 'format', 'filter']);

/** What a report is made with. */
export interface ReportAsk {
  reader: LedgerReader;
  reports: CostReports;
  query: URLSearchParams;
  /** Epoch milliseconds. */
  now: number;
}

/**
 * `GET /reports/costs?from&to&since&tz&group_by=&format=json|csv|ndjson|focus`, and filters: either `client=a` by the
 * group's own name, or `filter=client=a`; the same name again accepts both values.
 * @throws WaybillError invalid_request with the parameter's name
 */
export function costReportAnswer({ reader, reports, query, now }: ReportAsk): AdminAnswer {
  return orInvalidRequest(() => {
    const format = parseFormat(query.get('format'));
    const costQuery = parseQuery(query, now);
    const body =
      format === 'focus' ? reports.focus(reader, costQuery) : reports.format(reports.build(reader, costQuery), format);
    return { status: 200, contentType: CONTENT_TYPES[format], body };
  });
}

/**
 * `GET /reports/waste`, with the parameters of `/reports/costs`: what calls without a whole answer cost.
 * @throws WaybillError invalid_request with the parameter's name
 */
export function wasteReportAnswer({ reader, reports, query, now }: ReportAsk): AdminAnswer {
  return orInvalidRequest(() => {
    const format = parseFormat(query.get('format'));
    if (format === 'focus') throw new QueryError('format', 'FOCUS has no columns for waste; known: json, csv, ndjson');
    const body = reports.formatWaste(reports.buildWaste(reader, parseQuery(query, now)), format);
    return { status: 200, contentType: CONTENT_TYPES[format], body };
  });
}

function parseQuery(query: URLSearchParams, now: number): CostQuery {
  return parseCostQuery(
    {
      from: query.get('from') ?? undefined,
      to: query.get('to') ?? undefined,
      since: query.get('since') ?? undefined,
      tz: query.get('tz') ?? undefined,
      groupBy: query.getAll('group_by'),
      filters: parseFilters(query),
    },
    now,
  );
}

/** Runs what may find a fault with the query, and turns that into the answer of the error table. */
export function orInvalidRequest<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof QueryError)) throw error;
    throw new WaybillError('invalid_request', { message: error.message, param: error.param, cause: error });
  }
}

function parseFormat(text: string | null): keyof typeof CONTENT_TYPES {
  const format = text ?? 'json';
  if (format === 'json' || format === 'csv' || format === 'ndjson' || format === 'focus') return format;
  throw new QueryError('format', `unknown format "${format}"; known: json, csv, ndjson, focus`);
}

function parseFilters(query: URLSearchParams): Record<string, string[]> {
  const filters: Record<string, string[]> = {};
  const add = (name: string, value: string) => {
    filters[name] = [...(filters[name] ?? []), value];
  };
  for (const [name, value] of query) {
    if (name === 'filter') {
      const at = value.indexOf('=');
      if (at <= 0) throw new QueryError('filter', `"${value}" is no filter; write filter=name=value`);
      add(value.slice(0, at), value.slice(at + 1));
    } else if (!OWN_PARAMETERS.has(name)) {
      const isGroup = GROUP_NAMES.some((known) => known === name) || name.startsWith('tag:');
      if (!isGroup) throw new QueryError(name, `unknown parameter "${name}"`);
      add(name, value);
    }
  }
  return filters;
}
