import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from './composition/clock.js';
import { buildGeneration, type Foundation, type Generation, providerStatus } from './composition/generation.js';
import { openIdempotency } from './composition/idempotency.js';
import { createIdSource } from './composition/ids.js';
import { InFlight } from './composition/in-flight.js';
import { openMeter } from './composition/learning.js';
import { createObserver } from './composition/observer.js';
import { quoteOffline } from './composition/offline-quotes.js';
import { restoreLimits } from './composition/past-limits.js';
import { makePrice, priceRecord } from './composition/prices.js';
import { keyScopes } from './composition/providers.js';
import type { Config } from './config/config.js';
import { maskedConfig } from './config/masked.js';
import { parseConfigText } from './config/parse.js';
import { UserError } from './domain/errors.js';
import type { Idempotency } from './domain/idempotency.js';
import type { Ledger } from './domain/ledger.js';
import type { Meter } from './domain/metering.js';
import { verificationAnswer } from './http/admin/ledger.js';
import { type MetricsScope, metricsAnswer } from './http/admin/metrics.js';
import { costReportAnswer, wasteReportAnswer } from './http/admin/reports.js';
import { requestDetailAnswer, requestListAnswer } from './http/admin/requests.js';
import { statsAnswer } from './http/admin/stats.js';
import { createListener } from './http/listener.js';
import { createHttpApp, type HttpParts } from './http/server.js';
import { createKeyMemory } from './keys/memory.js';
import {
  backUpLedgerFile,
  countPrunable,
  migrateLedgerFile,
  pruneLedgerFile,
  repriceLedgerFile,
  verifyLedgerFile,
} from './ledger/sqlite/maintenance.js';
import { openSqliteReader } from './ledger/sqlite/reader.js';
import { openSqliteLedger } from './ledger/sqlite/sqlite-ledger.js';
import { createLimiter } from './limits/limiter.js';
import { billingAnswer, parseRequestIds } from './partner/billing.js';
import { adapters } from './providers/registry.js';
import { type RunningSandbox, startSandbox } from './providers/sandbox/server.js';
import { costReports } from './reports/cost-report.js';
import { reconciler } from './reports/reconcile.js';
import { createTargetHealth } from './routing/health.js';
import { createLogger, type OpenLogger } from './telemetry/logger.js';
import { createMetrics, type Metrics } from './telemetry/metrics.js';
import { createUpstreamClient } from './upstream/client.js';

/** What is left under way gets this long to settle after it was cut. */
const CUT_GRACE_MS = 5_000;

export interface AppOptions {
  config: Config;
  /** The environment that `POST /config/validate` resolves variables from. */
  env: Readonly<Record<string, string | undefined>>;
}

/** A daemon that serves. */
export interface RunningApp {
  /** Where it listens, e.g. `http://127.0.0.1:2906`. */
  url: string;
  /** Rows of dead processes that were in flight and are now `interrupted`. */
  recovered: number;
  /** Stops accepting, lets what is under way end within the grace, settles what it cuts, closes the ledger. */
  stop(hurry?: AbortSignal): Promise<void>;
}

/**
 * Builds everything from one configuration and starts to listen. What fails on the way is undone.
 * @throws UserError with one clear line: an occupied port, a ledger that cannot be opened, …
 */
export async function startApp({ config, env }: AppOptions): Promise<RunningApp> {
  const undo: Array<() => Promise<void> | void> = [];
  try {
    const logger = await createLogger(config.logging);
    undo.push(() => logger.close());
    const metrics = createMetrics();
    const ledger = openLedger({ config, logger, metrics });
    undo.push(() => ledger.close());
    const { idempotency, close } = openIdempotency(config, logger);
    undo.push(close);
    const { meter, close: closeMeter } = openMeter({ ledger: config.storage.ledger, clock: systemClock, logger });
    undo.push(closeMeter);
    const foundation = buildFoundation({ config, ledger, meter, logger, metrics });
    undo.push(
      () => foundation.client.close(),
      () => foundation.limiter.close(),
    );
    const sandbox = await startSandboxIfUsed(config);
    if (sandbox !== null) undo.push(() => sandbox.close());
    const generation = buildGeneration(config, 1, foundation, sandbox?.url ?? null);
    await ledger.recordPrices(
      generation.providers.prices.map((price) => priceRecord(price, systemClock.now(), generation.number)),
    );
    if (config.storage.ledger.type === 'sqlite') {
      const { limiter } = foundation;
      restoreLimits({ generation, limiter, ledgerPath: config.storage.ledger.path, clock: systemClock });
    }
    const inFlight = new InFlight();
    const server = createHttpServer({ generation, foundation, idempotency, inFlight, ledger, metrics, logger, env });
    await listen(server, config);
    undo.push(() => closeServer(server));
    const recovered = ledger.recovered();
    for (const row of recovered) {
      logger.warn(
        { ...row, costNanoUsd: row.costNanoUsd?.toString() ?? null },
        'in flight when its process died: now interrupted',
      );
    }
    return {
      url: urlOf(server),
      recovered: recovered.length,
      async stop(hurry) {
        inFlight.drain();
        // Stops accepting now; connections without a request are closed at once.
        server.close();
        if (!(await inFlight.idleWithin(config.server.shutdownGraceMs, hurry))) {
          inFlight.cut();
          await inFlight.idleWithin(CUT_GRACE_MS);
        }
        for (const close of undo.reverse()) await close();
      },
    };
  } catch (error) {
    for (const close of undo.reverse()) await close();
    throw error;
  }
}

function openLedger(parts: { config: Config; logger: OpenLogger; metrics: Metrics }): Ledger {
  const { config, logger, metrics } = parts;
  const { ledger } = config.storage;
  if (ledger.type !== 'sqlite') throw new UserError('storage.ledger.type: postgres is not active yet; use sqlite');
  return openSqliteLedger({
    path: ledger.path,
    durability: ledger.durability,
    retentionDays: ledger.retentionDays,
    onCommit: (ms) => metrics.recordCommit(ms),
    clock: systemClock,
    logger,
  });
}

function buildFoundation(parts: {
  config: Config;
  ledger: Ledger;
  meter: Meter;
  logger: OpenLogger;
  metrics: Metrics;
}): Foundation {
  const { config, ledger, meter, logger, metrics } = parts;
  return {
    limiter: createLimiter({ clock: systemClock, queueMaxLength: config.policy.queue.maxLength, logger }),
    health: createTargetHealth({ clock: systemClock, settings: () => config.policy.cooldown }),
    client: createUpstreamClient({ clock: systemClock }),
    meter,
    ledger,
    observer: createObserver({ logger, metrics, prompts: config.logging.prompts }),
    keyMemory: createKeyMemory(),
    budgetMemory: new Map(),
    clock: systemClock,
    random: Math.random,
    logger,
  };
}

async function startSandboxIfUsed(config: Config): Promise<RunningSandbox | null> {
  const inline = new Set(adapters.filter((adapter) => adapter.inline === true).map((adapter) => adapter.id));
  return config.providers.some((provider) => inline.has(provider.type)) ? startSandbox({}) : null;
}

interface ServerParts {
  generation: Generation;
  foundation: Foundation;
  idempotency: Idempotency;
  inFlight: InFlight;
  ledger: Ledger;
  metrics: Metrics;
  logger: OpenLogger;
  env: AppOptions['env'];
}

function createHttpServer(parts: ServerParts): Server {
  const { generation, foundation, inFlight, metrics, logger } = parts;
  const { config } = generation;
  metrics.observe({
    keyStates: () =>
      generation.providers.all.flatMap(({ config: { id }, pool }) =>
        pool.snapshot().map(({ id: key, state }) => ({ provider: id, key, state })),
      ),
    limits: () =>
      keyScopes(generation.providers).flatMap((scope) =>
        foundation.limiter.snapshot(scope).map((limit) => ({ scope: scope.id, limit })),
      ),
    queueDepth: () => foundation.limiter.queueDepth(),
    budgets: () =>
      generation.budgets.snapshot().map(({ client, leftNanoUsd }) => ({ client, remainingNanoUsd: leftNanoUsd })),
    configGeneration: () => generation.number,
  });
  const current = httpParts(parts);
  const { prometheus } = config.logging;
  const app = createHttpApp({
    current: () => current,
    cors: () => config.server.cors,
    trustProxy: config.server.trustProxy,
    metricsPath: prometheus.enabled ? prometheus.endpoint : null,
    newId: createIdSource(),
    clock: systemClock,
    logger,
  });
  return createListener({
    handle: app.callback(),
    bodyLimitBytes: () => config.server.bodyLimitBytes,
    isDraining: () => inFlight.isDraining,
  });
}

function httpParts({ generation, foundation, idempotency, inFlight, ledger, metrics, env }: ServerParts): HttpParts {
  const { config, directory, dispatcher, router, pricer } = generation;
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
    hasProvider: (id) => config.providers.some((provider) => provider.id === id),
    billing: (body, filter) => billingAnswer(reader, parseRequestIds(body), filter),
    underWay: inFlight,
    bodyLimitBytes: config.server.bodyLimitBytes,
    health: foundation.health,
    createdAt: generation.createdAt,
    notReady: () => notReady(generation, inFlight, ledger),
    generation: generation.number,
    adminKey: config.server.adminKey,
    metricsPublic: config.logging.prometheus.public,
    metrics,
    admin: {
      effectiveConfig: () => maskedConfig(config),
      validateConfig: (text) => validation(text, env),
      providers: () => providerStatus(generation, foundation),
      budgets: () => generation.budgets.snapshot(),
      costReport: (query) => costReportAnswer({ reader, reports: costReports, query, now: systemClock.now() }),
      wasteReport: (query) => wasteReportAnswer({ reader, reports: costReports, query, now: systemClock.now() }),
      stats: (query) => statsAnswer(reader, query),
      metrics: (scope, query) => metricsAnswer({ reader, query, scope, isKnown, now: systemClock.now() }),
      listRequests: (query) => requestListAnswer(reader, query),
      getRequest: (inferenceId) => requestDetailAnswer(reader, inferenceId),
      verifyLedger: () => verificationAnswer(() => ledger.verify()),
    },
  };
}

function isConfigured({ clients, providers }: Config, scope: MetricsScope): boolean {
  if (scope.kind === 'global') return true;
  return (scope.kind === 'client' ? (clients ?? []) : providers).some(({ id }) => id === scope.id);
}

function notReady(generation: Generation, inFlight: InFlight, ledger: Ledger): string[] {
  const reasons: string[] = [];
  if (inFlight.isDraining) reasons.push('the daemon is stopping');
  if (!ledger.isWritable()) reasons.push('the ledger cannot be written');
  if (generation.providers.all.every(({ pool }) => pool.readyInMs() === null)) reasons.push('no provider is usable');
  return reasons;
}

/** `POST /config/validate`: nothing is changed, and files that the text names are not read for it. */
function validation(text: string, env: AppOptions['env']) {
  const { problems } = parseConfigText({ text, env, readFile: () => 'not-read', knownTypes: adapters });
  const listed = (severity: 'error' | 'warning') =>
    problems
      .filter((problem) => problem.severity === severity)
      .map(({ path, line, message }) => ({ path, line, message }));
  const errors = listed('error');
  return { valid: errors.length === 0, errors, warnings: listed('warning') };
}

async function listen(server: Server, config: Config): Promise<void> {
  const { host, port } = config.server;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
    server.listen(port, host, () => resolve());
  });
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): UserError {
  const where = `${host}:${port}`;
  const why =
    error.code === 'EADDRINUSE'
      ? `something else listens on ${where} already; stop it, or set server.listen or PORT to another port`
      : error.code === 'EACCES'
        ? `this user may not listen on ${where}; ports below 1024 need a privilege`
        : error.code === 'EADDRNOTAVAIL'
          ? `this machine has no address ${host}`
          : `cannot listen on ${where}: ${error.message}`;
  return new UserError(why, { cause: error });
}

async function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  if (!server.listening) return;
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

function urlOf(server: Server): string {
  const { address, port, family } = server.address() as AddressInfo;
  const host = address === '::' || address === '0.0.0.0' ? '127.0.0.1' : address;
  return `http://${family === 'IPv6' && host !== '127.0.0.1' ? `[${host}]` : host}:${port}`;
}

/** What commands that work without a daemon use of the rooms. */
export const offlineTools = {
  reports: costReports,
  openReader: openSqliteReader,
  reconciler,
  startSandbox,
  quoteOffline,
  knownTypes: adapters,
  ledger: {
    verify: verifyLedgerFile,
    backUp: backUpLedgerFile,
    prune: pruneLedgerFile,
    countPrunable,
    migrate: migrateLedgerFile,
    reprice: repriceLedgerFile,
    makePrice,
  },
};
