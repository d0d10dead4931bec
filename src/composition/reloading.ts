import type { Config, ConfigProblem } from '../config/config.js';
import type { ConfigFile, ConfigReading } from '../config/config-file.js';
import { UserError } from '../domain/errors.js';
import type { ReloadFinding, ReloadOutcome } from '../http/admin/reload.js';
import { shuttingDown } from '../http/shutting-down.js';
import { forgiveDisabled } from '../keys/memory.js';
import { createLogger } from '../telemetry/logger.js';
import type { SwappableLogger } from '../telemetry/swappable-logger.js';
import type { Foundation, Generation } from './generation.js';
import type { InFlight } from './in-flight.js';
import { forgetAfterDrain, forgetAtSwap, rebudgeted } from './leftovers.js';
import { openModeError, restartWarnings, withRunning } from './restart-keys.js';
import type { Running } from './running.js';
import type { Serving } from './serving.js';

/** What asked for a reload. */
export type ReloadTrigger = 'signal' | 'request' | 'file';

export interface ReloadingParts {
  source: Pick<ConfigFile, 'path' | 'read'>;
  /** The reading that the running configuration was made of. */
  first: ConfigReading;
  running: Running;
  /** Builds all that a configuration makes; nothing of it is in use yet. */
  build: (config: Config, generation: number) => Promise<Serving>;
  foundation: Foundation;
  inFlight: InFlight;
  logger: SwappableLogger;
}

/**
 * Reads the file again, builds everything anew, swaps one reference, and cleans up after the old configuration once its
 * last request has ended. One at a time; a file with a mistake, or one that cannot be built, changes nothing.
 */
export class Reloading {
  readonly #parts: ReloadingParts;
  readonly #draining = new Set<Generation>();
  #last: Promise<unknown> = Promise.resolve();
  #taken: { fingerprint: string; warnings: readonly ReloadFinding[] };
  /** What was refused last, so that its mistakes are logged once. */
  #refused: string | null = null;

  constructor(parts: ReloadingParts) {
    this.#parts = parts;
    this.#taken = {
      fingerprint: parts.first.fingerprint,
      warnings: parts.first.problems.map(findingOf),
    };
  }

  /**
   * Waits for the reloads before it.
   * @throws WaybillError shutting_down while the daemon stops, ledger_unavailable when a new price cannot be recorded
   */
  reload(trigger: ReloadTrigger): Promise<ReloadOutcome> {
    const outcome = this.#last.then(() => this.#reload(trigger));
    this.#last = outcome.catch(() => {});
    return outcome;
  }

  /** The same for whoever waits for no answer: what goes wrong is logged. */
  async reloadAndLog(trigger: ReloadTrigger): Promise<void> {
    try {
      await this.reload(trigger);
    } catch (err) {
      const { logger, source } = this.#parts;
      logger.error({ err, trigger, file: source.path }, 'the config file was not reloaded; SIGHUP tries again');
    }
  }

  /** Resolves when no reload is under way. */
  async settled(): Promise<void> {
    await this.#last;
  }

  async #reload(trigger: ReloadTrigger): Promise<ReloadOutcome> {
    const { running, logger, foundation } = this.#parts;
    this.#refuseWhileStopping();
    const reading = await this.#read();
    const config = reading.config;
    const errors = this.#errorsOf(reading);
    if (config === null || errors.length > 0) return this.#refuse(reading.fingerprint, errors, trigger);
    const { number } = running.serving.generation;
    if (reading.fingerprint === this.#taken.fingerprint) {
      // Asked for in so many words: keys are worth another try although nothing else is new.
      if (trigger !== 'file') forgiveDisabled(foundation.keyMemory);
      if (this.#refused !== null || trigger === 'signal') {
        logger.info({ trigger, generation: number }, 'the config file is the one in use');
      }
      this.#refused = null;
      return { kind: 'taken', isNew: false, generation: number, warnings: this.#taken.warnings };
    }
    try {
      return await this.#take(reading, config, trigger);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return this.#refuse(reading.fingerprint, [finding(error.message)], trigger);
    }
  }

  async #take(reading: ConfigReading, fromFile: Config, trigger: ReloadTrigger): Promise<ReloadOutcome> {
    const { running, build, foundation, inFlight, logger, source } = this.#parts;
    const before = running.serving.generation;
    const generation = before.number + 1;
    const config = withRunning(fromFile, running.config);
    const serving = await build(config, generation);
    const nextLogger = isSame(config.logging, before.config.logging) ? null : await createLogger(config.logging);
    if (inFlight.isDraining) {
      await nextLogger?.close();
      throw shuttingDown();
    }
    running.swap(serving);
    forgiveDisabled(foundation.keyMemory);
    forgetAtSwap(serving.generation, before, foundation);
    void this.#drain(before, rebudgeted(serving.generation, before));
    const warnings = [
      ...reading.problems.filter(({ severity }) => severity === 'warning'),
      ...restartWarnings(fromFile, running.config, reading.lineOf),
    ];
    this.#taken = { fingerprint: reading.fingerprint, warnings: warnings.map(findingOf) };
    this.#refused = null;
    if (nextLogger !== null) await logger.swap(nextLogger);
    logger.info({ trigger, generation, file: source.path }, 'config file reloaded');
    for (const warning of warnings) logger.warn({ file: source.path, ...findingOf(warning) }, 'config file: warning');
    return { kind: 'taken', isNew: true, generation, warnings: this.#taken.warnings };
  }

  /** Waits for the requests that began with an old configuration. */
  async #drain(old: Generation, recount: readonly string[]): Promise<void> {
    const { inFlight, running, foundation, logger } = this.#parts;
    this.#draining.add(old);
    await inFlight.turnOver();
    this.#draining.delete(old);
    if (inFlight.isDraining) return;
    try {
      const current = running.serving.generation;
      forgetAfterDrain([current, ...this.#draining], foundation);
      for (const client of recount) {
        if (inFlight.isDraining) return;
        current.budgets.recount(client);
        // Each is a query, and thousands of clients may have a budget.
        await new Promise((resolve) => setImmediate(resolve));
      }
    } catch (err) {
      logger.error({ err, generation: old.number }, 'what an old configuration left could not be tidied up');
    }
  }

  async #read(): Promise<ConfigReading> {
    try {
      return await this.#parts.source.read();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const { message } = error;
      const problem: ConfigProblem = { severity: 'error', path: '', line: 1, message };
      return { config: null, problems: [problem], fingerprint: message, lineOf: () => 1 };
    }
  }

  #errorsOf({ config, problems, lineOf }: ConfigReading): ReloadFinding[] {
    const errors = problems.filter(({ severity }) => severity === 'error');
    const openMode = config === null ? null : openModeError(config, this.#parts.running.config, lineOf);
    return [...errors, ...(openMode === null ? [] : [openMode])].map(findingOf);
  }

  #refuse(fingerprint: string, errors: readonly ReloadFinding[], trigger: ReloadTrigger): ReloadOutcome {
    const { logger, source, running } = this.#parts;
    const isNew = this.#refused !== fingerprint;
    this.#refused = fingerprint;
    const { path: file } = source;
    if (isNew) for (const error of errors) logger.error({ file, ...error }, 'config file: error');
    const fields = { trigger, file, errors: errors.length, generation: running.serving.generation.number };
    if (isNew || trigger === 'signal') logger.error(fields, 'config file refused; the configuration in use stays');
    return { kind: 'refused', errors };
  }

  #refuseWhileStopping(): void {
    if (this.#parts.inFlight.isDraining) throw shuttingDown();
  }
}

function findingOf({ path, line, message }: ReloadFinding): ReloadFinding {
  return { path, line, message };
}

function finding(message: string): ReloadFinding {
  return { path: '', line: 1, message };
}

/** Of `logging`: what the logger is made of. */
function isSame(one: Config['logging'], other: Config['logging']): boolean {
  const shown = ({ level, format, file }: Config['logging']) => JSON.stringify([level, format, file]);
  return shown(one) === shown(other);
}
