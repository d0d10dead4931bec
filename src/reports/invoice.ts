import { type Decimal, parseDecimal } from '../domain/money.js';
import type { InvoiceColumns } from '../domain/reconciliation.js';
import { parseInstant, QueryError } from '../domain/report.js';
import type { ZonedCalendar } from '../domain/time-zone.js';
import { parseCsv } from './csv-parse.js';

/** Amounts are held in 1e-18 USD. */
export const PLACES = 18;
/** Nobody's bill has a line like this: a mistake in the column, or in the file. */
const ABSURD_USD = 10n ** 12n;

export interface InvoiceLine {
  day: string;
  /** Null where days alone are compared. */
  model: string | null;
  /** In 1e-18 USD; negative for a credit. */
  amount: bigint;
}

/** Headers that say what a column holds, best first; letters and digits alone, in lower case. */
const KNOWN_HEADERS: Readonly<Record<keyof InvoiceColumns, readonly string[]>> = {
  date: [
    ...['date', 'day', 'usagedate', 'chargeperiodstart', 'starttime', 'starttimeiso', 'periodstart', 'bucketstart'],
    ...['usagestartdate', 'timestamp', 'time', 'start', 'createdat'],
  ],
  model: [
    ...['model', 'modelname', 'modelid', 'providermodel', 'modelversion', 'sku', 'skuid', 'skuname', 'lineitem'],
    ...['snapshotid', 'endpoint', 'product', 'description', 'item'],
  ],
  cost: [
    ...['cost', 'amount', 'usd', 'costusd', 'amountusd', 'amountvalue', 'totalcost', 'totalusd', 'total', 'billedcost'],
    ...['costinusd', 'charge', 'price', 'spend', 'spendusd'],
  ],
};

const EXAMPLES: Readonly<Record<keyof InvoiceColumns, string>> = {
  date: 'date, day or start_time',
  model: 'model or sku',
  cost: 'cost, amount or usd',
};

/**
 * Reads a provider's bill. Amounts are exact decimals; `$`, `USD` and commas between thousands are taken off.
 * @throws QueryError for a column that is missing, a date that is none, an amount that is none
 */
export function parseInvoice(
  text: string,
  given: Partial<InvoiceColumns>,
  calendar: ZonedCalendar,
): { columns: InvoiceColumns; lines: InvoiceLine[] } {
  const [header, ...rows] = orQueryError(() => parseCsv(text));
  if (header === undefined) throw new QueryError('file', 'the bill is empty; a header and rows are needed');
  const names = header.cells.map((name) => name.trim());
  const find = (what: keyof InvoiceColumns) => findColumn(what, given[what], names);
  const at = { date: find('date'), model: given.model === null ? null : find('model'), cost: find('cost') };
  const columns: InvoiceColumns = {
    date: names[at.date] ?? '',
    model: at.model === null ? null : (names[at.model] ?? ''),
    cost: names[at.cost] ?? '',
  };
  const lines = rows.map(({ line, cells }) => {
    const dateText = cells[at.date]?.trim() ?? '';
    const costText = cells[at.cost]?.trim() ?? '';
    return {
      day: parseDay(dateText, line, columns.date, calendar),
      model: at.model === null ? null : parseModel(cells[at.model] ?? '', line, columns.model ?? ''),
      amount: parseAmount(costText, line, columns.cost),
    };
  });
  return { columns, lines };
}

/** The place of a column: as it was named, else by the headers that are known. */
function findColumn(what: keyof InvoiceColumns, wanted: string | null | undefined, names: readonly string[]): number {
  if (typeof wanted === 'string') {
    const exact = names.indexOf(wanted);
    const index = exact >= 0 ? exact : names.findIndex((name) => plain(name) === plain(wanted));
    if (index >= 0) return index;
    throw new QueryError('columns', `the bill has no column "${wanted}"; it has ${listed(names)}`);
  }
  for (const known of KNOWN_HEADERS[what]) {
    const index = names.findIndex((name) => plain(name) === known);
    if (index >= 0) return index;
  }
  const hint = what === 'model' ? ', or --columns model=- to compare days alone' : '';
  throw new QueryError(
    'columns',
    `the bill has no column for the ${what}: it has ${listed(names)}, and needs ${EXAMPLES[what]}; ` +
      `--columns ${what}=NAME names another${hint}`,
  );
}

function orQueryError<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new QueryError('file', `the bill is no CSV: ${error.message}`);
  }
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
}

function listed(names: readonly string[]): string {
  return names.map((name) => `"${name.replace(/\p{Cc}/gu, '?')}"`).join(', ');
}

/** The day in the bill's time zone; a date without a time is that day, wherever. */
function parseDay(text: string, line: number, column: string, calendar: ZonedCalendar): string {
  try {
    const instant = parseInstant(text, column, calendar);
    if (instant !== null) return calendar.label('day', instant);
  } catch (error) {
    if (!(error instanceof QueryError)) throw error;
  }
  throw new QueryError(
    'file',
    `line ${line}: "${text}" in "${column}" is no date; 2026-11-20, 2026-11-20T00:00:00Z and unix seconds are read`,
  );
}

function parseModel(text: string, line: number, column: string): string {
  const model = text.trim();
  if (model !== '') return model;
  throw new QueryError('file', `line ${line}: no model in "${column}"`);
}

function parseAmount(text: string, line: number, column: string): bigint {
  const bad = (why: string): QueryError =>
    new QueryError('file', `line ${line}: "${text}" in "${column}" is ${why}; decimals in USD are read, such as 12.34`);
  const isCredit = /^\(.*\)$/.test(text);
  const bare = (isCredit ? text.slice(1, -1) : text).replace(/^([+-]?)\s*(?:US)?\$\s*/i, '$1').replace(/\s*USD$/i, '');
  const digits = /^[+-]?\d{1,3}(,\d{3})+(\.\d*)?$/.test(bare) ? bare.replaceAll(',', '') : bare;
  const decimal = parseDecimal(digits);
  if (decimal === null) throw bad('no amount');
  const amount = toPlaces(decimal);
  if (amount === null) throw bad('finer than any bill (more than 18 places)');
  if (amount > ABSURD_USD * 10n ** 18n || amount < -ABSURD_USD * 10n ** 18n) throw bad('beyond a trillion USD');
  return isCredit ? -amount : amount;
}

function toPlaces({ digits, scale }: Decimal): bigint | null {
  if (scale <= PLACES) return digits * 10n ** BigInt(PLACES - scale);
  const divisor = 10n ** BigInt(scale - PLACES);
  return digits % divisor === 0n ? digits / divisor : null;
}
