import type { LedgerReader } from '../domain/ledger.js';
import type { Decimal } from '../domain/money.js';
import type { ReconcileAsk, ReconciledLine, Reconciler, Reconciliation } from '../domain/reconciliation.js';
import { createZonedCalendar, type ZonedCalendar } from '../domain/time-zone.js';
import { formatReconciliation } from './format-reconciliation.js';
import { type InvoiceLine, PLACES, parseInvoice } from './invoice.js';

/** Nano-USD in 1e-18 USD. */
const PER_NANO = 10n ** BigInt(PLACES - 9);

interface Sums {
  ledger: bigint;
  invoice: bigint;
  unpriced: number;
}

/**
 * Compares a provider's bill with the ledger: each day and model, each day, each model, and the total. A line differs
 * where the ledger's sum is off by more than the tolerance's share of the bill's, exactly. Models are matched without
 * regard to case; what stands on one side alone is compared with nothing.
 */
export function reconcile(ask: ReconcileAsk): Reconciliation {
  const { reader, provider, timeZone, tolerance } = ask;
  const calendar = createZonedCalendar(timeZone);
  const { columns, lines: invoice } = parseInvoice(ask.invoice, ask.columns, calendar);
  const range = rangeOf(ask, invoice, calendar);
  const inRange = invoice.filter(({ day }) => range !== null && day >= range.firstDay && day <= range.lastDay);
  const table = new Table(columns.model !== null);
  for (const { day, model, amount } of inRange) table.at(day, model).invoice += amount;
  if (range !== null) addLedger(table, reader, { provider, timeZone, from: range.from, to: range.to });
  const lines = table.lines().map((line) => toLine(line, tolerance));
  return {
    provider,
    firstDay: range?.firstDay ?? null,
    lastDay: range?.lastDay ?? null,
    timeZone,
    columns,
    lines,
    differences: lines.filter(({ differs }) => differs),
  };
}

export const reconciler: Reconciler = { reconcile, format: formatReconciliation };

interface Range {
  from: number;
  to: number;
  firstDay: string;
  lastDay: string;
}

/** The days of the bill, or those that were asked for; null where there are none. */
function rangeOf({ from, to }: ReconcileAsk, invoice: readonly InvoiceLine[], calendar: ZonedCalendar): Range | null {
  const days = invoice.map(({ day }) => day).sort();
  const firstDay = from === null ? days[0] : calendar.label('day', from);
  const lastDay = to === null ? days.at(-1) : calendar.label('day', to - 1);
  if (firstDay === undefined || lastDay === undefined) return null;
  return { from: from ?? midnight(firstDay, 0, calendar), to: to ?? midnight(lastDay, 1, calendar), firstDay, lastDay };
}

function midnight(day: string, later: number, calendar: ZonedCalendar): number {
  const [year = 1970, month = 1, date = 1] = day.split('-').map(Number);
  return calendar.toInstant({ year, month, day: date + later });
}

function addLedger(
  table: Table,
  reader: LedgerReader,
  { provider, timeZone, from, to }: { provider: string; timeZone: string; from: number; to: number },
): void {
  const { rows } = reader.summarise({
    from,
    to,
    groupBy: ['day', 'provider_model'],
    filters: { provider: [provider] },
    timeZone,
  });
  for (const row of rows) {
    // What cost nothing and is not unknown needs no line in a bill.
    if (row.costNanoUsd === 0n && row.unpricedRequests === 0) continue;
    const sums = table.at(row.group['day'] ?? '', row.group['provider_model'] ?? '');
    sums.ledger += row.costNanoUsd * PER_NANO;
    sums.unpriced += row.unpricedRequests;
  }
}

interface TableLine extends Sums {
  kind: ReconciledLine['kind'];
  day: string | null;
  model: string | null;
}

/** Sums by day and model; without models, by day alone. */
class Table {
  readonly #byModel: boolean;
  readonly #cells = new Map<string, TableLine>();

  constructor(byModel: boolean) {
    this.#byModel = byModel;
  }

  at(day: string, model: string | null): Sums {
    const name = this.#byModel ? model : null;
    const key = `${day} ${name?.toLowerCase() ?? ''}`;
    let line = this.#cells.get(key);
    if (line === undefined) {
      line = { kind: this.#byModel ? 'day-and-model' : 'day', day, model: name, ledger: 0n, invoice: 0n, unpriced: 0 };
      this.#cells.set(key, line);
    }
    return line;
  }

  /** Cells in order, then each day's, each model's and everything's sums. */
  lines(): TableLine[] {
    const cells = [...this.#cells.values()].sort(
      (a, b) => compare(a.day ?? '', b.day ?? '') || compare(a.model ?? '', b.model ?? ''),
    );
    const total = this.#sums(cells, 'total', () => '');
    if (!this.#byModel) return [...cells, ...total];
    return [
      ...cells,
      ...this.#sums(cells, 'day', ({ day }) => day ?? ''),
      ...this.#sums(cells, 'model', ({ model }) => model?.toLowerCase() ?? ''),
      ...total,
    ];
  }

  #sums(cells: readonly TableLine[], kind: 'day' | 'model' | 'total', keyOf: (line: TableLine) => string): TableLine[] {
    const sums = new Map<string, TableLine>();
    for (const cell of cells) {
      const { day, model } = cell;
      const none = { day: kind === 'day' ? day : null, model: kind === 'model' ? model : null };
      const sum = sums.get(keyOf(cell)) ?? { kind, ...none, ledger: 0n, invoice: 0n, unpriced: 0 };
      sum.ledger += cell.ledger;
      sum.invoice += cell.invoice;
      sum.unpriced += cell.unpriced;
      sums.set(keyOf(cell), sum);
    }
    return [...sums.values()].sort((a, b) => compare(a.model ?? '', b.model ?? ''));
  }
}

function compare(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function toLine({ kind, day, model, ledger, invoice, unpriced }: TableLine, tolerance: Decimal): ReconciledLine {
  const difference = ledger - invoice;
  return {
    kind,
    day,
    model,
    ledgerUsd: usd(ledger),
    invoiceUsd: usd(invoice),
    differenceUsd: usd(difference),
    differencePercent: percentOf(difference, invoice),
    unpricedRequests: unpriced,
    differs: abs(difference) * 10n ** BigInt(tolerance.scale) > abs(invoice) * tolerance.digits,
  };
}

/** All digits there are, at least two places. */
function usd(amount: bigint): string {
  const digits = abs(amount)
    .toString()
    .padStart(PLACES + 1, '0');
  const fraction = digits.slice(-PLACES).replace(/0+$/, '').padEnd(2, '0');
  return `${amount < 0n ? '-' : ''}${digits.slice(0, -PLACES)}.${fraction}`;
}

function percentOf(difference: bigint, whole: bigint): string | null {
  if (whole === 0n) return null;
  const hundredths = (abs(difference) * 10_000n) / abs(whole);
  const sign = difference < 0n ? '-' : '+';
  if (hundredths === 0n) return difference === 0n ? '0.00' : `${sign}<0.01`;
  return `${sign}${hundredths / 100n}.${(hundredths % 100n).toString().padStart(2, '0')}`;
}

function abs(amount: bigint): bigint {
  return amount < 0n ? -amount : amount;
}
