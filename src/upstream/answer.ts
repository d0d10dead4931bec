import { isUtf8 } from 'node:buffer';
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, type ZlibOptions } from 'node:zlib';
import { bodyLength } from '../domain/body.js';
import type { JsonObject } from '../domain/task.js';
import { type TakePart, UpstreamBrokenError, type UpstreamCall, type UpstreamResponse } from '../domain/upstream.js';
import type { UsageReport } from '../domain/usage.js';
import { parseOpenAiUsage } from '../wire/openai-usage.js';
import type { Exchange } from './exchange.js';
import { failureFromError } from './failure.js';

/** An error body beyond this says nothing more. */
const MAX_ERROR_BYTES = 256 * 1024;

/** A few bytes can unpack to gigabytes: every call says how many it takes. */
type Unpack = (body: Buffer, bound: Required<Pick<ZlibOptions, 'maxOutputLength'>>) => Promise<Buffer>;

const decompress: Record<string, Unpack> = {
  gzip: promisify(gunzip) as Unpack,
  'x-gzip': promisify(gunzip) as Unpack,
  deflate: promisify(inflate) as Unpack,
  br: promisify(brotliDecompress) as Unpack,
};

/** An answer with a 2xx status. */
export class Answer implements UpstreamResponse {
  readonly status: number;
  readonly headers: UpstreamResponse['headers'];
  readonly stated: UpstreamResponse['stated'];
  readonly #exchange: Exchange;
  readonly #secrets: readonly string[];

  constructor(exchange: Exchange, secrets: readonly string[], stated: UpstreamResponse['stated']) {
    this.status = exchange.status;
    this.headers = exchange.headers;
    this.stated = stated;
    this.#exchange = exchange;
    this.#secrets = secrets;
  }

  next(): Promise<Buffer | null> {
    return this.#exchange.next();
  }

  pipe(take: TakePart): Promise<void> {
    return this.#exchange.pipe(take);
  }

  abort(): void {
    this.#exchange.cancel();
  }

  recycle(): void {
    this.#exchange.lent?.giveBack();
  }

  readAll(maxBytes: number): readonly Buffer[] | Promise<readonly Buffer[]> {
    const exchange = this.#exchange;
    if (exchange.isWhole) return this.#unpacked(exchange.takenParts(), maxBytes);
    return exchange.collect(maxBytes).then((parts) => this.#unpacked(parts, maxBytes));
  }

  #unpacked(parts: readonly Buffer[] | null, maxBytes: number): readonly Buffer[] | Promise<readonly Buffer[]> {
    if (parts === null || bodyLength(parts) > maxBytes) throw tooLarge(maxBytes);
    const coding = this.headers['content-encoding'];
    const decode = coding === undefined ? undefined : decompress[coding.toLowerCase()];
    return decode === undefined ? parts : this.#decoded(parts, decode, maxBytes);
  }

  async #decoded(parts: readonly Buffer[], decode: Unpack, maxBytes: number): Promise<readonly Buffer[]> {
    try {
      return [await decode(Buffer.concat(parts), { maxOutputLength: maxBytes })];
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes);
      const failure = failureFromError(error, { secrets: this.#secrets, isSent: true });
      throw new UpstreamBrokenError(failure, { cause: error });
    }
  }
}

function tooLarge(maxBytes: number): UpstreamBrokenError {
  return new UpstreamBrokenError({
    kind: 'malformed',
    status: null,
    code: null,
    param: null,
    type: null,
    message: `the provider's answer is larger than ${maxBytes} bytes`,
    retryAfterMs: null,
    loadingMs: null,
    shouldRetry: null,
    sent: true,
  });
}

/** What of an error's body arrives in time; an error whose body breaks off is still that error. */
export async function errorBody(exchange: Exchange, call: UpstreamCall): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for (let part = await exchange.next(); part !== null; part = await exchange.next()) {
      parts.push(part);
      size += part.length;
      if (size > MAX_ERROR_BYTES) {
        exchange.cancel();
        break;
      }
    }
  } catch {
    // The status is known, and says enough; only the client's own leaving changes what happens now.
    if (call.life.isEnded) throw call.life.reason;
  }
  const body = Buffer.concat(parts, size);
  const decode = decompress[exchange.headers['content-encoding']?.toLowerCase() ?? ''];
  if (decode === undefined) return body;
  try {
    return await decode(body, { maxOutputLength: MAX_ERROR_BYTES });
  } catch {
    // Plain text with a wrong header still says something; packed bytes that do not unpack, or not within bounds, do not.
    return isUtf8(body) ? body : Buffer.alloc(0);
  }
}

/** What an error's body reports as used; null for a body that is no JSON object with a usage. */
export function usageIn(body: Buffer): UsageReport | null {
  if (!body.includes('"usage"')) return null;
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    if (typeof value !== 'object' || value === null) return null;
    return parseOpenAiUsage((value as JsonObject)['usage']);
  } catch {
    // No JSON, or cut at its bound: it reports nothing that can be relied on.
    return null;
  }
}
