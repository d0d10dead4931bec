import type { Payload, UpstreamTarget } from '../../domain/provider.js';
import type { TaskRequest } from '../../domain/task.js';
import { isJsonObject } from '../../wire/json-object.js';
import { editMembers, scanMembers, writeObject } from '../../wire/json-text.js';
import { writeJson } from '../../wire/raw-json.js';
import { toThinking } from './effort.js';
import { Given } from './given.js';
import { toConversation } from './messages.js';
import { toOutputFormat } from './output-format.js';
import { toTextBlocks } from './parts.js';
import { refuse } from './refuse.js';
import { toToolChoice, toTools } from './tools.js';
import { leaveOutUnsupported } from './unsupported.js';

/** The bound of an answer where neither the client nor the config sets one: the API demands one. Thinking counts in it. */
export const DEFAULT_MAX_TOKENS = 16_384;

/** The API cannot do without these, whatever is dropped. */
const NEEDED = new Set(['model', 'max_tokens', 'messages']);

/** OpenAI's names of service tiers, with Anthropic's. Source: https://platform.claude.com/docs/en/api/service-tiers */
const SERVICE_TIERS: Readonly<Record<string, string>> = {
  auto: 'auto',
  default: 'standard_only',
  standard_only: 'standard_only',
};

/**
 * A chat request as a body of the Messages API. What OpenAI and Anthropic name alike goes out as it came, and so does
 * every parameter that OpenAI does not have (`thinking`, `top_k`, `cache_control`, …). `user` becomes
 * `metadata.user_id`; other `metadata` is the client's own and left out.
 * Source: https://platform.claude.com/docs/en/api/messages/create
 * @throws WaybillError invalid_request for what Claude cannot do
 */
export function prepareMessagesPayload(request: TaskRequest, target: UpstreamTarget): Payload {
  const given = new Given(request, target);
  given.take('model');
  given.take('stream');
  leaveOutUnsupported(given);
  const maxTokens = toMaxTokens(given, target.maxOutputTokens);
  const { system, messages } = toConversation(given.take('messages'), target.providerModel);
  const ownSystem = toTextBlocks(given.take('system'), 'system');
  const body = new Map<string, string>([
    ['model', JSON.stringify(target.providerModel)],
    ['max_tokens', String(maxTokens)],
  ]);
  if (ownSystem.length + system.length > 0) body.set('system', writeJson([...ownSystem, ...system]));
  body.set('messages', writeJson(messages));
  if (request.stream) body.set('stream', 'true');
  addTools(body, given);
  addOutput(body, given, { model: target.providerModel, maxTokens, messages });
  addSettings(body, given);
  for (const [key, text] of given.rest()) body.set(key, text);
  for (const name of target.dropParams) {
    if (!NEEDED.has(name)) body.delete(name);
  }
  return { kind: 'json', body: writeObject(body) };
}

/** 0 and -1 are no bound to servers that take them. */
function toMaxTokens(given: Given, cap: number | null): number {
  const [all, old] = [given.take('max_completion_tokens'), given.take('max_tokens')];
  const asked = all ?? old;
  const bound = typeof asked === 'number' && asked > 0 ? asked : (cap ?? DEFAULT_MAX_TOKENS);
  return cap === null ? bound : Math.min(bound, cap);
}

function addTools(body: Map<string, string>, given: Given): void {
  const { value, text } = given.takeBoth('tools');
  const tools = toTools(value, text);
  const choice = toToolChoice(given.take('tool_choice'), given.take('parallel_tool_calls'), tools !== null);
  if (tools !== null) body.set('tools', tools);
  if (choice !== null) body.set('tool_choice', JSON.stringify(choice));
}

/** Thinking and the format of the output. What the client says in Anthropic's own words goes over what OpenAI's say. */
function addOutput(body: Map<string, string>, given: Given, asked: Parameters<typeof toThinking>[1]): void {
  const reasoning = toThinking(given.take('reasoning_effort'), asked);
  const format = toOutputFormat(given.takeBoth('response_format'));
  if (reasoning !== null) body.set('thinking', JSON.stringify(reasoning.thinking));
  const { value, text = '{}' } = given.takeBoth('output_config');
  if (value !== undefined && !isJsonObject(value)) refuse('output_config', 'must be an object');
  const own = scanMembers(text);
  const added: Array<[string, string]> = [];
  if (reasoning?.effort !== undefined && !own.has('effort')) added.push(['effort', JSON.stringify(reasoning.effort)]);
  if (format !== null && !own.has('format')) added.push(['format', format]);
  if (own.size + added.length > 0)
    body.set(
      'output_config',
      editMembers(text, () => undefined, added),
    );
}

function addSettings(body: Map<string, string>, given: Given): void {
  const temperature = given.takeBoth('temperature');
  if (typeof temperature.value === 'number' && temperature.value > 1) {
    refuse('temperature', 'goes from 0 to 1');
  }
  if (temperature.text !== undefined) body.set('temperature', temperature.text);
  const stop = given.take('stop');
  const sequences = typeof stop === 'string' ? [stop] : (stop ?? []);
  if (!Array.isArray(sequences)) refuse('stop', 'must be a text or a list of texts');
  if (sequences.length > 0) body.set('stop_sequences', JSON.stringify(sequences));
  const tier = given.take('service_tier');
  if (tier !== undefined) {
    const known = Object.hasOwn(SERVICE_TIERS, String(tier)) ? SERVICE_TIERS[String(tier)] : undefined;
    if (known === undefined) refuse('service_tier', 'must be auto or default');
    body.set('service_tier', JSON.stringify(known));
  }
  const metadata = given.take('metadata');
  const [user, safety] = [given.take('user'), given.take('safety_identifier')];
  const userId = (isJsonObject(metadata) ? metadata['user_id'] : undefined) ?? safety ?? user;
  if (typeof userId === 'string') body.set('metadata', JSON.stringify({ user_id: userId }));
}
