import type { LedgerEntry } from '../../domain/ledger.js';
import { idOf } from './whole-requests.js';

/**
 * The requests of this process that have begun and not ended, with the number of the last attempt that was intended: what
 * an entry may follow without asking the tables.
 */
export class OpenRequests {
  readonly #attempts = new Map<string, number>();

  /**
   * Those entries that follow from what is known, in order; their intents are known from now on. All others are added to
   * `others`. A batch may hold a settlement before the intent it settles.
   */
  take(
    entries: readonly LedgerEntry[],
    isSound: (entry: LedgerEntry) => boolean,
    others: LedgerEntry[],
  ): LedgerEntry[] {
    const begun: LedgerEntry[] = [];
    for (const entry of entries) {
      (isSound(entry) && isAboutOne(entry) && this.#begins(entry) ? begun : others).push(entry);
    }
    if (others.length === 0 && begun.every((entry) => this.#ends(entry))) return begun;
    return begun.filter((entry) => {
      if (this.#ends(entry)) return true;
      this.giveBack([entry]);
      others.push(entry);
      return false;
    });
  }

  /** They are durable: who has ended is forgotten. */
  taken(entries: readonly LedgerEntry[]): void {
    for (const { requestSettlement } of entries) {
      if (requestSettlement !== undefined) this.#attempts.delete(requestSettlement.inferenceId);
    }
  }

  /** They could not be written: what they began has not. */
  giveBack(entries: readonly LedgerEntry[]): void {
    for (const { request, attemptIntent } of entries) {
      if (request !== undefined) this.#attempts.delete(request.inferenceId);
      else if (attemptIntent !== undefined && this.#attempts.has(attemptIntent.inferenceId)) {
        this.#attempts.set(attemptIntent.inferenceId, attemptIntent.attempt - 1);
      }
    }
  }

  #begins({ request, attemptIntent }: LedgerEntry): boolean {
    if (request === undefined && attemptIntent === undefined) return true;
    const id = (request ?? attemptIntent)?.inferenceId as string;
    const known = this.#attempts.get(id);
    if ((request === undefined) === (known === undefined)) return false;
    const before = known ?? 0;
    if (attemptIntent !== undefined && attemptIntent.attempt !== before + 1) return false;
    this.#attempts.set(id, attemptIntent?.attempt ?? before);
    return true;
  }

  #ends({ attemptSettlement, requestSettlement }: LedgerEntry): boolean {
    const id = (attemptSettlement ?? requestSettlement)?.inferenceId;
    if (id === undefined) return true;
    const attempts = this.#attempts.get(id);
    if (attempts === undefined) return false;
    return attemptSettlement === undefined || (attemptSettlement.attempt >= 1 && attemptSettlement.attempt <= attempts);
  }
}

function isAboutOne(entry: LedgerEntry): boolean {
  const id = idOf(entry);
  const { attemptIntent, attemptSettlement, requestSettlement } = entry;
  return (
    (attemptIntent === undefined || attemptIntent.inferenceId === id) &&
    (attemptSettlement === undefined || attemptSettlement.inferenceId === id) &&
    (requestSettlement === undefined || requestSettlement.inferenceId === id)
  );
}
