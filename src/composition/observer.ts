import type { AttemptReport, Observer } from '../domain/dispatch.js';
import type { Logger } from '../domain/ports.js';
import type { OpenLogger } from '../telemetry/logger.js';
import type { Metrics } from '../telemetry/metrics.js';
import { QuotedNames, requestLine } from '../telemetry/request-line.js';

export interface ObserverOptions {
  logger: Pick<Logger, 'warn'> & Pick<OpenLogger, 'line'>;
  metrics: Pick<Metrics, 'recordAttempt' | 'recordUsage' | 'recordRequest' | 'recordCost'>;
  /** `logging.prompts`: texts that may quote a prompt may be logged. */
  prompts: boolean;
}

/** Tells log and metrics of every end: one line a request, one a failed attempt. */
export function createObserver({ logger, metrics, prompts }: ObserverOptions): Observer {
  const names = new QuotedNames();
  const nameText = (name: string | null) => names.of(name);
  return {
    attemptEnded(report) {
      const { provider, providerModel: model, outcome, status } = report;
      metrics.recordAttempt({ provider, model, outcome, status });
      if (report.usage !== null) metrics.recordUsage(report.usage);
      if (outcome === 'ok') return;
      const { inferenceId, attempt, key: keyId, errorCode, durationMs } = report;
      const reason = prompts || isOurs(report) ? { reason: report.message } : {};
      logger.warn(
        { inferenceId, attempt, provider, model, keyId, outcome, status, errorCode, ...reason, durationMs },
        'attempt ended without an answer',
      );
    },
    requestEnded(report) {
      const { client, endpoint, provider, model, outcome, status, durationMs, firstByteMs } = report;
      const overheadMs = report.attempts === 0 ? null : Math.max(0, durationMs - report.upstreamMs);
      metrics.recordRequest({
        client,
        endpoint,
        provider,
        model,
        outcome,
        status,
        durationMs,
        firstByteMs,
        overheadMs,
      });
      if (report.attempts > 0)
        metrics.recordCost({ client, provider: provider ?? '', model, nanoUsd: report.costNanoUsd });
      logger.line('info', (time) => requestLine(report, time, nameText));
    },
  };
}

/** Failures without a code of their own, and the codes that Node and its HTTP client give theirs: `ECONNRESET`. */
const OURS = /^(connect|reset|timeout|malformed|[A-Z][A-Z\d_]+)$/;

/** True when no provider wrote the message: it gave no status, nor a code. What one says of a request often quotes it. */
function isOurs({ status, errorCode }: AttemptReport): boolean {
  return status === null && errorCode !== null && OURS.test(errorCode);
}
