import type {
  AttemptIntent,
  AttemptSettlement,
  LedgerEntry,
  RequestIntent,
  RequestSettlement,
} from '../../domain/ledger.js';
import type { UsageCounts } from '../../domain/usage.js';

/**
 * Whether the tables would take the values of an entry for what they are. Before a writer is told that its entry is
 * durable somebody has to look; a table that looks later can tell nobody.
 */
export function isSound({ request, attemptIntent, attemptSettlement, requestSettlement }: LedgerEntry): boolean {
  return (
    (request === undefined || isSoundRequest(request)) &&
    (attemptIntent === undefined || isSoundAttempt(attemptIntent)) &&
    (attemptSettlement === undefined || isSoundAttemptEnd(attemptSettlement)) &&
    (requestSettlement === undefined || isSoundRequestEnd(requestSettlement))
  );
}

function isSoundRequest(request: RequestIntent): boolean {
  const { inferenceId, receivedAt, client, tags, endpoint, task, model, region, stream, configGeneration } = request;
  return (
    isText(inferenceId) &&
    isInstant(receivedAt) &&
    isText(client) &&
    typeof tags === 'object' &&
    isText(endpoint) &&
    isText(task) &&
    isText(model) &&
    isTextOrNull(region) &&
    typeof stream === 'boolean' &&
    Number.isSafeInteger(configGeneration)
  );
}

function isSoundAttempt(intent: AttemptIntent): boolean {
  return (
    isText(intent.inferenceId) &&
    Number.isSafeInteger(intent.attempt) &&
    isInstant(intent.sentAt) &&
    isText(intent.provider) &&
    isText(intent.providerModel) &&
    isTextOrNull(intent.key) &&
    isTextOrNull(intent.region) &&
    isAmountOrNull(intent.heldNanoUsd) &&
    isTextOrNull(intent.priceId) &&
    isCountOrNull(intent.reservedTokens)
  );
}

function isSoundAttemptEnd(end: AttemptSettlement): boolean {
  return (
    isText(end.inferenceId) &&
    Number.isSafeInteger(end.attempt) &&
    isInstant(end.endedAt) &&
    (end.firstByteAt === null || isInstant(end.firstByteAt)) &&
    isText(end.outcome) &&
    isCountOrNull(end.status) &&
    isTextOrNull(end.errorCode) &&
    (end.usage === null || (isText(end.usage.source) && areCounts(end.usage.counts))) &&
    isAmountOrNull(end.costNanoUsd) &&
    isTextOrNull(end.unpricedReason) &&
    isTextOrNull(end.priceId) &&
    isTextOrNull(end.providerCostUsd)
  );
}

function isSoundRequestEnd({ inferenceId, endedAt, outcome, status, errorCode }: RequestSettlement): boolean {
  return (
    isText(inferenceId) && isInstant(endedAt) && isText(outcome) && isCountOrNull(status) && isTextOrNull(errorCode)
  );
}

/** Name by name: a loop over the names costs ten times as much. */
function areCounts(counts: UsageCounts): boolean {
  return (
    isCountOrNull(counts.input) &&
    isCountOrNull(counts.cachedInput) &&
    isCountOrNull(counts.cacheWrite) &&
    isCountOrNull(counts.output) &&
    isCountOrNull(counts.reasoning) &&
    isCountOrNull(counts.audioInput) &&
    isCountOrNull(counts.audioOutput) &&
    isCountOrNull(counts.images) &&
    isCountOrNull(counts.characters) &&
    isCountOrNull(counts.audioMs) &&
    isCountOrNull(counts.searchUnits)
  );
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

function isTextOrNull(value: unknown): boolean {
  return value === null || typeof value === 'string';
}

function isAmountOrNull(value: unknown): boolean {
  return value === null || typeof value === 'bigint';
}

function isCountOrNull(value: unknown): boolean {
  return value === null || Number.isSafeInteger(value);
}

/** Epoch milliseconds, or a part of one. */
function isInstant(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(Math.floor(value));
}
