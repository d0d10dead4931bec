import type { Payload, UpstreamTarget } from '../../domain/provider.js';
import type { JsonObject, TaskRequest } from '../../domain/task.js';
import { scanMembers } from '../../wire/json-text.js';
import { RawJson, type Writable, writeJson } from '../../wire/raw-json.js';
import { toConversation } from './contents.js';
import { toGenerationConfig } from './generation-config.js';
import { Parameters } from './parameters.js';
import { refuse } from './refuse.js';
import { toCallingConfig, toTools } from './tools.js';

/** Without effect on the answer, and without a place here: who asks, what is kept, what is cached, how fast it comes. */
const WITHOUT_EFFECT = [
  ...['model', 'stream', 'stream_options', 'user', 'safety_identifier', 'metadata', 'store', 'prediction'],
  ...['prompt_cache_key', 'prompt_cache_retention'],
];

/** What Gemini cannot do, and the values that ask for nothing. */
const REFUSED: ReadonlyArray<{ name: string; isNothing?: (value: unknown) => boolean; why: string }> = [
  { name: 'logit_bias', isNothing: isEmpty, why: 'gemini has no such bias' },
  { name: 'functions', isNothing: isEmpty, why: 'gemini takes tools instead' },
  { name: 'function_call', why: 'gemini takes tool_choice instead' },
  {
    name: 'parallel_tool_calls',
    isNothing: (value) => value !== false,
    why: 'gemini cannot be kept from parallel calls',
  },
  { name: 'modalities', isNothing: (value) => String(value) === 'text', why: 'gemini answers with text here' },
  { name: 'audio', why: 'gemini answers with text here' },
  { name: 'web_search_options', why: 'gemini has its own tool for it: {"googleSearch": {}} in tools' },
  { name: 'verbosity', isNothing: (value) => value === 'medium', why: 'gemini has no such setting' },
];

/**
 * OpenAI's chat request as `generateContent` takes it. What Gemini cannot do is refused, unless the target drops it;
 * members that are not OpenAI's (`safetySettings`, `cachedContent`, `generationConfig`, …) pass as they are.
 * Source: https://ai.google.dev/api/generate-content
 * @throws WaybillError invalid_request
 */
export function prepareChat(request: TaskRequest, target: UpstreamTarget): Payload {
  const parameters = new Parameters(request, target);
  for (const name of WITHOUT_EFFECT) parameters.take(name);
  for (const { name, isNothing, why } of REFUSED) {
    const value = parameters.takeValue(name);
    if (value !== undefined && isNothing?.(value) !== true) refuse(name, why);
  }
  const messages = parameters.takeValue('messages') as JsonObject[];
  const { system, contents } = toConversation(messages, target.providerModel);
  const systemInstruction = toInstruction(parameters.takeValue('systemInstruction'), system);
  const generationConfig = toGenerationConfig(parameters, target);
  const { tools, isStrict } = toTools(parameters.take('tools') ?? '[]');
  const toolConfig = toToolConfig(parameters, tools, isStrict);
  const serviceTier = parameters.take('service_tier');
  const own: { [key: string]: Writable } = {};
  for (const [key, raw] of parameters.rest()) own[key] = new RawJson(raw);
  const body = writeJson({
    ...own,
    ...(systemInstruction === undefined ? {} : { systemInstruction }),
    contents,
    ...(tools === undefined ? {} : { tools }),
    ...(toolConfig === undefined ? {} : { toolConfig }),
    ...(generationConfig === undefined ? {} : { generationConfig }),
    // Its own name for the usual tier is another one. Source: https://ai.google.dev/gemini-api/docs/priority-inference
    ...(serviceTier === undefined || /^"(auto|default)"$/.test(serviceTier)
      ? {}
      : { service_tier: new RawJson(serviceTier) }),
  });
  return { kind: 'json', body };
}

/** Gemini's own instruction, of the config or the client, goes before what the messages say. */
function toInstruction(own: unknown, system: readonly Writable[]): Writable | undefined {
  const parts: unknown = (own as JsonObject | undefined)?.['parts'];
  const before = Array.isArray(parts) ? (parts as Writable[]) : [];
  if (own !== undefined && before.length === 0) refuse('systemInstruction', 'must have a list of parts');
  return before.length + system.length === 0 ? undefined : { parts: [...before, ...system] };
}

function toToolConfig(parameters: Parameters, tools: Writable | undefined, isStrict: boolean): Writable | undefined {
  const own = parameters.take('toolConfig');
  const choice = parameters.takeValue('tool_choice');
  // A choice among no tools is none.
  const functionCallingConfig = tools === undefined ? undefined : toCallingConfig(choice, isStrict);
  if (functionCallingConfig === undefined) return own === undefined ? undefined : new RawJson(own);
  const others = own?.startsWith('{') === true ? [...scanMembers(own)] : [];
  return { ...Object.fromEntries(others.map(([key, raw]) => [key, new RawJson(raw)])), functionCallingConfig };
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
