import type { RowEntry } from '../journal/row-entry.js';

/**
 * The requests of this process that have begun and not ended, with the number of the last attempt that was intended: what
 * an entry may follow without asking the tables.
 */
export class OpenRequests {
  readonly #attempts = new Map<string, number>();

  /**
   * Those entries that follow from what is known, in order; their intents are known from now on. A batch may hold a
   * settlement before the intent it settles.
   */
  take(entries: readonly RowEntry[]): RowEntry[] {
    const begun = entries.filter((entry) => this.#begins(entry));
    if (begun.every((entry) => this.#ends(entry))) return begun;
    return begun.filter((entry) => {
      if (this.#ends(entry)) return true;
      this.giveBack([entry]);
      return false;
    });
  }

  /** They are durable: who has ended is forgotten. */
  taken(entries: readonly RowEntry[]): void {
    for (const { inferenceId, requestEnd } of entries) if (requestEnd !== null) this.#attempts.delete(inferenceId);
  }

  /** They could not be written: what they began has not. */
  giveBack(entries: readonly RowEntry[]): void {
    for (const { inferenceId, request, attempt } of entries) {
      if (request !== null) this.#attempts.delete(inferenceId);
      else if (attempt !== null && this.#attempts.has(inferenceId)) {
        this.#attempts.set(inferenceId, attempt.cells[0] - 1);
      }
    }
  }

  #begins({ inferenceId, request, attempt }: RowEntry): boolean {
    if (request === null && attempt === null) return true;
    const known = this.#attempts.get(inferenceId);
    if ((request === null) === (known === undefined)) return false;
    const before = known ?? 0;
    if (attempt !== null && attempt.cells[0] !== before + 1) return false;
    this.#attempts.set(inferenceId, attempt?.cells[0] ?? before);
    return true;
  }

  #ends({ inferenceId, endedAttempt, attemptEnd, requestEnd }: RowEntry): boolean {
    if (attemptEnd === null && requestEnd === null) return true;
    const attempts = this.#attempts.get(inferenceId);
    if (attempts === undefined) return false;
    return attemptEnd === null || (endedAttempt >= 1 && endedAttempt <= attempts);
  }
}
