import type { Client } from '../../domain/client.js';
import { WaybillError } from '../../domain/errors.js';
import { type Explainer, explanationToJson } from '../../domain/explanation.js';
import { Lifeline } from '../../domain/lifeline.js';
import { openUnsent } from '../../wire/openai-endpoint.js';
import { readJsonBody } from '../body.js';
import type { BringingParts } from '../brought-key.js';
import type { HttpContext } from '../context.js';
import { exchangeOf } from '../node-exchange.js';
import { routedRequest } from '../routed.js';

export interface ExplainParts extends BringingParts {
  explainer: Explainer;
  /** The client with this id; for null one that may use everything. Undefined when there is none. */
  clientById: (id: string | null) => Client | undefined;
  bodyLimitBytes: number;
}

const PARAMETERS = ['client', 'endpoint', 'region'];

/** `POST /explain?client=&endpoint=&region=`: the body is a request; where it would go now, and why. */
export async function explainRequest(ctx: HttpContext, parts: ExplainParts): Promise<void> {
  const query = new URLSearchParams(ctx.querystring);
  for (const name of query.keys()) {
    if (!PARAMETERS.includes(name)) throw unknown(name, `is not a parameter; known: ${PARAMETERS.join(', ')}`);
  }
  const given = (name: string) => query.get(name) || null;
  const id = given('client');
  const client = parts.clientById(id);
  if (client === undefined) throw unknown('client', `names no client: there is none with the id \`${id}\``);
  const { ask, path } = openUnsent(await readJsonBody(ctx.req, parts.bodyLimitBytes), given('endpoint'));
  const request = routedRequest(exchangeOf(ctx), {
    client,
    ask,
    endpoint: path,
    life: new Lifeline(),
    bring: parts.bring,
  });
  const region = given('region') ?? request.region;
  ctx.type = 'application/json';
  ctx.body = explanationToJson(parts.explainer.explain({ ...request, region }));
}

function unknown(param: string, why: string): WaybillError {
  return new WaybillError('invalid_request', { message: `\`${param}\` ${why}.`, param });
}
