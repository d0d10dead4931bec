import type { CostRow } from '../domain/ledger.js';
import { formatUsd } from '../domain/money.js';
import type { CostReport, ReportFormat } from '../domain/report.js';
import { formatCostTable } from './table.js';

/** A report as text, ending with a line end. JSON has `{rows, total}`; CSV and NDJSON have the rows alone. */
export function formatCostReport(report: CostReport, format: ReportFormat): string {
  switch (format) {
    case 'table':
      return formatCostTable(report);
    case 'json':
      return `${JSON.stringify({ rows: report.rows.map(toFields), total: toFields(report.total) })}\n`;
    case 'ndjson':
      return report.rows.map((row) => `${JSON.stringify(toFields(row))}\n`).join('');
    case 'csv':
      return formatCsv(report);
  }
}

/** A row's figures under the names the outside knows. Sums of money are text: they may pass what a JSON number holds. */
function toFigures(row: CostRow): Record<string, string | number> {
  return {
    requests: row.requests,
    attempts: row.attempts,
    errors: row.errors,
    input_tokens: row.inputTokens,
    cached_input_tokens: row.cachedInputTokens,
    cache_write_tokens: row.cacheWriteTokens,
    output_tokens: row.outputTokens,
    reasoning_tokens: row.reasoningTokens,
    audio_input_tokens: row.audioInputTokens,
    audio_output_tokens: row.audioOutputTokens,
    cost_nano_usd: row.costNanoUsd.toString(),
    cost_usd: formatUsd(row.costNanoUsd),
    estimated_cost_nano_usd: row.estimatedCostNanoUsd.toString(),
    unpriced_requests: row.unpricedRequests,
  };
}

function toFields(row: CostRow): Record<string, string | number | null> {
  return { ...row.group, ...toFigures(row) };
}

/** RFC 4180, with a header. */
function formatCsv(report: CostReport): string {
  const header = [...report.query.groupBy, ...Object.keys(toFigures(report.total))].map(csvText);
  const lines = report.rows.map((row) => [
    ...report.query.groupBy.map((name) => csvText(row.group[name] ?? '')),
    ...Object.values(toFigures(row)).map(String),
  ]);
  return [header, ...lines].map((cells) => `${cells.join(',')}\r\n`).join('');
}

/**
 * A cell of text. One that a spreadsheet would run as a formula gets an apostrophe first (OWASP, "CSV Injection"):
 * models, tags and clients are named by others.
 */
function csvText(text: string): string {
  const safe = /^\s*[=+\-@|%]|^[\t\r\n]/.test(text) ? `'${text}` : text;
  return /[",\r\n']/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
