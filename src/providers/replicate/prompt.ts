import type { JsonObject } from '../../domain/task.js';
import { isJsonObject } from '../../wire/json-object.js';
import { textOf } from '../json-answer.js';
import type { RequestParameters } from '../request-parameters.js';
import type { LanguageModel } from './language-models.js';

/** What a conversation becomes for a model that takes one text. */
export interface Prompt {
  system: string;
  prompt: string;
  /** Addresses of images, data URLs too, in the order they came. */
  images: string[];
}

interface Turn {
  speaker: 'User' | 'Assistant';
  text: string;
}

/**
 * OpenAI's messages as one prompt. What one user says alone is the prompt as it is; of more turns a script is made, each
 * under its speaker's name, that ends where the assistant is to speak. Messages of `system` and `developer` are put
 * together, wherever they stand. A participant's `name` has no place and is left out; so is the `detail` of an image.
 * @throws WaybillError invalid_request for what a prompt cannot hold
 */
export function toPrompt(messages: readonly JsonObject[], model: LanguageModel, parameters: RequestParameters): Prompt {
  const system: string[] = [];
  const turns: Turn[] = [];
  const images: string[] = [];
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`;
    switch (message['role']) {
      case 'system':
      case 'developer':
        system.push(textIn(message['content'], `${at}.content`, null, parameters));
        break;
      case 'user': {
        const takeImage = (url: string, where: string) => {
          if (model.images === null) parameters.refuse(where, 'has no known place for images in this model’s input');
          images.push(url);
          if (images.length > model.images.most) {
            parameters.refuse(where, `takes no more than ${model.images.most} image(s) for this model`);
          }
        };
        turns.push({ speaker: 'User', text: textIn(message['content'], `${at}.content`, takeImage, parameters) });
        break;
      }
      case 'assistant':
        for (const name of ['tool_calls', 'function_call', 'audio']) {
          if (saysSomething(message[name])) parameters.refuse(`${at}.${name}`, 'has no place for it in a prompt');
        }
        turns.push({
          speaker: 'Assistant',
          text: textIn(message['content'] ?? message['refusal'], `${at}.content`, null, parameters),
        });
        break;
      default:
        parameters.refuse(`${at}.role`, `has no place for the role ${JSON.stringify(message['role'])} in a prompt`);
    }
  }
  return { system: system.join('\n\n'), prompt: scriptOf(turns), images };
}

function scriptOf(turns: readonly Turn[]): string {
  const [first] = turns;
  if (first === undefined) return '';
  if (turns.length === 1 && first.speaker === 'User') return first.text;
  const lines = turns.map(({ speaker, text }) => `${speaker}: ${text}`);
  const last = turns.at(-1)?.speaker;
  return (last === 'Assistant' ? lines : [...lines, 'Assistant:']).join('\n\n');
}

function textIn(
  content: unknown,
  at: string,
  takeImage: ((url: string, where: string) => void) | null,
  parameters: RequestParameters,
): string {
  if (content === undefined || content === null) return '';
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return parameters.refuse(at, 'takes a text or a list of parts');
  const texts: string[] = [];
  for (const [index, part] of content.entries()) {
    const where = `${at}[${index}]`;
    if (typeof part === 'string') texts.push(part);
    else if (!isJsonObject(part)) parameters.refuse(where, 'takes parts that are objects');
    else if (part['type'] === 'image_url' && takeImage !== null) takeImage(urlOf(part, where, parameters), where);
    else {
      const text = part['type'] === 'text' || part['type'] === 'refusal' ? textOf(part[part['type']]) : null;
      if (text === null) parameters.refuse(where, `takes texts here, not ${JSON.stringify(part['type'])}`);
      texts.push(text);
    }
  }
  return texts.join('');
}

function urlOf(part: JsonObject, at: string, parameters: RequestParameters): string {
  const image = part['image_url'];
  const url = textOf(isJsonObject(image) ? image['url'] : image);
  if (url === null || url === '') return parameters.refuse(`${at}.image_url`, 'takes the address of an image');
  return url;
}

function saysSomething(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null;
}
