import { toFigures } from '../domain/cost-row.js';
import type { CostRow } from '../domain/ledger.js';
import type { EstimateError } from '../domain/metering.js';
import type { CostReport, ReportFormat } from '../domain/report.js';
import { csvLines, csvText } from './csv.js';
import { formatCostTable } from './table.js';

/**
 * A report as text, ending with a line end. JSON has `{rows, total}`, and beside them what the total rests on; CSV and
 * NDJSON have the rows alone.
 */
export function formatCostReport(report: CostReport, format: Exclude<ReportFormat, 'focus'>): string {
  switch (format) {
    case 'table':
      return formatCostTable(report);
    case 'json':
      return `${JSON.stringify(toJson(report))}\n`;
    case 'ndjson':
      return report.rows.map((row) => `${JSON.stringify(toFields(row))}\n`).join('');
    case 'csv':
      return formatCsv(report);
  }
}

function toJson({ rows, total, shares, estimateError }: CostReport) {
  const { estimatedNanoUsd, lowerBoundNanoUsd } = shares;
  return {
    rows: rows.map(toFields),
    total: toFields(total),
    shares: {
      reported_nano_usd: (total.costNanoUsd - estimatedNanoUsd - lowerBoundNanoUsd).toString(),
      estimated_nano_usd: estimatedNanoUsd.toString(),
      lower_bound_nano_usd: lowerBoundNanoUsd.toString(),
    },
    estimate_error: estimateError === null ? null : toErrorFields(estimateError),
  };
}

/** As shares of what was reported: 0.012 is 1.2 %. */
function toErrorFields({ calls, medianPerMille, p95PerMille }: EstimateError) {
  return { calls, median: medianPerMille / 1_000, p95: p95PerMille / 1_000 };
}

/** A row as the outside knows it: its groups and its figures. */
export function toFields(row: CostRow): Record<string, string | number | null> {
  return { ...row.group, ...toFigures(row) };
}

function formatCsv(report: CostReport): string {
  const header = [...report.query.groupBy, ...Object.keys(toFigures(report.total))].map(csvText);
  const lines = report.rows.map((row) => [
    ...report.query.groupBy.map((name) => csvText(row.group[name] ?? '')),
    ...Object.values(toFigures(row)).map(String),
  ]);
  return csvLines([header, ...lines]);
}
