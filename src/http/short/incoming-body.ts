import { brokenOff } from '../body.js';

const NOTHING = Buffer.alloc(0);

/** The body of one request, whose length its head told. */
export class IncomingBody {
  readonly bytes: number;
  #missing: number;
  /** Null while nobody keeps what comes. */
  #parts: Buffer[] | null = [];
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

  /** Takes what is the body's from `start` on; gives what comes after it, null for nothing. */
  take(data: Buffer, start: number): Buffer | null {
    const end = Math.min(data.length, start + this.#missing);
    this.#missing -= end - start;
    if (end > start) this.#parts?.push(data.subarray(start, end));
    if (this.isWhole && this.#reader !== null) {
      this.#reader.resolve(this.#joined());
      this.#reader = null;
    }
    return end === data.length ? null : data.subarray(end);
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
    this.#parts = null;
    this.#reader?.reject(brokenOff());
    this.#reader = null;
  }

  #joined(): Buffer {
    const parts = this.#parts ?? [];
    this.#parts = null;
    if (parts.length > 1) return Buffer.concat(parts, this.bytes);
    return parts[0] ?? NOTHING;
  }
}
