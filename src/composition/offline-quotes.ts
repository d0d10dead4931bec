import { createBudgets } from '../access/budgets.js';
import type { Config } from '../config/config.js';
import type { Client } from '../domain/client.js';
import { UserError } from '../domain/errors.js';
import { Lifeline } from '../domain/lifeline.js';
import type { Logger } from '../domain/ports.js';
import type { Quote } from '../domain/quote.js';
import { createKeyMemory } from '../keys/memory.js';
import { createLimiter } from '../limits/limiter.js';
import { createMeter } from '../metering/meter.js';
import { createTargetHealth } from '../routing/health.js';
import { JsonTextError, parseJsonBody } from '../wire/json-text.js';
import { OPENAI_ENDPOINTS, openAiEndpoint } from '../wire/openai-endpoint.js';
import { openTaskRequest } from '../wire/openai-request.js';
import { clientOf, openClient } from './clients.js';
import { systemClock } from './clock.js';
import { createPricer } from './pricer.js';
import { buildRouting } from './routing.js';

export interface OfflineAsk {
  endpoint: string;
  /** The request's body, JSON. */
  requestText: string;
  /** An id of `api_keys`; null for a client that may use everything. */
  client: string | null;
  region: string | null;
}

const silent: Logger = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, fatal() {} };

/**
 * Prices a request by a configuration alone: no daemon, no ledger; a budget counts as if nothing of it were spent.
 * @throws UserError, WaybillError for a request that would be refused
 */
export async function quoteOffline(config: Config, ask: OfflineAsk): Promise<Quote[]> {
  const endpoint = openAiEndpoint(ask.endpoint);
  if (endpoint === null) {
    throw new UserError(`unknown endpoint "${ask.endpoint}"; known: ${[...OPENAI_ENDPOINTS.keys()].join(', ')}`);
  }
  const task = openTaskRequest(endpoint.task, parseRequest(ask.requestText));
  const clock = systemClock;
  const limiter = createLimiter({ clock, queueMaxLength: config.policy.queue.maxLength, logger: silent });
  try {
    const health = createTargetHealth({ clock, settings: () => config.policy.cooldown });
    const meter = createMeter({});
    const parts = { limiter, health, keyMemory: createKeyMemory(), meter, clock, random: Math.random };
    const budgets = createBudgets({
      budgets: (config.clients ?? []).flatMap(({ id, budget }) => (budget === null ? [] : [{ client: id, ...budget }])),
      spentSince: () => 0n,
      clock,
      logger: silent,
      memory: new Map(),
    });
    const { dryRouter: router } = buildRouting(config, parts, null);
    const pricer = createPricer({ router, meter, budgets, limiter, unpriced: config.policy.unpriced });
    return pricer.quote({
      inferenceId: '',
      receivedAt: clock.now(),
      client: clientNamed(config, ask.client),
      endpoint: endpoint.path,
      model: task.body.value['model'] as string,
      ask: task,
      tags: {},
      region: ask.region,
      life: new Lifeline(),
    });
  } finally {
    await limiter.close();
  }
}

function parseRequest(text: string) {
  try {
    return parseJsonBody(text);
  } catch (cause) {
    if (cause instanceof JsonTextError) throw new UserError(`the request is refused: ${cause.message}`, { cause });
    throw cause;
  }
}

function clientNamed(config: Config, id: string | null): Client {
  if (id === null) return openClient();
  const found = config.clients?.find((client) => client.id === id);
  if (found !== undefined) return clientOf(found);
  const known = (config.clients ?? []).map((client) => client.id);
  throw new UserError(
    `there is no client "${id}"; ${known.length === 0 ? 'the config names none' : `known: ${known.join(', ')}`}`,
  );
}
