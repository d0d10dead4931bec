import type { Outcome } from '../../domain/ledger.js';
import type { NanoUsd } from '../../domain/money.js';
import type { AttemptCells, AttemptEndCells, RequestCells } from '../journal/cells.js';
import type { Part } from '../journal/row-entry.js';
import type { AttemptFact, RequestFact } from './cuts.js';

/** What is known of a request in flight, so that settling need not read its row again. */
export interface OpenRequest {
  id: number;
  processId: number;
  begin: Part<RequestCells>;
  attempts: number;
  /** `in_flight` until it is settled. */
  outcome: Outcome;
  sent: Map<number, OpenAttempt>;
}

export interface OpenAttempt {
  begin: Part<AttemptCells>;
  /** Absent until it is settled. */
  fact?: AttemptFact;
}

/** What a request says in reports. */
export function requestFact(cells: RequestCells, outcome: Outcome): RequestFact {
  const [, receivedAt, , client, , endpoint, task, model, region] = cells;
  return { received_at: receivedAt, client, model, endpoint, task, region, outcome };
}

/** What an attempt that has just been settled says in reports. */
export function attemptFact(begin: AttemptCells, end: AttemptEndCells): AttemptFact {
  const [, , provider, providerModel, key, region] = begin;
  const [
    priceId,
    ,
    ,
    outcome,
    ,
    errorCode,
    cost,
    ,
    ,
    ,
    usageSource,
    input = null,
    cachedInput = null,
    cacheWrite = null,
    output = null,
    reasoning = null,
    audioInput = null,
    audioOutput = null,
  ] = end;
  return {
    provider,
    provider_model: providerModel,
    key,
    region,
    outcome,
    usage_source: usageSource,
    input,
    cached_input: cachedInput,
    cache_write: cacheWrite,
    output,
    reasoning,
    audio_input: audioInput,
    audio_output: audioOutput,
    cost: cost === null ? null : BigInt(cost),
    error_code: errorCode,
    price: priceId,
  };
}

/** What the attempts cost together; null when one of them is unknown, 0 when nothing was sent. */
export function sumOf(attempts: readonly AttemptFact[]): NanoUsd | null {
  let sum = 0n;
  for (const { cost } of attempts) {
    if (cost === null) return null;
    sum += cost;
  }
  return sum;
}
