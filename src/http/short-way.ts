import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type Koa from 'koa';
import type { Clock, Logger } from '../domain/ports.js';
import type { HttpContext, RequestState } from './context.js';
import { replyWithError } from './middleware/errors.js';

export interface ShortWayOptions {
  app: Koa<RequestState>;
  /** Handlers of `POST` by path; each writes its own answer. */
  handlers: ReadonlyMap<string, (ctx: HttpContext) => Promise<void>>;
  newId: () => string;
  clock: Clock;
  logger: Logger;
}

/** What every request carries from its beginning on. */
export function beginRequest({ newId, clock }: Pick<ShortWayOptions, 'newId' | 'clock'>): RequestState {
  return { inferenceId: newId(), receivedAt: clock.now() };
}

/**
 * The app's handler, in which the few paths that most requests go to are found by one look-up, past the chain of
 * middleware and the router: together those cost as much as everything else of HTTP. Browsers' requests go the long way,
 * for their CORS headers.
 */
export function shortWay(options: ShortWayOptions): RequestListener {
  const { app, handlers, logger } = options;
  const longWay = app.callback();
  return (request: IncomingMessage, response: ServerResponse) => {
    const handle = request.method === 'POST' ? handlers.get(request.url as string) : undefined;
    if (handle === undefined || request.headers.origin !== undefined) {
      void longWay(request, response);
      return;
    }
    const ctx = app.createContext<RequestState>(request, response);
    ctx.state = beginRequest(options);
    handle(ctx).catch((cause: unknown) => replyWithError(ctx, cause, logger));
  };
}
