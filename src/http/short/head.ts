import { READ_HEADERS, type ReadHeader } from '../exchange.js';

/** Heads of clients have some 300 to 1,000 bytes. A longer one than the most goes to `node:http`, which has its own bound. */
const USUAL_BYTES = 1_024;
export const MOST_BYTES = 8 * 1_024;

/**
 * The plainest form a request has (RFC 9112): every line ends with CRLF, names are tokens that end at their colon, values
 * are visible ASCII, spaces and tabs, and no line goes on in the next.
 */
const PLAIN_HEAD = /^POST (\/[!-~]+) HTTP\/1\.1\r\n(?:[\w!#$%&'*+\-.^`|~]+:[\t\x20-\x7e]*\r\n)+\r\n/;
/** Exact as a number, and more than any body may have. As it stands behind the colon: Node refuses a tab behind it. */
const LENGTH = /^[\t ]*(\d{1,15}) *$/;
/** Beyond some thousand Node drops what comes; a request has a dozen or two. */
const MOST_FIELDS = 100;

type Rule = { use: 'read'; name: ReadHeader } | { use: 'length' | 'connection' | 'never' };

/** What is made of a header. Of one that is not listed nothing depends. */
const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...READ_HEADERS.map((name): [string, Rule] => [name, { use: 'read', name }]),
  ['content-length', { use: 'length' }],
  ['connection', { use: 'connection' }],
  // Node takes it for the connection's.
  never('proxy-connection'),
  // Other framings of the body, other protocols, and answers that begin before the body has come.
  ...['transfer-encoding', 'content-encoding', 'expect', 'upgrade', 'trailer'].map(never),
  // Browsers' requests need koa's CORS headers.
  never('origin'),
]);

function never(name: string): [string, Rule] {
  return [name, { use: 'never' }];
}

/** Of a header's value: whose it is, `length` for that of `Content-Length`, where it starts behind the colon, and its end. */
export interface ChangingValue {
  name: ReadHeader | 'length';
  start: number;
  end: number;
}

/** What differs from request to request, and what is a secret and not kept. */
export const CHANGING: ReadonlySet<ReadHeader> = new Set<ReadHeader>([
  ...(['authorization', 'x-api-key', 'x-waybill-provider-key'] as const),
  'idempotency-key',
]);

/** Every name, undefined where it was not given: objects of one shape are made and read the fastest. */
export type PlainHeaders = Record<ReadHeader, string | undefined>;

/** Those that are given, and room for the others. */
export function plainHeaders(given: Partial<PlainHeaders> = {}): PlainHeaders {
  return {
    authorization: given.authorization,
    'x-api-key': given['x-api-key'],
    host: given.host,
    origin: given.origin,
    'idempotency-key': given['idempotency-key'],
    'cache-control': given['cache-control'],
    'x-waybill-tags': given['x-waybill-tags'],
    'x-waybill-region': given['x-waybill-region'],
    'x-waybill-provider-key': given['x-waybill-provider-key'],
  };
}

/** The head of a request that the short way takes. */
export interface PlainHead {
  path: string;
  headers: PlainHeaders;
  bodyBytes: number;
  /** The head's own, its blank line included. */
  headBytes: number;
}

/**
 * Reads the head that the first `size` bytes begin with. Null for whatever is not whole, not plain or not one of the paths: there is
 * one way only to read what is left, so that a proxy in front cannot have read it in another. Values that change are added to
 * `values`.
 */
export function parsePlainHead(
  data: Buffer,
  size: number,
  isPath: (path: string) => boolean,
  values: ChangingValue[],
): PlainHead | null {
  const text = textOf(data, size);
  const match = text === null ? null : PLAIN_HEAD.exec(text);
  if (text === null || match === null) return null;
  const path = match[1] as string;
  const headBytes = match[0].length;
  const fields = isPath(path) ? readFields(text, headBytes, values) : null;
  return fields === null ? null : { path, headBytes, ...fields };
}

/** Up to where the head ends at the most; null when it ends nowhere. Each byte is one character. */
function textOf(data: Buffer, size: number): string | null {
  const usual = data.toString('latin1', 0, Math.min(size, USUAL_BYTES));
  if (usual.includes('\r\n\r\n')) return usual;
  if (size <= USUAL_BYTES || !usual.startsWith('POST ')) return null;
  const most = data.toString('latin1', 0, Math.min(size, MOST_BYTES));
  return most.includes('\r\n\r\n') ? most : null;
}

/** Of lines that are well formed; null where they say something that is not taken, or say it twice. */
function readFields(
  text: string,
  headBytes: number,
  values: ChangingValue[],
): Pick<PlainHead, 'headers' | 'bodyBytes'> | null {
  const headers = plainHeaders();
  let bodyBytes = -1;
  let isConnectionTold = false;
  let fields = 0;
  for (let at = text.indexOf('\r\n') + 2; at < headBytes - 2; ) {
    fields += 1;
    if (fields > MOST_FIELDS) return null;
    const colon = text.indexOf(':', at);
    const end = text.indexOf('\r\n', colon);
    const rule = RULES.get(text.slice(at, colon).toLowerCase());
    at = end + 2;
    if (rule === undefined) continue;
    // Of white space there are spaces and tabs only.
    const value = text.slice(colon + 1, end).trim();
    if (rule.use === 'read') {
      if (headers[rule.name] !== undefined) return null;
      headers[rule.name] = value;
      if (CHANGING.has(rule.name)) values.push({ name: rule.name, start: colon + 1, end });
    } else if (rule.use === 'length') {
      const digits = LENGTH.exec(text.slice(colon + 1, end));
      if (bodyBytes !== -1 || digits === null) return null;
      bodyBytes = Number(digits[1]);
      values.push({ name: 'length', start: colon + 1, end });
    } else if (rule.use === 'connection') {
      if (isConnectionTold || value.toLowerCase() !== 'keep-alive') return null;
      isConnectionTold = true;
    } else return null;
  }
  return bodyBytes === -1 || headers.host === undefined || headers.host === '' ? null : { headers, bodyBytes };
}
