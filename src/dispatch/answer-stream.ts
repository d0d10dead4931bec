import type { StreamSink } from '../domain/dispatch.js';
import type { UpstreamFailure } from '../domain/failure.js';
import type { StreamReader } from '../domain/provider.js';
import { UpstreamBrokenError, type UpstreamResponse } from '../domain/upstream.js';
import { failureFromFault, malformed } from '../wire/fault.js';

/** How a stream ended at the provider's side. */
export type StreamEnd = { kind: 'complete' } | { kind: 'broken'; failure: UpstreamFailure };

/** What a stream is a part of: a prediction, which goes on when its stream is no longer read. */
export interface StreamOwner {
  /** The stream came to its good end: what it did not tell can be asked for. @throws the lifeline's reason when it ends */
  completed(reader: StreamReader): Promise<void>;
  /** Nobody reads the stream any more. Never rejects. */
  cancel(): Promise<void>;
}

/** An answer that reaches the client in parts, its end held back for whoever settles. */
export interface AnswerStream {
  /** What the events say; null where there are none. */
  readonly reader: Pick<StreamReader, 'usage' | 'usageChunk' | 'outputTexts' | 'identity'> | null;
  /** Null once there is content to give; the failure when the stream is none. */
  untilContent(): Promise<UpstreamFailure | null>;
  /**
   * Passes the stream to the sink until the provider ends it.
   * @throws the lifeline's reason when it ends
   */
  passTo(sink: StreamSink): Promise<StreamEnd>;
  /** Ends the stream from our side; what is resolved later is only of what it belongs to. */
  abort(): Promise<void> | undefined;
  /** Absent where a stream is nobody's part. */
  belongTo?(owner: StreamOwner): void;
}

/** A file, passed on byte for byte as it comes. Nothing is read in it: what it costs stands in the request. */
export class RelayedFile implements AnswerStream {
  readonly reader = null;
  readonly #response: UpstreamResponse;
  readonly #secrets: readonly string[];
  #first: Buffer | null = null;

  constructor({ response, secrets }: { response: UpstreamResponse; secrets: readonly string[] }) {
    this.#response = response;
    this.#secrets = secrets;
  }

  async untilContent(): Promise<UpstreamFailure | null> {
    for (;;) {
      this.#first = await this.#response.next();
      if (this.#first === null) {
        return failureFromFault(malformed('the provider answered with nothing'), this.#secrets);
      }
      if (this.#first.length > 0) return null;
    }
  }

  async passTo(sink: StreamSink): Promise<StreamEnd> {
    const pass = (part: Buffer): boolean | Promise<boolean> => sink.write(part)?.then(() => true) ?? true;
    try {
      if (this.#first !== null) await pass(this.#first);
      this.#first = null;
      await this.#response.pipe(pass);
      return { kind: 'complete' };
    } catch (error) {
      if (!(error instanceof UpstreamBrokenError)) throw error;
      this.#response.abort();
      return { kind: 'broken', failure: error.failure };
    }
  }

  abort(): undefined {
    this.#response.abort();
  }
}
