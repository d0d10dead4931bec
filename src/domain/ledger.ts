import type { EstimateError } from './metering.js';
import type { NanoUsd } from './money.js';
import type { CostComponent, Price } from './pricing.js';
import type { LatencyFigures, LatencyPoint, SeriesQuery } from './series.js';
import type { Usage } from './usage.js';

export type Outcome = 'in_flight' | 'ok' | 'failed' | 'cancelled' | 'interrupted' | 'refused';

/** What is known of a request when it arrives. Times are epoch milliseconds. */
export interface RequestIntent {
  inferenceId: string;
  receivedAt: number;
  client: string;
  tags: Readonly<Record<string, string>>;
  endpoint: string;
  task: string;
  /** The name the client sent. */
  model: string;
  region: string | null;
  stream: boolean;
  configGeneration: number;
}

/** One upstream call about to be made. */
export interface AttemptIntent {
  inferenceId: string;
  /** From 1. */
  attempt: number;
  sentAt: number;
  provider: string;
  providerModel: string;
  /** Fingerprint, never the key. */
  key: string | null;
  region: string | null;
  /** The worst case in nano-USD; null when the price is unknown. */
  heldNanoUsd: NanoUsd | null;
  priceId: string | null;
  /** What limits on tokens hold for the call; null when not known. */
  reservedTokens: number | null;
}

/** How one upstream call ended. */
export interface AttemptSettlement {
  inferenceId: string;
  attempt: number;
  endedAt: number;
  firstByteAt: number | null;
  outcome: Exclude<Outcome, 'in_flight' | 'refused'>;
  status: number | null;
  errorCode: string | null;
  usage: Usage | null;
  /** Null when unknown. */
  costNanoUsd: NanoUsd | null;
  /** Why the cost is unknown: `no-price` or `no-usage`. */
  unpricedReason: string | null;
  priceId: string | null;
  components: readonly CostComponent[];
  /** The provider's own statement, USD as written. */
  providerCostUsd: string | null;
}

/** How a request ended: what its last attempt said, or why nothing was sent. */
export interface RequestSettlement {
  inferenceId: string;
  endedAt: number;
  outcome: Exclude<Outcome, 'in_flight'>;
  status: number;
  errorCode: string | null;
  /** Why each target was picked or passed over, for the record. Nobody changes it any more: requests may share one. */
  decision: unknown;
}

/** A price as the ledger keeps it: every version ever used, by id. */
export interface PriceRecord {
  id: string;
  origin: string;
  effectiveFrom: number;
  configGeneration: number;
  /** JSON: rates and tiers, figures as strings. */
  content: string;
}

/** One write unit: what happened together is committed together. */
export interface LedgerEntry {
  request?: RequestIntent;
  attemptIntent?: AttemptIntent;
  attemptSettlement?: AttemptSettlement;
  requestSettlement?: RequestSettlement;
}

/** Where requests are recorded. One write of everything since the last commit; a promise resolves when it is durable. */
export interface Ledger {
  /**
   * Resolves once the entry is durable.
   * @throws WaybillError ledger_unavailable when it cannot be written; nothing may then go upstream
   */
  write(entry: LedgerEntry): Promise<void>;
  /** Records price versions; known ids are left as they are. */
  recordPrices(prices: readonly PriceRecord[]): Promise<void>;
  /** False after a write failed, until one works again. */
  isWritable(): boolean;
  reader(): LedgerReader;
  /** Rows of dead processes that were in flight and are now `interrupted`. */
  recovered(): readonly RecoveredRow[];
  /** Checks everything written so far, others' turns between; one check at a time, which all who ask share. */
  verify(): Promise<LedgerVerification>;
  close(): Promise<void>;
}

export interface RecoveredRow {
  inferenceId: string;
  provider: string | null;
  costNanoUsd: NanoUsd | null;
}

/** Reads of the ledger, with or without a daemon running. */
export interface LedgerReader {
  summarise(query: CostQuery): CostSummary;
  /** Figures by steps of time; steps in which nothing was received are left out. */
  series(query: SeriesQuery): SeriesPoint[];
  /** Times of requests by steps of time, and over all of them; from the rows, where they are still kept. */
  latencies(query: SeriesQuery): { points: LatencyPoint[]; total: LatencyFigures };
  /** How far input estimates were off; null where none is known, or the query filters by more than provider and model. */
  estimateError(query: CostQuery): EstimateError | null;
  listRequests(query: RequestQuery): { requests: RequestRow[]; nextCursor: string | null };
  getRequest(inferenceId: string): RequestDetail | null;
  /** What settled requests cost, by id; those that are unknown, under way, unpriced or filtered out are left out. */
  costsOf(ids: readonly string[], filter: CostsFilter): Map<string, NanoUsd>;
  /**
   * What was held for a client's calls whose cost is unknown, since an instant (epoch milliseconds; null: ever). No
   * report counts it as cost; a budget has to.
   */
  heldOfUnpriced(client: string, from: number | null): NanoUsd;
  close(): void;
}

/** Whose costs are asked for; null filters nothing. */
export interface CostsFilter {
  client: string | null;
  /** Of the attempts at this provider alone; a request without one is left out. */
  provider: string | null;
}

/** `tag:NAME` groups by a tag's value. */
export type GroupBy =
  | 'client'
  | `tag:${string}`
  | 'model'
  | 'provider_model'
  | 'provider'
  | 'key'
  | 'endpoint'
  | 'task'
  | 'region'
  | 'outcome'
  | 'usage_source'
  | 'attempt_outcome'
  | 'error_code'
  | 'price'
  | 'tags'
  | 'hour'
  | 'day'
  | 'week'
  | 'month';

export const GROUP_NAMES = [
  'client',
  'model',
  'provider_model',
  'provider',
  'key',
  'endpoint',
  'task',
  'region',
  'outcome',
  'usage_source',
  'attempt_outcome',
  'error_code',
  'price',
  'tags',
  'hour',
  'day',
  'week',
  'month',
] as const;

/** Instants are epoch milliseconds; `from` is included, `to` is not; null is open. */
export interface CostQuery {
  from: number | null;
  to: number | null;
  groupBy: readonly GroupBy[];
  /** Column → accepted values. */
  filters: Readonly<Record<string, readonly string[]>>;
  /** IANA name, for hour, day, week and month. */
  timeZone: string;
}

/** One line of a report. Sums of money are bigint; counts are whole numbers. */
export interface CostRow {
  group: Record<string, string | null>;
  requests: number;
  attempts: number;
  errors: number;
  inputTokens: number;
  cachedInputTokens: number;
  cacheWriteTokens: number;
  outputTokens: number;
  reasoningTokens: number;
  audioInputTokens: number;
  audioOutputTokens: number;
  costNanoUsd: NanoUsd;
  /** The part of the cost whose usage was estimated or a lower bound. */
  estimatedCostNanoUsd: NanoUsd;
  unpricedRequests: number;
}

/** What was received within the step that begins at `at`. Several points of one step add up. */
export interface SeriesPoint {
  at: number;
  row: CostRow;
}

export interface CostSummary {
  rows: CostRow[];
  total: CostRow;
}

export interface RequestQuery {
  from: number | null;
  to: number | null;
  client?: string;
  provider?: string;
  model?: string;
  outcome?: string;
  minCostNanoUsd?: NanoUsd;
  cursor?: string;
  limit: number;
}

export interface RequestRow {
  inferenceId: string;
  receivedAt: number;
  client: string;
  tags: Record<string, string>;
  endpoint: string;
  task: string;
  model: string;
  provider: string | null;
  providerModel: string | null;
  region: string | null;
  stream: boolean;
  outcome: Outcome;
  status: number | null;
  errorCode: string | null;
  /** Sums over attempts; null when none is known. */
  usage: Usage | null;
  costNanoUsd: NanoUsd | null;
  priceId: string | null;
  attempts: number;
  /** True when it was answered from the cache: no attempt, no cost. */
  cacheHit: boolean;
  latencyMs: number | null;
  firstByteMs: number | null;
  configGeneration: number;
}

export interface AttemptRow {
  attempt: number;
  provider: string;
  providerModel: string;
  key: string | null;
  region: string | null;
  outcome: Outcome;
  status: number | null;
  errorCode: string | null;
  sentAt: number;
  firstByteAt: number | null;
  endedAt: number | null;
  usage: Usage | null;
  heldNanoUsd: NanoUsd | null;
  costNanoUsd: NanoUsd | null;
  unpricedReason: string | null;
  priceId: string | null;
  providerCostUsd: string | null;
  components: CostComponent[];
}

export interface RequestDetail extends RequestRow {
  attemptRows: AttemptRow[];
  /** In the order they were made. Reports count the last one of an attempt instead of its own cost. */
  adjustments: AdjustmentRow[];
  decision: unknown;
  prices: PriceRecord[];
}

/** The cost of a settled attempt at a price that was set later. */
export interface AdjustmentRow {
  attempt: number;
  /** From 1 for each attempt. */
  number: number;
  madeAt: number;
  priceId: string;
  /** What held before; null when that was unknown. */
  beforeNanoUsd: NanoUsd | null;
  costNanoUsd: NanoUsd;
  components: CostComponent[];
}

/** Asks for the cost of settled attempts at another price. */
export interface RepriceOrder {
  /** Of requests received from this instant on, in epoch milliseconds, … */
  from: number;
  /** … and before this one. */
  to: number;
  price: Price;
  /** The same price as the price book keeps it. */
  record: PriceRecord;
  /** Null: of any provider. */
  provider: string | null;
  /** The model that was asked for, or the provider's; null: of any. */
  model: string | null;
  /** Works everything out and writes nothing. */
  dryRun: boolean;
}

export interface RepriceResult {
  /** Attempts in question whose use is known. */
  looked: number;
  /** Attempts whose cost differs. */
  adjusted: number;
  /** Attempts that used something the price has no rate for; they keep their cost. */
  uncovered: number;
  /** Of the adjusted attempts, what was known. */
  beforeNanoUsd: NanoUsd;
  afterNanoUsd: NanoUsd;
  /** Hours of the range whose rows retention has deleted; they keep their cost. */
  prunedHours: number;
}

/** One thing in a ledger that is not as it was written. */
export interface LedgerDifference {
  /** Null where the row itself is gone. */
  inferenceId: string | null;
  /** Null for the request's own row. */
  attempt: number | null;
  /** The hour in which the request was received, ISO. */
  hour: string;
  problem: string;
}

export interface LedgerVerification {
  ok: boolean;
  /** Settled rows that were looked at. */
  checked: number;
  differences: LedgerDifference[];
}
