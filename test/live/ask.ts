import { WaybillError } from '../../src/domain/errors.js';
import { Lifeline } from '../../src/domain/lifeline.js';
import type { HeaderFields, Payload, TaskHelper, UpstreamTarget } from '../../src/domain/provider.js';
import type { TaskRequest } from '../../src/domain/task.js';
import { UpstreamBrokenError, type UpstreamCall, type UpstreamClient } from '../../src/domain/upstream.js';
import { type OpenAiTask, openTaskRequest } from '../../src/wire/openai-request.js';
import { aUnitRequest } from '../conformance/unit-tasks.js';
import type { LiveCase } from './cases.js';
import type { LiveEntry } from './entry.js';
import type { RawAnswer } from './read.js';

const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const ANSWER_MS = 120_000;

/** What was sent and what came, before anything is removed from it. */
export interface LiveExchange {
  case: LiveCase;
  target: UpstreamTarget;
  request: { method: string; url: string; headers: HeaderFields; payload: Payload };
  answer: RawAnswer;
  /** What was asked of a prediction after that, in order. */
  steps: LiveStep[];
}

/** One asking for a prediction that goes on, or has ended. */
export interface LiveStep {
  request: { method: string; url: string; headers: HeaderFields };
  answer: RawAnswer;
  /** Its address alone gives access. */
  isKeyless: boolean;
}

export type AskOutcome =
  | { kind: 'answered'; exchange: LiveExchange }
  /** The adapter says that this provider cannot do it: nothing was sent. */
  | { kind: 'refused'; message: string }
  | { kind: 'failed'; message: string };

/** A case's request as the routes make it. */
export function requestOf({ task, request }: LiveCase, model: string): TaskRequest {
  const given = aUnitRequest(task, request(model));
  const isOpenAi = task === 'chat' || task === 'completion' || task === 'embedding';
  return isOpenAi ? openTaskRequest(task as OpenAiTask, given.body) : given;
}

/** Asks the provider once, as an attempt of the router does: no second try hides what went wrong. */
export async function ask(
  entry: LiveEntry,
  live: LiveCase,
  model: string,
  client: UpstreamClient,
): Promise<AskOutcome> {
  const { adapter, key, secrets } = entry;
  const { upstream: target, region } = entry.target(model);
  const helper = adapter.tasks[live.task] as TaskHelper;
  const request = requestOf(live, model);
  let payload: Payload;
  try {
    payload = helper.preparePayload(request, target);
  } catch (error) {
    if (error instanceof WaybillError) return { kind: 'refused', message: error.message };
    throw error;
  }
  const route = helper.makeRoute(request, target);
  let headers: HeaderFields = {
    'content-type': payload.kind === 'json' ? 'application/json' : payload.contentType,
    accept: request.stream ? 'text/event-stream' : 'application/json',
    ...(key.reveal() === '' ? {} : adapter.authenticate(key)),
    ...helper.prepareHeaders?.(request, target),
    ...target.headers,
  };
  if (adapter.sign !== undefined && payload.kind !== 'stream') {
    const signable = { ...route, headers, body: payload.body, now: Date.now(), region };
    headers = { ...headers, ...(await adapter.sign(signable, key)) };
  }
  const outcome = await send(entry, target, client, { route, headers, payload, life: new Lifeline(), secrets });
  if (!outcome.ok) return { kind: 'failed', message: outcome.message };
  const { answer } = outcome;
  const sent = { ...route, headers, payload };
  return { kind: 'answered', exchange: { case: live, target, request: sent, answer, steps: [] } };
}

/**
 * One call, and all of its answer.
 * @throws the lifeline's reason when it ends
 */
export async function send(
  { adapter }: LiveEntry,
  target: UpstreamTarget,
  client: UpstreamClient,
  call: Pick<UpstreamCall, 'route' | 'headers' | 'payload' | 'life' | 'secrets'>,
): Promise<{ ok: true; answer: RawAnswer } | { ok: false; message: string }> {
  const waits = { connectMs: 10_000, firstByteMs: ANSWER_MS, idleMs: ANSWER_MS };
  const result = await client.send({ ...call, ...waits, limits: { sent: () => {} } });
  if (!result.ok) {
    const hint = adapter.hint?.(result.failure, target);
    const text = [`${result.failure.status ?? result.failure.kind}: ${result.failure.message}`, hint ?? ''].join(' ');
    return { ok: false, message: text.trim() };
  }
  const { status, headers } = result.response;
  try {
    return {
      ok: true,
      answer: { status, headers, body: Buffer.concat(await result.response.readAll(MAX_ANSWER_BYTES)) },
    };
  } catch (error) {
    if (call.life.isEnded) throw call.life.reason;
    if (!(error instanceof UpstreamBrokenError)) throw error;
    return { ok: false, message: `the answer broke off: ${error.message}` };
  }
}
