import type { Socket } from 'node:net';
import { type AnswerBody, bodyLength } from '../../domain/body.js';
import { tooLarge } from '../body.js';
import type { Exchange, FlatHeaders, ReadHeaders, RequestState } from '../exchange.js';
import { type AnswerHeads, placeOf } from './answer-head.js';
import type { PlainHead } from './head.js';
import type { IncomingBody } from './incoming-body.js';

/** Bytes up to this are copied into the text of a write; more are handed over as they are. */
const COPIED_BYTES = 8 * 1_024;
const NO_HEADERS: ReadHeaders = {};
const NO_FIELDS: FlatHeaders = [];

/** What an exchange asks of the connection it is on. */
export interface Wire {
  readonly socket: Socket;
  readonly heads: AnswerHeads;
  /** The body is wanted, or never will be. */
  bodyAsked(): void;
  /** For the last write of an answer: called once the system has taken it, or with why it did not. */
  readonly onWritten: (error?: Error | null) => void;
}

/** A request that came the short way: what it answers is written straight to its socket. */
export class ShortExchange implements Exchange {
  readonly state: RequestState;
  readonly path: string;
  readonly method = 'POST';
  /** Let go once the answer begins: the text of the whole head hangs on them. */
  headers: ReadHeaders;
  /** True when the connection ends with this answer. */
  closes: boolean;
  readonly #wire: Wire;
  readonly #body: IncomingBody;
  #preset = NO_FIELDS;
  #isBegun = false;
  #isEnded = false;
  /** Written with what comes next. */
  #head = '';
  #onWritten: (() => void) | null = null;
  #onClose: (() => void) | null = null;
  #drain: { promise: Promise<void>; resolve: () => void } | null = null;

  constructor(parts: { wire: Wire; head: PlainHead; body: IncomingBody; state: RequestState; closes: boolean }) {
    this.state = parts.state;
    this.path = parts.head.path;
    this.headers = parts.head.headers;
    this.closes = parts.closes;
    this.#wire = parts.wire;
    this.#body = parts.body;
  }

  /** Requests that repeat a header go another way. */
  isRepeated(): boolean {
    return false;
  }

  readBody(limitBytes: number): Buffer | Promise<Buffer> {
    if (this.#body.bytes > limitBytes) throw tooLarge(limitBytes);
    const body = this.#body.read();
    this.#wire.bodyAsked();
    return body;
  }

  get isBegun(): boolean {
    return this.#isBegun;
  }

  get isOpen(): boolean {
    return !this.#isEnded && this.#wire.socket.writable;
  }

  preset(name: string, value: string | null): void {
    this.#preset = value === null ? NO_FIELDS : [name, value];
  }

  answer(status: number, headers: FlatHeaders, body: AnswerBody): void {
    const bytes = bodyLength(body);
    headers.push('content-length', String(bytes));
    const head = this.#makeHead(status, headers, false);
    if (!this.#startsLast()) return;
    const { socket, onWritten } = this.#wire;
    const encoding = bytes === body.length ? 'latin1' : 'utf8';
    const text = wholeText(body, encoding);
    if (text !== null) {
      socket.write(head + text, 'latin1', onWritten);
      return;
    }
    socket.cork();
    socket.write(head, 'latin1');
    if (typeof body === 'string') socket.write(body, encoding);
    else for (const part of Buffer.isBuffer(body) ? [body] : body) socket.write(part);
    socket.write('', onWritten);
    socket.uncork();
  }

  begin(status: number, headers: FlatHeaders): void {
    this.#head = this.#makeHead(status, headers, true);
  }

  write(part: string | Buffer): boolean {
    const bytes = typeof part === 'string' ? Buffer.byteLength(part) : part.length;
    // A chunk without bytes would end the answer.
    if (bytes === 0 || !this.isOpen) return true;
    const before = `${this.#head}${bytes.toString(16)}\r\n`;
    this.#head = '';
    const { socket } = this.#wire;
    if (typeof part === 'string' && bytes === part.length) return socket.write(`${before}${part}\r\n`, 'latin1');
    if (typeof part !== 'string' && bytes <= COPIED_BYTES) {
      return socket.write(`${before}${part.toString('latin1')}\r\n`, 'latin1');
    }
    socket.cork();
    socket.write(before, 'latin1');
    socket.write(part);
    const isTaken = socket.write('\r\n', 'latin1');
    socket.uncork();
    return isTaken;
  }

  /** A last part and the end go out in one write. */
  end(part: string | Buffer = ''): void {
    const { socket, onWritten } = this.#wire;
    socket.cork();
    this.write(part);
    if (this.#startsLast()) socket.write(`${this.#head}0\r\n\r\n`, 'latin1', onWritten);
    this.#head = '';
    socket.uncork();
  }

  async drained(): Promise<void> {
    if (!this.isOpen) return;
    if (this.#drain === null) {
      let resolve = () => {};
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.#drain = { promise, resolve };
    }
    return this.#drain.promise;
  }

  /** The client has taken what was written. */
  onDrain(): void {
    this.#drain?.resolve();
    this.#drain = null;
  }

  destroy(): void {
    this.#wire.socket.destroy();
  }

  onWritten(callback: () => void): void {
    this.#onWritten = callback;
  }

  /** The system has taken the whole answer. */
  written(): void {
    this.#onWritten?.();
  }

  onClose(callback: () => void): void {
    this.#onClose = callback;
  }

  /** The answer is written out, or never will be. */
  close(): void {
    this.#isEnded = true;
    this.#body.drop();
    this.onDrain();
    const callback = this.#onClose;
    this.#onClose = null;
    callback?.();
  }

  #makeHead(status: number, headers: FlatHeaders, isChunked: boolean): string {
    // Of an answer's own headers only this one says something of the connection: that it closes.
    const at = placeOf('connection', headers);
    if (at !== -1) {
      this.closes = true;
      headers.splice(at, 2);
    }
    const text = this.#wire.heads.text({ status, headers, preset: this.#preset, isChunked, closes: this.closes });
    this.#isBegun = true;
    this.headers = NO_HEADERS;
    return text;
  }

  /** False when nobody is there to be written to. What has not come of the body is let run dry. */
  #startsLast(): boolean {
    if (!this.isOpen) return false;
    this.#isEnded = true;
    this.#body.drop();
    this.#wire.bodyAsked();
    return true;
  }
}

/** A small body as Latin-1 that has its bytes; null where that is not at hand. */
function wholeText(body: AnswerBody, encoding: 'latin1' | 'utf8'): string | null {
  if (body.length > COPIED_BYTES) return null;
  if (typeof body === 'string') return encoding === 'latin1' ? body : null;
  return Buffer.isBuffer(body) ? body.toString('latin1') : null;
}
