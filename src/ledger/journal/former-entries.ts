import type {
  AttemptIntent,
  AttemptSettlement,
  LedgerEntry,
  RequestIntent,
  RequestSettlement,
} from '../../domain/ledger.js';
import type { CostComponent } from '../../domain/pricing.js';
import { USAGE_CLASSES, type Usage, type UsageCounts } from '../../domain/usage.js';
import { type RowEntry, toRowEntry } from './row-entry.js';

/**
 * Entries as a journal of version 1 has them, from before they were made into the cells of rows: their parts by place,
 * null for one there is not. Amounts of money are text.
 */
type FormerEntry = [FormerRequest | null, FormerAttempt | null, FormerAttemptEnd | null, FormerRequestEnd | null];

type FormerRequest = [
  inferenceId: string,
  receivedAt: number,
  client: string,
  tags: RequestIntent['tags'],
  endpoint: string,
  task: string,
  model: string,
  region: string | null,
  stream: boolean,
  configGeneration: number,
];

type FormerAttempt = [
  inferenceId: string,
  attempt: number,
  sentAt: number,
  provider: string,
  providerModel: string,
  key: string | null,
  region: string | null,
  held: string | null,
  priceId: string | null,
  reservedTokens: number | null,
];

type FormerAttemptEnd = [
  inferenceId: string,
  attempt: number,
  endedAt: number,
  firstByteAt: number | null,
  outcome: AttemptSettlement['outcome'],
  status: number | null,
  errorCode: string | null,
  /** Counts in the order of `USAGE_CLASSES`. */
  usage: [source: Usage['source'], ...counts: Array<number | null>] | null,
  cost: string | null,
  unpricedReason: string | null,
  priceId: string | null,
  components: Array<[rateClass: CostComponent['class'], units: number, ratePerMillion: string]>,
  providerCostUsd: string | null,
];

type FormerRequestEnd = [
  inferenceId: string,
  endedAt: number,
  outcome: RequestSettlement['outcome'],
  status: number,
  errorCode: string | null,
  decision: unknown,
];

/** @throws SyntaxError or TypeError for a text that no former version made */
export function splitFormerEntries(text: string): RowEntry[] {
  return (JSON.parse(text) as FormerEntry[]).map((entry) => toRowEntry(toEntry(entry)));
}

function toEntry([request, attempt, attemptEnd, requestEnd]: FormerEntry): LedgerEntry {
  return {
    ...(request === null ? {} : { request: toRequest(request) }),
    ...(attempt === null ? {} : { attemptIntent: toAttempt(attempt) }),
    ...(attemptEnd === null ? {} : { attemptSettlement: toAttemptEnd(attemptEnd) }),
    ...(requestEnd === null ? {} : { requestSettlement: toRequestEnd(requestEnd) }),
  };
}

function toRequest(cells: FormerRequest): RequestIntent {
  const [inferenceId, receivedAt, client, tags, endpoint, task, model, region, stream, configGeneration] = cells;
  return { inferenceId, receivedAt, client, tags, endpoint, task, model, region, stream, configGeneration };
}

function toAttempt(cells: FormerAttempt): AttemptIntent {
  const [inferenceId, attempt, sentAt, provider, providerModel, key, region, held, priceId, reservedTokens] = cells;
  const intent = { inferenceId, attempt, sentAt, provider, providerModel, key, region, priceId, reservedTokens };
  return { ...intent, heldNanoUsd: toAmount(held) };
}

function toAttemptEnd(cells: FormerAttemptEnd): AttemptSettlement {
  const [inferenceId, attempt, endedAt, firstByteAt, outcome, status, errorCode, usage, cost, ...rest] = cells;
  const [unpricedReason, priceId, components, providerCostUsd] = rest;
  const end = { inferenceId, attempt, endedAt, firstByteAt, outcome, status, errorCode, unpricedReason, priceId };
  return {
    ...end,
    usage: usage === null ? null : toUsage(usage),
    costNanoUsd: toAmount(cost),
    components: components.map(([name, units, rate]) => ({ class: name, units, ratePerMillion: BigInt(rate) })),
    providerCostUsd,
  };
}

function toRequestEnd(cells: FormerRequestEnd): RequestSettlement {
  const [inferenceId, endedAt, outcome, status, errorCode, decision] = cells;
  return { inferenceId, endedAt, outcome, status, errorCode, decision };
}

function toUsage([source, ...counts]: NonNullable<FormerAttemptEnd[7]>): Usage {
  const named = USAGE_CLASSES.map((name, at) => [name, counts[at] ?? null]);
  return { source, counts: Object.fromEntries(named) as UsageCounts };
}

function toAmount(text: string | null): bigint | null {
  return text === null ? null : BigInt(text);
}
