import { systemClock } from './composition/clock.js';
import { createFoundation, openLedger } from './composition/foundation.js';
import { observeGauges } from './composition/gauges.js';
import { buildGeneration } from './composition/generation.js';
import { openIdempotency } from './composition/idempotency.js';
import { createIdSource } from './composition/ids.js';
import { InFlight } from './composition/in-flight.js';
import { openMeter } from './composition/learning.js';
import { closeServer, listen, urlOf } from './composition/listening.js';
import { offeredModels } from './composition/offline-models.js';
import { explainOffline, quoteOffline } from './composition/offline-quotes.js';
import { restoreLimits } from './composition/past-limits.js';
import { recordPrices } from './composition/price-book.js';
import { makePrice } from './composition/prices.js';
import { createModuleLoader } from './composition/provider-modules.js';
import { Reloading } from './composition/reloading.js';
import { Running } from './composition/running.js';
import { BundledSandbox } from './composition/sandbox.js';
import { makeServing, type Serving } from './composition/serving.js';
import { keepRequestsYoung } from './composition/young-objects.js';
import type { Config } from './config/config.js';
import type { ConfigFile, ConfigReading } from './config/config-file.js';
import { watchFiles } from './config/watch.js';
import { createListener } from './http/listener.js';
import {
  backUpLedgerFile,
  countPrunable,
  migrateLedgerFile,
  pruneLedgerFile,
  repriceLedgerFile,
  verifyLedgerFile,
} from './ledger/sqlite/maintenance.js';
import { openSqliteReader } from './ledger/sqlite/reader.js';
import { adapters } from './providers/registry.js';
import { startSandbox } from './providers/sandbox/server.js';
import { costReports } from './reports/cost-report.js';
import { reconciler } from './reports/reconcile.js';
import { createLogger } from './telemetry/logger.js';
import { createMetrics } from './telemetry/metrics.js';
import { createSwappableLogger } from './telemetry/swappable-logger.js';

/** What is left under way gets this long to settle after it was cut. */
const CUT_GRACE_MS = 5_000;

export interface AppOptions {
  /** The configuration to start with. */
  config: Config;
  /** The file it comes from, and how it was when it was read: a reload reads it again. */
  source: ConfigFile;
  reading: ConfigReading;
  /** The environment that `POST /config/validate` resolves variables from. */
  env: Readonly<Record<string, string | undefined>>;
}

/** A daemon that serves. */
export interface RunningApp {
  /** Where it listens, e.g. `http://127.0.0.1:2906`. */
  url: string;
  /** Rows of dead processes that were in flight and are now `interrupted`. */
  recovered: number;
  /** Reads the config file again; what comes of it is in the log. */
  reload(): Promise<void>;
  /** Stops accepting, lets what is under way end within the grace, settles what it cuts, closes the ledger. */
  stop(hurry?: AbortSignal): Promise<void>;
}

/**
 * Builds everything from one configuration and starts to listen. What fails on the way is undone.
 * @throws UserError with one clear line: an occupied port, a ledger that cannot be opened, …
 */
export async function startApp({ config, source, reading, env }: AppOptions): Promise<RunningApp> {
  const undo: Array<() => Promise<void> | void> = [];
  keepRequestsYoung();
  try {
    const running = new Running(config);
    const current = () => running.config;
    const logger = createSwappableLogger(await createLogger(config.logging));
    undo.push(() => logger.close());
    const metrics = createMetrics();
    const ledger = openLedger({ config, logger, metrics });
    undo.push(() => ledger.close());
    const { idempotency, close } = openIdempotency(current, logger);
    undo.push(close);
    const { meter, close: closeMeter } = openMeter({ ledger: config.storage.ledger, clock: systemClock, logger });
    undo.push(closeMeter);
    const foundation = createFoundation({ current, ledger, meter, logger, metrics });
    undo.push(
      () => foundation.client.close(),
      () => foundation.limiter.close(),
    );
    const sandbox = new BundledSandbox();
    undo.push(() => sandbox.close());
    const inFlight = new InFlight();
    const servingParts = {
      ...{ foundation, idempotency, inFlight, env, newId: createIdSource() },
      reload: () => reloading.reload('request'),
    };
    const build = async (next: Config, number: number): Promise<Serving> => {
      const generation = buildGeneration(next, number, foundation, await sandbox.urlFor(next));
      await recordPrices(generation, number === 1 ? null : running.serving.generation, foundation);
      return makeServing(generation, servingParts);
    };
    const reloading = new Reloading({
      ...{ source, first: reading, running, build, foundation, inFlight, logger },
    });
    const first = await build(config, 1);
    if (config.storage.ledger.type === 'sqlite') {
      const { generation } = first;
      const { limiter } = foundation;
      restoreLimits({ generation, limiter, ledgerPath: config.storage.ledger.path, clock: systemClock });
    }
    running.swap(first);
    observeGauges(metrics, running, foundation.limiter);
    const server = createListener({
      handler: () => running.serving.handler,
      bodyLimitBytes: () => running.config.server.bodyLimitBytes,
      isDraining: () => inFlight.isDraining,
    });
    await listen(server, config.server);
    undo.push(() => closeServer(server));
    const watch = watchFiles({ seen: () => source.seen, onChange: () => reloading.reloadAndLog('file') });
    undo.push(
      () => reloading.settled(),
      () => watch.close(),
    );
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
      reload: () => reloading.reloadAndLog('signal'),
      async stop(hurry) {
        inFlight.drain();
        // Stops accepting now; connections without a request are closed at once.
        server.close();
        if (!(await inFlight.idleWithin(running.config.server.shutdownGraceMs, hurry))) {
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

/** What commands that work without a daemon use of the rooms. */
export const offlineTools = {
  reports: costReports,
  openReader: openSqliteReader,
  reconciler,
  startSandbox,
  quoteOffline,
  explainOffline,
  offeredModels,
  knownTypes: adapters,
  moduleLoader: (warn: (line: string) => void) => createModuleLoader({ builtIn: adapters, warn }),
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
