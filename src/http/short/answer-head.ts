import { STATUS_CODES } from 'node:http';
import type { FlatHeaders } from '../exchange.js';

/** As Node has them: what a header's name is made of, and what its value must not hold. */
const TOKEN = /^[\w!#$%&'*+\-.^`|~]+$/;
const FORBIDDEN = /[^\t\x20-\x7e\x80-\xff]/;

/** Answers have the same few; of names that a client or a provider brings, no more are kept. */
const MOST_KNOWN_NAMES = 200;

const NO_FIELDS: FlatHeaders = [];

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
  /** The fields of the answer before and their lines, which the next has most of too. */
  #before = NO_FIELDS;
  #linesBefore: string[] = [];
  #second = -1;
  /** The time, put into words once a second. */
  #date = '';

  constructor(keepAliveMs: number) {
    this.#keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1_000)}\r\n`;
  }

  /**
   * Everything before the body, Latin-1, in the words and order of `node:http`. `headers` say nothing of the connection, and
   * are not changed any more.
   * @throws TypeError for a name or a value that no header can have
   */
  text({ status, headers, preset, isChunked, closes }: AnswerHead): string {
    let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`;
    if (closes) text += 'connection: close\r\n';
    for (let at = 0; at < preset.length; at += 2) text += this.#line(preset, at);
    text += this.#lines(headers) + this.#dateLine();
    if (!closes) text += this.#keepAlive;
    if (isChunked) text += 'Transfer-Encoding: chunked\r\n';
    return `${text}\r\n`;
  }

  #lines(headers: FlatHeaders): string {
    const before = this.#before;
    const lines = this.#linesBefore;
    let text = '';
    // Until all lines are there, none counts as before.
    this.#before = NO_FIELDS;
    for (let at = 0; at < headers.length; at += 2) {
      if (headers[at + 1] !== before[at + 1] || headers[at] !== before[at]) lines[at / 2] = this.#line(headers, at);
      text += lines[at / 2];
    }
    this.#before = headers;
    return text;
  }

  #line(headers: FlatHeaders, at: number): string {
    const name = headers[at] as string;
    const value = headers[at + 1] as string;
    if (!this.#known.has(name)) this.#know(name);
    if (FORBIDDEN.test(value)) throw new TypeError(`The header ${name} has a character that no header can hold`);
    return `${name}: ${value}\r\n`;
  }

  #know(name: string): void {
    if (!TOKEN.test(name)) throw new TypeError('A header has a name that is no token');
    if (this.#known.size < MOST_KNOWN_NAMES) this.#known.add(name);
  }

  #dateLine(): string {
    const now = Date.now();
    const second = Math.floor(now / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#date = `Date: ${new Date(now).toUTCString()}\r\n`;
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
