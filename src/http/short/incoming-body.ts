import { brokenOff } from '../body.js';

const NOTHING = Buffer.alloc(0);

/** The body of one request, whose length its head told. */
export class IncomingBody {
  readonly bytes: number;
  #missing: number;
  /** What has come; null while nobody keeps it. */
  #blocks: Buffer[] | null = [];
  /** Of the last block. */
  #filled = 0;
  #reader: { resolve: (body: Buffer) => void; reject: (error: Error) => void } | null = null;
  #isAsked = false;

  constructor(bytes: number) {
    this.bytes = bytes;
    this.#missing = bytes;
  }

  get isWhole(): boolean {
    return this.#missing === 0;
  }

  /** False until it is known whether what comes is read or dropped. */
  get isAsked(): boolean {
    return this.#isAsked;
  }

  /** Takes a copy of what is the body's of the bytes from `start` to `end`; gives where it ended. */
  take(data: Buffer, start: number, end: number): number {
    const bytes = Math.min(end - start, this.#missing);
    this.#keep(data, start, start + bytes);
    this.#missing -= bytes;
    if (this.isWhole && this.#reader !== null) {
      this.#reader.resolve(this.#joined());
      this.#reader = null;
    }
    return start + bytes;
  }

  /** All of it, once; a promise while something is missing. */
  read(): Buffer | Promise<Buffer> {
    this.#isAsked = true;
    if (this.isWhole) return this.#joined();
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  /** Nothing more of it is wanted: a reader that still waits is told that it broke off. */
  drop(): void {
    this.#isAsked = true;
    this.#blocks = null;
    this.#reader?.reject(brokenOff());
    this.#reader = null;
  }

  #keep(data: Buffer, start: number, end: number): void {
    const blocks = this.#blocks;
    for (let at = start; at < end && blocks !== null; ) {
      let block = blocks[blocks.length - 1];
      if (block === undefined || this.#filled === block.length) {
        // A length is only what the client says: so much is set aside for it as has come says that more will.
        const come = this.bytes - this.#missing + end - start;
        block = Buffer.allocUnsafe(Math.min(this.#missing - (at - start), 4 * come));
        blocks.push(block);
        this.#filled = 0;
      }
      const copied = data.copy(block, this.#filled, at, end);
      this.#filled += copied;
      at += copied;
    }
  }

  #joined(): Buffer {
    const blocks = this.#blocks ?? [];
    this.#blocks = null;
    if (blocks.length > 1) return Buffer.concat(blocks, this.bytes);
    return blocks[0] ?? NOTHING;
  }
}
