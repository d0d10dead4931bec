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
import { type OpenAiAnswerOptions, readOpenAiAnswer } from '../wire/openai-answer.js';
import type { OpenAiTask } from '../wire/openai-request.js';
import { OpenAiStreamReader } from '../wire/openai-stream.js';
import type { OpenAiUsageOptions, UsageBeside } from '../wire/openai-usage.js';
import type { Reshape } from '../wire/reshape.js';
import { type OpenAiPayloadOptions, prepareOpenAiPayload } from './openai-payload.js';
import type { ParameterRules } from './parameter-rules.js';

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
  /** The path of a base URL that has none of its own. Default: that of `baseUrl`; without one, `/v1`. */
  defaultPath?: string;
  /** The URL of one endpoint, where it is not the root and the endpoint's path. */
  url?: (target: UpstreamTarget, path: string) => string;
  needsKey?: boolean;
  /** Runs in this process (the sandbox). */
  inline?: boolean;
  /** What a price is where the config gives none. Default: unknown. */
  defaultRates?: Rates | null;
  /** Default: all three. */
  tasks?: readonly OpenAiTask[];
  /** Reasoning is counted beside `completion_tokens`. */
  reasoningOutside?: NonNullable<OpenAiUsageOptions['reasoningOutside']>;
  /** What a model is billed for beside the tokens of prompt and completion. Default: nothing. */
  billedBeside?: (providerModel: string) => UsageBeside | null;
  /** Default: `ask`. */
  streamUsage?: OpenAiPayloadOptions['streamUsage'];
  /** Default: the client's own name of the bound passes. */
  maxTokensName?: OpenAiPayloadOptions['maxTokensName'];
  /** Parameters that are taken in another way, or not at all. Default: every one passes. */
  parameters?: { [T in OpenAiTask]?: ParameterRules };
  /** Changes of a chat's answers into OpenAI's shape. Default: none. */
  reshapes?: readonly Reshape[];
  /** False where the provider does not list its models at `/models`. */
  listsModels?: boolean;
  authenticate?: (key: Secret) => HeaderFields;
  classify?: (failure: UpstreamFailure) => Verdict | undefined;
  hint?: (failure: UpstreamFailure) => string | undefined;
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
    ...(settings.hint === undefined ? {} : { hint: settings.hint }),
    ...(settings.listsModels === false ? {} : { listModels: openAiModelLister(rootPath(settings)) }),
    sampleConfig: () => structuredClone(settings.sample),
  };
}

/** The helper of one task in OpenAI's dialect; adapters of other dialects may use it for the tasks that speak it. */
export function openAiHelper(task: OpenAiTask, settings: Partial<OpenAiSettings> = {}): TaskHelper {
  const root = rootPath(settings);
  const path = PATHS[task];
  const { billedBeside, url = rememberedUrls(root, path) } = settings;
  const payloadOptions: OpenAiPayloadOptions = {
    streamUsage: settings.streamUsage ?? 'ask',
    maxTokensName: settings.maxTokensName ?? (() => null),
    rules: settings.parameters?.[task] ?? null,
  };
  const answerOptions: OpenAiAnswerOptions = {
    reasoningOutside: settings.reasoningOutside ?? false,
    reshapes: task === 'chat' ? (settings.reshapes ?? []) : [],
  };
  const optionsFor = (target: UpstreamTarget): OpenAiAnswerOptions =>
    billedBeside === undefined ? answerOptions : { ...answerOptions, beside: billedBeside(target.providerModel) };
  const helper: TaskHelper = {
    makeRoute: (_request, target) => ({ method: 'POST', url: url(target, path) }),
    preparePayload: (request, target) => prepareOpenAiPayload(request, target, payloadOptions),
    getResponse(answer: UpstreamAnswer, request: TaskRequest, target: UpstreamTarget): AnswerOutcome {
      return readOpenAiAnswer(answer, request, optionsFor(target));
    },
  };
  if (task === 'embedding') return helper;
  return { ...helper, openStream: (request, target) => new OpenAiStreamReader(request, optionsFor(target)) };
}

/** Where each target is asked: targets are made once, and asked over and over. */
function rememberedUrls(root: string, path: string): (target: UpstreamTarget) => string {
  const urls = new WeakMap<UpstreamTarget, string>();
  return (target) => {
    let url = urls.get(target);
    if (url === undefined) {
      url = `${apiRoot(target.baseUrl, root)}${path}`;
      urls.set(target, url);
    }
    return url;
  };
}

function rootPath({ defaultPath, baseUrl = null }: Partial<OpenAiSettings>): string {
  return defaultPath ?? (baseUrl === null ? '/v1' : new URL(baseUrl).pathname.replace(/\/$/, ''));
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

/** `GET /models`, in the shape OpenAI, vLLM (`max_model_len`), Fireworks (`context_length`) and Anthropic (`max_input_tokens`) give it. */
export function openAiModelLister(defaultPath: string): ModelLister {
  return {
    makeRoute: (target: UpstreamTarget) => ({ method: 'GET', url: `${apiRoot(target.baseUrl, defaultPath)}/models` }),
    parse(answer) {
      const value: unknown = JSON.parse(answer.body.toString('utf8'));
      const list = Array.isArray(value) ? value : (value as JsonObject | null)?.['data'];
      const models = new Map<string, { id: string; contextWindow: number | null }>();
      for (const item of Array.isArray(list) ? (list as JsonObject[]) : []) {
        const { id } = item;
        if (typeof id !== 'string' || id === '' || models.has(id)) continue;
        const window =
          item['max_model_len'] ?? item['context_length'] ?? item['context_window'] ?? item['max_input_tokens'];
        models.set(id, { id, contextWindow: Number.isSafeInteger(window) ? (window as number) : null });
      }
      return [...models.values()];
    },
  };
}
