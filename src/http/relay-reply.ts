import type { RoutedAnswer, StreamSink } from '../domain/dispatch.js';
import type { Exchange, FlatHeaders } from './exchange.js';
import { addAnswerHeaders, addFields, identityHeaders } from './reply.js';

/**
 * A file, passed on as it comes. Its length is not announced: the end of the body says that it is whole, and one that
 * broke off has no end.
 */
export class RelayReply implements StreamSink {
  readonly #exchange: Exchange;
  readonly #headers: FlatHeaders;

  constructor(exchange: Exchange, contentType: string) {
    this.#exchange = exchange;
    this.#headers = identityHeaders(exchange).concat('content-type', contentType, 'x-accel-buffering', 'no');
  }

  async send(answer: Extract<RoutedAnswer, { kind: 'stream' }>): Promise<void> {
    addFields(this.#headers, answer.headers);
    addAnswerHeaders(this.#headers, answer.origin);
    await answer.pump(this);
    if (this.#exchange.isOpen) this.#exchange.end();
  }

  write(part: string | Buffer): Promise<void> | void {
    if (!this.#exchange.isOpen) return;
    if (!this.#exchange.isBegun) this.#exchange.begin(200, this.#headers);
    if (!this.#exchange.write(part)) return this.#exchange.drained();
  }

  cut(): void {
    this.#exchange.destroy();
  }
}
