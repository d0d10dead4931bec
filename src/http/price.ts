import { WaybillError } from '../domain/errors.js';
import { Lifeline } from '../domain/lifeline.js';
import { type Pricer, quotesToJson } from '../domain/quote.js';
import type { JsonBody } from '../domain/task.js';
import { parseJsonBody } from '../wire/json-body.js';
import { OPENAI_ENDPOINTS, openAiEndpoint } from '../wire/openai-endpoint.js';
import { readJsonBody } from './body.js';
import type { BringingParts } from './brought-key.js';
import type { HttpContext } from './context.js';
import { type CallerParts, callerOf } from './local.js';
import { exchangeOf } from './node-exchange.js';
import { routedRequest } from './routed.js';

export interface PriceParts extends CallerParts, BringingParts {
  pricer: Pricer;
  bodyLimitBytes: number;
}

/** `POST /v1/price`: where a request would go and what it would cost there. Nothing is sent, nothing written. */
export function priceRequest(parts: () => PriceParts) {
  return async (ctx: HttpContext): Promise<void> => {
    const current = parts();
    const { pricer, bodyLimitBytes, bring } = current;
    const client = callerOf(ctx, current);
    const body = await readJsonBody(ctx.req, bodyLimitBytes);
    const { open, path } = endpointOf(body);
    const ask = open(innerRequest(body));
    const request = routedRequest(exchangeOf(ctx), { client, ask, endpoint: path, life: new Lifeline(), bring });
    ctx.type = 'application/json';
    ctx.body = quotesToJson(pricer.quote(request));
  };
}

function endpointOf(body: JsonBody) {
  const named = body.value['endpoint'];
  const endpoint = typeof named === 'string' ? openAiEndpoint(named) : null;
  if (endpoint !== null) return endpoint;
  const known = [...OPENAI_ENDPOINTS.keys()].map((path) => `\`/v1/${path}\``).join(', ');
  throw new WaybillError('invalid_request', { message: `\`endpoint\` must be one of ${known}`, param: 'endpoint' });
}

/** The request as its own body would hold it: numbers keep their text. */
function innerRequest(body: JsonBody): JsonBody {
  const { request } = body.value;
  if (typeof request === 'object' && request !== null && !Array.isArray(request)) {
    return parseJsonBody(body.members.get('request') ?? '{}');
  }
  throw new WaybillError('invalid_request', {
    message: '`request` must be the body of the request to be priced',
    param: 'request',
  });
}
