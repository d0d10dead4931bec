import { addRows, emptyRow, toFigures } from '../domain/cost-row.js';
import type { CostQuery, CostRow, GroupBy, LedgerReader } from '../domain/ledger.js';
import { formatUsd } from '../domain/money.js';
import type { ReportFormat, WasteReport } from '../domain/report.js';
import { csvLines, csvText } from './csv.js';
import { toFields } from './format.js';
import { type Column, drawTable, percent, printable } from './text-table.js';

/** The reason as the hourly totals have it; the error code stands in the rows alone, and is there when asked for. */
const REASON: GroupBy = 'attempt_outcome';
/** Calls that brought no whole answer. */
const WASTED = new Set(['failed', 'cancelled', 'interrupted']);

/**
 * What calls without a whole answer cost, by the query's groups (provider and provider model where it names none) and
 * the reason. Useful is all the rest, from the same facts: both together are the total of every other report.
 */
export function buildWasteReport(reader: LedgerReader, query: CostQuery): WasteReport {
  const asked: readonly GroupBy[] = query.groupBy.length === 0 ? ['provider', 'provider_model'] : query.groupBy;
  const groupBy = [...new Set([...asked, REASON])];
  const { rows, total } = reader.summarise({ ...query, groupBy });
  const wastedRows = rows.filter((row) => WASTED.has(row.group['attempt_outcome'] ?? ''));
  const wasted = wastedRows.reduce(addRows, emptyRow({}));
  return {
    query: { ...query, groupBy },
    rows: wastedRows,
    wasted,
    usefulNanoUsd: total.costNanoUsd - wasted.costNanoUsd,
    totalNanoUsd: total.costNanoUsd,
  };
}

/** A waste report as text, ending with a line end; CSV and NDJSON have the rows alone. */
export function formatWasteReport(report: WasteReport, format: Exclude<ReportFormat, 'focus'>): string {
  switch (format) {
    case 'table':
      return formatTable(report);
    case 'json':
      return `${JSON.stringify({
        rows: report.rows.map(toFields),
        total: toFields(report.wasted),
        wasted_nano_usd: report.wasted.costNanoUsd.toString(),
        useful_nano_usd: report.usefulNanoUsd.toString(),
        total_nano_usd: report.totalNanoUsd.toString(),
      })}\n`;
    case 'ndjson':
      return report.rows.map((row) => `${JSON.stringify(toFields(row))}\n`).join('');
    case 'csv':
      return csvLines([
        [...report.query.groupBy, ...Object.keys(toFigures(report.wasted))].map(csvText),
        ...report.rows.map((row) => [
          ...report.query.groupBy.map((name) => csvText(row.group[name] ?? '')),
          ...Object.values(toFigures(row)).map(String),
        ]),
      ]);
  }
}

function formatTable(report: WasteReport): string {
  const columns: Array<Column<CostRow>> = [
    ...report.query.groupBy.map((name): Column<CostRow> => {
      return { title: name, isText: true, cell: (row) => printable(row.group[name] ?? '-') };
    }),
    { title: 'attempts', isText: false, cell: (row) => String(row.attempts) },
    { title: 'estimated USD', isText: false, cell: (row) => formatUsd(row.estimatedCostNanoUsd) },
    { title: 'cost USD', isText: false, cell: (row) => formatUsd(row.costNanoUsd) },
  ];
  const { wasted, usefulNanoUsd, totalNanoUsd } = report;
  const share = (part: bigint) => `${formatUsd(part)} USD (${percent(part, totalNanoUsd)} of the cost)`;
  const footer = [
    `wasted:       ${share(wasted.costNanoUsd)}`,
    `useful:       ${share(usefulNanoUsd)}`,
    `total:        ${formatUsd(totalNanoUsd)} USD`,
    `unpriced:     ${wasted.unpricedRequests} requests, their unknown cost is not in the total`,
  ];
  return `${[...drawTable(columns, report.rows, wasted), '', ...footer].join('\n')}\n`;
}
