import type { RoutedAnswer, StreamSink } from './dispatch.js';
import type { Lifeline } from './lifeline.js';

const END_MARK = 'data: [DONE]\n\n';

/** A stream on its way, and its text as far as it may be kept. */
export class Recording {
  bytes = 0;
  readonly #answer: Extract<RoutedAnswer, { kind: 'stream' }>;
  readonly #life: Lifeline;
  readonly #maxBytes: number;
  #parts: string[] = [];
  #isComplete = false;

  constructor(answer: Extract<RoutedAnswer, { kind: 'stream' }>, life: Lifeline, maxBytes: number) {
    this.#answer = answer;
    this.#life = life;
    this.#maxBytes = maxBytes;
  }

  /** `completed` is told the whole text before the client gets the end mark; no text where it is too large. */
  passTo(sink: StreamSink, completed: (body: string) => void): Promise<void> {
    return this.#answer.pump({
      write: (part, isLast) => {
        const text = typeof part === 'string' ? part : part.toString('utf8');
        this.#add(text);
        // A client that left has missed a part, and so has the recording.
        if (isEnd(text) && !this.#life.clientGone) {
          this.#isComplete = true;
          completed(this.#parts.join(''));
        }
        return sink.write(part, isLast);
      },
    });
  }

  /** What the client was given, an error that ended it included; null where that is not held. */
  told(): string | null {
    if (this.#isTooLarge || (this.#life.clientGone && !this.#isComplete)) return null;
    return this.#parts.join('');
  }

  get #isTooLarge(): boolean {
    return this.bytes > this.#maxBytes;
  }

  #add(text: string): void {
    this.bytes += Buffer.byteLength(text);
    if (this.#isTooLarge) this.#parts = [];
    else this.#parts.push(text);
  }
}

function isEnd(text: string): boolean {
  return text === END_MARK || text.endsWith(`\n\n${END_MARK}`);
}
