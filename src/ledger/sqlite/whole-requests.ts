import type { AttemptIntent, AttemptSettlement, RequestIntent } from '../../domain/ledger.js';
import type { AnyEntry, AnyRequestSettlement } from './entries.js';

/** A request that began and ended within a batch: its rows are written once, and never changed. */
export interface WholeRequest {
  request: RequestIntent;
  /** In order, from 1 on. */
  attempts: ReadonlyArray<{ intent: AttemptIntent; end: AttemptSettlement }>;
  end: AnyRequestSettlement;
  /** Where all this stood. */
  entries: readonly AnyEntry[];
}

/** Tells what is whole within a batch, by the request's id, from what is not. */
export function wholeRequests(entries: readonly AnyEntry[]): {
  whole: Map<string, WholeRequest>;
  others: AnyEntry[];
} {
  const drafts = new Map<string, Draft>();
  for (const { request } of entries) {
    if (request === undefined) continue;
    const known = drafts.get(request.inferenceId);
    if (known === undefined) drafts.set(request.inferenceId, new Draft(request));
    else known.isOdd = true;
  }
  for (const entry of entries) drafts.get(idOf(entry))?.add(entry);
  const whole = new Map<string, WholeRequest>();
  for (const [id, draft] of drafts) {
    const made = draft.toWhole();
    if (made !== null) whole.set(id, made);
  }
  return { whole, others: entries.filter((entry) => !whole.has(idOf(entry))) };
}

/** What a batch says of one request. */
class Draft {
  /** Something is told twice, or in no order: such a request is written step by step. */
  isOdd = false;
  readonly #request: RequestIntent;
  readonly #intents: AttemptIntent[] = [];
  readonly #ends: AttemptSettlement[] = [];
  readonly #entries: AnyEntry[] = [];
  #end: AnyRequestSettlement | null = null;

  constructor(request: RequestIntent) {
    this.#request = request;
  }

  add(entry: AnyEntry): void {
    const { attemptIntent, attemptSettlement, requestSettlement } = entry;
    this.#entries.push(entry);
    if (attemptIntent !== undefined) this.#intents.push(attemptIntent);
    if (attemptSettlement !== undefined) this.#ends.push(attemptSettlement);
    if (requestSettlement === undefined) return;
    if (this.#end !== null) this.isOdd = true;
    this.#end = requestSettlement;
  }

  toWhole(): WholeRequest | null {
    const end = this.#end;
    if (this.isOdd || end === null || this.#intents.length !== this.#ends.length) return null;
    const attempts = this.#intents.map((intent, at) => ({ intent, end: this.#ends[at] as AttemptSettlement }));
    const areInOrder = attempts.every((one, at) => one.intent.attempt === at + 1 && one.end.attempt === at + 1);
    return areInOrder ? { request: this.#request, attempts, end, entries: this.#entries } : null;
  }
}

/** Whom an entry is about; all its parts are about one request. */
export function idOf({ request, attemptIntent, attemptSettlement, requestSettlement }: AnyEntry): string {
  return (request ?? attemptIntent ?? attemptSettlement ?? requestSettlement)?.inferenceId ?? '';
}
