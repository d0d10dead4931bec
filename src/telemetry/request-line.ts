import type { RequestReport } from '../domain/dispatch.js';
import { redactText } from './redact.js';

/** No credential that is known by its shape is shorter. */
const MIN_CREDENTIAL = 16;

/**
 * The log line of a request that ended, as the logger would write it: every request has one, so it is put together by
 * hand. `time` is ISO 8601. Text that a client or a provider chose has credentials taken out; `text` may be a quicker way to
 * the same text (`QuotedNames`).
 */
export function requestLine(
  report: RequestReport,
  time: string,
  text: (value: string | null) => string = quoted,
): string {
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

function quoted(value: string | null): string {
  if (value === null) return 'null';
  return JSON.stringify(value.length < MIN_CREDENTIAL ? value : redactText(value));
}

/** So many texts are kept, … */
const MAX_TEXTS = 1_000;
/** … and none that is longer: clients choose names of models. */
const MAX_KEPT_CHARACTERS = 200;

/** Names as lines have them. A few names are in all lines, and looking for credentials in them once is enough. */
export class QuotedNames {
  readonly #kept = new Map<string, string>();

  of(name: string | null): string {
    if (name === null) return 'null';
    return this.#kept.get(name) ?? this.#make(name);
  }

  #make(name: string): string {
    const text = quoted(name);
    if (name.length > MAX_KEPT_CHARACTERS) return text;
    if (this.#kept.size >= MAX_TEXTS) this.#kept.clear();
    this.#kept.set(name, text);
    return text;
  }
}
