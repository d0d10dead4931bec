import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AnswerBody, bodyLength } from '../domain/body.js';
import { readBody } from './body.js';
import type { HttpContext } from './context.js';
import type { Exchange, FlatHeaders, ReadHeader, ReadHeaders, RequestState } from './exchange.js';

/** A request that came through `node:http`. */
export class NodeExchange implements Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly state: RequestState;
  readonly path: string;
  /** Without its question mark. */
  readonly query: string;

  constructor(parts: { req: IncomingMessage; res: ServerResponse; state: RequestState; path: string; query: string }) {
    this.req = parts.req;
    this.res = parts.res;
    this.state = parts.state;
    this.path = parts.path;
    this.query = parts.query;
  }

  get method(): string {
    return this.req.method ?? '';
  }

  get headers(): ReadHeaders {
    return this.req.headers;
  }

  isRepeated(name: ReadHeader): boolean {
    return (this.req.headersDistinct[name]?.length ?? 0) > 1;
  }

  readBody(limitBytes: number): Promise<Buffer> {
    return readBody(this.req, limitBytes);
  }

  get isBegun(): boolean {
    return this.res.headersSent;
  }

  get isOpen(): boolean {
    return !this.res.destroyed && !this.res.writableEnded;
  }

  preset(name: string, value: string | null): void {
    if (this.res.headersSent) return;
    if (value === null) this.res.removeHeader(name);
    else this.res.setHeader(name, value);
  }

  answer(status: number, headers: FlatHeaders, body: AnswerBody): void {
    headers.push('content-length', String(bodyLength(body)));
    this.res.writeHead(status, headers);
    if (typeof body === 'string' || Buffer.isBuffer(body)) {
      this.res.end(body);
      return;
    }
    this.res.cork();
    for (const part of body) this.res.write(part);
    this.res.end();
  }

  begin(status: number, headers: FlatHeaders): void {
    this.res.writeHead(status, headers);
  }

  write(part: string | Buffer): boolean {
    return this.res.write(part);
  }

  end(part?: string | Buffer): void {
    this.res.end(part);
  }

  async drained(): Promise<void> {
    if (this.res.destroyed) return;
    const gone = new AbortController();
    const onClose = () => gone.abort();
    this.res.once('close', onClose);
    try {
      await once(this.res, 'drain', { signal: gone.signal });
    } catch {
      // Closed instead: whoever writes next is told by the request's signal.
    } finally {
      this.res.off('close', onClose);
    }
  }

  destroy(): void {
    this.res.destroy();
  }

  onWritten(callback: () => void): void {
    this.res.once('finish', callback);
  }

  onClose(callback: () => void): void {
    this.res.once('close', callback);
  }
}

/** For handlers of exchanges behind koa's router. */
export function exchangeOf({ req, res, state, path, querystring }: HttpContext): NodeExchange {
  return new NodeExchange({ req, res, state, path, query: querystring });
}
