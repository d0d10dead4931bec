/** Bytes that wait. They are copied where they come in pieces, each a few times at the most, however small the pieces. */
export class Backlog {
  #buffer: Buffer | null = null;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(data: Buffer): void {
    const before = this.#bytes;
    this.#bytes += data.length;
    if (this.#buffer === null) {
      this.#buffer = data;
      return;
    }
    if (this.#bytes > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(2 * this.#bytes);
      this.#buffer.copy(larger, 0, 0, before);
      this.#buffer = larger;
    }
    data.copy(this.#buffer, before);
  }

  /** Everything; null for nothing. */
  take(): Buffer | null {
    const data = this.#buffer?.subarray(0, this.#bytes) ?? null;
    this.#buffer = null;
    this.#bytes = 0;
    return data;
  }
}
