import { Buffer } from 'node:buffer';
import {
  type AnswerHead,
  CHUNKED,
  checkBeginning,
  type HeadBefore,
  MAX_HEAD_BYTES,
  parseHead,
  UNTIL_CLOSE,
} from './answer-head.js';
import { BLOCK_BYTES, type BlockPool, LentBlocks } from './block-pool.js';
import { ChunkedBody } from './chunked-body.js';
import { headersOverflow, malformedAnswer, socketError } from './protocol-error.js';

const CR = 13;
const LF = 10;
const HEAD_END = '\r\n\r\n';
/** So much longer than the head before it a head may be that is found at the first look. */
const SPARE_BYTES = 128;
const SWITCHING_PROTOCOLS = 101;

/** From so much of a body on, it is read to where it stays; before, it is copied out of the buffer all reads share. */
const DIRECT_FROM_BYTES = 32 * 1024;

/**
 * Takes the bytes of one answer after the other apart (RFC 9112). `take` fills the fields with what a read brought, so
 * that whoever called looks at them once, and nothing of the read is needed any more.
 */
export class AnswerReader {
  /** The answer's head, once it is there: answers with a status below 200 come before it and are passed over. */
  head: AnswerHead | null = null;
  /** What the last read brought of the body; null for nothing. */
  part: Buffer | null = null;
  isWhole = false;
  /** Why there is no more to be made of what comes; null for no reason. What came before it is still what it is. */
  error: Error | null = null;
  /** Bytes of the last read that lay behind the answer's end. */
  excess = 0;
  /** What the answer was read to, from its first block on. */
  lent: LentBlocks | null = null;
  readonly #blocks: BlockPool;
  readonly #before: HeadBefore;
  #beginning: Buffer | null = null;
  /** Of early heads and line ends too many, in reads before. */
  #passedBytes = 0;
  #left = 0;
  #chunks: ChunkedBody | null = null;
  #block: Buffer | null = null;
  #filled = 0;

  constructor(blocks: BlockPool, before: HeadBefore) {
    this.#blocks = blocks;
    this.#before = before;
  }

  /** Where the next read should go; null for any place. */
  get space(): Buffer | null {
    return this.#block === null ? null : this.#block.subarray(this.#filled);
  }

  /** Takes the first `size` bytes of `read`: of `space`, if there is one. */
  take(read: Buffer, size: number): void {
    if (this.#block !== null) {
      this.part = this.#block.subarray(this.#filled, this.#filled + size);
      this.#filled += size;
      this.#left -= size;
      this.#afterPart();
    } else if (this.head !== null) this.#takeBody(read, 0, size);
    else {
      try {
        this.#takeHead(read, size);
      } catch (error) {
        this.error = error as Error;
      }
    }
  }

  /** The connection has ended: true when that is how this answer ends. */
  get endsHere(): boolean {
    return this.head !== null && this.#chunks === null && this.#left === UNTIL_CLOSE;
  }

  /** For the next answer. */
  reset(): void {
    this.head = null;
    this.part = null;
    this.isWhole = false;
    this.excess = 0;
    this.lent = null;
    this.#passedBytes = 0;
    this.#chunks = null;
  }

  #takeHead(read: Buffer, size: number): void {
    const before = this.#beginning;
    const bytes = before === null ? read : Buffer.concat([before, read.subarray(0, size)]);
    const to = before === null ? size : bytes.length;
    this.#beginning = null;
    for (let at = 0; ; ) {
      // Left over by servers that end a body with one line end too many; llhttp passes over them, too.
      while (at < to && (bytes[at] === CR || bytes[at] === LF)) at += 1;
      const text = headText(bytes, { from: at, to, usual: this.#before.bytes + SPARE_BYTES });
      // With all that was passed over: what is read without end, and brings no answer, is none.
      if (this.#passedBytes + (text === null ? to : at + text.length) > MAX_HEAD_BYTES) throw headersOverflow();
      if (text === null) {
        checkBeginning(bytes.toString('latin1', at, to));
        this.#passedBytes += at;
        // Copied: what was read to is read to again.
        this.#beginning = Buffer.from(bytes.subarray(at, to));
        return;
      }
      const head = parseHead(text, this.#before.names);
      this.#before.bytes = text.length;
      at += text.length + HEAD_END.length;
      if (head.status === SWITCHING_PROTOCOLS) throw socketError('bad upgrade');
      if (head.status < 200) {
        // Of HTTP/1.0, or with `connection: close`: nothing is to come after it that could be the answer.
        if (head.keepMs === 0) throw malformedAnswer('HPE_CLOSED_CONNECTION', 'Data after `Connection: close`');
        continue;
      }
      this.head = head;
      this.#left = head.length;
      this.#chunks = head.length === CHUNKED ? new ChunkedBody() : null;
      this.#takeBody(bytes, at, to);
      return;
    }
  }

  #takeBody(bytes: Buffer, from: number, to: number): void {
    if (this.#chunks !== null) {
      this.part = this.#chunks.take(bytes, from, to);
      this.isWhole = this.#chunks.isDone;
      this.error = this.#chunks.error;
      this.excess = to - this.#chunks.end;
      return;
    }
    const size = this.#left === UNTIL_CLOSE ? to - from : Math.min(this.#left, to - from);
    this.part = size === 0 ? null : Buffer.allocUnsafe(size);
    if (this.part !== null) bytes.copy(this.part, 0, from, from + size);
    if (this.#left === UNTIL_CLOSE) return;
    this.#left -= size;
    this.excess = to - from - size;
    this.#afterPart();
  }

  #afterPart(): void {
    this.isWhole = this.#left === 0;
    if (this.#block !== null && this.#filled < this.#block.length) return;
    this.#filled = 0;
    this.#block = this.#left < DIRECT_FROM_BYTES ? null : this.#nextBlock();
  }

  /** A length is only what the server says: one block at a time is set aside for it. */
  #nextBlock(): Buffer {
    this.lent ??= new LentBlocks(this.#blocks);
    const block = this.lent.next();
    return this.#left < BLOCK_BYTES ? block.subarray(0, this.#left) : block;
  }
}

/**
 * A head up to its empty line, each byte a character; null while that has not come. `usual`: looked at first, as all of
 * what is made text is held as long as one of the head's values.
 */
function headText(bytes: Buffer, { from, to, usual }: { from: number; to: number; usual: number }): string | null {
  for (let bound = usual; ; bound = MAX_HEAD_BYTES + HEAD_END.length) {
    const text = bytes.toString('latin1', from, Math.min(to, from + bound));
    const end = text.indexOf(HEAD_END);
    if (end !== -1) return text.slice(0, end);
    if (to - from <= bound || bound > MAX_HEAD_BYTES) return null;
  }
}
