import type {
  AttemptIntent,
  AttemptSettlement,
  LedgerEntry,
  PriceRecord,
  RequestIntent,
  RequestSettlement,
} from '../../src/domain/ledger.js';
import { noCounts, type Usage, type UsageCounts, type UsageSource } from '../../src/domain/usage.js';

/** 2026-03-01T12:00:00Z. */
export const START = Date.UTC(2026, 2, 1, 12);

/** The price of the entries below: 0.4 USD a million tokens of input, nothing for output and audio. */
export const PRICE_1: PriceRecord = aPriceRecord('price-1', { input: '400000000', output: '0', audioMinute: '0' });

/** `rates` are nano-USD per million units. */
export function aPriceRecord(id: string, rates: Record<string, string>): PriceRecord {
  const content = JSON.stringify({ rates, tiers: [] });
  return { id, origin: 'config:x', effectiveFrom: START, configGeneration: 1, content };
}

export function aRequest(overrides: Partial<RequestIntent> & { inferenceId: string }): RequestIntent {
  return {
    receivedAt: START,
    client: 'team-a',
    tags: {},
    endpoint: '/v1/chat/completions',
    task: 'chat',
    model: 'llama',
    region: null,
    stream: false,
    configGeneration: 1,
    ...overrides,
  };
}

export function anAttempt(overrides: Partial<AttemptIntent> & { inferenceId: string }): AttemptIntent {
  return {
    attempt: 1,
    sentAt: START + 1,
    provider: 'hf',
    providerModel: 'meta-llama/Llama-3.1-8B-Instruct',
    key: 'hf-0123456789ab',
    region: null,
    heldNanoUsd: 9_000n,
    priceId: 'price-1',
    reservedTokens: 40,
    ...overrides,
  };
}

export function anAttemptEnd(overrides: Partial<AttemptSettlement> & { inferenceId: string }): AttemptSettlement {
  return {
    attempt: 1,
    endedAt: START + 50,
    firstByteAt: START + 20,
    outcome: 'ok',
    status: 200,
    errorCode: null,
    usage: aUsage({ input: 10, output: 5 }),
    costNanoUsd: 4_000n,
    unpricedReason: null,
    priceId: 'price-1',
    components: [{ class: 'input', units: 10, ratePerMillion: 400_000_000n }],
    providerCostUsd: null,
    ...overrides,
  };
}

export function aRequestEnd(overrides: Partial<RequestSettlement> & { inferenceId: string }): RequestSettlement {
  return { endedAt: START + 60, outcome: 'ok', status: 200, errorCode: null, decision: null, ...overrides };
}

export function aUsage(counts: Partial<UsageCounts>, source: UsageSource = 'reported'): Usage {
  return { counts: { ...noCounts(), ...counts }, source };
}

/** A request and its first attempt, about to be sent. */
export function intentOf(
  inferenceId: string,
  overrides: { request?: Partial<RequestIntent>; attempt?: Partial<AttemptIntent> } = {},
): LedgerEntry {
  return {
    request: aRequest({ ...overrides.request, inferenceId }),
    attemptIntent: anAttempt({ ...overrides.attempt, inferenceId }),
  };
}

/** The end of a request whose only attempt ended with it. */
export function settlementOf(
  inferenceId: string,
  overrides: { attempt?: Partial<AttemptSettlement>; request?: Partial<RequestSettlement> } = {},
): LedgerEntry {
  return {
    attemptSettlement: anAttemptEnd({ ...overrides.attempt, inferenceId }),
    requestSettlement: aRequestEnd({ ...overrides.request, inferenceId }),
  };
}
