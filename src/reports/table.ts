import type { CostRow } from '../domain/ledger.js';
import { formatUsd, type NanoUsd } from '../domain/money.js';
import type { CostReport } from '../domain/report.js';

interface Column {
  title: string;
  isText: boolean;
  cell(row: CostRow): string;
}

const FIGURE_COLUMNS: readonly Column[] = [
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
  const groups = report.query.groupBy.map((name): Column => {
    return { title: name, isText: true, cell: (row) => printable(row.group[name] ?? '-') };
  });
  const figures = FIGURE_COLUMNS.filter((column) => !OPTIONAL.has(column.title) || column.cell(report.total) !== '0');
  const columns = [...groups, ...figures];
  const lines = report.rows.map((row) => columns.map((column) => column.cell(row)));
  const totals = columns.map((column, index) => {
    if (!column.isText) return column.cell(report.total);
    return index === 0 ? 'total' : '';
  });
  const all = [columns.map((column) => column.title), ...lines, totals];
  const widths = columns.map((_, index) => Math.max(...all.map((cells) => width(cells[index] ?? ''))));
  const draw = (cells: readonly string[]) =>
    cells
      .map((cell, index) => pad(cell, widths[index] ?? 0, columns[index]?.isText ?? true))
      .join('  ')
      .trimEnd();
  const rule = widths.map((count) => '-'.repeat(count)).join('  ');
  // Without groups the only row is the total.
  const body = groups.length === 0 ? [draw(totals)] : [...lines.map(draw), rule, draw(totals)];
  return `${[draw(all[0] ?? []), rule, ...body, '', ...footer(report)].join('\n')}\n`;
}

function figure(title: string, count: (row: CostRow) => number): Column {
  return { title, isText: false, cell: (row) => String(count(row)) };
}

/** Always all three lines: a total is to be read with what it rests on. */
function footer({ total, shares }: CostReport): string[] {
  const share = (part: NanoUsd) => `${formatUsd(part)} USD (${percent(part, total.costNanoUsd)} of the cost)`;
  const unpriced = `${total.unpricedRequests} of ${total.requests} requests (${percent(
    BigInt(total.unpricedRequests),
    BigInt(total.requests),
  )}), their unknown cost is not in the total`;
  return [
    `estimated:    ${share(shares.estimatedNanoUsd)}`,
    `lower bound:  ${share(shares.lowerBoundNanoUsd)}`,
    `unpriced:     ${unpriced}`,
  ];
}

/** With one decimal; what is more than nothing is never shown as 0.0. */
function percent(part: bigint, whole: bigint): string {
  if (part === 0n || whole === 0n) return '0 %';
  const perMille = (part * 1000n) / whole;
  return perMille === 0n ? '<0.1 %' : `${perMille / 10n}.${perMille % 10n} %`;
}

/** Names come from outside: control characters would drive the terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}

function pad(cell: string, count: number, isText: boolean): string {
  const blank = ' '.repeat(Math.max(0, count - width(cell)));
  return isText ? cell + blank : blank + cell;
}

/** Characters, not UTF-16 units. */
function width(text: string): number {
  return [...text].length;
}
