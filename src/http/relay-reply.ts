import type { ServerResponse } from 'node:http';
import type { RoutedAnswer, StreamSink } from '../domain/dispatch.js';
import type { HttpContext } from './context.js';
import { addAnswerHeaders, addFields, drained, type FlatHeaders, identityHeaders } from './reply.js';

/**
 * A file, passed on as it comes. Its length is not announced: the end of the body says that it is whole, and one that
 * broke off has no end.
 */
export class RelayReply implements StreamSink {
  readonly #res: ServerResponse;
  readonly #headers: FlatHeaders;

  constructor(ctx: HttpContext, contentType: string) {
    ctx.respond = false;
    this.#res = ctx.res;
    this.#headers = identityHeaders(ctx).concat('content-type', contentType, 'x-accel-buffering', 'no');
  }

  async send(answer: Extract<RoutedAnswer, { kind: 'stream' }>): Promise<void> {
    addFields(this.#headers, answer.headers);
    addAnswerHeaders(this.#headers, answer.origin);
    await answer.pump(this);
    if (!this.#res.destroyed) this.#res.end();
  }

  write(part: string | Buffer): Promise<void> | void {
    if (this.#res.destroyed) return;
    if (!this.#res.headersSent) this.#res.writeHead(200, this.#headers);
    if (!this.#res.write(part)) return drained(this.#res);
  }

  cut(): void {
    this.#res.destroy();
  }
}
