import type { Observer } from '../domain/dispatch.js';
import type { Logger } from '../domain/ports.js';
import type { Metrics } from '../telemetry/metrics.js';

/** Tells log and metrics of every end: one line a request, one a failed attempt. */
export function createObserver({ logger, metrics }: { logger: Logger; metrics: Metrics }): Observer {
  return {
    attemptEnded(report) {
      const { provider, providerModel: model, outcome, status } = report;
      metrics.recordAttempt({ provider, model, outcome, status });
      if (report.usage !== null) metrics.recordUsage(report.usage);
      if (outcome === 'ok') return;
      const { inferenceId, attempt, key: keyId, errorCode, message, durationMs } = report;
      logger.warn(
        { inferenceId, attempt, provider, model, keyId, outcome, status, errorCode, reason: message, durationMs },
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
      logger.info(
        {
          inferenceId: report.inferenceId,
          client,
          endpoint,
          model,
          provider,
          providerModel: report.providerModel,
          stream: report.stream,
          outcome,
          status,
          errorCode: report.errorCode,
          attempts: report.attempts,
          durationMs,
          firstByteMs,
          costNanoUsd: report.costNanoUsd === null ? null : report.costNanoUsd.toString(),
        },
        'request',
      );
    },
  };
}
