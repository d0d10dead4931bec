import { STATUS_CODES } from 'node:http';
import type { FlatHeaders } from '../exchange.js';

/** As Node has them: what a header's name is made of, and what its value must not hold. */
const TOKEN = /^[\w!#$%&'*+\-.^`|~]+$/;
const FORBIDDEN = /[^\t\x20-\x7e\x80-\xff]/;

/** Answers have the same few; of names that a client or a provider brings, no more are kept. */
const MOST_KNOWN_NAMES = 200;

export interface AnswerHead {
  status: number;
  headers: FlatHeaders;
  /** Written before the others. */
  preset: FlatHeaders;
  /** An answer whose length is not told. */
  isChunked: boolean;
  /** No other request is to come on the connection. */
  closes: boolean;
}

/** Writes the heads of a server's answers. */
export class AnswerHeads {
  readonly #keepAlive: string;
  /** Names that were looked at, and found to be tokens. */
  readonly #known = new Set<string>();
  #second = -1;
  /** The time, put into words once a second. */
  #date = '';

  constructor(keepAliveMs: number) {
    this.#keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1_000)}\r\n`;
  }

  /**
   * Everything before the body, Latin-1, in the words and order of `node:http`. `headers` say nothing of the connection.
   * @throws TypeError for a name or a value that no header can have
   */
  text({ status, headers, preset, isChunked, closes }: AnswerHead): string {
    let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`;
    if (closes) text += 'connection: close\r\n';
    text += this.#lines(preset) + this.#lines(headers);
    text += `Date: ${this.#now()}\r\n`;
    if (!closes) text += this.#keepAlive;
    if (isChunked) text += 'Transfer-Encoding: chunked\r\n';
    return `${text}\r\n`;
  }

  #lines(headers: FlatHeaders): string {
    let text = '';
    for (let at = 0; at < headers.length; at += 2) {
      const name = headers[at] as string;
      const value = headers[at + 1] as string;
      if (!this.#known.has(name)) this.#know(name);
      if (FORBIDDEN.test(value)) throw new TypeError(`The header ${name} has a character that no header can hold`);
      text += `${name}: ${value}\r\n`;
    }
    return text;
  }

  #know(name: string): void {
    if (!TOKEN.test(name)) throw new TypeError('A header has a name that is no token');
    if (this.#known.size < MOST_KNOWN_NAMES) this.#known.add(name);
  }

  #now(): string {
    const now = Date.now();
    const second = Math.floor(now / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#date = new Date(now).toUTCString();
    }
    return this.#date;
  }
}

/** Of a field by its name; -1 for none. Values stand between the names, and may be any word. */
export function placeOf(name: string, headers: FlatHeaders): number {
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at] === name) return at;
  }
  return -1;
}
