import type { StreamSink } from '../domain/dispatch.js';
import type { UpstreamFailure } from '../domain/failure.js';
import type { SseEvent, StreamReader } from '../domain/provider.js';
import { UpstreamBrokenError, type UpstreamResponse } from '../domain/upstream.js';
import { failureFromFault, malformed } from '../wire/fault.js';
import { createStreamDecoder, isUnreadable, type StreamDecoder } from '../wire/stream-decoder.js';
import type { AnswerStream, StreamEnd, StreamOwner } from './answer-stream.js';

const LF = 0x0a;

/**
 * One answering stream: read up to its first content before anything is given to the client, then passed along as it
 * comes. Everything but the end goes through here; the end is written by whoever settles.
 */
export class OpenStream implements AnswerStream {
  readonly reader: StreamReader;
  readonly #response: UpstreamResponse;
  readonly #secrets: readonly string[];
  readonly #decoder: StreamDecoder;
  readonly #events: readonly SseEvent[] | null;
  #owner: StreamOwner | null = null;
  /** Text for the client that came before and with the first content. */
  #held = '';
  #end: StreamEnd | null = null;

  /** `events`: all there are, where the answer came whole. */
  constructor(parts: {
    response: UpstreamResponse;
    reader: StreamReader;
    secrets: readonly string[];
    events?: readonly SseEvent[] | undefined;
  }) {
    this.#response = parts.response;
    this.reader = parts.reader;
    this.#secrets = parts.secrets;
    this.#decoder = createStreamDecoder(parts.response.headers['content-type'], parts.reader.maxEventBytes);
    this.#events = parts.events ?? null;
  }

  belongTo(owner: StreamOwner): void {
    this.#owner = owner;
  }

  /** Null once there is content to give; the failure when the stream is none. */
  async untilContent(): Promise<UpstreamFailure | null> {
    for (;;) {
      const part = this.#events === null ? await this.#response.next() : null;
      const { text, content } = this.#take(this.#events ?? this.#decode(part));
      this.#held += text;
      if (content) return null;
      if (this.#end?.kind === 'broken') return this.#stop(this.#end.failure);
      if (part === null || this.#end !== null) {
        if (this.reader.isFinished() && this.#end === null) this.#end = { kind: 'complete' };
        if (this.reader.isFinished() && this.#held !== '') return null;
        return this.#stop(failureFromFault(malformed('the stream ended before its first content'), this.#secrets));
      }
    }
  }

  /**
   * Passes the stream to the sink until the provider ends it. Text that came together goes out together.
   * @throws the lifeline's reason when it ends
   */
  async passTo(sink: StreamSink): Promise<StreamEnd> {
    const wait = this.#held === '' ? undefined : sink.write(this.#held);
    this.#held = '';
    if (wait !== undefined) await wait;
    if (this.#end === null) await this.#passRest(sink);
    const end = this.#end ?? this.#endOfParts();
    this.#letGo(end);
    if (end.kind === 'complete') await this.#owner?.completed(this.reader);
    // Not waited for: the client is to be told at once. An error that the provider told is its end of it as well.
    else if (end.failure.kind !== 'status') void this.#owner?.cancel();
    return end;
  }

  /** Ends the stream from our side; what is resolved later is only of what it belongs to. */
  abort(): Promise<void> | undefined {
    this.#response.abort();
    return this.#owner?.cancel();
  }

  async #passRest(sink: StreamSink): Promise<void> {
    try {
      await this.#response.pipe((part) => this.#pass(part, sink));
    } catch (error) {
      if (!(error instanceof UpstreamBrokenError)) throw error;
      this.#end = { kind: 'broken', failure: error.failure };
    }
    if (this.#end !== null) return;
    const { text } = this.#take(this.#decode(null));
    if (text !== '') await sink.write(text);
  }

  #pass(part: Buffer, sink: StreamSink): boolean | Promise<boolean> {
    const passed = this.#passesWhole(part) ? part : this.#take(this.#decode(part)).text;
    const wait = passed.length === 0 ? undefined : sink.write(passed);
    const isMore = this.#end === null;
    return wait === undefined ? isMore : wait.then(() => isMore);
  }

  /** Of a stream whose bytes ended without its own end mark. */
  #endOfParts(): StreamEnd {
    if (this.reader.isFinished()) return { kind: 'complete' };
    const failure = failureFromFault(malformed('the stream ended without a finish reason'), this.#secrets);
    return { kind: 'broken', failure };
  }

  /** Most parts after the first content: whole events of which nothing is needed go out as the bytes that came. */
  #passesWhole(part: Buffer): boolean {
    if (this.reader.passes === undefined || part.length < 2 || !this.#decoder.isBetween) return false;
    if (part[part.length - 1] !== LF || part[part.length - 2] !== LF) return false;
    return this.reader.passes(part.toString('latin1'), part);
  }

  /** The events of a part, or of the stream's end. */
  #decode(part: Buffer | null): SseEvent[] {
    try {
      return part === null ? this.#decoder.end() : this.#decoder.push(part);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      this.#end = { kind: 'broken', failure: failureFromFault(malformed(error.message), this.#secrets) };
      return [];
    }
  }

  #take(events: readonly SseEvent[]): { text: string; content: boolean } {
    let text = '';
    let content = false;
    for (const event of events) {
      if (this.#end !== null) break;
      const step = this.reader.read(event);
      if (step.kind === 'chunk') {
        text += `data: ${step.data}\n\n`;
        content ||= step.content;
        if (step.isLast === true) this.#end = { kind: 'complete' };
      } else if (step.kind === 'done') {
        this.#end = { kind: 'complete' };
      } else if (step.kind === 'fault') {
        this.#end = { kind: 'broken', failure: failureFromFault(step.fault, this.#secrets) };
      }
    }
    return { text, content };
  }

  #stop(failure: UpstreamFailure): UpstreamFailure {
    this.#response.abort();
    return failure;
  }

  /** After the end mark the provider closes by itself, and its connection can serve again; one that does not is cut. */
  #letGo(end: StreamEnd): void {
    if (end.kind === 'broken') {
      this.#response.abort();
      return;
    }
    const cut = setTimeout(() => this.#response.abort(), 1_000);
    const drain = async () => {
      try {
        while ((await this.#response.next()) !== null);
      } catch {
        // Nothing is lost: the stream had ended, and only its connection is not used again.
      } finally {
        clearTimeout(cut);
      }
    };
    void drain();
  }
}
