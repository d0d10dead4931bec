import type { RoutedRequest } from '../domain/dispatch.js';
import { AdapterError } from '../domain/errors.js';
import { ADAPTER_FAILED, type UpstreamFailure } from '../domain/failure.js';
import type { StatedLimit } from '../domain/limit.js';
import type { HeaderFields, UpstreamTarget } from '../domain/provider.js';
import type { Target } from '../domain/route.js';
import type { UpstreamCall, UpstreamResponse, UpstreamResult } from '../domain/upstream.js';
import type { AttemptPlan, Prepared } from './attempt-plan.js';
import type { DispatchParts } from './parts.js';
import { Prediction } from './prediction.js';
import { failed, type Reading, readAnswer, type Step, withHint } from './reading.js';

/** What came of an attempt, and what the provider said is left of its limits. */
export interface AttemptResult {
  reading: Reading;
  stated: readonly StatedLimit[];
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

type AttemptParts = Pick<DispatchParts, 'client' | 'clock' | 'logger'>;

/**
 * Sends one request to one target and reads its answer; where that begins a prediction, follows it to its end.
 * @throws the lifeline's reason when it ends
 */
export function makeAttempt(plan: AttemptPlan, parts: AttemptParts): Promise<AttemptResult> {
  try {
    const secrets = secretsOf(plan);
    const headers = headersFor(plan);
    const isSigned = plan.target.adapter.sign !== undefined;
    return isSigned ? signAndSend(plan, headers, secrets, parts) : send(plan, headers, secrets, parts);
  } catch (error) {
    return Promise.resolve(unsent(error));
  }
}

async function signAndSend(
  plan: AttemptPlan,
  headers: HeaderFields,
  secrets: readonly string[],
  parts: AttemptParts,
): Promise<AttemptResult> {
  let withSignature: HeaderFields;
  try {
    withSignature = await signed(plan, headers, parts.clock.now());
  } catch (error) {
    return unsent(error);
  }
  return send(plan, withSignature, secrets, parts);
}

/** An adapter could not say what to send. @throws what is no fault of an adapter */
function unsent(error: unknown): AttemptResult {
  if (!(error instanceof AdapterError)) throw error;
  return { reading: failed(unsendable(error.message), null, null), stated: [] };
}

function send(
  plan: AttemptPlan,
  headers: HeaderFields,
  secrets: readonly string[],
  parts: AttemptParts,
): Promise<AttemptResult> {
  const { target, request } = plan;
  const { helper, payload, route } = plan.prepared;
  const { client, clock } = parts;
  const call: UpstreamCall = {
    route,
    headers,
    payload,
    connectMs: target.timeouts.connectMs,
    firstByteMs: plan.firstByteMs,
    idleMs: target.timeouts.idleMs,
    life: request.life,
    limits: { sent: () => noteSent(plan) },
    secrets,
    isBrought: target.isBrought === true,
  };
  if (helper.predicts === true) return new Prediction(plan, parts, secrets).make(call);
  return client.send(call).then((result) => readResult(plan, result, secrets, clock.now()));
}

/** At once where the answer has come whole. */
function readResult(
  plan: AttemptPlan,
  result: UpstreamResult,
  secrets: readonly string[],
  now: number,
): AttemptResult | Promise<AttemptResult> {
  if (!result.ok) {
    return { reading: failed(withHint(result.failure, plan.target), result.report, null), stated: result.stated };
  }
  const { response } = result;
  const step = readAnswer(plan, response, now, secrets);
  return step instanceof Promise ? step.then((read) => asResult(plan, read, response)) : asResult(plan, step, response);
}

function asResult({ target }: AttemptPlan, step: Step, { stated }: UpstreamResponse): AttemptResult {
  if (step.kind === 'later') throw new Error(`${target.adapter.id} begins predictions and does not say so`);
  return { reading: step, stated };
}

function noteSent(plan: AttemptPlan): void {
  plan.wasSent = true;
  plan.reservation.sent();
}

/** An adapter could not say how to send. */
function unsendable(message: string): UpstreamFailure {
  const unknown = { status: null, param: null, type: null, retryAfterMs: null, loadingMs: null, shouldRetry: null };
  return { kind: 'malformed', code: ADAPTER_FAILED, message, sent: false, ...unknown };
}

function headersFor(plan: AttemptPlan): HeaderFields {
  const { target, request, key } = plan;
  const { helper, payload } = plan.prepared;
  const headers: HeaderFields = {
    'content-type': payload.kind === 'json' ? 'application/json' : payload.contentType,
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
