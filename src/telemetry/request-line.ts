import type { RequestReport } from '../domain/dispatch.js';
import { redactText } from './redact.js';

/** No credential that is known by its shape is shorter. */
const MIN_CREDENTIAL = 16;

/**
 * The log line of a request that ended, as the logger would write it: every request has one, so it is put together by
 * hand. `time` is ISO 8601. Text that a client or a provider chose has credentials taken out.
 */
export function requestLine(report: RequestReport, time: string): string {
  const { costNanoUsd } = report;
  return `{"level":"info","time":"${time}","inferenceId":"${report.inferenceId}","client":${text(report.client)},"endpoint":${text(
    report.endpoint,
  )},"model":${text(report.model)},"provider":${text(report.provider)},"providerModel":${text(
    report.providerModel,
  )},"stream":${report.stream},"outcome":"${report.outcome}","status":${report.status},"errorCode":${text(
    report.errorCode,
  )},"attempts":${report.attempts},"durationMs":${report.durationMs},"firstByteMs":${
    report.firstByteMs
  },"costNanoUsd":${costNanoUsd === null ? 'null' : `"${costNanoUsd}"`},"msg":"request"}\n`;
}

function text(value: string | null): string {
  if (value === null) return 'null';
  return JSON.stringify(value.length < MIN_CREDENTIAL ? value : redactText(value));
}
