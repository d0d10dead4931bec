import type { JsonObject } from '../../domain/task.js';
import type { ContentBlock, MessageParam, TextBlock, ToolResultBlock, ToolUseBlock } from '../../wire/anthropic.js';
import { isJsonObject, parseJsonObject } from '../../wire/json-object.js';
import { RawJson } from '../../wire/raw-json.js';
import { cacheControlOf, toBlocks, toTextBlocks } from './parts.js';
import { refuse } from './refuse.js';
import { withThinking } from './thinking-blocks.js';

/** A conversation in Anthropic's shape: what the system says apart, turns that alternate. */
export interface Conversation {
  system: TextBlock[];
  messages: MessageParam[];
}

/**
 * OpenAI's messages as a conversation. What `system` and `developer` say comes first, in its order; messages in a row of
 * one side become one turn; results of tools are the user's. `cache_control` of a message goes to its last block. A
 * message's `name` has no place, nor has reasoning without a signature: both are left out.
 * Source: https://platform.claude.com/docs/en/build-with-claude/working-with-messages
 * @throws WaybillError invalid_request for what has no place there
 */
export function toConversation(messages: unknown, model: string): Conversation {
  const conversation: Conversation = { system: [], messages: [] };
  for (const [index, message] of (messages as readonly JsonObject[]).entries()) {
    const at = `messages[${index}]`;
    const role = message['role'];
    if (role === 'system' || role === 'developer') {
      conversation.system.push(...cached(toTextBlocks(message['content'], `${at}.content`), message));
    } else if (role === 'user') {
      append(conversation, 'user', cached(toBlocks(message['content'], `${at}.content`), message));
    } else if (role === 'assistant') {
      append(conversation, 'assistant', cached(assistantBlocks(message, at, model), message));
    } else if (role === 'tool') {
      append(conversation, 'user', [toolResult(message, at)]);
    } else {
      refuse(`${at}.role`, `\`${String(role)}\` is not taken; system, developer, user, assistant and tool are`);
    }
  }
  if (conversation.messages.length === 0) refuse('messages', 'needs a message of a user that says something');
  return conversation;
}

function append({ messages }: Conversation, role: MessageParam['role'], blocks: ContentBlock[]): void {
  if (blocks.length === 0) return;
  const last = messages.at(-1);
  if (last?.role === role) last.content.push(...blocks);
  else messages.push({ role, content: blocks });
}

/** The last block is where a message's own breakpoint stands; thinking can have none. */
function cached<T extends ContentBlock>(blocks: T[], message: JsonObject): T[] {
  const last = blocks.at(-1);
  if (last === undefined || last.type === 'thinking' || last.type === 'redacted_thinking') return blocks;
  return [...blocks.slice(0, -1), { ...last, ...cacheControlOf(message) }];
}

function assistantBlocks(message: JsonObject, at: string, model: string): ContentBlock[] {
  if (message['function_call'] != null) refuse(`${at}.function_call`, 'is not taken; `tool_calls` are');
  if (message['audio'] != null) refuse(`${at}.audio`, 'is not taken');
  const texts = [
    ...toTextBlocks(message['content'], `${at}.content`),
    ...toTextBlocks(message['refusal'], `${at}.refusal`),
  ];
  const calls = message['tool_calls'] ?? [];
  if (!Array.isArray(calls)) refuse(`${at}.tool_calls`, 'must be a list');
  const uses = calls.map((call: unknown, index) => toolUse(call, `${at}.tool_calls[${index}]`));
  return withThinking(message['thinking_blocks'], model, texts, uses);
}

function toolUse(call: unknown, at: string): ToolUseBlock {
  const fn = isJsonObject(call) ? call['function'] : null;
  if (!isJsonObject(call) || !isJsonObject(fn))
    refuse(`${at}.function`, 'must be an object; only functions are called');
  if (typeof fn['name'] !== 'string') refuse(`${at}.function.name`, 'must be a text');
  const input = new RawJson(toInput(fn['arguments'], `${at}.function.arguments`));
  return { type: 'tool_use', id: toolId(call['id'], `${at}.id`), name: fn['name'], input, ...cacheControlOf(call) };
}

/** Arguments as the text of a JSON object; none at all are an empty one. */
function toInput(args: unknown, at: string): string {
  if (args === undefined || args === null || args === '') return '{}';
  if (isJsonObject(args)) return JSON.stringify(args);
  if (typeof args === 'string' && parseJsonObject(args) !== null) return args;
  return refuse(at, 'must be the text of a JSON object');
}

function toolResult(message: JsonObject, at: string): ToolResultBlock {
  const content = toBlocks(message['content'], `${at}.content`);
  return {
    type: 'tool_result',
    tool_use_id: toolId(message['tool_call_id'], `${at}.tool_call_id`),
    ...(content.length === 0 ? {} : { content }),
    ...(message['is_error'] === true ? { is_error: true } : {}),
    ...cacheControlOf(message),
  };
}

/** Ids other providers gave may hold characters this one refuses; call and result change alike. */
function toolId(id: unknown, at: string): string {
  if (typeof id !== 'string' || id === '') refuse(at, 'must be the id of a tool call');
  return id.replace(/[^a-zA-Z0-9_-]/g, '_');
}
