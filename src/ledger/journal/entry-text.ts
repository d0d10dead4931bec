import type {
  AttemptIntent,
  AttemptSettlement,
  LedgerEntry,
  RequestIntent,
  RequestSettlement,
} from '../../domain/ledger.js';
import type { CostComponent } from '../../domain/pricing.js';
import { USAGE_CLASSES, type Usage, type UsageCounts } from '../../domain/usage.js';

/** The parts of an entry by place, null for one it has not. Amounts of money are text. */
type EntryCells = [RequestCells | null, AttemptCells | null, AttemptEndCells | null, RequestEndCells | null];

type RequestCells = [
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

type AttemptCells = [
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

type AttemptEndCells = [
  inferenceId: string,
  attempt: number,
  endedAt: number,
  firstByteAt: number | null,
  outcome: AttemptSettlement['outcome'],
  status: number | null,
  errorCode: string | null,
  usage: [source: Usage['source'], ...counts: Array<number | null>] | null,
  cost: string | null,
  unpricedReason: string | null,
  priceId: string | null,
  components: Array<[rateClass: CostComponent['class'], units: number, ratePerMillion: string]>,
  providerCostUsd: string | null,
];

type RequestEndCells = [
  inferenceId: string,
  endedAt: number,
  outcome: RequestSettlement['outcome'],
  status: number,
  errorCode: string | null,
  decision: unknown,
];

/** An entry as JSON text. Null for one that has no such text: a decision with a cycle, an amount that is none. */
export function encodeEntry(entry: LedgerEntry): string | null {
  try {
    return JSON.stringify(toCells(entry));
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/** Entries that were encoded, as one text. */
export function joinEntries(texts: readonly string[]): string {
  return `[${texts.join(',')}]`;
}

/** @throws SyntaxError or TypeError for a text that `joinEntries` did not make */
export function decodeEntries(text: string): LedgerEntry[] {
  return (JSON.parse(text) as EntryCells[]).map(toEntry);
}

function toCells({ request, attemptIntent, attemptSettlement, requestSettlement }: LedgerEntry): EntryCells {
  return [
    request === undefined ? null : requestCells(request),
    attemptIntent === undefined ? null : attemptCells(attemptIntent),
    attemptSettlement === undefined ? null : attemptEndCells(attemptSettlement),
    requestSettlement === undefined ? null : requestEndCells(requestSettlement),
  ];
}

function toEntry([request, attempt, attemptEnd, requestEnd]: EntryCells): LedgerEntry {
  return {
    ...(request === null ? {} : { request: toRequest(request) }),
    ...(attempt === null ? {} : { attemptIntent: toAttempt(attempt) }),
    ...(attemptEnd === null ? {} : { attemptSettlement: toAttemptEnd(attemptEnd) }),
    ...(requestEnd === null ? {} : { requestSettlement: toRequestEnd(requestEnd) }),
  };
}

function requestCells(request: RequestIntent): RequestCells {
  const { inferenceId, receivedAt, client, tags, endpoint, task, model, region, stream, configGeneration } = request;
  return [inferenceId, receivedAt, client, tags, endpoint, task, model, region, stream, configGeneration];
}

function toRequest(cells: RequestCells): RequestIntent {
  const [inferenceId, receivedAt, client, tags, endpoint, task, model, region, stream, configGeneration] = cells;
  return { inferenceId, receivedAt, client, tags, endpoint, task, model, region, stream, configGeneration };
}

function attemptCells(intent: AttemptIntent): AttemptCells {
  const { inferenceId, attempt, sentAt, provider, providerModel, key, region, heldNanoUsd, priceId } = intent;
  const held = amountText(heldNanoUsd);
  return [inferenceId, attempt, sentAt, provider, providerModel, key, region, held, priceId, intent.reservedTokens];
}

function toAttempt(cells: AttemptCells): AttemptIntent {
  const [inferenceId, attempt, sentAt, provider, providerModel, key, region, held, priceId, reservedTokens] = cells;
  const intent = { inferenceId, attempt, sentAt, provider, providerModel, key, region, priceId, reservedTokens };
  return { ...intent, heldNanoUsd: toAmount(held) };
}

function attemptEndCells(end: AttemptSettlement): AttemptEndCells {
  return [
    end.inferenceId,
    end.attempt,
    end.endedAt,
    end.firstByteAt,
    end.outcome,
    end.status,
    end.errorCode,
    end.usage === null ? null : [end.usage.source, ...countsOf(end.usage.counts)],
    amountText(end.costNanoUsd),
    end.unpricedReason,
    end.priceId,
    end.components.map((line) => [line.class, line.units, line.ratePerMillion.toString()]),
    end.providerCostUsd,
  ];
}

function toAttemptEnd(cells: AttemptEndCells): AttemptSettlement {
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

function requestEndCells(end: RequestSettlement): RequestEndCells {
  return [end.inferenceId, end.endedAt, end.outcome, end.status, end.errorCode, end.decision ?? null];
}

function toRequestEnd([
  inferenceId,
  endedAt,
  outcome,
  status,
  errorCode,
  decision,
]: RequestEndCells): RequestSettlement {
  return { inferenceId, endedAt, outcome, status, errorCode, decision };
}

function countsOf(counts: UsageCounts): Array<number | null> {
  return USAGE_CLASSES.map((name) => counts[name]);
}

function toUsage([source, ...counts]: NonNullable<AttemptEndCells[7]>): Usage {
  const named = USAGE_CLASSES.map((name, at) => [name, counts[at] ?? null]);
  return { source, counts: Object.fromEntries(named) as UsageCounts };
}

function amountText(nanoUsd: bigint | null): string | null {
  return nanoUsd === null ? null : nanoUsd.toString();
}

function toAmount(text: string | null): bigint | null {
  return text === null ? null : BigInt(text);
}
