import type { CostRow } from '../domain/ledger.js';
import { formatUsd, type NanoUsd } from '../domain/money.js';
import type { CostReport } from '../domain/report.js';
import { type Column, drawTable, percent, perMilleText, printable } from './text-table.js';

const FIGURE_COLUMNS: ReadonlyArray<Column<CostRow>> = [
  figure('requests', (row) => row.requests),
  figure('attempts', (row) => row.attempts),
  figure('errors', (row) => row.errors),
  figure('input', (row) => row.inputTokens),
  figure('cached', (row) => row.cachedInputTokens),
  figure('cache write', (row) => row.cacheWriteTokens),
  figure('output', (row) => row.outputTokens),
  figure('reasoning', (row) => row.reasoningTokens),
  figure('audio in', (row) => row.audioInputTokens),
  figure('audio out', (row) => row.audioOutputTokens),
  { title: 'cost USD', isText: false, cell: (row) => formatUsd(row.costNanoUsd) },
];

/** Figures most reports have none of: left out of the table where all are zero, never out of the other formats. */
const OPTIONAL = new Set(['cached', 'cache write', 'reasoning', 'audio in', 'audio out']);

/** A table for people, a line of totals, and below it what the total rests on. */
export function formatCostTable(report: CostReport): string {
  const groups = report.query.groupBy.map((name): Column<CostRow> => {
    return { title: name, isText: true, cell: (row) => printable(row.group[name] ?? '-') };
  });
  const figures = FIGURE_COLUMNS.filter((column) => !OPTIONAL.has(column.title) || column.cell(report.total) !== '0');
  const lines = drawTable([...groups, ...figures], report.rows, report.total);
  return `${[...lines, '', ...footer(report)].join('\n')}\n`;
}

function figure(title: string, count: (row: CostRow) => number): Column<CostRow> {
  return { title, isText: false, cell: (row) => String(count(row)) };
}

/** Always all four lines: a total is to be read with what it rests on. */
function footer({ total, shares, estimateError }: CostReport): string[] {
  const share = (part: NanoUsd) => `${formatUsd(part)} USD (${percent(part, total.costNanoUsd)} of the cost)`;
  const unpriced = `${total.unpricedRequests} of ${total.requests} requests (${percent(
    BigInt(total.unpricedRequests),
    BigInt(total.requests),
  )}), their unknown cost is not in the total`;
  return [
    `estimated:    ${share(shares.estimatedNanoUsd)}`,
    `lower bound:  ${share(shares.lowerBoundNanoUsd)}`,
    `unpriced:     ${unpriced}`,
    `estimates:    ${estimates(estimateError)}`,
  ];
}

function estimates(error: CostReport['estimateError']): string {
  if (error === null) return 'none to compare with what providers reported';
  const off = (perMille: number) => (perMille === 0 ? '0 %' : perMilleText(BigInt(perMille)));
  return `off by ${off(error.medianPerMille)} at the median, ${off(error.p95PerMille)} at p95, of ${error.calls} inputs reported too`;
}
