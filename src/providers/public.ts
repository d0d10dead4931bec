/**
 * What modules with an adapter of their own may import, as `waybill/provider`: docs/adding-a-provider.md. Names here are kept
 * as versions are.
 */
import type { ProviderAdapter } from '../domain/provider.js';
import type { ExternalAdapter } from './external/adapter-shape.js';
import { type OpenAiSettings, openAiCompatible as openAiAdapter } from './openai-compatible.js';

export { WaybillError } from '../domain/errors.js';
export type { UpstreamFailure, Verdict } from '../domain/failure.js';
export type {
  AnswerFault,
  AnswerOutcome,
  HeaderFields,
  ModelLister,
  NextStep,
  Payload,
  ProviderAdapter,
  SignableRequest,
  SplitBody,
  SseEvent,
  StreamReader,
  StreamStep,
  TaskAnswer,
  TaskHelper,
  Unfinished,
  UpstreamAnswer,
  UpstreamRoute,
  UpstreamTarget,
} from '../domain/provider.js';
export type { Secret } from '../domain/secret.js';
export type { JsonBody, JsonObject, Task, TaskRequest } from '../domain/task.js';
export { noCounts, type UsageCounts, type UsageReport } from '../domain/usage.js';
export { malformed, statusFault } from '../wire/fault.js';
export { editMembers, rewriteAt, writeObject } from '../wire/json-text.js';
export type { ExternalAdapter } from './external/adapter-shape.js';
export { apiRoot, bearer, openAiHelper, openAiModelLister } from './openai-compatible.js';
export { openAiMedia, withTasks } from './openai-media.js';
export { rerankHelper } from './rerank.js';

/** As for a built-in provider, but for what only the list of those needs. */
export type OpenAiDialect = Omit<OpenAiSettings, 'docs' | 'sample' | 'inline'> &
  Partial<Pick<OpenAiSettings, 'docs' | 'sample'>>;

/** An adapter for a provider that speaks OpenAI's dialect. */
export function openAiCompatible(settings: OpenAiDialect): ProviderAdapter {
  return openAiAdapter({ docs: '', sample: {}, ...settings });
}

/** The adapter as it is given: an editor then knows its shape in plain JavaScript too. */
export function defineAdapter(adapter: ExternalAdapter): ExternalAdapter {
  return adapter;
}
