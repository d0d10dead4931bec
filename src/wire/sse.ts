import type { SseEvent } from '../domain/provider.js';

const DEFAULT_MAX_EVENT_BYTES = 16 * 1024 * 1024;
const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;
const BOM = 0xfeff;

/** One event is larger than anything a provider sends: the stream is not read further. */
export class SseEventTooLargeError extends Error {
  constructor(maxBytes: number) {
    super(`an event of the stream is larger than ${maxBytes} bytes`);
    this.name = 'SseEventTooLargeError';
  }
}

/**
 * Reads server-sent events from bytes as they come, however they are split. Understands LF, CRLF and CR, comments,
 * `data:` with and without a space, several data lines, names and a byte order mark. Events without data are dropped,
 * as the standard says (https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation);
 * other than there, an event that the end of the stream cuts off is delivered by `end()`, marked `unterminated`.
 */
export class SseDecoder {
  readonly #maxEventBytes: number;
  /** Bytes of a line whose end has not come; only whole lines are decoded, so that no character is split. */
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  /** The last chunk ended with CR: an LF that follows belongs to it. */
  #endedWithCr = false;
  #isStart = true;
  #name: string | null = null;
  #data: string | null = null;

  constructor(options: { maxEventBytes?: number } = {}) {
    this.#maxEventBytes = options.maxEventBytes ?? DEFAULT_MAX_EVENT_BYTES;
  }

  /**
   * The events that are complete with these bytes.
   * @throws SseEventTooLargeError
   */
  push(chunk: Buffer): SseEvent[] {
    let bytes = chunk;
    if (this.#endedWithCr && bytes.length > 0) {
      this.#endedWithCr = false;
      if (bytes[0] === LF) bytes = bytes.subarray(1);
    }
    if (bytes.length === 0) return [];
    const end = lastLineEnd(bytes);
    if (end === -1) {
      this.#hold(bytes);
      return [];
    }
    let lines = end + 1 === bytes.length ? bytes : bytes.subarray(0, end + 1);
    if (this.#pendingBytes > 0) {
      lines = Buffer.concat([...this.#pending, lines]);
      this.#pending = [];
      this.#pendingBytes = 0;
    }
    const events = this.#readLines(lines.toString('utf8'));
    this.#endedWithCr = end + 1 === bytes.length && bytes[end] === CR;
    if (end + 1 < bytes.length) this.#hold(bytes.subarray(end + 1));
    return events;
  }

  /** True between events: what comes next begins a line of its own. */
  get isBetween(): boolean {
    return (
      this.#pendingBytes === 0 && !this.#endedWithCr && this.#data === null && this.#name === null && !this.#isStart
    );
  }

  /** The event that the end of the stream cut off, if there is one. */
  end(): SseEvent[] {
    const events: SseEvent[] = [];
    if (this.#pendingBytes > 0) {
      const rest = this.#withoutBom(Buffer.concat(this.#pending).toString('utf8'));
      this.#pending = [];
      this.#pendingBytes = 0;
      this.#readLine(rest, events);
    }
    this.#dispatch(events);
    const last = events.at(-1);
    if (last !== undefined) last.unterminated = true;
    return events;
  }

  #hold(bytes: Buffer): void {
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes > this.#maxEventBytes) throw new SseEventTooLargeError(this.#maxEventBytes);
    this.#pending.push(bytes);
  }

  #withoutBom(text: string): string {
    if (!this.#isStart) return text;
    this.#isStart = false;
    return text.charCodeAt(0) === BOM ? text.slice(1) : text;
  }

  /** `text` ends with the end of a line. */
  #readLines(raw: string): SseEvent[] {
    const text = this.#withoutBom(raw);
    const events: SseEvent[] = [];
    const hasCr = text.includes('\r');
    let at = 0;
    while (at < text.length) {
      let end = text.indexOf('\n', at);
      if (hasCr) {
        const cr = text.indexOf('\r', at);
        if (cr !== -1 && (end === -1 || cr < end)) {
          this.#readLine(text.slice(at, cr), events);
          at = text.charCodeAt(cr + 1) === LF ? cr + 2 : cr + 1;
          continue;
        }
      } else if (this.#data === null && this.#name === null && text.charCodeAt(end + 1) === LF && isData(text, at)) {
        // The way nearly every event comes: one data line, one empty line.
        const start = at + 5;
        events.push({ name: null, data: text.slice(text.charCodeAt(start) === SPACE ? start + 1 : start, end) });
        at = end + 2;
        continue;
      }
      if (end === -1) end = text.length;
      this.#readLine(text.slice(at, end), events);
      at = end + 1;
    }
    return events;
  }

  #readLine(line: string, events: SseEvent[]): void {
    if (line === '') {
      this.#dispatch(events);
      return;
    }
    if (line.charCodeAt(0) === COLON) return;
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line.charCodeAt(colon + 1) === SPACE ? colon + 2 : colon + 1);
    if (field === 'data') {
      this.#data = this.#data === null ? value : `${this.#data}\n${value}`;
      if (this.#data.length > this.#maxEventBytes) throw new SseEventTooLargeError(this.#maxEventBytes);
    } else if (field === 'event') {
      this.#name = value === '' ? null : value;
    }
  }

  #dispatch(events: SseEvent[]): void {
    if (this.#data !== null) events.push({ name: this.#name, data: this.#data });
    this.#data = null;
    this.#name = null;
  }
}

function isData(text: string, at: number): boolean {
  return text.startsWith('data:', at);
}

/** The offset of the last CR or LF; -1 without one. */
function lastLineEnd(bytes: Buffer): number {
  const last = bytes.length - 1;
  if (bytes[last] === LF || bytes[last] === CR) return last;
  return Math.max(bytes.lastIndexOf(LF), bytes.lastIndexOf(CR));
}
