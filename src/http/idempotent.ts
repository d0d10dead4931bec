import type { Dispatcher } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import type { Idempotency } from '../domain/idempotency.js';
import type { Exchange, RequestHead } from './exchange.js';

const MAX_KEY_CHARACTERS = 255;
const REPLAY_HEADER = 'x-waybill-idempotent-replay';

/**
 * The request's `Idempotency-Key`; null when it has none.
 * @throws WaybillError invalid_request for one that is too long, empty or not printable
 */
export function idempotencyKey({ headers }: RequestHead): string | null {
  const key = headers['idempotency-key'];
  if (key === undefined) return null;
  if (typeof key === 'string' && key.length <= MAX_KEY_CHARACTERS && /^[\x20-\x7e]+$/.test(key)) return key;
  throw new WaybillError('invalid_request', {
    message: `Idempotency-Key is 1 to ${MAX_KEY_CHARACTERS} printable ASCII characters.`,
    param: 'Idempotency-Key',
  });
}

/** Dispatches a request once for its key. An answer that is given again has the id of the request that was charged. */
export function dispatchOnce(
  exchange: Exchange,
  key: string,
  { dispatcher, idempotency }: { dispatcher: Dispatcher; idempotency: Idempotency },
): Dispatcher {
  return {
    dispatch: (request) =>
      idempotency.answer({
        request,
        key,
        dispatch: () => dispatcher.dispatch(request),
        named(inferenceId) {
          exchange.state.inferenceId = inferenceId;
          exchange.preset(REPLAY_HEADER, inferenceId === request.inferenceId ? null : 'true');
        },
      }),
  };
}
