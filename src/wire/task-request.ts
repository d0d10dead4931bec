import { WaybillError } from '../domain/errors.js';
import type { JsonBody, JsonObject, TaskRequest } from '../domain/task.js';
import { parseJsonBody } from './json-body.js';

/** The tasks of OpenAI's API that are asked in JSON and are no text generation, and reranking. */
export type JsonTask = 'image' | 'image-edit' | 'speech' | 'rerank' | 'moderation';

/** What OpenAI takes where a moderation names no model: https://platform.openai.com/docs/api-reference/moderations */
const DEFAULT_MODERATION_MODEL = 'omni-moderation-latest';

/**
 * A client's body as a request for `task`. Looks at what the router relies on, and leaves the rest to the provider.
 * @throws WaybillError invalid_request, with `param` set
 */
export function openJsonTask(task: JsonTask, given: JsonBody): TaskRequest {
  const body = task === 'moderation' ? withModel(given) : given;
  const { value } = body;
  if (typeof value['model'] !== 'string' || value['model'] === '') refuse('model', 'must be the name of a model');
  CHECKS[task](value);
  return { task, body, stream: STREAMS[task]?.(value) ?? refuseStream(value), includeUsage: false };
}

/** True where a stream is asked for, by the tasks that have one. */
const STREAMS: { readonly [T in JsonTask]?: (value: JsonObject) => boolean } = {
  image: readStream,
  'image-edit': readStream,
  speech(value) {
    const { stream_format: format, stream } = value;
    if (format === 'sse') return true;
    if (stream === true) refuse('stream', 'speech comes as it is made; set `stream_format` to `sse` for events');
    return false;
  },
};

function readStream({ stream }: JsonObject): boolean {
  if (stream === undefined || stream === null) return false;
  if (typeof stream !== 'boolean') refuse('stream', 'must be true or false');
  return stream;
}

const CHECKS: Readonly<Record<JsonTask, (value: JsonObject) => void>> = {
  image: checkImage,
  'image-edit'(value) {
    checkImage(value);
    const { images, image } = value;
    const isThere = Array.isArray(images) ? images.length > 0 : typeof image === 'object' || typeof image === 'string';
    if (!isThere || image === null) refuse('images', 'must be a list of images, e.g. `[{"image_url": "https://…"}]`');
  },
  speech: (value) => checkText('input', value['input']),
  rerank(value) {
    checkText('query', value['query']);
    const { documents, top_n: topN } = value;
    if (!Array.isArray(documents)) refuse('documents', 'must be a list of texts');
    if (documents.length === 0) refuse('documents', 'must not be empty');
    for (const [index, document] of documents.entries()) {
      if (typeof document === 'string') continue;
      if (typeof document === 'object' && document !== null && !Array.isArray(document)) continue;
      refuse(`documents[${index}]`, 'must be a text, or an object with a text');
    }
    if (topN !== undefined && topN !== null && !(Number.isSafeInteger(topN) && (topN as number) >= 1)) {
      refuse('top_n', 'must be a whole number from 1 on');
    }
  },
  moderation(value) {
    const { input } = value;
    if (typeof input === 'string') return;
    if (!Array.isArray(input)) refuse('input', 'must be a text, a list of texts, or a list of parts');
    if (input.length === 0) refuse('input', 'must not be empty');
  },
};

function checkImage(value: JsonObject): void {
  checkText('prompt', value['prompt']);
  const { n } = value;
  if (n !== undefined && n !== null && !(Number.isSafeInteger(n) && (n as number) >= 1)) {
    refuse('n', 'must be a whole number from 1 on');
  }
}

/** @throws WaybillError invalid_request for a request that wants a stream, which these tasks do not have here */
export function refuseStream(value: JsonObject): false {
  const { stream } = value;
  if (stream === undefined || stream === null || stream === false || stream === 'false' || stream === '') return false;
  refuse('stream', 'this task is answered whole; leave it out or set it to false');
}

function checkText(name: string, value: unknown): void {
  if (typeof value !== 'string') refuse(name, 'must be a text');
  if (value === '') refuse(name, 'must not be empty');
}

function withModel(body: JsonBody): JsonBody {
  if (body.value['model'] !== undefined) return body;
  const model = JSON.stringify(DEFAULT_MODERATION_MODEL);
  const rest = body.text.slice(body.text.indexOf('{') + 1);
  return parseJsonBody(`{"model":${model}${body.members.size === 0 ? '' : ','}${rest}`);
}

export function refuse(param: string, why: string): never {
  throw new WaybillError('invalid_request', { message: `\`${param}\` ${why}`, param });
}
