import { type ChangingValue, type PlainHead, parsePlainHead } from './head.js';
import { HeadShape } from './head-shape.js';

/** Reads the heads that come on one connection. */
export class PlainHeads {
  #shape: HeadShape | null = null;
  /** True where the next may be like the one before, and that is worth to be noted: not of a first one, which may stay alone. */
  #isNoted = false;
  #isFirst = true;

  /** As `parsePlainHead` would. */
  read(data: Buffer, size: number, isPath: (path: string) => boolean): PlainHead | null {
    const alike = this.#shape === null ? null : this.#shape.read(data, size);
    if (alike !== null && isPath(alike.path)) {
      this.#isNoted = true;
      return alike;
    }
    const values: ChangingValue[] = [];
    const head = parsePlainHead(data, size, isPath, values);
    if (head === null) return null;
    // One that no other was like is followed by others that are like none.
    this.#shape = this.#isNoted ? new HeadShape(data, head, values) : null;
    this.#isNoted = this.#isFirst;
    this.#isFirst = false;
    return head;
  }
}
