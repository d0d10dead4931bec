import type { CostQuery, CostRow, GroupBy, LedgerReader } from '../domain/ledger.js';
import { formatUsd } from '../domain/money.js';
import { createZonedCalendar, type ZonedCalendar } from '../domain/time-zone.js';
import { csvLines, csvText } from './csv.js';

const HOUR_MS = 3_600_000;

/** What tells one charge from another, beside its period. */
const CHARGE: readonly GroupBy[] = ['client', 'provider', 'provider_model', 'task', 'key', 'region', 'price', 'tags'];

interface Charge {
  row: CostRow;
  start: number;
  end: number;
  billingStart: number;
  billingEnd: number;
}

/**
 * Columns of FOCUS 1.2 in alphabetical order, those it does not know (`x_…`) last. What Waybill knows no answer to is
 * null, an empty cell. Source: https://focus.finops.org/focus-specification/v1-2/
 */
const COLUMNS: ReadonlyArray<readonly [name: string, value: (charge: Charge) => string | null]> = [
  ['BilledCost', cost],
  ['BillingAccountId', ({ row }) => row.group['key'] ?? row.group['provider'] ?? null],
  ['BillingAccountName', ({ row }) => row.group['provider'] ?? null],
  ['BillingCurrency', () => 'USD'],
  ['BillingPeriodEnd', ({ billingEnd }) => instant(billingEnd)],
  ['BillingPeriodStart', ({ billingStart }) => instant(billingStart)],
  ['ChargeCategory', () => 'Usage'],
  ['ChargeClass', () => null],
  ['ChargeDescription', ({ row }) => `${row.group['task']} by ${row.group['provider_model']}`],
  ['ChargeFrequency', () => 'Usage-Based'],
  ['ChargePeriodEnd', ({ end }) => instant(end)],
  ['ChargePeriodStart', ({ start }) => instant(start)],
  ['ConsumedQuantity', quantity],
  ['ConsumedUnit', unit],
  ['ContractedCost', cost],
  ['EffectiveCost', cost],
  ['InvoiceIssuerName', ({ row }) => row.group['provider'] ?? null],
  ['ListCost', cost],
  ['PricingCategory', () => 'Standard'],
  ['PricingQuantity', quantity],
  ['PricingUnit', unit],
  ['ProviderName', ({ row }) => row.group['provider'] ?? null],
  ['PublisherName', ({ row }) => row.group['provider'] ?? null],
  ['RegionId', ({ row }) => row.group['region'] ?? null],
  ['RegionName', ({ row }) => row.group['region'] ?? null],
  ['ResourceId', ({ row }) => row.group['provider_model'] ?? null],
  ['ServiceCategory', () => 'AI and Machine Learning'],
  ['ServiceName', ({ row }) => `${row.group['provider']} ${row.group['task']}`],
  ['SkuId', ({ row }) => row.group['provider_model'] ?? null],
  ['SkuPriceId', ({ row }) => row.group['price'] ?? null],
  ['SubAccountId', ({ row }) => row.group['client'] ?? null],
  ['SubAccountName', ({ row }) => row.group['client'] ?? null],
  ['Tags', ({ row }) => row.group['tags'] ?? '{}'],
  ['x_Attempts', ({ row }) => String(row.attempts)],
  ['x_AudioInputTokens', ({ row }) => String(row.audioInputTokens)],
  ['x_AudioOutputTokens', ({ row }) => String(row.audioOutputTokens)],
  ['x_CachedInputTokens', ({ row }) => String(row.cachedInputTokens)],
  ['x_CacheWriteTokens', ({ row }) => String(row.cacheWriteTokens)],
  ['x_EstimatedCost', ({ row }) => formatUsd(row.estimatedCostNanoUsd)],
  ['x_InputTokens', ({ row }) => String(row.inputTokens)],
  ['x_OutputTokens', ({ row }) => String(row.outputTokens)],
  ['x_ReasoningTokens', ({ row }) => String(row.reasoningTokens)],
  ['x_Requests', ({ row }) => String(row.requests)],
  ['x_UnpricedRequests', ({ row }) => String(row.unpricedRequests)],
];

/**
 * Charges as FOCUS has them, in CSV: one row for each day (hour, where the query groups by hours) of a client, provider,
 * model, task, key, region, price and set of tags. Requests of which nothing was sent are no charges. The sum of
 * `BilledCost` is the total of every other report.
 */
export function formatFocus(reader: LedgerReader, query: CostQuery): string {
  const bucket = query.groupBy.includes('hour') ? 'hour' : 'day';
  const calendar = createZonedCalendar(query.timeZone);
  const { rows } = reader.summarise({ ...query, groupBy: [bucket, ...CHARGE] });
  const lines = rows
    .filter((row) => row.attempts > 0 || row.costNanoUsd !== 0n)
    .map((row) => {
      const charge = toCharge(row, query, bucket, calendar);
      return COLUMNS.map(([, value]) => csvText(value(charge) ?? ''));
    });
  return csvLines([COLUMNS.map(([name]) => name), ...lines]);
}

function toCharge(row: CostRow, query: CostQuery, bucket: 'hour' | 'day', calendar: ZonedCalendar): Charge {
  const label = row.group[bucket] ?? '';
  const [year = 1970, month = 1, day = 1] = label.slice(0, 10).split('-').map(Number);
  const start = bucket === 'hour' ? Date.parse(label) : calendar.toInstant({ year, month, day });
  const end = bucket === 'hour' ? start + HOUR_MS : calendar.toInstant({ year, month, day: day + 1 });
  return {
    row,
    start: Math.max(start, query.from ?? start),
    end: Math.min(end, query.to ?? end),
    billingStart: calendar.toInstant({ year, month, day: 1 }),
    billingEnd: calendar.toInstant({ year, month: month + 1, day: 1 }),
  };
}

function cost({ row }: Charge): string {
  return formatUsd(row.costNanoUsd);
}

function tokens(row: CostRow): number {
  return (
    row.inputTokens +
    row.cachedInputTokens +
    row.cacheWriteTokens +
    row.outputTokens +
    row.reasoningTokens +
    row.audioInputTokens +
    row.audioOutputTokens
  );
}

/** What is not counted in tokens is counted in calls. */
function quantity({ row }: Charge): string {
  return String(tokens(row) > 0 ? tokens(row) : row.attempts);
}

function unit({ row }: Charge): string {
  return tokens(row) > 0 ? 'Tokens' : 'Requests';
}

/** FOCUS has its times in UTC, to the second. */
function instant(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');
}
