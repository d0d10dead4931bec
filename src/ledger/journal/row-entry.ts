import type { AttemptIntent, AttemptSettlement, LedgerEntry, RequestIntent } from '../../domain/ledger.js';
import { CellTexts } from './cell-texts.js';
import {
  type AnyRequestSettlement,
  type AttemptCells,
  type AttemptEndCells,
  attemptCells,
  attemptEndCells,
  type Cell,
  type RequestCells,
  type RequestEndCells,
  requestCells,
  requestEndCells,
} from './cells.js';

/** Cells of a row, and their JSON: what a journal and the hashes of the chain have of them. */
export interface Part<T extends Cell[]> {
  readonly cells: T;
  readonly text: string;
}

export type AnyEntry = Omit<LedgerEntry, 'requestSettlement'> & { requestSettlement?: AnyRequestSettlement };

/** An entry as the tables take it: made once, and journaled, hashed and written as it is. */
export interface RowEntry {
  readonly inferenceId: string;
  /** The same as JSON. */
  readonly idText: string;
  readonly request: Part<RequestCells> | null;
  readonly attempt: Part<AttemptCells> | null;
  /** The price that the attempt's intent names; its end may name another. */
  readonly priceId: string | null;
  /** The same as JSON. */
  readonly priceText: string;
  /** The attempt that has ended; 0 for none. */
  readonly endedAttempt: number;
  readonly attemptEnd: Part<AttemptEndCells> | null;
  readonly requestEnd: Part<RequestEndCells> | null;
}

export function partOf<T extends Cell[]>(cells: T): Part<T> {
  return { cells, text: JSON.stringify(cells) };
}

/** Makes the entries that one writer is given: what they repeat it makes once. */
export class RowEntries {
  readonly #texts = new CellTexts();

  /**
   * @throws TypeError for what has no place in a row: parts about several requests, a decision without JSON, no amount;
   *   RangeError for a decision that is nested too deep
   */
  make({ request, attemptIntent, attemptSettlement, requestSettlement }: AnyEntry): RowEntry {
    const id = (request ?? attemptIntent ?? attemptSettlement ?? requestSettlement)?.inferenceId ?? '';
    for (const part of [attemptIntent, attemptSettlement, requestSettlement]) {
      if (part !== undefined && part.inferenceId !== id) throw new TypeError('an entry is about one request');
    }
    const idText = this.#texts.id(id);
    const priceId = attemptIntent?.priceId ?? null;
    return {
      inferenceId: id,
      idText,
      request: request === undefined ? null : this.#request(request, idText),
      attempt: attemptIntent === undefined ? null : this.#attempt(attemptIntent),
      priceId,
      priceText: this.#texts.price(priceId),
      endedAttempt: attemptSettlement?.attempt ?? 0,
      attemptEnd: attemptSettlement === undefined ? null : this.#attemptEnd(attemptSettlement),
      requestEnd: requestSettlement === undefined ? null : this.#requestEnd(requestSettlement),
    };
  }

  #request(request: RequestIntent, idText: string): Part<RequestCells> {
    const cells = requestCells(request);
    return { cells, text: this.#texts.request(cells, idText) };
  }

  #attempt(intent: AttemptIntent): Part<AttemptCells> {
    const cells = attemptCells(intent);
    return { cells, text: this.#texts.attempt(cells) };
  }

  #attemptEnd(end: AttemptSettlement): Part<AttemptEndCells> {
    const cells = attemptEndCells(end);
    return { cells, text: this.#texts.attemptEnd(cells) };
  }

  #requestEnd(end: AnyRequestSettlement): Part<RequestEndCells> {
    const cells = requestEndCells(end, this.#texts.decision(end.decision));
    return { cells, text: this.#texts.requestEnd(cells) };
  }
}

/** An entry by itself. @throws as `RowEntries.make` */
export function toRowEntry(entry: AnyEntry): RowEntry {
  return new RowEntries().make(entry);
}

/** What `textOf` writes. */
type EntryJson = [
  inferenceId: string,
  request: RequestCells | null,
  attempt: AttemptCells | null,
  priceId: string | null,
  endedAttempt: number,
  attemptEnd: AttemptEndCells | null,
  requestEnd: RequestEndCells | null,
];

/** An entry as JSON. */
function textOf({ idText, request, attempt, priceText, endedAttempt, attemptEnd, requestEnd }: RowEntry): string {
  const begin = `[${idText},${request?.text ?? null},${attempt?.text ?? null},${priceText}`;
  return `${begin},${endedAttempt},${attemptEnd?.text ?? null},${requestEnd?.text ?? null}]`;
}

/** Entries as one text. */
export function joinEntries(entries: readonly RowEntry[]): string {
  let text = '';
  for (const entry of entries) text += text === '' ? textOf(entry) : `,${textOf(entry)}`;
  return `[${text}]`;
}

/** @throws SyntaxError or TypeError for a text that `joinEntries` did not make */
export function splitEntries(text: string): RowEntry[] {
  return (JSON.parse(text) as EntryJson[]).map((entry) => {
    const [inferenceId, request, attempt, priceId, endedAttempt, attemptEnd, requestEnd] = entry;
    return {
      inferenceId,
      idText: JSON.stringify(inferenceId),
      request: request && partOf(request),
      attempt: attempt && partOf(attempt),
      priceId,
      priceText: JSON.stringify(priceId),
      endedAttempt,
      attemptEnd: attemptEnd && partOf(attemptEnd),
      requestEnd: requestEnd && partOf(requestEnd),
    };
  });
}
