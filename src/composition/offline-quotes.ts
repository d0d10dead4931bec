import type { Config } from '../config/config.js';
import { UserError } from '../domain/errors.js';
import type { Explanation } from '../domain/explanation.js';
import { Lifeline } from '../domain/lifeline.js';
import type { Quote } from '../domain/quote.js';
import type { TaskRequest } from '../domain/task.js';
import { parseJsonBody } from '../wire/json-body.js';
import { JsonTextError } from '../wire/json-scan.js';
import { OPENAI_ENDPOINTS, openAiEndpoint, openUnsent } from '../wire/openai-endpoint.js';
import { findClient } from './clients.js';
import { createExplainer } from './explainer.js';
import { type OfflineParts, withOfflineRouting } from './offline-routing.js';
import { createPricer } from './pricer.js';

export interface OfflineAsk {
  endpoint: string;
  /** The request's body, JSON. */
  requestText: string;
  /** An id of `api_keys`; null for a client that may use everything. */
  client: string | null;
  region: string | null;
}

/**
 * Prices a request by a configuration alone: no daemon, no ledger; a budget counts as if nothing of it were spent.
 * @throws UserError, WaybillError for a request that would be refused
 */
export async function quoteOffline(config: Config, ask: OfflineAsk): Promise<Quote[]> {
  const endpoint = openAiEndpoint(ask.endpoint);
  if (endpoint === null) {
    throw new UserError(`unknown endpoint "${ask.endpoint}"; known: ${[...OPENAI_ENDPOINTS.keys()].join(', ')}`);
  }
  const task = endpoint.open(parseRequest(ask.requestText));
  return withOfflineRouting(config, (parts) =>
    createPricer(parts).quote(unsent(config, ask, { ask: task, path: endpoint.path }, parts)),
  );
}

/**
 * Explains where a daemon that has just started would send a request; without an endpoint, the request tells it.
 * @throws UserError, WaybillError for a request that has no plan at all
 */
export async function explainOffline(
  config: Config,
  ask: Omit<OfflineAsk, 'endpoint'> & { endpoint: string | null },
): Promise<Explanation> {
  const opened = openUnsent(parseRequest(ask.requestText), ask.endpoint);
  const { algorithm } = config.policy;
  return withOfflineRouting(config, (parts) =>
    createExplainer({ ...parts, algorithm }).explain(unsent(config, ask, opened, parts)),
  );
}

function unsent(
  config: Config,
  { client: id, region }: Pick<OfflineAsk, 'client' | 'region'>,
  { ask, path }: { ask: TaskRequest; path: string },
  { now }: OfflineParts,
) {
  const client = findClient(config, id);
  if (client === undefined) {
    const known = (config.clients ?? []).map((each) => each.id);
    const hint = known.length === 0 ? 'the config names none' : `known: ${known.join(', ')}`;
    throw new UserError(`there is no client "${id}"; ${hint}`);
  }
  return {
    inferenceId: '',
    receivedAt: now,
    client,
    endpoint: path,
    model: ask.body.value['model'] as string,
    ask,
    tags: {},
    region,
    life: new Lifeline(),
  };
}

function parseRequest(text: string) {
  try {
    return parseJsonBody(text);
  } catch (cause) {
    if (cause instanceof JsonTextError) throw new UserError(`the request is refused: ${cause.message}`, { cause });
    throw cause;
  }
}
