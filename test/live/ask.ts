import { WaybillError } from '../../src/domain/errors.js';
import { Lifeline } from '../../src/domain/lifeline.js';
import type { HeaderFields, Payload, TaskHelper, UpstreamTarget } from '../../src/domain/provider.js';
import type { TaskRequest } from '../../src/domain/task.js';
import type { UpstreamClient } from '../../src/domain/upstream.js';
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
  const result = await client.send({
    route,
    headers,
    payload,
    connectMs: 10_000,
    firstByteMs: ANSWER_MS,
    idleMs: ANSWER_MS,
    life: new Lifeline(),
    limits: { sent: () => {} },
    secrets,
  });
  if (!result.ok) {
    const hint = adapter.hint?.(result.failure, target);
    const text = [`${result.failure.status ?? result.failure.kind}: ${result.failure.message}`, hint ?? ''].join(' ');
    return { kind: 'failed', message: text.trim() };
  }
  const body = Buffer.concat(await result.response.readAll(MAX_ANSWER_BYTES));
  const answer = { status: result.response.status, headers: result.response.headers, body };
  return { kind: 'answered', exchange: { case: live, target, request: { ...route, headers, payload }, answer } };
}
