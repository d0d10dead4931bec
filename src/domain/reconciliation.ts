import type { LedgerReader } from './ledger.js';
import type { Decimal } from './money.js';

/** Which column of a bill holds what. `model` is null where the bill has none, and days alone are compared. */
export interface InvoiceColumns {
  date: string;
  model: string | null;
  cost: string;
}

/** A share, exactly: 0.5 % is `{ digits: 5n, scale: 3 }`. */
export type Tolerance = Decimal;

export interface ReconcileAsk {
  reader: LedgerReader;
  /** Id of the provider entry. */
  provider: string;
  /** The bill's text, as CSV. */
  invoice: string;
  /** IANA name: whose days the bill counts. */
  timeZone: string;
  tolerance: Tolerance;
  /** Columns that are named, over those found by their headers. `model: null` compares days alone. */
  columns: Partial<InvoiceColumns>;
  /** Epoch milliseconds; null: the days of the bill. */
  from: number | null;
  to: number | null;
}

/** A day and model, a day, a model, or everything. */
export interface ReconciledLine {
  kind: 'day-and-model' | 'day' | 'model' | 'total';
  day: string | null;
  model: string | null;
  /** USD as decimals with all their digits. */
  ledgerUsd: string;
  invoiceUsd: string;
  /** The ledger's minus the bill's. */
  differenceUsd: string;
  /** Of the bill's, in per cent to two places; null where the bill has nothing. */
  differencePercent: string | null;
  /** Requests whose cost the ledger does not know: a reason for a difference. */
  unpricedRequests: number;
  differs: boolean;
}

export interface Reconciliation {
  provider: string;
  /** First and last day compared; null where the bill has no rows. */
  firstDay: string | null;
  lastDay: string | null;
  timeZone: string;
  columns: InvoiceColumns;
  lines: ReconciledLine[];
  /** Lines that differ by more than the tolerance. */
  differences: ReconciledLine[];
}

/** Compares the ledger with a provider's bill. */
export interface Reconciler {
  /** @throws QueryError naming what is wrong with the bill: its columns, a date, an amount */
  reconcile(ask: ReconcileAsk): Reconciliation;
  format(result: Reconciliation, format: 'table' | 'json'): string;
}
