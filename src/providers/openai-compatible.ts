import type { UpstreamFailure, Verdict } from '../domain/failure.js';
import type { Rates } from '../domain/pricing.js';
import type {
  AnswerOutcome,
  HeaderFields,
  ModelLister,
  ProviderAdapter,
  TaskHelper,
  UpstreamAnswer,
  UpstreamTarget,
} from '../domain/provider.js';
import type { Secret } from '../domain/secret.js';
import type { JsonObject, TaskRequest } from '../domain/task.js';
import { readOpenAiAnswer } from '../wire/openai-answer.js';
import type { OpenAiTask } from '../wire/openai-request.js';
import { OpenAiStreamReader } from '../wire/openai-stream.js';
import { type OpenAiPayloadOptions, prepareOpenAiPayload } from './openai-payload.js';

/** What differs between providers that speak OpenAI's dialect. Everything but the first three has a default. */
export interface OpenAiSettings {
  /** The `type` in the config file. */
  id: string;
  /** The provider's documentation, cited. */
  docs: string;
  /** An entry for a config file, with `${VAR}` keys. */
  sample: JsonObject;
  aliases?: readonly string[];
  /** With its path. Null (the default): the config must give one. */
  baseUrl?: string | null;
  /** The path of a base URL that has none of its own. Default: `/v1`. */
  defaultPath?: string;
  needsKey?: boolean;
  /** Runs in this process (the sandbox). */
  inline?: boolean;
  /** What a price is where the config gives none. Default: unknown. */
  defaultRates?: Rates | null;
  /** Default: all three. */
  tasks?: readonly OpenAiTask[];
  /** Reasoning is counted beside `completion_tokens`. */
  reasoningOutside?: boolean;
  /** Default: `ask`. */
  streamUsage?: OpenAiPayloadOptions['streamUsage'];
  /** Default: the client's own name of the bound passes. */
  maxTokensName?: OpenAiPayloadOptions['maxTokensName'];
  authenticate?: (key: Secret) => HeaderFields;
  classify?: (failure: UpstreamFailure) => Verdict | undefined;
}

const PATHS: Readonly<Record<OpenAiTask, string>> = {
  chat: '/chat/completions',
  completion: '/completions',
  embedding: '/embeddings',
};

/** An adapter for a provider that speaks OpenAI's dialect: https://platform.openai.com/docs/api-reference */
export function openAiCompatible(settings: OpenAiSettings): ProviderAdapter {
  const tasks: ProviderAdapter['tasks'] = {};
  for (const task of settings.tasks ?? (['chat', 'completion', 'embedding'] as const)) {
    tasks[task] = openAiHelper(task, settings);
  }
  return {
    id: settings.id,
    ...(settings.aliases === undefined ? {} : { aliases: settings.aliases }),
    baseUrl: settings.baseUrl ?? null,
    docs: settings.docs,
    needsKey: settings.needsKey ?? true,
    ...(settings.inline === undefined ? {} : { inline: settings.inline }),
    defaultRates: settings.defaultRates ?? null,
    tasks,
    authenticate: settings.authenticate ?? bearer,
    ...(settings.classify === undefined ? {} : { classify: settings.classify }),
    listModels: openAiModelLister(settings.defaultPath ?? '/v1'),
    sampleConfig: () => structuredClone(settings.sample),
  };
}

/** The helper of one task in OpenAI's dialect; adapters of other dialects may use it for the tasks that speak it. */
export function openAiHelper(
  task: OpenAiTask,
  settings: Pick<OpenAiSettings, 'defaultPath' | 'reasoningOutside' | 'streamUsage' | 'maxTokensName'> = {},
): TaskHelper {
  const root = settings.defaultPath ?? '/v1';
  const reasoningOutside = settings.reasoningOutside ?? false;
  const payloadOptions: OpenAiPayloadOptions = {
    streamUsage: settings.streamUsage ?? 'ask',
    maxTokensName: settings.maxTokensName ?? (() => null),
  };
  const helper: TaskHelper = {
    makeRoute: (_request, target) => ({ method: 'POST', url: `${apiRoot(target.baseUrl, root)}${PATHS[task]}` }),
    preparePayload: (request, target) => prepareOpenAiPayload(request, target, payloadOptions),
    getResponse(answer: UpstreamAnswer, request: TaskRequest): AnswerOutcome {
      return readOpenAiAnswer(answer, request, { reasoningOutside });
    },
  };
  if (task === 'embedding') return helper;
  return { ...helper, openStream: (request) => new OpenAiStreamReader(request, { reasoningOutside }) };
}

/** `Authorization: Bearer …`, RFC 6750. */
export function bearer(key: Secret): HeaderFields {
  return { authorization: `Bearer ${key.reveal()}` };
}

/**
 * A base URL with a path is used as written; a bare host gets the type's own path. A trailing slash does not matter.
 */
export function apiRoot(baseUrl: string, defaultPath: string): string {
  const base = baseUrl.replace(/\/+$/, '');
  return hasPath(base) ? base : `${base}${defaultPath}`;
}

function hasPath(base: string): boolean {
  return base.indexOf('/', base.indexOf('://') + 3) !== -1;
}

/** `GET /models`, in the shape OpenAI, vLLM (`max_model_len`) and Fireworks (`context_length`) give it. */
function openAiModelLister(defaultPath: string): ModelLister {
  return {
    makeRoute: (target: UpstreamTarget) => ({ method: 'GET', url: `${apiRoot(target.baseUrl, defaultPath)}/models` }),
    parse(answer) {
      const value: unknown = JSON.parse(answer.body.toString('utf8'));
      const list = Array.isArray(value) ? value : (value as JsonObject | null)?.['data'];
      const models = new Map<string, { id: string; contextWindow: number | null }>();
      for (const item of Array.isArray(list) ? (list as JsonObject[]) : []) {
        const { id } = item;
        if (typeof id !== 'string' || id === '' || models.has(id)) continue;
        const window = item['max_model_len'] ?? item['context_length'] ?? item['context_window'];
        models.set(id, { id, contextWindow: Number.isSafeInteger(window) ? (window as number) : null });
      }
      return [...models.values()];
    },
  };
}
