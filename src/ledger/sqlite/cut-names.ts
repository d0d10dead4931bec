import type { Outcome } from '../../domain/ledger.js';
import type { UsageSource } from '../../domain/usage.js';

/** What a request says of the cut that it is counted in. */
export interface RequestCut {
  client: string;
  model: string;
  endpoint: string;
  task: string;
  region: string | null;
  outcome: Outcome;
}

/** What an attempt says of it. */
export interface AttemptCut {
  provider: string;
  provider_model: string;
  key: string | null;
  region: string | null;
  outcome: Outcome;
  usage_source: UsageSource | null;
  error_code: string | null;
  /** Id of the price that made the cost. */
  price: string | null;
}

interface Cut {
  request: RequestCut;
  attempt: AttemptCut | null;
}

/** Beyond so many keys the names are made anew. */
const MOST_KEPT = 4_096;

/**
 * Names of cuts, each kept for the next facts that are the same, by the key of the call: with thousands of keys the call
 * before was made with another. A name that comes again is the same string, which is found again without reading it.
 */
export class CutNames {
  readonly #byKey = new Map<string | null | undefined, Cut & { name: string }>();

  of(request: RequestCut, attempt: AttemptCut | null): string {
    const known = this.#byKey.get(attempt?.key);
    if (known !== undefined && isSameCut(known, request, attempt)) return known.name;
    const name = cutName(request, attempt);
    if (this.#byKey.size >= MOST_KEPT) this.#byKey.clear();
    this.#byKey.set(attempt?.key, { request, attempt, name });
    return name;
  }
}

/** Whether two facts have the same `cutName`, without making it. */
export function isSameCut(one: Cut, request: RequestCut, attempt: AttemptCut | null): boolean {
  const other = one.request;
  return (
    other.client === request.client &&
    other.model === request.model &&
    other.endpoint === request.endpoint &&
    other.task === request.task &&
    other.outcome === request.outcome &&
    other.region === request.region &&
    isSameCall(one.attempt, attempt)
  );
}

function isSameCall(one: AttemptCut | null, other: AttemptCut | null): boolean {
  if (one === null || other === null) return one === other;
  return (
    one.provider === other.provider &&
    one.provider_model === other.provider_model &&
    one.key === other.key &&
    one.region === other.region &&
    one.usage_source === other.usage_source &&
    one.outcome === other.outcome &&
    one.error_code === other.error_code &&
    one.price === other.price
  );
}

function cutName(request: RequestCut, attempt: AttemptCut | null): string {
  return JSON.stringify([
    request.client,
    request.model,
    request.endpoint,
    request.task,
    request.outcome,
    attempt?.provider ?? null,
    attempt?.provider_model ?? null,
    attempt?.key ?? null,
    attempt?.region ?? request.region,
    attempt?.usage_source ?? null,
    attempt?.outcome ?? null,
    attempt?.error_code ?? null,
    attempt?.price ?? null,
  ]);
}
