import type { Clock } from '../domain/ports.js';

/** A successful answer, as it is given again: at no cost. */
export interface CachedAnswer {
  kind: 'body' | 'stream';
  /** Of the request that was sent. */
  inferenceId: string;
  provider: string | null;
  model: string | null;
  headers: Readonly<Record<string, string>>;
  /** JSON, or the whole text of a stream. */
  body: Buffer;
}

export interface CachedAnswersOptions {
  clock: Clock;
  ttlMs: number;
  maxEntries: number;
  /** Of all answers together, with what each takes beside its body. */
  maxBytes: number;
}

/** What an entry takes beside its body: key, headers, the map's own. */
const OVERHEAD_BYTES = 1_024;

/** Answers by key, for so long and so many of them. All live equally long, so the oldest is the first to go. */
export class CachedAnswers {
  readonly #options: CachedAnswersOptions;
  readonly #entries = new Map<string, { answer: CachedAnswer; keptAt: number }>();
  #bytes = 0;

  constructor(options: CachedAnswersOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  find(key: string): CachedAnswer | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    if (this.#isFresh(entry.keptAt)) return entry.answer;
    this.#drop(key);
    return null;
  }

  /** An older answer of the same key is replaced; one that is larger than all room is not kept. */
  keep(key: string, answer: CachedAnswer): void {
    this.#drop(key);
    const bytes = sizeOf(answer);
    const { clock, maxBytes, maxEntries } = this.#options;
    if (bytes > maxBytes) return;
    for (const [oldest, { keptAt }] of this.#entries) {
      const isTooMany = this.#entries.size >= maxEntries || this.#bytes + bytes > maxBytes;
      if (this.#isFresh(keptAt) && !isTooMany) break;
      this.#drop(oldest);
    }
    this.#entries.set(key, { answer, keptAt: clock.now() });
    this.#bytes += bytes;
  }

  /** After the machine's clock was set back, nobody knows how old an answer is. */
  #isFresh(keptAt: number): boolean {
    const age = this.#options.clock.now() - keptAt;
    return age >= 0 && age < this.#options.ttlMs;
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= sizeOf(entry.answer);
  }
}

function sizeOf({ body }: CachedAnswer): number {
  return body.length + OVERHEAD_BYTES;
}
