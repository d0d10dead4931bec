import type { JsonBody } from '../domain/task.js';
import { HUGGING_FACE_TASKS, OTHER_TASK, type Task, type TaskRequest } from '../domain/task.js';
import { parseJsonBody } from '../wire/json-body.js';
import { openTaskRequest } from '../wire/openai-request.js';
import { refuse, refuseStream } from '../wire/task-request.js';
import { parseJson, readBody } from './body.js';
import { modelInPath } from './model-in-path.js';
import type { NodeExchange } from './node-exchange.js';
import type { OpenedRequest, OpeningParts } from './opened-request.js';

export const INFERENCE_PATH = /^\/api\/inference\/(.+)$/;

const TASKS_BY_NAME: ReadonlyMap<string, Task> = new Map<string, Task>([
  ...HUGGING_FACE_TASKS.map((task): [string, Task] => [task, task]),
  ['chat', 'conversational'],
]);
const AUDIO_TASKS: ReadonlySet<Task> = new Set(['automatic-speech-recognition', 'audio-classification']);

/**
 * `POST /api/inference/{model}?task=`: a Hugging Face task's own payload, JSON or bytes. The task is the one that is
 * named, else what the payload tells (`messages` are a chat), else the only one the config lists for the model.
 * `x-waybill-provider` pins a provider.
 */
export async function openInference(exchange: NodeExchange, parts: OpeningParts): Promise<OpenedRequest> {
  const model = pinned(exchange, modelInPath(exchange.path.replace(INFERENCE_PATH, '$1')));
  const body = await readBody(exchange.req, parts.bodyLimitBytes);
  const contentType = exchange.req.headers['content-type'] ?? '';
  if (!isJson(body, contentType))
    return { ask: await binary(body, contentType, taskOf(exchange, model, parts), parts), model };
  const payload = parseJson(body);
  const isChat = Array.isArray(payload.value['messages']);
  const named = namedTask(exchange);
  if (isChat && (named === null || named === 'conversational')) {
    return { ask: openTaskRequest('chat', withModel(payload, model)), model };
  }
  refuseStream(payload.value);
  const task = taskOf(exchange, model, parts);
  return { ask: { task, body: payload, stream: false, includeUsage: false }, model };
}

async function binary(bytes: Buffer, type: string, task: Task, parts: OpeningParts): Promise<TaskRequest> {
  if (bytes.length === 0) refuse('body', 'must be the payload of the task, as JSON or as bytes');
  const contentType = type === '' || type.startsWith(FORM_TYPE) ? 'application/octet-stream' : type;
  const audioMs = AUDIO_TASKS.has(task) ? await parts.audioLength(bytes, contentType) : null;
  return {
    task,
    body: { text: '{}', value: {}, members: new Map() },
    stream: false,
    includeUsage: false,
    carried: { kind: 'bytes', bytes, contentType, audioMs },
  };
}

const FORM_TYPE = 'application/x-www-form-urlencoded';

/** What curl sends without being told a type may be either. */
function isJson(body: Buffer, contentType: string): boolean {
  if (/^application\/(?:[\w.-]+\+)?json\b/i.test(contentType)) return true;
  const isTold = contentType !== '' && !contentType.startsWith(FORM_TYPE);
  return !isTold && /^\s*\{/.test(body.subarray(0, 64).toString('latin1'));
}

function taskOf(exchange: NodeExchange, model: string, { tasksOf }: OpeningParts): Task {
  const named = namedTask(exchange);
  if (named !== null) return named;
  const known = tasksOf(model);
  if (known.includes(OTHER_TASK)) return OTHER_TASK;
  const listed = known.filter((task) => TASKS_BY_NAME.get(task) === task);
  if (listed.length > 1) refuse('task', `must be one of ${listed.join(', ')} for this model: name it with \`?task=\``);
  return listed[0] ?? OTHER_TASK;
}

/** A name this router does not know is another task; null where none is named. */
function namedTask(exchange: NodeExchange): Task | null {
  const name = new URLSearchParams(exchange.query).get('task') ?? '';
  return name === '' ? null : (TASKS_BY_NAME.get(name) ?? OTHER_TASK);
}

function pinned(exchange: NodeExchange, model: string): string {
  const provider = exchange.req.headers['x-waybill-provider'];
  if (typeof provider !== 'string' || provider === '' || model.startsWith(`${provider}:`)) return model;
  return `${provider}:${model}`;
}

/** A chat names its model in its body. */
function withModel(payload: JsonBody, model: string): JsonBody {
  const rest = payload.text.slice(payload.text.indexOf('{') + 1);
  // Of a key that comes twice the last counts: the path's.
  const named = `{${rest.trimEnd().replace(/\}$/, '')},"model":${JSON.stringify(model)}}`;
  return parseJsonBody(named);
}
