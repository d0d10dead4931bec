import type { JsonObject } from '../../domain/task.js';
import { isJsonObject, parseJsonObject } from '../../wire/json-object.js';
import { RawJson } from '../../wire/raw-json.js';
import { objectsIn, textOf } from '../json-answer.js';
import type { RequestParameters } from '../request-parameters.js';
import { toDocument, toImage } from './media.js';

/** A conversation as Converse takes it: what the system says apart, user and assistant by turns. */
export interface Conversation {
  system: JsonObject[];
  messages: Array<{ role: 'user' | 'assistant'; content: JsonObject[] }>;
  /** Tools were called: their definitions must then be there. */
  hasToolUse: boolean;
}

/**
 * OpenAI's messages in Converse's words. What system and developer say goes ahead of everything, wherever it stood; a
 * tool's result is the user's; messages of one role become one. `cache_control` on a part or a message is a `cachePoint`
 * after it. Blank texts, which Bedrock refuses, are left out. Reasoning goes back signed (`thinking_blocks`) or not at
 * all, and only to the model that thought it. A part without `type` is one of Converse's own blocks, and passes.
 * Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html
 * @throws WaybillError invalid_request
 */
export function toConversation(
  messages: readonly JsonObject[],
  model: string,
  parameters: RequestParameters,
): Conversation {
  const conversation: Conversation = { system: [], messages: [], hasToolUse: false };
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`;
    const { role } = message;
    const blocks = toBlocks(message['content'], `${at}.content`, parameters);
    const cached = cachePoint(message['cache_control']);
    if (role === 'system' || role === 'developer') conversation.system.push(...blocks, ...cached);
    else if (role === 'user') add(conversation, 'user', [...blocks, ...cached]);
    else if (role === 'assistant') {
      const uses = objectsIn(message['tool_calls']).map((call, at2) => {
        return toToolUse(call, `${at}.tool_calls[${at2}]`, parameters);
      });
      conversation.hasToolUse ||= uses.length > 0;
      add(conversation, 'assistant', [...thoughts(message['thinking_blocks'], model), ...blocks, ...uses, ...cached]);
    } else if (role === 'tool') {
      const status = message['is_error'] === true ? { status: 'error' } : {};
      // A result has no cache point inside, but may have one after it.
      const content = blocks.filter((block) => block['cachePoint'] === undefined);
      const points = blocks.filter((block) => block['cachePoint'] !== undefined);
      const result = { toolUseId: message['tool_call_id'], content, ...status };
      add(conversation, 'user', [{ toolResult: result }, ...points, ...cached]);
      conversation.hasToolUse = true;
    } else parameters.refuse(`${at}.role`, `knows no role ${JSON.stringify(role)}`);
  }
  return conversation;
}

function add(conversation: Conversation, role: 'user' | 'assistant', content: JsonObject[]): void {
  const last = conversation.messages.at(-1);
  if (last?.role === role) last.content.push(...content);
  else conversation.messages.push({ role, content });
}

function toBlocks(content: unknown, at: string, parameters: RequestParameters): JsonObject[] {
  if (!Array.isArray(content)) return textBlocks(content);
  return content.flatMap((part, index) => toPart(part, `${at}[${index}]`, parameters));
}

function toPart(part: unknown, at: string, parameters: RequestParameters): JsonObject[] {
  if (typeof part === 'string') return textBlocks(part);
  if (!isJsonObject(part)) return parameters.refuse(at, 'takes parts that are objects');
  const cached = cachePoint(part['cache_control']);
  switch (part['type']) {
    case undefined:
      return [part];
    case 'text':
      return [...textBlocks(part['text']), ...cached];
    case 'refusal':
      return [...textBlocks(part['refusal']), ...cached];
    case 'image_url':
      return [toImage(part['image_url'], at, parameters), ...cached];
    case 'file':
      return [toDocument(part['file'], at, parameters), ...cached];
    default:
      return parameters.refuse(at, `takes text, pictures and documents, not ${JSON.stringify(part['type'])}`);
  }
}

function textBlocks(text: unknown): JsonObject[] {
  return typeof text === 'string' && text.trim() !== '' ? [{ text }] : [];
}

/** Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CachePointBlock.html */
export function cachePoint(control: unknown): JsonObject[] {
  if (!isJsonObject(control)) return [];
  const ttl = textOf(control['ttl']);
  return [{ cachePoint: { type: 'default', ...(ttl === null ? {} : { ttl }) } }];
}

function toToolUse(call: JsonObject, at: string, parameters: RequestParameters): JsonObject {
  const definition = isJsonObject(call['function']) ? call['function'] : {};
  const text = textOf(definition['arguments']) ?? JSON.stringify(definition['arguments'] ?? {});
  const input = text.trim() === '' ? '{}' : text;
  if (parseJsonObject(input) === null) parameters.refuse(`${at}.function.arguments`, 'takes the JSON of an object');
  return { toolUse: { toolUseId: call['id'], name: definition['name'], input: new RawJson(input) } };
}

/** Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ReasoningContentBlock.html */
function thoughts(blocks: unknown, model: string): JsonObject[] {
  return objectsIn(blocks).flatMap((block): JsonObject[] => {
    if (block['model'] !== undefined && block['model'] !== model) return [];
    const { thinking, signature, data } = block;
    if (typeof data === 'string') return [{ reasoningContent: { redactedContent: data } }];
    if (typeof signature !== 'string') return [];
    return [{ reasoningContent: { reasoningText: { text: thinking ?? '', signature } } }];
  });
}
