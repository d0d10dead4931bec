import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Clock, Logger } from '../domain/ports.js';
import type { Exchange, RequestState } from './exchange.js';
import { replyWithError } from './middleware/errors.js';
import { NodeExchange } from './node-exchange.js';

export interface HotPathsOptions {
  /** Handlers of `POST` by path; each writes its own answer. */
  handlers: ReadonlyMap<string, (exchange: Exchange) => Promise<void>>;
  /** An id of the instant, in epoch milliseconds. */
  newId: (at: number) => string;
  clock: Clock;
  logger: Logger;
}

/** The few paths that most requests go to, found by one look-up, past koa's chain of middleware and its router. */
export interface HotPaths {
  has(path: string): boolean;
  beginRequest(): RequestState;
  /** Answers a `POST` to one of the paths, with an error too. */
  answer(exchange: Exchange): void;
}

export function hotPaths({ handlers, newId, clock, logger }: HotPathsOptions): HotPaths {
  return {
    has: (path) => handlers.has(path),
    beginRequest() {
      const receivedAt = clock.now();
      return { inferenceId: newId(receivedAt), receivedAt };
    },
    answer(exchange) {
      const handle = handlers.get(exchange.path) as (exchange: Exchange) => Promise<void>;
      handle(exchange).catch((cause: unknown) => replyWithError(exchange, cause, logger));
    },
  };
}

/** Browsers' requests go the long way, for their CORS headers. */
export function pastTheRouter(longWay: RequestListener, hot: HotPaths): RequestListener {
  return (req: IncomingMessage, res: ServerResponse) => {
    const path = req.url as string;
    if (req.method !== 'POST' || !hot.has(path) || req.headers.origin !== undefined) longWay(req, res);
    else hot.answer(new NodeExchange({ req, res, state: hot.beginRequest(), path, query: '' }));
  };
}
