import { WaybillError } from '../domain/errors.js';
import type { JsonBody, JsonObject, TaskRequest } from '../domain/task.js';
import { parseJsonBody } from './json-text.js';
import { type OpenAiTask, openTaskRequest } from './openai-request.js';

/** The endpoints of OpenAI's dialect that are routed, by their path below `/v1`. */
export const OPENAI_ENDPOINTS: ReadonlyMap<string, OpenAiTask> = new Map([
  ['chat/completions', 'chat'],
  ['completions', 'completion'],
  ['embeddings', 'embedding'],
]);

/** `/v1/chat/completions`, `/api/v1/embeddings`, `completions` → task and path; null for any other. */
export function openAiEndpoint(name: string): { task: OpenAiTask; path: string } | null {
  const short = name.replace(/^\/?(?:(?:api\/)?v1\/)?/, '');
  const task = OPENAI_ENDPOINTS.get(short);
  return task === undefined ? null : { task, path: `/v1/${short}` };
}

/**
 * A request as it would be sent, and where: at the endpoint that is named, or else that its members tell. Takes
 * `{endpoint, request}` too, as `/v1/price` does.
 * @throws WaybillError invalid_request, with `param` set
 */
export function openUnsent(body: JsonBody, named: string | null): { ask: TaskRequest; path: string } {
  const { endpoint: inner, request } = body.value;
  if (isObject(request) && body.value['model'] === undefined) {
    // Numbers keep their text.
    const unwrapped = parseJsonBody(body.members.get('request') ?? '{}');
    return openUnsent(unwrapped, named ?? (typeof inner === 'string' ? inner : null));
  }
  const name = named ?? endpointTold(body.value);
  const endpoint = openAiEndpoint(name);
  if (endpoint === null) {
    const known = [...OPENAI_ENDPOINTS.keys()].join(', ');
    throw new WaybillError('invalid_request', {
      message: `\`endpoint\` is one of ${known}; \`${name}\` is not`,
      param: 'endpoint',
    });
  }
  return { ask: openTaskRequest(endpoint.task, body), path: endpoint.path };
}

function endpointTold(value: JsonObject): string {
  if (value['messages'] !== undefined) return 'chat/completions';
  if (value['prompt'] !== undefined) return 'completions';
  return value['input'] === undefined ? 'chat/completions' : 'embeddings';
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
