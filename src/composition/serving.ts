import type { Config } from '../config/config.js';
import { maskedConfig } from '../config/masked.js';
import { parseConfigText } from '../config/parse.js';
import type { Idempotency } from '../domain/idempotency.js';
import { verificationAnswer } from '../http/admin/ledger.js';
import { type MetricsScope, metricsAnswer } from '../http/admin/metrics.js';
import type { ReloadOutcome } from '../http/admin/reload.js';
import { costReportAnswer, wasteReportAnswer } from '../http/admin/reports.js';
import { requestDetailAnswer, requestListAnswer } from '../http/admin/requests.js';
import { statsAnswer } from '../http/admin/stats.js';
import { createHttpHandler, type HttpHandler, type HttpParts } from '../http/server.js';
import { audioLength } from '../metering/audio-length.js';
import { billingAnswer, parseRequestIds } from '../partner/billing.js';
import { adapters } from '../providers/registry.js';
import { costReports } from '../reports/cost-report.js';
import { createBringing } from './brought-keys.js';
import { findClient } from './clients.js';
import { systemClock } from './clock.js';
import { type Foundation, type Generation, providerStatus } from './generation.js';
import type { InFlight } from './in-flight.js';
import type { BuiltProvider } from './targets.js';

type Env = Readonly<Record<string, string | undefined>>;

/** One configuration with the routes that answer by it: what a reload swaps. */
export interface Serving {
  generation: Generation;
  handler: HttpHandler;
}

/** What the routes of every configuration share. */
export interface ServingParts {
  foundation: Foundation;
  idempotency: Idempotency;
  inFlight: InFlight;
  newId: (at: number) => string;
  /** The environment that `POST /config/validate` resolves variables from. */
  env: Env;
  reload: () => Promise<ReloadOutcome>;
}

export function makeServing(generation: Generation, parts: ServingParts): Serving {
  const { foundation, newId } = parts;
  const { server, logging } = generation.config;
  const current = httpParts(generation, parts);
  const handler = createHttpHandler({
    current: () => current,
    cors: () => server.cors,
    trustProxy: server.trustProxy,
    metricsPath: logging.prometheus.enabled ? logging.prometheus.endpoint : null,
    newId,
    clock: systemClock,
    logger: foundation.logger,
  });
  return { generation, handler };
}

function httpParts(generation: Generation, parts: ServingParts): HttpParts {
  const { foundation, idempotency, inFlight, env, reload } = parts;
  const { config, directory, dispatcher, router, pricer, explainer } = generation;
  const { ledger, metrics } = foundation;
  const reader = ledger.reader();
  const isKnown = (scope: MetricsScope) => isConfigured(config, scope);
  return {
    directory,
    isOpen: config.clients === null,
    local: { listenHost: config.server.host, cors: () => config.server.cors },
    dispatcher,
    idempotency,
    router,
    pricer,
    explainer,
    bring: createBringing({
      providers: generation.providers.all,
      clock: foundation.clock,
      random: foundation.random,
      backoff: config.policy.retry,
    }),
    clientById: (id) => findClient(config, id),
    hasProvider: (id) => config.providers.some((provider) => provider.id === id),
    billing: (body, filter) => billingAnswer(reader, parseRequestIds(body), filter),
    underWay: inFlight,
    audioLength,
    tasksOf: (model) => router.tasksOf(model),
    bodyLimitBytes: config.server.bodyLimitBytes,
    health: foundation.health,
    createdAt: generation.createdAt,
    notReady: () => notReady(generation, foundation, inFlight),
    generation: generation.number,
    adminKey: config.server.adminKey,
    metricsPublic: config.logging.prometheus.public,
    metrics,
    admin: {
      effectiveConfig: () => maskedConfig(config),
      validateConfig: (text) => validation(text, env, config),
      providers: () => providerStatus(generation, foundation),
      budgets: () => generation.budgets.snapshot(),
      costReport: (query) => costReportAnswer({ reader, reports: costReports, query, now: systemClock.now() }),
      wasteReport: (query) => wasteReportAnswer({ reader, reports: costReports, query, now: systemClock.now() }),
      stats: (query) => statsAnswer(reader, query),
      metrics: (scope, query) => metricsAnswer({ reader, query, scope, isKnown, now: systemClock.now() }),
      listRequests: (query) => requestListAnswer(reader, query),
      getRequest: (inferenceId) => requestDetailAnswer(reader, inferenceId),
      verifyLedger: () => verificationAnswer(() => ledger.verify()),
      reload,
    },
  };
}

function isConfigured({ clients, providers }: Config, scope: MetricsScope): boolean {
  if (scope.kind === 'global') return true;
  return (scope.kind === 'client' ? (clients ?? []) : providers).some(({ id }) => id === scope.id);
}

function notReady(generation: Generation, { ledger }: Foundation, inFlight: InFlight): string[] {
  const reasons: string[] = [];
  if (inFlight.isDraining) reasons.push('the daemon is stopping');
  if (!ledger.isWritable()) reasons.push('the ledger cannot be written');
  if (generation.providers.all.every(isUnusable)) reasons.push('no provider is usable');
  return reasons;
}

function isUnusable({ config, pool }: BuiltProvider): boolean {
  return pool.readyInMs() === null && (config.disabledReason !== null || !config.allowClientKeys);
}

/** `POST /config/validate`: nothing is changed, files that the text names are not read for it, and modules that are not in use are not loaded. */
function validation(text: string, env: Env, running: Config) {
  const modules = new Map([...running.modules].map(([type, adapter]) => [type, { kind: 'adapter', adapter } as const]));
  const { problems } = parseConfigText({ text, env, readFile: () => 'not-read', knownTypes: adapters, modules });
  const listed = (severity: 'error' | 'warning') =>
    problems
      .filter((problem) => problem.severity === severity)
      .map(({ path, line, message }) => ({ path, line, message }));
  const errors = listed('error');
  return { valid: errors.length === 0, errors, warnings: listed('warning') };
}
