import { STATUS_CODES } from 'node:http';
import type { FlatHeaders } from '../exchange.js';

/** As Node has them: what a header's name is made of, and what its value must not hold. */
const TOKEN = /^[\w!#$%&'*+\-.^`|~]+$/;
const FORBIDDEN = /[^\t\x20-\x7e\x80-\xff]/;

/** The time of answers, put into words once a second. */
export class HttpDate {
  #second = -1;
  #text = '';

  text(): string {
    const now = Date.now();
    const second = Math.floor(now / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = new Date(now).toUTCString();
    }
    return this.#text;
  }
}

export interface AnswerHead {
  status: number;
  headers: FlatHeaders;
  /** Written before the others. */
  preset: FlatHeaders;
  /** An answer whose length is not told. */
  isChunked: boolean;
  /** No other request is to come on the connection. */
  closes: boolean;
  date: HttpDate;
  keepAliveMs: number;
}

/**
 * Everything before the body, Latin-1, in the words and order of `node:http`. `headers` say nothing of the connection.
 * @throws TypeError for a name or a value that no header can have
 */
export function answerHead({ status, headers, preset, isChunked, closes, date, keepAliveMs }: AnswerHead): string {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`;
  if (closes) text += 'connection: close\r\n';
  text += fieldLines(preset) + fieldLines(headers);
  text += `Date: ${date.text()}\r\n`;
  if (!closes) text += `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1_000)}\r\n`;
  if (isChunked) text += 'Transfer-Encoding: chunked\r\n';
  return `${text}\r\n`;
}

/** Of a field by its name; -1 for none. Values stand between the names, and may be any word. */
export function placeOf(name: string, headers: FlatHeaders): number {
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at] === name) return at;
  }
  return -1;
}

function fieldLines(headers: FlatHeaders): string {
  let text = '';
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] as string;
    const value = headers[at + 1] as string;
    if (!TOKEN.test(name)) throw new TypeError('A header has a name that is no token');
    if (FORBIDDEN.test(value)) throw new TypeError(`The header ${name} has a character that no header can hold`);
    text += `${name}: ${value}\r\n`;
  }
  return text;
}
