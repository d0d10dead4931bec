/** What a block holds. */
export const BLOCK_BYTES = 256 * 1024;
/** Of those that nobody uses, so many are kept: 32 MB. */
const MAX_FREE = 128;

/**
 * What large bodies are read to. Bytes outside of V8's heap count as pressure on it: with new ones for each answer it goes
 * through the whole heap for every twentieth. A block is in one list at a time, here or with the answer it was lent to.
 * One that is not given back is the collector's.
 */
export class BlockPool {
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
  }

  giveBack(block: Buffer): void {
    if (this.#free.length < MAX_FREE) this.#free.push(block);
  }
}

/** The blocks that one answer was read to. */
export class LentBlocks {
  readonly #pool: BlockPool;
  #blocks: Buffer[] = [];

  constructor(pool: BlockPool) {
    this.#pool = pool;
  }

  /** One more. What is in it is of whoever had it before. */
  next(): Buffer {
    const block = this.#pool.take();
    this.#blocks.push(block);
    return block;
  }

  /** Of what was read nothing is needed any more: another answer is written over it. */
  giveBack(): void {
    const blocks = this.#blocks;
    this.#blocks = [];
    for (const block of blocks) this.#pool.giveBack(block);
  }
}
