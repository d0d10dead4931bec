import type { OpenAiTask } from './openai-request.js';

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
