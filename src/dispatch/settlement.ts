import type { RoutedRequest } from '../domain/dispatch.js';
import type { UpstreamFailure } from '../domain/failure.js';
import type { AttemptSettlement } from '../domain/ledger.js';
import type { CountedInput, Meter, MeterSubject } from '../domain/metering.js';
import { type Cost, costOf } from '../domain/pricing.js';
import type { Target } from '../domain/route.js';
import { isTokenTask } from '../domain/task.js';
import { noCounts, type Usage, type UsageReport } from '../domain/usage.js';
import { measureInUnits, unansweredInUnits } from './units.js';

/** Everything that can become of an upstream call. */
export type AttemptEnd =
  /** A whole answer. */
  | { kind: 'answered'; status: number; report: UsageReport | null; outputTexts: () => readonly string[] }
  /** An answer that broke off, was cut or left: what was seen of it is a lower bound. */
  | {
      kind: 'cut';
      outcome: 'failed' | 'cancelled' | 'interrupted';
      status: number | null;
      errorCode: string;
      report: UsageReport | null;
      outputTexts: () => readonly string[];
    }
  /** The client left and the answer was read to its end all the same. */
  | { kind: 'drained'; status: number; report: UsageReport | null; outputTexts: () => readonly string[] }
  /** No answer that counts. */
  | { kind: 'failed'; failure: UpstreamFailure; report: UsageReport | null }
  /** Ended from our side before an answer came; `wasSent`: any of it may have reached the provider. */
  | { kind: 'abandoned'; outcome: 'failed' | 'cancelled' | 'interrupted'; errorCode: string; wasSent: boolean };

/** One upstream call, as far as settling needs to know it. */
export interface SettledCall {
  request: RoutedRequest;
  target: Target;
  attempt: number;
  firstByteAt: number | null;
  /** What the prompt is to be counted by, where the provider did not say. */
  input: () => CountedInput;
}

export interface Settled {
  settlement: AttemptSettlement;
  usage: Usage | null;
  cost: Cost | null;
}

/**
 * The one place where an upstream call's end becomes usage, cost and outcome. A call that was refused or never sent
 * costs 0; one that was sent and not answered costs its input, as a lower bound; everything else what was used.
 */
export function settleCall(call: SettledCall, end: AttemptEnd, meter: Meter, now: number): Settled {
  const usage = usageOf(call, end, meter);
  const cost = usage === null ? null : costOf(usage.counts, call.target.price);
  return {
    usage,
    cost,
    settlement: {
      inferenceId: call.request.inferenceId,
      attempt: call.attempt,
      endedAt: now,
      firstByteAt: call.firstByteAt,
      outcome: outcomeOf(end),
      status: statusOf(end),
      errorCode: errorCodeOf(end),
      usage,
      costNanoUsd: cost === null ? 0n : cost.known ? cost.nanoUsd : null,
      unpricedReason: cost === null || cost.known ? null : cost.reason,
      priceId: cost?.priceId ?? call.target.price?.id ?? null,
      components: cost?.known === true ? cost.components : [],
      providerCostUsd: ('report' in end ? end.report?.providerCostUsd : null) ?? null,
    },
  };
}

/** Null when nothing was used: the provider refused the call or never got it. */
function usageOf(call: SettledCall, end: AttemptEnd, meter: Meter): Usage | null {
  const subject: MeterSubject = {
    providerId: call.target.providerId,
    providerModel: call.target.upstream.providerModel,
    task: call.request.ask.task,
  };
  if (!isTokenTask(subject.task)) return usageInUnits(call, end, subject, meter);
  switch (end.kind) {
    case 'answered':
    case 'drained':
      return meter.measure({
        subject,
        report: end.report,
        input: call.input,
        outputTexts: end.outputTexts,
        interrupted: false,
      });
    case 'cut':
      return meter.measure({
        subject,
        report: end.report,
        input: call.input,
        outputTexts: end.outputTexts,
        interrupted: true,
      });
    case 'failed':
      if (end.report !== null) {
        return meter.measure({
          subject,
          report: end.report,
          input: call.input,
          outputTexts: noTexts,
          interrupted: false,
        });
      }
      return end.failure.kind === 'status' || !end.failure.sent ? null : unanswered(call, subject, meter);
    case 'abandoned':
      return end.wasSent ? unanswered(call, subject, meter) : null;
  }
}

/** The same for tasks that are counted in something else than tokens, or in nothing. */
function usageInUnits(call: SettledCall, end: AttemptEnd, subject: MeterSubject, meter: Meter): Usage | null {
  const { ask } = call.request;
  const { price } = call.target;
  const measure = (report: UsageReport | null, outputTexts: () => readonly string[], interrupted: boolean) =>
    measureInUnits({ ask, price, subject, report, input: call.input, outputTexts, interrupted }, meter);
  switch (end.kind) {
    case 'answered':
    case 'drained':
      return measure(end.report, end.outputTexts, false);
    case 'cut':
      return measure(end.report, end.outputTexts, true);
    case 'failed':
      if (end.report !== null) return measure(end.report, noTexts, false);
      return end.failure.kind === 'status' || !end.failure.sent
        ? null
        : unansweredInUnits({ ask, price, subject, input: call.input }, meter);
    case 'abandoned':
      return end.wasSent ? unansweredInUnits({ ask, price, subject, input: call.input }, meter) : null;
  }
}

function noTexts(): readonly string[] {
  return [];
}

/** Sent, and nothing came back: the input at least was used. */
function unanswered(call: SettledCall, subject: MeterSubject, meter: Meter): Usage {
  return { counts: { ...noCounts(), input: meter.countInput(call.input(), subject) }, source: 'lower-bound' };
}

function outcomeOf(end: AttemptEnd): AttemptSettlement['outcome'] {
  switch (end.kind) {
    case 'answered':
      return 'ok';
    case 'drained':
      return 'cancelled';
    case 'failed':
      return 'failed';
    default:
      return end.outcome;
  }
}

function statusOf(end: AttemptEnd): number | null {
  switch (end.kind) {
    case 'failed':
      return end.failure.status;
    case 'abandoned':
      return null;
    default:
      return end.status;
  }
}

function errorCodeOf(end: AttemptEnd): string | null {
  switch (end.kind) {
    case 'failed':
      return end.failure.code ?? end.failure.type ?? end.failure.kind;
    case 'cut':
    case 'abandoned':
      return end.errorCode;
    case 'drained':
      return 'client_gone';
    case 'answered':
      return null;
  }
}
