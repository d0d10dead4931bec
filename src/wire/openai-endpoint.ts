import { WaybillError } from '../domain/errors.js';
import type { JsonBody, JsonObject, TaskRequest } from '../domain/task.js';
import { parseJsonBody } from './json-body.js';
import { openTaskRequest } from './openai-request.js';
import { openJsonTask } from './task-request.js';

/** Makes a request of a body. @throws WaybillError invalid_request, with `param` set */
type OpenBody = (body: JsonBody) => TaskRequest;

/** The endpoints that are routed and asked in JSON, by their path below `/v1`. */
export const OPENAI_ENDPOINTS: ReadonlyMap<string, OpenBody> = new Map<string, OpenBody>([
  ['chat/completions', (body) => openTaskRequest('chat', body)],
  ['completions', (body) => openTaskRequest('completion', body)],
  ['embeddings', (body) => openTaskRequest('embedding', body)],
  ['images/generations', (body) => openJsonTask('image', body)],
  ['images/edits', (body) => openJsonTask('image-edit', body)],
  ['audio/speech', (body) => openJsonTask('speech', body)],
  ['rerank', (body) => openJsonTask('rerank', body)],
  ['moderations', (body) => openJsonTask('moderation', body)],
]);

/** `/v1/chat/completions`, `/api/v1/embeddings`, `completions` → how it is opened, and its path; null for any other. */
export function openAiEndpoint(name: string): { open: OpenBody; path: string } | null {
  const short = name.replace(/^\/?(?:(?:api\/)?v1\/)?/, '');
  const open = OPENAI_ENDPOINTS.get(short);
  return open === undefined ? null : { open, path: `/v1/${short}` };
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
  return { ask: endpoint.open(body), path: endpoint.path };
}

function endpointTold(value: JsonObject): string {
  if (value['messages'] !== undefined) return 'chat/completions';
  if (value['prompt'] !== undefined) return 'completions';
  return value['input'] === undefined ? 'chat/completions' : 'embeddings';
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
