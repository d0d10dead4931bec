import type { CostQuery, LedgerReader } from '../domain/ledger.js';
import type { CostReport, CostReports } from '../domain/report.js';
import { formatFocus } from './focus.js';
import { formatCostReport } from './format.js';
import { buildWasteReport, formatWasteReport } from './waste.js';

/**
 * A cost report: the ledger's rows and total, and how much of the total rests on estimated or lower-bound usage. Both
 * come from the same facts, so that the shares are parts of that very total.
 */
export function buildCostReport(reader: LedgerReader, query: CostQuery): CostReport {
  const { rows, total } = reader.summarise(query);
  const bySource = reader.summarise({ ...query, groupBy: ['usage_source'] });
  const costOf = (source: string): bigint =>
    bySource.rows.find((row) => row.group['usage_source'] === source)?.costNanoUsd ?? 0n;
  return {
    query,
    rows,
    total,
    shares: { estimatedNanoUsd: costOf('estimated'), lowerBoundNanoUsd: costOf('lower-bound') },
    estimateError: reader.estimateError(query),
  };
}

export const costReports: CostReports = {
  build: buildCostReport,
  format: formatCostReport,
  buildWaste: buildWasteReport,
  formatWaste: formatWasteReport,
  focus: formatFocus,
};
