import { ownText } from '../../domain/own-text.js';
import { READ_HEADERS } from '../exchange.js';
import { CHANGING, type ChangingValue, MOST_BYTES, type PlainHead, plainHeaders } from './head.js';

const TAB = 0x09;
const SPACE = 0x20;
const LAST_VISIBLE = 0x7e;
const ZERO = 0x30;
/** Fewer than a length may have: one with more is read as any head is. */
const MOST_DIGITS = 9;

/**
 * A plain head without the values that change. A head that differs from it in those alone is as plain, and says the same but
 * for them: clients write such heads one after the other.
 */
export class HeadShape {
  readonly #path: string;
  /** What is read of it that does not change. */
  readonly #headers = plainHeaders();
  /** What stands before, between and behind the values. */
  readonly #parts: Buffer[] = [];
  readonly #names: Array<ChangingValue['name']> = [];

  /** `data` begins with the head; `values` are in the order they stand in. */
  constructor(data: Buffer, { path, headers, headBytes }: PlainHead, values: readonly ChangingValue[]) {
    this.#path = ownText(path);
    for (const name of READ_HEADERS) {
      const value = headers[name];
      if (value !== undefined && !CHANGING.has(name)) this.#headers[name] = ownText(value);
    }
    let at = 0;
    for (const { name, start, end } of values) {
      this.#names.push(name);
      this.#parts.push(Buffer.from(data.subarray(at, start)));
      at = end;
    }
    this.#parts.push(Buffer.from(data.subarray(at, headBytes)));
  }

  /** The head that the first `come` bytes begin with; null for one that is to be read as any other. */
  read(data: Buffer, come: number): PlainHead | null {
    const size = Math.min(come, MOST_BYTES);
    const parts = this.#parts;
    const headers = plainHeaders(this.#headers);
    let bodyBytes = -1;
    let end = 0;
    for (let nth = 0; nth < parts.length; nth += 1) {
      const part = parts[nth] as Buffer;
      const start = end + part.length;
      if (start > size || data.compare(part, 0, part.length, end, start) !== 0) return null;
      end = start;
      const name = this.#names[nth];
      if (name === undefined) break;
      end = endOfValue(data, start, size);
      if (name === 'length') bodyBytes = lengthAt(data, start, end);
      else headers[name] = data.toString('latin1', start, end).trim();
    }
    return bodyBytes === -1 ? null : { path: this.#path, headers, bodyBytes, headBytes: end };
  }
}

/** Where the characters end that a value is made of. */
function endOfValue(data: Buffer, start: number, size: number): number {
  let at = start;
  for (; at < size; at += 1) {
    const byte = data[at] as number;
    if (byte > LAST_VISIBLE || (byte < SPACE && byte !== TAB)) break;
  }
  return at;
}

/** As it is nearly always written: digits, behind a space; -1 for any other. */
function lengthAt(data: Buffer, start: number, end: number): number {
  let at = data[start] === SPACE ? start + 1 : start;
  if (at === end || end - at > MOST_DIGITS) return -1;
  let length = 0;
  for (; at < end; at += 1) {
    const digit = (data[at] as number) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    length = 10 * length + digit;
  }
  return length;
}
