import { closeSink, type Sink } from './log-sink.js';

/** Lines wait at most this long for company: one write of many is what keeps a line cheap. */
const FLUSH_MS = 200;
/** So many characters are company enough: each write wakes a thread, which costs what some hundred lines do. */
const FULL_AT = 64 * 1024;

/**
 * Collects lines and hands many of them to a sink as one piece. Each line costs an addition to a text: the sink itself
 * would measure everything that waits in it again for every line. What waits when the process exits is written then.
 */
export class LineBuffer {
  readonly #sink: Sink;
  readonly #timer: NodeJS.Timeout;
  readonly #onExit: () => void;
  #text = '';

  /** The sink writes buffers (`contentMode: 'buffer'`), and at once (no `minLength`). */
  constructor(sink: Sink) {
    this.#sink = sink;
    this.#timer = setInterval(() => this.#handOver(), FLUSH_MS).unref();
    this.#onExit = () => this.#writeNow();
    process.once('exit', this.#onExit);
  }

  /** `line` ends with its line feed. */
  add(line: string): void {
    this.#text += line;
    if (this.#text.length >= FULL_AT) this.#handOver();
  }

  /** Resolves when everything has been handed to the operating system and the sink is closed. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    process.off('exit', this.#onExit);
    this.#handOver();
    await closeSink(this.#sink);
  }

  #handOver(): void {
    if (this.#text === '') return;
    const bytes = Buffer.from(this.#text);
    this.#text = '';
    // The types of sonic-boom leave out that it writes buffers, and its mark of a sink that is gone.
    const sink = this.#sink as unknown as { write(bytes: Buffer): void; destroyed?: unknown };
    if (sink.destroyed !== true) sink.write(bytes);
  }

  /** At exit nothing is begun that would be waited for: what is added must stay in the sink until it is written here. */
  #writeNow(): void {
    const sink = this.#sink as unknown as { minLength: number };
    sink.minLength = Number.POSITIVE_INFINITY;
    this.#handOver();
    this.#sink.flushSync();
  }
}
