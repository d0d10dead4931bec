import { joined } from '../domain/body.js';
import type { RoutedRequest } from '../domain/dispatch.js';
import type { UpstreamFailure } from '../domain/failure.js';
import type { ProviderKey } from '../domain/keys.js';
import type { Reservation, StatedLimit } from '../domain/limit.js';
import type { CountedInput } from '../domain/metering.js';
import type { Clock } from '../domain/ports.js';
import type {
  HeaderFields,
  Payload,
  TaskAnswer,
  TaskHelper,
  UpstreamAnswer,
  UpstreamRoute,
  UpstreamTarget,
} from '../domain/provider.js';
import type { Target } from '../domain/route.js';
import { UpstreamBrokenError, type UpstreamClient, type UpstreamResponse } from '../domain/upstream.js';
import type { UsageReport } from '../domain/usage.js';
import { failureFromFault, malformed } from '../wire/fault.js';
import { scrub } from '../wire/scrub.js';
import { OpenStream } from './stream.js';

/** A larger answer is no answer. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
/** Headers of a provider that reach the client, beside those that begin with `openai-`. */
const PASSED_HEADERS = new Set(['retry-after', 'retry-after-ms', 'x-should-retry']);

/** One upstream call about to be made: a target, a key with room, a number. */
export interface AttemptPlan {
  request: RoutedRequest;
  target: Target;
  /** The target as this request sees it: with an output bound of its own where its budget needs one. */
  upstream: UpstreamTarget;
  prepared: Prepared;
  /** The input as it was counted for a limit or a budget; null when it was not. */
  counted: () => number | null;
  key: ProviderKey;
  reservation: Reservation;
  /** From 1. */
  attempt: number;
  sentAt: number;
  /** Until the first byte, or for a stream the first content. */
  firstByteMs: number;
  input: () => CountedInput;
}

export type Reading =
  | { kind: 'answer'; answer: TaskAnswer; headers: HeaderFields; status: number; firstByteAt: number }
  | { kind: 'stream'; stream: OpenStream; headers: HeaderFields; firstByteAt: number }
  | { kind: 'failed'; failure: UpstreamFailure; report: UsageReport | null; firstByteAt: number | null };

/** What came of an attempt, and what the provider said is left of its limits. */
export interface AttemptResult {
  reading: Reading;
  stated: readonly StatedLimit[];
}

/** What a target's adapter made of a request: the same for every attempt on it. */
export interface Prepared {
  /** The target as this request sees it: with an output bound of its own where its budget needs one. */
  upstream: UpstreamTarget;
  helper: TaskHelper;
  route: UpstreamRoute;
  payload: Payload;
}

/**
 * Builds what is to be sent. Pure: nothing is taken or written down yet.
 * @throws WaybillError for what this provider cannot do
 */
export function prepare(request: RoutedRequest, target: Target, upstream: UpstreamTarget): Prepared {
  const helper = target.adapter.tasks[request.ask.task];
  if (helper === undefined) throw new Error(`${target.adapter.id} has no helper for ${request.ask.task}`);
  const payload = helper.preparePayload(request.ask, upstream);
  return { upstream, helper, payload, route: helper.makeRoute(request.ask, upstream) };
}

/**
 * Sends one request to one target and reads its answer: whole, or up to a stream's first content, so that a 200 which
 * turns out to be an error is still a failed attempt.
 * @throws the lifeline's reason when it ends
 */
export async function makeAttempt(plan: AttemptPlan, client: UpstreamClient, clock: Clock): Promise<AttemptResult> {
  const { target, request } = plan;
  const { helper, payload, route } = plan.prepared;
  const secrets = secretsOf(plan);
  const headers = headersFor(plan, helper, payload.kind === 'json' ? 'application/json' : payload.contentType);
  const result = await client.send({
    route,
    headers: target.adapter.sign === undefined ? headers : await signed(plan, headers, clock.now()),
    payload,
    connectMs: target.timeouts.connectMs,
    firstByteMs: plan.firstByteMs,
    idleMs: target.timeouts.idleMs,
    life: request.life,
    limits: plan.reservation,
    secrets,
  });
  if (!result.ok) {
    return { reading: failed(withHint(result.failure, target), result.report, null), stated: result.stated };
  }
  const reading = await readAnswer(plan, result.response, clock.now(), secrets);
  return { reading, stated: result.response.stated };
}

async function readAnswer(
  plan: AttemptPlan,
  response: UpstreamResponse,
  firstByteAt: number,
  secrets: readonly string[],
): Promise<Reading> {
  const { target, request } = plan;
  const { helper } = plan.prepared;
  try {
    if (request.ask.stream && helper.openStream !== undefined && !isJson(response)) {
      const reader = helper.openStream(request.ask, plan.upstream, response.headers);
      const stream = new OpenStream({ response, reader, secrets });
      const fault = await withDeadline(stream.untilContent(), plan.sentAt + plan.firstByteMs - firstByteAt, response);
      if (fault !== null) return failed(withHint(fault, target), reader.usage(), firstByteAt);
      return { kind: 'stream', stream, headers: passedHeaders(response, secrets), firstByteAt };
    }
    return await readWhole(plan, helper, response, firstByteAt, secrets);
  } catch (error) {
    if (error instanceof UpstreamBrokenError) {
      // Broken after the headers and before any content: the answer is not what was asked.
      const kind = error.failure.kind === 'timeout' ? 'timeout' : 'malformed';
      return failed({ ...error.failure, kind, sent: true }, null, firstByteAt);
    }
    throw error;
  }
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

async function readWhole(
  plan: AttemptPlan,
  helper: TaskHelper,
  response: UpstreamResponse,
  firstByteAt: number,
  secrets: readonly string[],
): Promise<Reading> {
  const { target, request } = plan;
  const answer = new WholeAnswer(response, await response.readAll(MAX_ANSWER_BYTES));
  const outcome = helper.getResponse(answer, request.ask, plan.upstream);
  if (!outcome.ok) {
    return failed(withHint(failureFromFault(outcome.fault, secrets), target), outcome.usage, firstByteAt);
  }
  if (request.ask.stream) {
    const fault = malformed('a stream was asked for, and a whole answer came');
    return failed(failureFromFault(fault, secrets), outcome.answer.usage, firstByteAt);
  }
  return {
    kind: 'answer',
    answer: outcome.answer,
    headers: passedHeaders(response, secrets),
    status: response.status,
    firstByteAt,
  };
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

function headersFor(plan: AttemptPlan, helper: TaskHelper, contentType: string): HeaderFields {
  const { target, request, key } = plan;
  const headers: HeaderFields = {
    'content-type': contentType,
    accept: request.ask.stream ? 'text/event-stream' : 'application/json',
  };
  if (key.secret.reveal() !== '') addFields(headers, target.adapter.authenticate(key.secret));
  const own = helper.prepareHeaders?.(request.ask, plan.upstream);
  if (own !== undefined) addFields(headers, own);
  addFields(headers, plan.upstream.headers);
  return headers;
}

/** One by one: spreading several objects into one is slow where every request does it. */
function addFields(headers: HeaderFields, more: HeaderFields): void {
  for (const name in more) headers[name] = more[name] as string;
}

/** The headers with the signature of those who sign. */
async function signed(plan: AttemptPlan, headers: HeaderFields, now: number): Promise<HeaderFields> {
  const { target, key } = plan;
  const { route, payload } = plan.prepared;
  if (key.secret.reveal() === '') return headers;
  if (payload.kind === 'stream') throw new Error(`${target.adapter.id} cannot sign a body that is made as it is sent`);
  const request = { ...route, headers, body: payload.body, now, region: target.region };
  return { ...headers, ...(await target.adapter.sign?.(request, key.secret)) };
}

/** What is removed from whatever the provider says. */
function secretsOf({ target, key }: AttemptPlan): string[] {
  const secret = key.secret.reveal();
  if (secret === '') return [];
  return target.adapter.secretsIn === undefined ? [secret] : [secret, ...target.adapter.secretsIn(key.secret)];
}

function isJson(response: UpstreamResponse): boolean {
  return response.headers['content-type']?.toLowerCase().startsWith('application/json') === true;
}

function passedHeaders(response: UpstreamResponse, secrets: readonly string[]): HeaderFields {
  const passed: HeaderFields = {};
  for (const name in response.headers) {
    const value = response.headers[name];
    if (value !== undefined && (name.startsWith('openai-') || PASSED_HEADERS.has(name))) {
      passed[name] = scrub(value, secrets);
    }
  }
  return passed;
}

function failed(failure: UpstreamFailure, report: UsageReport | null, firstByteAt: number | null): Reading {
  return { kind: 'failed', failure, report, firstByteAt };
}

function withHint(failure: UpstreamFailure, target: Target): UpstreamFailure {
  const hint = target.adapter.hint?.(failure, target.upstream);
  return hint === undefined ? failure : { ...failure, message: `${failure.message} ${hint}` };
}
