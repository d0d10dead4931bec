import { ownText } from '../domain/own-text.js';
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

/** A field's name as a server writes it, with its colon, and as it is told. */
export interface FieldName {
  text: string;
  name: string;
}

/** What the head before is good for: most servers say the same again. Shared by the connections to one server. */
export class HeadBefore {
  readonly names: FieldName[] = [];
  /** At first, those of a usual one. */
  bytes = 1024;
}

/** A name and a value, each of what it can hold. */
const FIELD_TEXT = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+:[\\t\\x20-\\x7e\\x80-\\xff]*";
const FIELD = new RegExp(`^${FIELD_TEXT}$`);
/** A status line and fields. What does not match is looked at line by line for what is wrong with it. */
const HEAD = new RegExp(`^HTTP/1\\.[01] [1-9]\\d\\d(?: [^\\r\\n]*)?(?:\\r\\n${FIELD_TEXT})*$`);
const TAB = 9;
const SPACE = 32;
const CR = 13;
const DIGITS = /^\d+$/;
const START = 'HTTP/1.';
const LENGTH = 'content-length';
const CODING = 'transfer-encoding';

/**
 * An answer's head without the empty line at its end, as latin1. As strict as llhttp, and stricter about versions: no
 * line ends with a bare line feed, none goes on in the next, and a length is said once, in one way. `names`: those of the
 * head before; they are brought up to date.
 * @throws ProtocolError
 */
export function parseHead(text: string, names: FieldName[]): AnswerHead {
  if (!HEAD.test(text)) throw whatIsWrong(text);
  const status = Number(text.slice(9, 12));
  const headers: HeaderFields = {};
  let lengths = 0;
  let field = 0;
  for (let at = text.indexOf('\r\n') + 2; at !== 1; field += 1) {
    const next = text.indexOf('\r\n', at);
    let known = names[field];
    if (known === undefined || !text.startsWith(known.text, at)) {
      known = nameAt(text, at);
      names[field] = known;
    }
    add(headers, known.name, text.slice(at + known.text.length, next === -1 ? text.length : next));
    if (known.name === LENGTH) lengths += 1;
    at = next + 2;
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
  if (!FIELD.test(line)) throw invalidField(line);
  const { text, name } = nameAt(line, 0);
  add(headers, name, line.slice(text.length));
  return name === LENGTH;
}

function nameAt(text: string, start: number): FieldName {
  const colon = text.indexOf(':', start);
  // It is kept as long as the server says the same.
  const own = ownText(text.slice(start, colon + 1));
  return { text: own, name: own.slice(0, -1).toLowerCase() };
}

function add(headers: HeaderFields, name: string, raw: string): void {
  // Where a body ends is said without tabs: others read them differently.
  if ((name === LENGTH || name === CODING) && raw.includes('\t')) {
    throw malformedAnswer('HPE_INVALID_HEADER_TOKEN', `Invalid character in ${name}`);
  }
  const value = trimmed(raw);
  const before = headers[name];
  // Names that every object knows (`constructor`) are no strings there.
  headers[name] = typeof before === 'string' ? `${before}, ${value}` : value;
}

function whatIsWrong(text: string): Error {
  if (!text.startsWith(START)) return notHttp();
  const minor = text.charCodeAt(7) - 48;
  if (minor !== 1 && minor !== 0) return malformedAnswer('HPE_INVALID_VERSION', 'Invalid HTTP version');
  if (text[8] !== ' ') return malformedAnswer('HPE_INVALID_VERSION', 'Expected space after version');
  if (!/^[1-9]\d\d$/.test(text.slice(9, 12))) return malformedAnswer('HPE_INVALID_STATUS', 'Invalid status code');
  const next = text.charCodeAt(12);
  // A space and a reason, or the end of the line; NaN is the end of the head.
  if (next !== SPACE && next !== CR && !Number.isNaN(next)) {
    return malformedAnswer('HPE_INVALID_STATUS', 'Invalid response status');
  }
  const [first, ...lines] = text.split('\r\n') as [string, ...string[]];
  if (/[\r\n]/.test(first)) return malformedAnswer('HPE_CR_EXPECTED', 'Missing expected CR after response line');
  return invalidField(lines.find((line) => !FIELD.test(line)) ?? '');
}

function invalidField(line: string): Error {
  const isName = /^[^:]+:/.test(line) && FIELD.test(`${line.slice(0, line.indexOf(':'))}:`);
  const what = isName ? 'Invalid header value char' : 'Invalid header token';
  return malformedAnswer('HPE_INVALID_HEADER_TOKEN', what);
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
