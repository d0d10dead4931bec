import type { JsonBody, Task, TaskRequest } from '../domain/task.js';
import { type OpenAiTask, openTaskRequest } from '../wire/openai-request.js';
import { type JsonTask, openJsonTask } from '../wire/task-request.js';
import { readJson } from './body.js';
import type { Exchange } from './exchange.js';
import { idempotencyKey } from './idempotent.js';

/** What is needed to make a request of what a client sent. */
export interface OpeningParts {
  bodyLimitBytes: number;
  /** Milliseconds of a whole recording; null where its headers do not say. */
  audioLength: (audio: Buffer, contentType: string) => Promise<number | null>;
  /** The tasks of everything a model's name means; empty for a name that means nothing. */
  tasksOf: (model: string) => readonly Task[];
}

/** A request that was read, and the model it names where its body does not. */
export interface OpenedRequest {
  ask: TaskRequest;
  model?: string;
}

/** Reads what a client sent; at once where it is there already. @throws WaybillError body_too_large, invalid_request */
export type OpenRequest<E extends Exchange = Exchange> = (
  exchange: E,
  parts: OpeningParts,
) => OpenedRequest | Promise<OpenedRequest>;

/** Chat, completions and embeddings. */
export function textRequest(task: OpenAiTask): OpenRequest {
  const opened = (body: JsonBody) => ({ ask: openTaskRequest(task, body) });
  return (exchange, { bodyLimitBytes }) => readJson(exchange, bodyLimitBytes, opened);
}

export function jsonRequest(task: JsonTask): OpenRequest {
  const opened = (body: JsonBody) => ({ ask: openJsonTask(task, body) });
  return (exchange, { bodyLimitBytes }) => readJson(exchange, bodyLimitBytes, opened);
}

/** Speech reaches the client as it comes. One that may be asked for again by its key is read whole, to be kept. */
export const openSpeech: OpenRequest = (exchange, { bodyLimitBytes }) =>
  readJson(exchange, bodyLimitBytes, (body) => {
    const ask = openJsonTask('speech', body);
    return { ask: { ...ask, relay: !ask.stream && idempotencyKey(exchange) === null } };
  });
