/** Enough for some sixteen chunks; the slabs after it for sixty. */
const FIRST_SLAB_BYTES = 4 * 1024;
const SLAB_BYTES = 16 * 1024;

/**
 * Blocks of a stream, kept for the case that somebody has to count what was in them. They are copied into slabs: each
 * came in a buffer of the socket's own, and thousands of those that live as long as the stream cost far more than a copy.
 */
export class KeptBlocks {
  readonly #slabs: Buffer[] = [];
  /** Of the last slab. */
  #used = 0;

  add(block: Buffer): void {
    let slab = this.#slabs.at(-1);
    if (slab === undefined || slab.length - this.#used < block.length) {
      if (slab !== undefined) this.#slabs[this.#slabs.length - 1] = slab.subarray(0, this.#used);
      slab = Buffer.allocUnsafeSlow(Math.max(slab === undefined ? FIRST_SLAB_BYTES : SLAB_BYTES, block.length));
      this.#slabs.push(slab);
      this.#used = 0;
    }
    this.#used += block.copy(slab, this.#used);
  }

  /** All of them, one after the other, in pieces that end where a block ends. */
  pieces(): Buffer[] {
    const last = this.#slabs.at(-1);
    return last === undefined ? [] : [...this.#slabs.slice(0, -1), last.subarray(0, this.#used)];
  }
}
