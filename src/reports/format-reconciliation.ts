import type { ReconciledLine, Reconciliation } from '../domain/reconciliation.js';
import { type Column, drawTable, printable } from './text-table.js';

/** As a table of what differs, or as JSON with every line; ends with a line end. */
export function formatReconciliation(result: Reconciliation, format: 'table' | 'json'): string {
  return format === 'json' ? `${JSON.stringify(toJson(result))}\n` : formatTable(result);
}

function toJson(result: Reconciliation) {
  return {
    ok: result.differences.length === 0,
    provider: result.provider,
    first_day: result.firstDay,
    last_day: result.lastDay,
    tz: result.timeZone,
    columns: result.columns,
    differences: result.differences.map(toFields),
    lines: result.lines.map(toFields),
  };
}

function toFields(line: ReconciledLine) {
  return {
    kind: line.kind,
    day: line.day,
    model: line.model,
    ledger_usd: line.ledgerUsd,
    invoice_usd: line.invoiceUsd,
    difference_usd: line.differenceUsd,
    difference_percent: line.differencePercent,
    unpriced_requests: line.unpricedRequests,
  };
}

const COLUMNS: ReadonlyArray<Column<ReconciledLine>> = [
  { title: 'day', isText: true, cell: ({ day }) => day ?? 'all days' },
  { title: 'model', isText: true, cell: ({ model }) => (model === null ? 'all models' : printable(model)) },
  { title: 'ledger USD', isText: false, cell: ({ ledgerUsd }) => ledgerUsd },
  { title: 'bill USD', isText: false, cell: ({ invoiceUsd }) => invoiceUsd },
  { title: 'difference', isText: false, cell: ({ differenceUsd }) => differenceUsd },
  { title: '%', isText: false, cell: ({ differencePercent }) => differencePercent ?? 'not billed' },
  { title: 'unpriced', isText: false, cell: ({ unpricedRequests }) => String(unpricedRequests) },
];

function formatTable({ provider, firstDay, lastDay, timeZone, lines, differences }: Reconciliation): string {
  const total = lines.find(({ kind }) => kind === 'total');
  if (firstDay === null || total === undefined) return `the bill has no rows, and there is nothing to compare\n`;
  const about = `${provider}, ${firstDay} to ${lastDay} (${timeZone})`;
  const parts = differences.filter(({ kind }) => kind !== 'total');
  if (differences.length === 0) {
    const sums = `ledger ${total.ledgerUsd} USD, bill ${total.invoiceUsd} USD`;
    return `ok: ${about}: ${lines.length} lines agree; ${sums}\n`;
  }
  const head = `${differences.length} of ${lines.length} lines differ: ${about}`;
  return `${[head, '', ...drawTable(COLUMNS, parts, total)].join('\n')}\n`;
}
