import { Buffer } from 'node:buffer';
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
  /** The key is the client's own: what the headers say is not kept. */
  isBrought?: boolean;
}

/** A header, and how it is written. */
interface Line {
  name: string;
  value: string;
  text: string;
}

/** What a head is made of, and the head without its length. */
interface Beginning {
  method: string;
  lines: readonly Line[];
  head: string;
}

/** The requests to one path of one host. */
export class RequestTexts {
  readonly path: string;
  /** As the `host` header says it, with a port where the URL has one. */
  readonly #host: string;
  readonly #isPlain: boolean;
  /** That of the call before this: nearly all differ in nothing but their length. */
  #before: Beginning | null = null;

  constructor(path: string, host: string) {
    this.path = path;
    this.#host = host;
    this.#isPlain = PATH.test(path);
  }

  /**
   * The request, in the order undici writes it; null for one that is not as plain as nearly all are, and for one that is
   * invalid: undici sends those, or says what is wrong with them.
   */
  of({ method, headers, body, isBrought = false }: RequestParts): RequestText | null {
    const bytes = body === null ? 0 : typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
    if (!this.#isPlain || (method !== 'POST' && bytes > 0)) return null;
    const before = this.#before;
    const isAsBefore = before !== null && isSame(before, method, headers);
    const beginning = isAsBefore ? before : this.#begin(method, headers);
    if (beginning === null) return null;
    if (!isBrought) this.#before = beginning;
    const end = method === 'POST' ? `content-length: ${bytes}\r\n\r\n` : '\r\n';
    return { head: beginning.head + end, body: bytes === 0 ? null : body, bytes };
  }

  /** Null for headers that are not plain. */
  #begin(method: string, headers: HeaderFields): Beginning | null {
    const lines: Line[] = [];
    let head = `${method} ${this.path} HTTP/1.1\r\nhost: ${this.#host}\r\nconnection: keep-alive\r\n`;
    for (const name in headers) {
      const line = lineOf(name, headers[name], this.#before?.lines[lines.length]);
      if (line === null) return null;
      head += line.text;
      lines.push(line);
    }
    return { method, lines, head };
  }
}

/** `before` stood in the same place of another head, where it mostly says the same. Null for one that is not plain. */
function lineOf(name: string, value: string | undefined, before: Line | undefined): Line | null {
  const isNameKnown = before !== undefined && before.name === name;
  if (isNameKnown && before.value === value) return before;
  // The name is looked at last: what a pattern looked at last is kept, and the value may be a client's key.
  if (typeof value !== 'string' || !VALUE.test(value) || !TOKEN.test(name)) return null;
  if (!isNameKnown && RESERVED.has(name.toLowerCase())) return null;
  return { name, value, text: `${name}: ${value}\r\n` };
}

function isSame({ method, lines }: Beginning, ofMethod: string, headers: HeaderFields): boolean {
  let at = 0;
  for (const name in headers) {
    const line = lines[at];
    if (line === undefined || line.name !== name || line.value !== headers[name]) return false;
    at += 1;
  }
  return at === lines.length && method === ofMethod;
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
