import type { JsonObject } from '../../domain/task.js';
import { isJsonObject } from '../../wire/json-object.js';
import { arrayItems } from '../../wire/json-text.js';
import { RawJson } from '../../wire/raw-json.js';
import { objectsIn, textOf } from '../json-answer.js';
import type { RequestParameters } from '../request-parameters.js';

/**
 * OpenAI's messages in Cohere's words. What an assistant said beside its tool calls is its `tool_plan`; its reasoning is
 * a `thinking` part; a tool's result is a document (or several, where it is a list of objects) that the answer can cite.
 * Sources: https://docs.cohere.com/reference/chat, https://docs.cohere.com/v2/docs/tool-use-overview
 * @throws WaybillError invalid_request for a role or a part that Cohere does not know
 */
export function toCohereMessages(messages: readonly JsonObject[], parameters: RequestParameters): JsonObject[] {
  return messages.map((message, index) => {
    const at = `messages[${index}]`;
    switch (message['role']) {
      case 'system':
      case 'developer':
        return { role: 'system', content: toContent(message['content'], `${at}.content`, parameters) };
      case 'user':
        return { role: 'user', content: toContent(message['content'], `${at}.content`, parameters) };
      case 'assistant':
        return toAssistant(message, at, parameters);
      case 'tool':
        return {
          role: 'tool',
          tool_call_id: message['tool_call_id'],
          content: toDocuments(message['content'], `${at}.content`, parameters),
        };
      default:
        return parameters.refuse(`${at}.role`, `knows no role ${JSON.stringify(message['role'])}`);
    }
  });
}

function toContent(content: unknown, at: string, parameters: RequestParameters): unknown {
  if (!Array.isArray(content)) return content ?? '';
  return content.map((part, index) => toPart(part, `${at}[${index}]`, parameters));
}

function toPart(part: unknown, at: string, parameters: RequestParameters): unknown {
  if (typeof part === 'string') return { type: 'text', text: part };
  if (!isJsonObject(part)) return parameters.refuse(at, 'takes parts that are objects');
  switch (part['type']) {
    case 'text':
      return { type: 'text', text: part['text'] };
    case 'refusal':
      return { type: 'text', text: part['refusal'] };
    case 'image_url': {
      const image = part['image_url'];
      return { type: 'image_url', image_url: typeof image === 'string' ? { url: image } : image };
    }
    // Cohere's own.
    case 'thinking':
    case 'document':
      return part;
    default:
      return parameters.refuse(at, `takes text and images, not ${JSON.stringify(part['type'])}`);
  }
}

function toAssistant(message: JsonObject, at: string, parameters: RequestParameters): JsonObject {
  const content = toContent(message['content'], `${at}.content`, parameters);
  const parts = typeof content === 'string' ? textParts(content) : (content as JsonObject[]);
  const reasoning = textOf(message['reasoning_content'] ?? message['reasoning']);
  const thinking = reasoning === null || reasoning === '' ? [] : [{ type: 'thinking', thinking: reasoning }];
  const { tool_plan: plan, citations } = message;
  const calls = objectsIn(message['tool_calls']);
  const own = citations === undefined || citations === null ? {} : { citations };
  if (calls.length === 0) {
    const whole = thinking.length === 0 ? content : [...thinking, ...parts];
    return { role: 'assistant', content: whole, ...own };
  }
  const said = parts.filter((part) => part['type'] === 'text').map((part) => String(part['text']));
  const toolPlan = plan ?? said.join('');
  return {
    role: 'assistant',
    ...(thinking.length === 0 ? {} : { content: thinking }),
    ...(toolPlan === '' ? {} : { tool_plan: toolPlan }),
    tool_calls: calls.map((call) => ({ id: call['id'], type: 'function', function: call['function'] })),
    ...own,
  };
}

function textParts(text: string): JsonObject[] {
  return text === '' ? [] : [{ type: 'text', text }];
}

function toDocuments(content: unknown, at: string, parameters: RequestParameters): unknown[] {
  if (typeof content === 'string') return documentsIn(content);
  const parts = Array.isArray(content) ? content : [];
  return parts.flatMap((part, index) => {
    const own = toPart(part, `${at}[${index}]`, parameters) as JsonObject;
    return own['type'] === 'text' ? documentsIn(String(own['text'])) : [own];
  });
}

function documentsIn(text: string): unknown[] {
  const trimmed = text.trim();
  let value: unknown = null;
  try {
    value = JSON.parse(trimmed);
  } catch {
    // Plain text is as good a result as any.
  }
  if (isJsonObject(value)) return [documentOf(new RawJson(trimmed))];
  if (Array.isArray(value) && value.length > 0 && value.every(isJsonObject)) {
    return arrayItems(trimmed).map((item) => documentOf(new RawJson(item)));
  }
  return [documentOf({ text })];
}

function documentOf(data: unknown): JsonObject {
  return { type: 'document', document: { data } };
}
