import type { HeaderFields } from '../domain/provider.js';
import { addField, MAX_HEAD_BYTES } from './answer-head.js';
import { headersOverflow, malformedAnswer } from './protocol-error.js';

const CR = 13;
const LF = 10;
const SEMICOLON = 59;

/** `;name`, `;name=value`, `;name="any text"`. */
const EXTENSIONS =
  /^(?:;[!#$%&'*+\-.^_`|~\w]+(?:=(?:[!#$%&'*+\-.^_`|~\w]+|"(?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?)+$/;

/** In so few bytes behind a chunk's there is no room for another byte of the body: two line ends and a size are five. */
const FRAME_BYTES = 5;

// What the next byte belongs to.
const FIRST_DIGIT = 0;
const SIZE = 1;
const EXTENSION = 2;
const SIZE_END = 3;
const DATA = 4;
const DATA_RETURN = 5;
const DATA_END = 6;
const TRAILER = 7;
const TRAILER_END = 8;
const DONE = 9;

/** The body of one answer in chunks (RFC 9112, section 7.1), taken as it comes, wherever a read may cut it. */
export class ChunkedBody {
  #part = FIRST_DIGIT;
  /** Of the chunk's bytes, those to come; while its size is read, the size so far. */
  #left = 0;
  /** What has come of the extensions, or of a line after the last chunk. */
  #line = '';
  /** Of extensions and trailers: what is only looked at, and never told on, is bounded like a head. */
  #unusedBytes = 0;
  #trailers: HeaderFields | null = null;
  /** Where in the last read the answer's end lay. */
  end = 0;
  /** What makes the body malformed; null for nothing. What came before it is still what it is. */
  error: Error | null = null;

  get isDone(): boolean {
    return this.#part === DONE;
  }

  /** What the bytes from `at` carry, copied; null for nothing. */
  take(read: Buffer, at: number, to: number): Buffer | null {
    let out: Buffer | null = null;
    let size = 0;
    let next = at;
    while (next < to && this.#part !== DONE && this.error === null) {
      if (this.#part !== DATA) {
        next = this.#frames(read, next, to);
        continue;
      }
      const bytes = Math.min(this.#left, to - next);
      // All that can still come of this read, unless this is all there is.
      out ??= Buffer.allocUnsafe(to - next - bytes <= FRAME_BYTES ? bytes : to - next);
      read.copy(out, size, next, next + bytes);
      size += bytes;
      next += bytes;
      this.#left -= bytes;
      if (this.#left === 0) this.#part = DATA_RETURN;
    }
    this.end = next;
    return out === null || out.length === size ? out : out.subarray(0, size);
  }

  /** Takes what stands between the bytes of two chunks; where it ended. */
  #frames(read: Buffer, at: number, to: number): number {
    let next = at;
    try {
      for (; next < to && this.#part !== DATA && this.#part !== DONE; next += 1) this.#frame(read[next] as number);
    } catch (error) {
      this.error = error as Error;
    }
    return next;
  }

  #frame(byte: number): void {
    switch (this.#part) {
      case FIRST_DIGIT:
      case SIZE:
        this.#size(byte);
        return;
      case EXTENSION:
        if (byte !== CR) {
          this.#keep(byte);
          return;
        }
        if (!EXTENSIONS.test(this.#line)) throw sizeError('Invalid character in chunk extensions');
        this.#line = '';
        this.#part = SIZE_END;
        return;
      case SIZE_END:
        expect(byte, LF, 'Expected LF after chunk size');
        this.#part = this.#left > 0 ? DATA : TRAILER;
        return;
      case DATA_RETURN:
        expect(byte, CR, 'Expected LF after chunk data');
        this.#part = DATA_END;
        return;
      case DATA_END:
        expect(byte, LF, 'Expected LF after chunk data');
        this.#part = FIRST_DIGIT;
        return;
      case TRAILER:
        if (byte === CR) this.#part = TRAILER_END;
        else this.#keep(byte);
        return;
      case TRAILER_END:
        expect(byte, LF, 'Expected LF after headers');
        this.#endLine();
    }
  }

  #size(byte: number): void {
    const digit = hexDigit(byte);
    if (digit !== -1) {
      this.#left = this.#left * 16 + digit;
      if (this.#left > Number.MAX_SAFE_INTEGER) throw sizeError('Chunk size overflow');
      this.#part = SIZE;
      return;
    }
    if (this.#part === FIRST_DIGIT) throw sizeError('Invalid character in chunk size');
    if (byte === CR) this.#part = SIZE_END;
    else if (byte === SEMICOLON) {
      this.#part = EXTENSION;
      this.#line = ';';
    } else throw sizeError('Invalid character in chunk size');
  }

  #endLine(): void {
    this.#count(2);
    this.#part = this.#line === '' ? DONE : TRAILER;
    if (this.#line === '') return;
    this.#trailers ??= {};
    if (addField(this.#trailers, this.#line)) {
      throw malformedAnswer('HPE_UNEXPECTED_CONTENT_LENGTH', "Content-Length can't be present with Transfer-Encoding");
    }
    this.#line = '';
  }

  #keep(byte: number): void {
    if (byte === LF) throw malformedAnswer('HPE_CR_EXPECTED', 'Missing expected CR');
    this.#count(1);
    this.#line += String.fromCharCode(byte);
  }

  #count(bytes: number): void {
    this.#unusedBytes += bytes;
    if (this.#unusedBytes > MAX_HEAD_BYTES) throw headersOverflow();
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

function expect(byte: number, wanted: number, what: string): void {
  if (byte !== wanted) throw malformedAnswer(wanted === LF ? 'HPE_LF_EXPECTED' : 'HPE_CR_EXPECTED', what);
}

function sizeError(what: string): Error {
  return malformedAnswer('HPE_INVALID_CHUNK_SIZE', what);
}
