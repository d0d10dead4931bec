import type { UpstreamTarget } from '../../domain/provider.js';
import { isJsonObject } from '../../wire/json-object.js';
import { scanMembers } from '../../wire/json-text.js';
import { RawJson, type Writable, writeJson } from '../../wire/raw-json.js';
import type { Parameters } from './parameters.js';
import { refuse } from './refuse.js';
import { thinkingConfig } from './thinking.js';

/** Numbers that only have another name. */
const RENAMED = {
  temperature: 'temperature',
  top_p: 'topP',
  top_k: 'topK',
  seed: 'seed',
  presence_penalty: 'presencePenalty',
  frequency_penalty: 'frequencyPenalty',
  n: 'candidateCount',
  logprobs: 'responseLogprobs',
  top_logprobs: 'logprobs',
} as const;

/**
 * The generation config: Gemini's own `generationConfig` of the config file, over it the client's, over that OpenAI's
 * parameters. Thinking counts towards `maxOutputTokens`, as it does towards `max_completion_tokens`.
 * Source: https://ai.google.dev/api/generate-content#generationconfig
 */
export function toGenerationConfig(parameters: Parameters, target: UpstreamTarget): Writable | undefined {
  const config: { [key: string]: Writable | undefined } = {
    ...membersOf(target.extraBody['generationConfig']),
    ...ownConfig(parameters.take('generationConfig')),
  };
  for (const [name, renamed] of Object.entries(RENAMED)) {
    const raw = parameters.take(name);
    if (raw !== undefined) config[renamed] = new RawJson(raw);
  }
  const stop = parameters.takeValue('stop');
  if (stop !== undefined) config['stopSequences'] = new RawJson(JSON.stringify(Array.isArray(stop) ? stop : [stop]));
  const bound = outputBound(parameters, config['maxOutputTokens'], target.maxOutputTokens);
  if (bound !== undefined) config['maxOutputTokens'] = bound;
  const effort = parameters.takeValue('reasoning_effort');
  const thinking = effort === undefined ? undefined : thinkingConfig(effort, target.providerModel);
  if (thinking !== undefined) config['thinkingConfig'] = thinking;
  Object.assign(config, responseFormat(parameters.take('response_format')));
  return Object.keys(config).length === 0 ? undefined : config;
}

function ownConfig(raw: string | undefined): { [key: string]: Writable } {
  if (raw === undefined) return {};
  if (!raw.startsWith('{')) refuse('generationConfig', 'must be an object');
  return Object.fromEntries([...scanMembers(raw)].map(([key, text]) => [key, new RawJson(text)]));
}

function membersOf(value: unknown): { [key: string]: Writable } {
  return isJsonObject(value) ? ownConfig(JSON.stringify(value)) : {};
}

/** The bound asked for, by whichever name, within the target's. 0 and -1 mean none. */
function outputBound(parameters: Parameters, own: Writable | undefined, cap: number | null): Writable | undefined {
  const older = parameters.take('max_tokens');
  const raw = parameters.take('max_completion_tokens') ?? older ?? (own === undefined ? undefined : writeJson(own));
  const isBounded = raw !== undefined && Number(raw) > 0;
  if (cap !== null && (!isBounded || Number(raw) > cap)) return cap;
  return isBounded ? new RawJson(raw) : undefined;
}

/**
 * `json_object` and `json_schema`; the schema goes out as it was written.
 * Source: https://ai.google.dev/gemini-api/docs/structured-output
 */
function responseFormat(raw: string | undefined): { [key: string]: Writable } {
  if (raw === undefined) return {};
  const format: unknown = JSON.parse(raw);
  const type = isJsonObject(format) ? format['type'] : undefined;
  if (type === 'text') return {};
  if (type === 'json_object') return { responseMimeType: 'application/json' };
  const wrapped = isJsonObject(format) ? format['json_schema'] : undefined;
  if (type !== 'json_schema' || !isJsonObject(wrapped)) {
    refuse('response_format', 'must be of type text, json_object or json_schema for gemini');
  }
  const schema = scanMembers(scanMembers(raw).get('json_schema') as string).get('schema');
  return {
    responseMimeType: 'application/json',
    ...(schema === undefined ? {} : { responseJsonSchema: new RawJson(schema) }),
  };
}
