import type { JsonObject } from '../../domain/task.js';
import { isJsonObject } from '../../wire/json-object.js';
import { rewriteAt } from '../../wire/json-text.js';

const ARGUMENTS = ['candidates', '*', 'content', 'parts', '*', 'functionCall', 'args'];

export interface ToolCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
  extra_content?: JsonObject;
}

/** What the parts of a candidate say, in the members of OpenAI's message. */
export interface CandidateContent {
  text: string;
  reasoning: string;
  calls: ToolCall[];
  /** Images the model made, as OpenRouter shows them. */
  images: JsonObject[];
  /** The signature of a part that is no call. */
  signature: string | null;
}

/** Reads the candidates of one answer or one event. */
export class CandidateReader {
  readonly #responseId: string;
  /** The text of each call's arguments, in the order they stand. */
  readonly #arguments: string[] = [];

  /** `text` is the answer as it came: arguments with long numbers are taken from it, as parsing would change them. */
  constructor(text: string, responseId: string) {
    this.#responseId = responseId;
    if (!text.includes('"functionCall"')) return;
    rewriteAt(text, ARGUMENTS, (raw) => {
      this.#arguments.push(raw);
    });
  }

  /** To be called once for each candidate, in their order. `callsBefore` is how many calls of it came earlier. */
  read(candidate: JsonObject, index: number, callsBefore: number): CandidateContent {
    const content: CandidateContent = { text: '', reasoning: '', calls: [], images: [], signature: null };
    const body = candidate['content'];
    const parts: unknown = isJsonObject(body) ? body['parts'] : undefined;
    for (const part of Array.isArray(parts) ? parts : []) {
      if (isJsonObject(part)) this.#readPart(part, content, `${index}_${callsBefore + content.calls.length}`);
    }
    return content;
  }

  #readPart(part: JsonObject, content: CandidateContent, callName: string): void {
    const { text, functionCall: call, inlineData: data, thoughtSignature: signature } = part;
    const isSigned = typeof signature === 'string' && signature !== '';
    if (isJsonObject(call)) {
      const id =
        typeof call['id'] === 'string' && call['id'] !== '' ? call['id'] : `call_${this.#responseId}_${callName}`;
      const name = typeof call['name'] === 'string' ? call['name'] : '';
      content.calls.push({
        id,
        type: 'function',
        function: { name, arguments: this.#argumentsOf(call) },
        ...(isSigned ? { extra_content: signed(signature) } : {}),
      });
      return;
    }
    if (isSigned) content.signature = signature;
    if (typeof text === 'string') content[part['thought'] === true ? 'reasoning' : 'text'] += text;
    if (isJsonObject(data) && part['thought'] !== true) {
      const url = `data:${data['mimeType']};base64,${data['data']}`;
      content.images.push({ type: 'image_url', image_url: { url } });
    }
  }

  #argumentsOf(call: JsonObject): string {
    const { args } = call;
    const raw = args === undefined ? undefined : this.#arguments.shift();
    if (raw === undefined || !isJsonObject(args)) return '{}';
    return /\d{16}/.test(raw) ? raw : JSON.stringify(args);
  }
}

/** Where Google itself puts a signature in OpenAI's shape: https://ai.google.dev/gemini-api/docs/thought-signatures */
export function signed(signature: string): JsonObject {
  return { google: { thought_signature: signature } };
}

/** Why a prompt was blocked; null when it was not. */
export function blockOf(answer: JsonObject): string | null {
  const feedback = answer['promptFeedback'];
  const reason = isJsonObject(feedback) ? feedback['blockReason'] : undefined;
  if (!isJsonObject(feedback) || typeof reason !== 'string' || reason === '') return null;
  const said = feedback['blockReasonMessage'];
  return `The provider blocked the prompt: ${reason}${typeof said === 'string' && said !== '' ? ` (${said})` : ''}`;
}

/** The candidates of an answer, each with its place. */
export function candidatesOf(answer: JsonObject): Array<{ candidate: JsonObject; index: number }> {
  const list: unknown = answer['candidates'];
  return (Array.isArray(list) ? list : []).filter(isJsonObject).map((candidate, position) => {
    const { index } = candidate;
    return { candidate, index: typeof index === 'number' ? index : position };
  });
}
