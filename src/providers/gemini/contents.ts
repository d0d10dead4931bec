import type { JsonObject } from '../../domain/task.js';
import { isJsonObject } from '../../wire/json-object.js';
import { RawJson, type Writable } from '../../wire/raw-json.js';
import { audioPart, filePart, urlPart } from './media.js';
import { refuse } from './refuse.js';
import { needsSignatures } from './thinking.js';

/** Stands for the signature of a call that Gemini did not make, as Google documents it for histories of other models. */
const FOREIGN_SIGNATURE = 'skip_thought_signature_validator';

export interface Conversation {
  /** The parts of the system instruction. */
  system: Writable[];
  contents: Writable[];
}

/**
 * Messages as Gemini's contents. Those of `system` and `developer` become the one system instruction, wherever they
 * stand; alone they are the user's turn, as there must be one. A tool's results that follow each other are one turn,
 * each named after the call whose id it has. Reasoning goes back as a thought, and signatures where they were:
 * `extra_content.google.thought_signature`, Google's own place for them in OpenAI's shape. A participant's `name` and
 * `cache_control` have no place and are left out: caching is implicit. So is the `detail` of an image.
 * Sources: https://ai.google.dev/api/caching#Content, https://ai.google.dev/gemini-api/docs/thought-signatures,
 * https://ai.google.dev/gemini-api/docs/function-calling
 */
export function toConversation(messages: readonly JsonObject[], model: string): Conversation {
  const system: Writable[] = [];
  const contents: Writable[] = [];
  const calls = new Map<string, string>();
  let results: Writable[] | null = null;
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`;
    const { role } = message;
    if (role === 'tool') {
      if (results === null) {
        results = [];
        contents.push({ role: 'user', parts: results });
      }
      results.push(toolResult(message, calls, at));
      continue;
    }
    if (role === 'system' || role === 'developer') {
      system.push(...textParts(message['content'], at));
      continue;
    }
    results = null;
    if (role === 'user') contents.push({ role: 'user', parts: userParts(message['content'], at) });
    // Google's own examples of the shape say `model`.
    else if (role === 'assistant' || role === 'model') {
      const parts = modelParts(message, calls, model, at);
      if (parts.length > 0) contents.push({ role: 'model', parts });
    } else refuse(`${at}.role`, 'must be system, developer, user, assistant or tool for gemini');
  }
  return contents.length === 0 ? { system: [], contents: [{ role: 'user', parts: system }] } : { system, contents };
}

function textParts(content: unknown, at: string): Writable[] {
  return partsOf(content, at, (part, where) => refuse(`${where}.type`, `gemini takes no ${kindOf(part)} here`));
}

function userParts(content: unknown, at: string): Writable[] {
  return partsOf(content, at, (part, where) => {
    switch (part['type']) {
      case 'image_url':
      case 'video_url':
        return urlPart(part[part['type']], `${where}.${part['type']}`);
      case 'input_audio':
        return audioPart(part['input_audio'], `${where}.input_audio`);
      case 'file':
        return filePart(part['file'], `${where}.file`);
      default:
        refuse(`${where}.type`, `gemini takes no ${kindOf(part)} here`);
    }
  });
}

/** A text, or a list of parts; what is no text is the caller's. */
function partsOf(content: unknown, at: string, other: (part: JsonObject, where: string) => Writable): Writable[] {
  if (typeof content === 'string') return [{ text: content }];
  if (!Array.isArray(content)) refuse(`${at}.content`, 'must be a text or a list of parts');
  return content.map((part: unknown, index) => {
    const where = `${at}.content[${index}]`;
    if (!isJsonObject(part)) refuse(where, 'must be an object');
    const text = part['type'] === 'text' ? part['text'] : part['type'] === 'refusal' ? part['refusal'] : null;
    if (text === null) return other(part, where);
    if (typeof text !== 'string') refuse(`${where}.${part['type']}`, 'must be a text');
    return { text };
  });
}

function modelParts(message: JsonObject, calls: Map<string, string>, model: string, at: string): Writable[] {
  const { content, refusal } = message;
  const thought = message['reasoning_content'] ?? message['reasoning'];
  const parts: Writable[] = [];
  if (typeof thought === 'string' && thought !== '') parts.push({ text: thought, thought: true });
  const texts = content === undefined || content === null || content === '' ? [] : textParts(content, at);
  if (typeof refusal === 'string' && refusal !== '') texts.push({ text: refusal });
  const thoughtSignature = signatureOf(message);
  const last = texts.pop() ?? (thoughtSignature === undefined ? undefined : { text: '' });
  parts.push(...texts);
  if (last !== undefined) parts.push({ ...(last as { text: string }), thoughtSignature });
  if (message['function_call'] != null) refuse(`${at}.function_call`, 'gemini takes tool_calls instead');
  if (message['audio'] != null) refuse(`${at}.audio`, 'gemini has not said it');
  const given: unknown = message['tool_calls'] ?? [];
  if (!Array.isArray(given)) refuse(`${at}.tool_calls`, 'must be a list');
  for (const [index, call] of given.entries()) {
    const foreign = index === 0 && needsSignatures(model) ? FOREIGN_SIGNATURE : undefined;
    parts.push(functionCall(call, calls, foreign, `${at}.tool_calls[${index}]`));
  }
  return parts;
}

function functionCall(call: unknown, calls: Map<string, string>, foreign: string | undefined, at: string): Writable {
  const fn = isJsonObject(call) ? call['function'] : undefined;
  if (!isJsonObject(call) || !isJsonObject(fn)) refuse(at, 'must be the call of a function');
  const { name } = fn;
  if (typeof name !== 'string') refuse(`${at}.function.name`, 'must be a name');
  const id = typeof call['id'] === 'string' ? call['id'] : undefined;
  if (id !== undefined) calls.set(id, name);
  const args = objectText(fn['arguments'] ?? '');
  if (args === null) refuse(`${at}.function.arguments`, 'must be the JSON of an object');
  return { functionCall: { id, name, args }, thoughtSignature: signatureOf(call) ?? foreign };
}

function toolResult(message: JsonObject, calls: ReadonlyMap<string, string>, at: string): Writable {
  const { tool_call_id: id, name: given } = message;
  const name = (typeof id === 'string' ? calls.get(id) : undefined) ?? given;
  if (typeof name !== 'string') refuse(`${at}.tool_call_id`, 'there is no tool call of this id before it');
  const text = partsOf(message['content'], at, (part, where) =>
    refuse(`${where}.type`, `gemini takes no ${kindOf(part)} as a tool’s result`),
  )
    .map((part) => (part as { text: string }).text)
    .join('');
  const response = text.trim() === '' ? null : objectText(text);
  return {
    functionResponse: { id: typeof id === 'string' ? id : undefined, name, response: response ?? { output: text } },
  };
}

/** The text of an object, as it is; of nothing, an empty one; null for anything else. */
function objectText(value: unknown): Writable | null {
  if (isJsonObject(value)) return new RawJson(JSON.stringify(value));
  if (typeof value !== 'string') return null;
  if (value.trim() === '') return {};
  try {
    return isJsonObject(JSON.parse(value)) ? new RawJson(value) : null;
  } catch {
    // The caller knows what text means where it stands.
    return null;
  }
}

function signatureOf(holder: JsonObject): string | undefined {
  const extra = holder['extra_content'];
  const google = isJsonObject(extra) ? extra['google'] : undefined;
  const signature = isJsonObject(google) ? google['thought_signature'] : undefined;
  return typeof signature === 'string' && signature !== '' ? signature : undefined;
}

function kindOf(part: JsonObject): string {
  return typeof part['type'] === 'string' ? part['type'] : 'part without a type';
}
