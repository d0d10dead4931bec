import type { Middleware } from 'koa';
import type { AnswerOrigin } from '../../domain/dispatch.js';
import { WaybillError } from '../../domain/errors.js';
import { ClientGoneError } from '../../domain/lifeline.js';
import type { Logger } from '../../domain/ports.js';
import type { Exchange, RequestState } from '../exchange.js';
import { exchangeOf } from '../node-exchange.js';
import { addAnswerHeaders, identityHeaders } from '../reply.js';

/** A path may be as long as a client likes. */
const MAX_LOGGED_PATH = 200;

/** The one place where an error becomes an answer, for whatever runs inside it. */
export function errorAnswers(logger: Logger): Middleware<RequestState> {
  return async (ctx, next) => {
    try {
      await next();
      if (ctx.respond === false) return;
      const identity = identityHeaders(ctx);
      for (let at = 0; at < identity.length; at += 2) ctx.set(identity[at] as string, identity[at + 1] as string);
    } catch (cause) {
      ctx.respond = false;
      replyWithError(exchangeOf(ctx), cause, logger);
    }
  };
}

/** Answers with an error, and logs it where nothing else has; does neither twice. */
export function replyWithError(exchange: Exchange, cause: unknown, logger: Logger): void {
  const error = cause instanceof WaybillError ? cause : fromUnknown(cause);
  if (error.code === 'internal_error' && !(error.cause instanceof ClientGoneError)) {
    logger.error(
      { err: error.cause ?? cause, inferenceId: exchange.state.inferenceId, path: exchange.path },
      'request failed',
    );
  }
  if (exchange.isBegun) return;
  const { origin } = error as { origin?: AnswerOrigin };
  // What was dispatched has its line already. The message may quote a prompt: only the code is logged.
  if (origin === undefined) {
    const { method, path } = exchange;
    logger.info(
      {
        inferenceId: exchange.state.inferenceId,
        method,
        path: path.slice(0, MAX_LOGGED_PATH),
        status: error.status,
        errorCode: error.code,
      },
      'request refused',
    );
  }
  const headers = identityHeaders(exchange);
  if (origin !== undefined) addAnswerHeaders(headers, origin);
  for (const [name, value] of Object.entries(errorHeaders(error))) headers.push(name, value);
  const body = JSON.stringify(error.toBody());
  headers.push('content-type', 'application/json; charset=utf-8');
  exchange.answer(error.status, headers, body);
}

/** Retry advice, where the table gives it. */
export function errorHeaders(error: WaybillError): Record<string, string> {
  const headers: Record<string, string> = {};
  if (error.retryAfterMs !== null) {
    headers['retry-after'] = String(Math.max(1, Math.ceil(error.retryAfterMs / 1_000)));
    headers['retry-after-ms'] = String(Math.max(1, Math.ceil(error.retryAfterMs)));
  }
  if (error.shouldRetry === false || error.code === 'budget_exceeded') headers['x-should-retry'] = 'false';
  if (error.code === 'shutting_down') headers['connection'] = 'close';
  return headers;
}

function fromUnknown(cause: unknown): WaybillError {
  return new WaybillError('internal_error', { message: 'Something went wrong inside the router.', cause });
}
