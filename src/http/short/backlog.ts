/** Bytes that wait. They are copied, each a few times at the most, however small the pieces they come in. */
export class Backlog {
  #buffer: Buffer | null = null;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** The bytes from `start` to `end`. */
  add(data: Buffer, start: number, end: number): void {
    const before = this.#bytes;
    this.#bytes += end - start;
    if (this.#buffer === null || this.#bytes > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(this.#buffer === null ? this.#bytes : 2 * this.#bytes);
      this.#buffer?.copy(larger, 0, 0, before);
      this.#buffer = larger;
    }
    data.copy(this.#buffer, before, start, end);
  }

  /** What was taken and is still to wait, before anything else is added. It is not copied: it may be a megabyte, again and again. */
  giveBack(data: Buffer): void {
    this.#buffer = data;
    this.#bytes = data.length;
  }

  /** Everything; null for nothing. */
  take(): Buffer | null {
    const data = this.#buffer?.subarray(0, this.#bytes) ?? null;
    this.#buffer = null;
    this.#bytes = 0;
    return data;
  }
}
