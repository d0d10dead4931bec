import { isAscii, isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { WaybillError } from '../domain/errors.js';
import type { JsonBody } from '../domain/task.js';
import { parseJsonBody } from '../wire/json-body.js';
import { JsonTextError } from '../wire/json-scan.js';
import type { Exchange } from './exchange.js';

/**
 * Reads a request's body, which is refused by its announced length before a byte of it is read. A client that is slow
 * to send it is ended by the server's `requestTimeout`.
 * @throws WaybillError body_too_large, invalid_request
 */
export async function readBody(req: IncomingMessage, limitBytes: number): Promise<Buffer> {
  checkAnnounced(req, limitBytes);
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let size = 0;
    req.on('data', (part: Buffer) => {
      size += part.length;
      if (size > limitBytes) {
        req.pause();
        reject(tooLarge(limitBytes));
        return;
      }
      parts.push(part);
    });
    req.on('end', () => resolve(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, size)));
    // Whatever ends it first settles it; a close comes after every end.
    const onBreak = () => {
      if (!req.readableEnded) reject(brokenOff());
    };
    req.on('error', onBreak).on('close', onBreak);
  });
}

/** @throws WaybillError body_too_large, invalid_request, before a byte of the body is read */
export function checkAnnounced(req: IncomingMessage, limitBytes: number): void {
  const announced = Number(req.headers['content-length'] ?? Number.NaN);
  if (announced > limitBytes) throw tooLarge(limitBytes);
  const encoding = req.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new WaybillError('invalid_request', {
      message: `The content encoding \`${encoding}\` is not understood; send plain JSON.`,
    });
  }
}

export function brokenOff(cause?: unknown): WaybillError {
  const message = 'The request broke off before its body was complete.';
  return new WaybillError('invalid_request', { message, cause });
}

/** What `make` makes of the body, at once where it has come. @throws WaybillError body_too_large, invalid_request */
export function readJson<T>(exchange: Exchange, limitBytes: number, make: (body: JsonBody) => T): T | Promise<T> {
  const body = exchange.readBody(limitBytes);
  return body instanceof Promise ? body.then((bytes) => make(parseJson(bytes))) : make(parseJson(body));
}

/** @throws WaybillError body_too_large, invalid_request */
export async function readJsonBody(req: IncomingMessage, limitBytes: number): Promise<JsonBody> {
  return parseJson(await readBody(req, limitBytes));
}

/** @throws WaybillError invalid_request */
export function parseJson(body: Buffer): JsonBody {
  const text = isAscii(body) ? body.toString('latin1') : utf8Text(body);
  try {
    return parseJsonBody(text);
  } catch (error) {
    if (error instanceof JsonTextError) throw unreadable(`The request's body is refused: ${error.message}.`, error);
    throw error;
  }
}

function utf8Text(body: Buffer): string {
  // Decoding would put a replacement character where the client had something else, and send that on.
  if (!isUtf8(body)) throw unreadable("The request's body is not valid UTF-8.");
  // Some clients send a byte order mark, which a reader may ignore (RFC 8259, section 8.1).
  return body.toString('utf8').replace(/^\ufeff/, '');
}

function unreadable(message: string, cause?: Error): WaybillError {
  return new WaybillError('invalid_request', { message, param: 'body', cause });
}

export function tooLarge(limitBytes: number): WaybillError {
  return new WaybillError('body_too_large', { message: `The request's body is larger than ${limitBytes} bytes.` });
}
