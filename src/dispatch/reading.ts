import { joined } from '../domain/body.js';
import type { UpstreamFailure } from '../domain/failure.js';
import type { HeaderFields, NextStep, TaskAnswer, UpstreamAnswer } from '../domain/provider.js';
import type { Target } from '../domain/route.js';
import { UpstreamBrokenError, type UpstreamResponse } from '../domain/upstream.js';
import type { UsageReport } from '../domain/usage.js';
import { failureFromFault, malformed } from '../wire/fault.js';
import { scrub } from '../wire/scrub.js';
import { type AnswerStream, RelayedFile } from './answer-stream.js';
import type { AttemptPlan } from './attempt-plan.js';
import { OpenStream } from './stream.js';

/** A larger answer is no answer. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

export type Reading =
  | {
      kind: 'answer';
      answer: TaskAnswer;
      response: UpstreamResponse;
      headers: HeaderFields;
      firstByteAt: number;
    }
  /** `contentType`: of a file; absent for events. */
  | { kind: 'stream'; stream: AnswerStream; contentType?: string; headers: HeaderFields; firstByteAt: number }
  | {
      kind: 'failed';
      failure: UpstreamFailure;
      report: UsageReport | null;
      firstByteAt: number | null;
      /** The prediction is over. */
      hasEnded?: true;
    };

type FailedReading = Extract<Reading, { kind: 'failed' }>;

/** What one answer of a provider is: what the client gets, a failure, or that there is more to ask. */
export type Step = Reading | { kind: 'later'; next: NextStep };

/**
 * Reads an answer with a 2xx status: whole, or up to a stream's first content, so that a 200 which turns out to be an
 * error is still a failed attempt. At once where it has come whole. `step`: what was asked, where it was not the call itself.
 * @throws the lifeline's reason when it ends
 */
export function readAnswer(
  plan: AttemptPlan,
  response: UpstreamResponse,
  firstByteAt: number,
  secrets: readonly string[],
  step?: NextStep,
): Step | Promise<Step> {
  const answer: ReadableAnswer = { plan, response, firstByteAt, secrets, step };
  try {
    const read = openAnswer(answer);
    return read instanceof Promise ? read.catch((error: unknown) => broken(error, firstByteAt)) : read;
  } catch (error) {
    return broken(error, firstByteAt);
  }
}

interface ReadableAnswer {
  plan: AttemptPlan;
  response: UpstreamResponse;
  firstByteAt: number;
  secrets: readonly string[];
  step: NextStep | undefined;
}

function openAnswer(answer: ReadableAnswer): Step | Promise<Step> {
  const passed = passedOn(answer);
  if (passed !== null) return untilContent(answer, passed);
  const parts = answer.response.readAll(MAX_ANSWER_BYTES);
  return parts instanceof Promise ? parts.then((all) => readWhole(answer, all)) : readWhole(answer, parts);
}

/** Broken after the headers and before any content: the answer is not what was asked. */
function broken(error: unknown, firstByteAt: number): Reading {
  if (!(error instanceof UpstreamBrokenError)) throw error;
  const kind = error.failure.kind === 'timeout' ? 'timeout' : 'malformed';
  return failed({ ...error.failure, kind, sent: true }, null, firstByteAt);
}

async function untilContent(
  { plan, response, firstByteAt, secrets }: ReadableAnswer,
  passed: { stream: AnswerStream; contentType?: string },
): Promise<Reading> {
  const { stream, contentType } = passed;
  const fault = await withDeadline(stream.untilContent(), plan.sentAt + plan.firstByteMs - firstByteAt, response);
  if (fault !== null) return failed(withHint(fault, plan.target), stream.reader?.usage() ?? null, firstByteAt);
  const headers = passedHeaders(response, secrets);
  if (contentType === undefined) return { kind: 'stream', stream, headers, firstByteAt };
  return { kind: 'stream', stream, contentType, headers, firstByteAt };
}

/** The answer as it comes; null for one that has to be read whole. */
function passedOn({
  plan,
  response,
  secrets,
  step,
}: ReadableAnswer): { stream: AnswerStream; contentType?: string } | null {
  const { upstream } = plan;
  const { helper } = plan.prepared;
  const { ask } = plan.request;
  if (ask.stream && helper.openStream !== undefined && !isJson(response)) {
    const reader = helper.openStream(ask, upstream, response.headers, step);
    return { stream: new OpenStream({ response, reader, secrets }) };
  }
  if (ask.relay !== true || response.headers['content-encoding'] !== undefined) return null;
  const contentType = helper.relays?.(response.headers) ?? null;
  return contentType === null ? null : { stream: new RelayedFile({ response, secrets }), contentType };
}

/** @throws UpstreamBrokenError */
export async function readAll(response: UpstreamResponse, maxBytes: number): Promise<UpstreamAnswer> {
  return new WholeAnswer(response, await response.readAll(maxBytes));
}

class WholeAnswer implements UpstreamAnswer {
  readonly status: number;
  readonly headers: HeaderFields;
  readonly parts: readonly Buffer[];
  #body: Buffer | null = null;

  constructor({ status, headers }: UpstreamResponse, parts: readonly Buffer[]) {
    this.status = status;
    this.headers = headers;
    this.parts = parts;
  }

  get body(): Buffer {
    this.#body ??= joined(this.parts) as Buffer;
    return this.#body;
  }
}

/** A promise only where a whole answer is read as a stream's events. */
function readWhole(read: ReadableAnswer, parts: readonly Buffer[]): Step | Promise<Step> {
  const { plan, response, firstByteAt, secrets, step } = read;
  const { target, request } = plan;
  const whole = new WholeAnswer(response, parts);
  const outcome = plan.prepared.helper.getResponse(whole, request.ask, plan.upstream);
  if (outcome.ok === 'later') return { kind: 'later', next: outcome.next };
  if (!outcome.ok) {
    const reading = failed(withHint(failureFromFault(outcome.fault, secrets), target), outcome.usage, firstByteAt);
    return outcome.hasEnded === true ? { ...reading, hasEnded: true } : reading;
  }
  const { answer } = outcome;
  const headers = passedHeaders(response, secrets);
  if (!request.ask.stream) return { kind: 'answer', answer, response, headers, firstByteAt };
  const reader =
    answer.events === undefined
      ? undefined
      : plan.prepared.helper.openStream?.(request.ask, plan.upstream, response.headers, step);
  if (reader === undefined) {
    const fault = malformed('a stream was asked for, and a whole answer came');
    return failed(failureFromFault(fault, secrets), answer.usage, firstByteAt);
  }
  const stream = new OpenStream({ response, reader, secrets, events: answer.events });
  return stream.untilContent().then((fault): Reading => {
    reader.readAfterwards?.(whole);
    return fault === null
      ? { kind: 'stream', stream, headers, firstByteAt }
      : failed(withHint(fault, target), answer.usage, firstByteAt);
  });
}

/** A stream that opens and then says nothing is as late as one that never opens. */
async function withDeadline<T>(work: Promise<T>, ms: number, response: UpstreamResponse): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => {
        reject(
          new UpstreamBrokenError({
            kind: 'timeout',
            status: null,
            code: null,
            param: null,
            type: null,
            message: 'no content came in time',
            retryAfterMs: null,
            loadingMs: null,
            shouldRetry: null,
            sent: true,
          }),
        );
        response.abort();
      },
      Math.max(0, ms),
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}

function isJson(response: UpstreamResponse): boolean {
  return response.headers['content-type']?.toLowerCase().startsWith('application/json') === true;
}

function passedHeaders(response: UpstreamResponse, secrets: readonly string[]): HeaderFields {
  const passed: HeaderFields = {};
  for (const name in response.headers) {
    const value = response.headers[name];
    if (value !== undefined && isPassed(name)) passed[name] = scrub(value, secrets);
  }
  return passed;
}

/** True for a header of a provider that reaches the client. */
function isPassed(name: string): boolean {
  return name === 'retry-after' || name === 'retry-after-ms' || name === 'x-should-retry' || name.startsWith('openai-');
}

export function failed(
  failure: UpstreamFailure,
  report: UsageReport | null,
  firstByteAt: number | null,
): FailedReading {
  return { kind: 'failed', failure, report, firstByteAt };
}

export function withHint(failure: UpstreamFailure, target: Target): UpstreamFailure {
  const hint = target.adapter.hint?.(failure, target.upstream);
  return hint === undefined ? failure : { ...failure, message: `${failure.message} ${hint}` };
}
