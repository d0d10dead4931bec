import type { Task, TaskRequest } from '../domain/task.js';
import { type OpenAiTask, openTaskRequest } from '../wire/openai-request.js';
import { type JsonTask, openJsonTask } from '../wire/task-request.js';
import { readJsonBody } from './body.js';
import type { HttpContext } from './context.js';
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

/** Reads what a client sent. @throws WaybillError body_too_large, invalid_request */
export type OpenRequest = (ctx: HttpContext, parts: OpeningParts) => Promise<OpenedRequest>;

/** Chat, completions and embeddings. */
export function textRequest(task: OpenAiTask): OpenRequest {
  return async (ctx, { bodyLimitBytes }) => ({
    ask: openTaskRequest(task, await readJsonBody(ctx.req, bodyLimitBytes)),
  });
}

export function jsonRequest(task: JsonTask): OpenRequest {
  return async (ctx, { bodyLimitBytes }) => ({ ask: openJsonTask(task, await readJsonBody(ctx.req, bodyLimitBytes)) });
}

/** Speech reaches the client as it comes. One that may be asked for again by its key is read whole, to be kept. */
export const openSpeech: OpenRequest = async (ctx, { bodyLimitBytes }) => {
  const ask = openJsonTask('speech', await readJsonBody(ctx.req, bodyLimitBytes));
  return { ask: { ...ask, relay: !ask.stream && idempotencyKey(ctx) === null } };
};
