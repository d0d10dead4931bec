import type { Socket } from 'node:net';
import type { HeaderFields, UpstreamRoute } from '../domain/provider.js';

/** A request as it goes out. Its head ends with the empty line, and is latin1. */
export interface RequestText {
  head: string;
  body: string | Uint8Array | null;
  /** That of the body. */
  bytes: number;
}

/** Said by whoever holds the connection. A call that says one of them itself is left to undici. */
const RESERVED = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'keep-alive',
  'upgrade',
  'expect',
]);

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Above this a body is cheaper sent as it is than joined with its head. */
const MAX_JOINED = 16 * 1024;

/** What undici takes for a path, and so do we. */
const PATH = /^\/[!-\xff]*$/;

/** What a request's text is made of. */
export interface RequestParts {
  method: UpstreamRoute['method'];
  headers: HeaderFields;
  body: string | Uint8Array | null;
}

/** The requests to one path of one host. */
export class RequestTexts {
  readonly path: string;
  /** As the `host` header says it, with a port where the URL has one. */
  readonly #host: string;
  readonly #isPlain: boolean;
  /** The head before this, and what it was made of: nearly all differ in nothing but their length. */
  #method = '';
  #fields: readonly string[] = [];
  #head = '';

  constructor(path: string, host: string) {
    this.path = path;
    this.#host = host;
    this.#isPlain = PATH.test(path);
  }

  /**
   * The request, in the order undici writes it; null for one that is not as plain as nearly all are, and for one that is
   * invalid: undici sends those, or says what is wrong with them.
   */
  of({ method, headers, body }: RequestParts): RequestText | null {
    const bytes = body === null ? 0 : typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
    if (!this.#isPlain || (method !== 'POST' && bytes > 0)) return null;
    if (!this.#isAsBefore(method, headers) && !this.#begin(method, headers)) return null;
    const head = method === 'POST' ? `${this.#head}content-length: ${bytes}\r\n\r\n` : `${this.#head}\r\n`;
    return { head, body: bytes === 0 ? null : body, bytes };
  }

  #isAsBefore(method: string, headers: HeaderFields): boolean {
    const fields = this.#fields;
    let at = 0;
    for (const name in headers) {
      if (fields[at] !== name || fields[at + 1] !== headers[name]) return false;
      at += 2;
    }
    return at === fields.length && method === this.#method;
  }

  /** False for headers that are not plain. */
  #begin(method: string, headers: HeaderFields): boolean {
    const fields: string[] = [];
    let head = `${method} ${this.path} HTTP/1.1\r\nhost: ${this.#host}\r\nconnection: keep-alive\r\n`;
    for (const name in headers) {
      const value = headers[name];
      if (typeof value !== 'string' || !VALUE.test(value)) return false;
      if (!TOKEN.test(name) || RESERVED.has(name.toLowerCase())) return false;
      head += `${name}: ${value}\r\n`;
      fields.push(name, value);
    }
    this.#method = method;
    this.#fields = fields;
    this.#head = head;
    return true;
  }
}

/** Head and body in one write to the system. */
export function writeRequest(socket: Socket, { head, body, bytes }: RequestText): void {
  if (body === null) {
    socket.write(head, 'latin1');
    return;
  }
  // As many bytes as characters: it is ASCII.
  if (typeof body === 'string' && bytes === body.length && bytes <= MAX_JOINED) {
    socket.write(head + body, 'latin1');
    return;
  }
  socket.cork();
  socket.write(head, 'latin1');
  if (typeof body === 'string') socket.write(body, bytes === body.length ? 'latin1' : 'utf8');
  else socket.write(body);
  socket.uncork();
}
