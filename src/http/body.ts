import type { IncomingMessage } from 'node:http';
import { WaybillError } from '../domain/errors.js';
import type { JsonBody } from '../domain/task.js';
import { JsonTextError, parseJsonBody } from '../wire/json-text.js';

/** A client that sends its body slower than this is not waited for. */
const BODY_TIMEOUT_MS = 60_000;

/**
 * Reads a request's body, which is refused by its announced length before a byte of it is read.
 * @throws WaybillError body_too_large, invalid_request
 */
export async function readBody(req: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const announced = Number(req.headers['content-length'] ?? Number.NaN);
  if (announced > limitBytes) throw tooLarge(limitBytes);
  const encoding = req.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new WaybillError('invalid_request', {
      message: `The content encoding \`${encoding}\` is not understood; send plain JSON.`,
    });
  }
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(() => settle(slow()), BODY_TIMEOUT_MS);
    const settle = (outcome: Buffer | WaybillError) => {
      clearTimeout(timer);
      req.off('data', onData).off('end', onEnd).off('error', onBreak).off('close', onBreak);
      if (outcome instanceof WaybillError) reject(outcome);
      else resolve(outcome);
    };
    const onData = (part: Buffer) => {
      size += part.length;
      if (size > limitBytes) {
        req.pause();
        settle(tooLarge(limitBytes));
        return;
      }
      parts.push(part);
    };
    const onEnd = () => settle(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, size));
    const onBreak = () =>
      settle(new WaybillError('invalid_request', { message: 'The request broke off before its body was complete.' }));
    req.on('data', onData).on('end', onEnd).on('error', onBreak).on('close', onBreak);
  });
}

/** @throws WaybillError body_too_large, invalid_request */
export async function readJsonBody(req: IncomingMessage, limitBytes: number): Promise<JsonBody> {
  const body = await readBody(req, limitBytes);
  try {
    return parseJsonBody(body.toString('utf8'));
  } catch (error) {
    if (error instanceof JsonTextError)
      throw new WaybillError('invalid_request', { message: error.message, cause: error });
    throw error;
  }
}

function tooLarge(limitBytes: number): WaybillError {
  return new WaybillError('body_too_large', { message: `The request's body is larger than ${limitBytes} bytes.` });
}

function slow(): WaybillError {
  return new WaybillError('invalid_request', {
    message: `The request's body did not come within ${BODY_TIMEOUT_MS} ms.`,
  });
}
