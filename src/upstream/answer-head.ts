import type { HeaderFields } from '../domain/provider.js';
import { malformedAnswer } from './protocol-error.js';

/** A status line and its headers, at most, together with what came before them and was passed over. */
export const MAX_HEAD_BYTES = 16 * 1024;

/** Values of `AnswerHead.length` for bodies whose length the head does not say. */
export const CHUNKED = -1;
export const UNTIL_CLOSE = -2;

export interface AnswerHead {
  status: number;
  /** Names in lower case; what comes more than once is joined by `, `. */
  headers: HeaderFields;
  /** The body's bytes, or CHUNKED or UNTIL_CLOSE. */
  length: number;
  /** For how long the server keeps the connection after the answer: null when it does not say, 0 when it closes it. */
  keepMs: number | null;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const TAB = 9;
const SPACE = 32;
const DIGITS = /^\d+$/;
const START = 'HTTP/1.';
const LENGTH = 'content-length';
const CODING = 'transfer-encoding';

/**
 * An answer's head without the empty line at its end, as latin1. As strict as llhttp, and stricter about versions: no
 * line ends with a bare line feed, none goes on in the next, and a length is said once, in one way.
 * @throws ProtocolError
 */
export function parseHead(text: string): AnswerHead {
  const status = parseStatus(text);
  const headers: HeaderFields = {};
  let lengths = 0;
  for (let at = text.indexOf('\r\n') + 2; at !== 1; ) {
    const end = text.indexOf('\r\n', at);
    const isLength = addField(headers, end === -1 ? text.slice(at) : text.slice(at, end));
    if (isLength) lengths += 1;
    at = end + 2;
    if (end === -1) break;
  }
  if (lengths > 1) throw malformedAnswer('HPE_UNEXPECTED_CONTENT_LENGTH', 'Content-Length already present');
  const length = bodyLengthOf(status, headers);
  return { status, headers, length, keepMs: length === UNTIL_CLOSE ? 0 : keepMsOf(text, headers) };
}

/**
 * Whether the beginning of a head can still become one.
 * @throws ProtocolError when it cannot
 */
export function checkBeginning(text: string): void {
  if (!text.startsWith(START) && !START.startsWith(text)) throw notHttp();
  if (/(?:^|[^\r])\n|\r[^\n]/.test(text)) throw malformedAnswer('HPE_CR_EXPECTED', 'Missing expected CR or LF');
}

/**
 * One line of a head, or of what follows the last chunk. Adds it; true for a content-length.
 * @throws ProtocolError
 */
export function addField(headers: HeaderFields, line: string): boolean {
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(0, colon)).toLowerCase();
  if (!TOKEN.test(name)) throw malformedAnswer('HPE_INVALID_HEADER_TOKEN', 'Invalid header token');
  const raw = line.slice(colon + 1);
  if (!VALUE.test(raw)) throw malformedAnswer('HPE_INVALID_HEADER_TOKEN', 'Invalid header value char');
  // Where a body ends is said without tabs: others read them differently.
  if ((name === LENGTH || name === CODING) && raw.includes('\t')) {
    throw malformedAnswer('HPE_INVALID_HEADER_TOKEN', `Invalid character in ${name}`);
  }
  const value = trimmed(raw);
  const before = headers[name];
  // Names that every object knows (`constructor`) are no strings there.
  headers[name] = typeof before === 'string' ? `${before}, ${value}` : value;
  return name === LENGTH;
}

function parseStatus(text: string): number {
  if (!text.startsWith(START)) throw notHttp();
  const minor = text.charCodeAt(7) - 48;
  if (minor !== 1 && minor !== 0) throw malformedAnswer('HPE_INVALID_VERSION', 'Invalid HTTP version');
  if (text[8] !== ' ') throw malformedAnswer('HPE_INVALID_VERSION', 'Expected space after version');
  const code = text.slice(9, 12);
  if (code.length !== 3 || !DIGITS.test(code) || code < '100') {
    throw malformedAnswer('HPE_INVALID_STATUS', 'Invalid status code');
  }
  const next = text.charCodeAt(12);
  // A space and a reason, or the end of the line; NaN is the end of the head.
  if (next !== 32 && next !== 13 && !Number.isNaN(next)) {
    throw malformedAnswer('HPE_INVALID_STATUS', 'Invalid response status');
  }
  const end = text.indexOf('\r\n');
  if (/[\r\n]/.test(text.slice(12, end === -1 ? text.length : end))) {
    throw malformedAnswer('HPE_CR_EXPECTED', 'Missing expected CR after response line');
  }
  return Number(code);
}

/** RFC 9112, section 6.3. */
function bodyLengthOf(status: number, headers: HeaderFields): number {
  const length = headers[LENGTH];
  const coding = headers[CODING];
  if (length !== undefined && coding !== undefined) {
    throw malformedAnswer('HPE_INVALID_TRANSFER_ENCODING', "Content-Length can't be present with Transfer-Encoding");
  }
  let bytes = UNTIL_CLOSE;
  if (length !== undefined) {
    bytes = DIGITS.test(length) ? Number(length) : Number.NaN;
    if (!Number.isSafeInteger(bytes)) {
      throw malformedAnswer('HPE_INVALID_CONTENT_LENGTH', 'Invalid character in Content-Length');
    }
  } else if (coding !== undefined && /(?:^|,)[\t ]*chunked$/i.test(coding)) bytes = CHUNKED;
  return status < 200 || status === 204 || status === 304 ? 0 : bytes;
}

function keepMsOf(text: string, headers: HeaderFields): number | null {
  const connection = headers['connection'] ?? headers['proxy-connection'];
  if (connection !== undefined || text[7] === '0') {
    const options = (connection ?? '').toLowerCase().split(',').map(trimmed);
    if (options.includes('close')) return 0;
    if (text[7] === '0' && !options.includes('keep-alive')) return 0;
  }
  const seconds = /timeout=(\d{1,9})/.exec(headers['keep-alive'] ?? '')?.[1];
  return seconds === undefined ? null : Number(seconds) * 1_000;
}

/** Looks at the edges only, byte by byte: a pattern for them begins anew at every space within, each time to its end. */
function trimmed(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isSpace(text.charCodeAt(from))) from += 1;
  while (to > from && isSpace(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function isSpace(code: number): boolean {
  return code === SPACE || code === TAB;
}

function notHttp(): Error {
  return malformedAnswer('HPE_INVALID_CONSTANT', 'Expected HTTP/1.');
}
