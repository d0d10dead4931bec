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

/**
 * The request, in the order undici writes it; null for one that is not as plain as nearly all are, and for one that is
 * invalid: undici sends those, or says what is wrong with them.
 */
export function requestText(call: {
  method: UpstreamRoute['method'];
  path: string;
  /** Host, and port where the URL has one. */
  host: string;
  headers: HeaderFields;
  body: string | Uint8Array | null;
}): RequestText | null {
  const { method, headers, body } = call;
  const bytes = body === null ? 0 : typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
  if (method !== 'POST' && bytes > 0) return null;
  let head = `${method} ${call.path} HTTP/1.1\r\nhost: ${call.host}\r\nconnection: keep-alive\r\n`;
  for (const name in headers) {
    const value = headers[name];
    if (typeof value !== 'string' || !VALUE.test(value)) return null;
    if (!TOKEN.test(name) || RESERVED.has(name.toLowerCase())) return null;
    head += `${name}: ${value}\r\n`;
  }
  head += method === 'POST' ? `content-length: ${bytes}\r\n\r\n` : '\r\n';
  return { head, body: bytes === 0 ? null : body, bytes };
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
