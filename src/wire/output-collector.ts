import type { JsonObject } from '../domain/task.js';

/** Members of a message or delta that are text the model wrote. */
const TEXT_KEYS = ['content', 'reasoning_content', 'reasoning', 'refusal'] as const;

/** Gathers the text a model wrote from answers and chunks in OpenAI's dialect, one text for each choice. */
export class OutputCollector {
  readonly #texts = new Map<number, string[]>();

  /** An answer or a chunk. What has no choices adds nothing. */
  add(value: JsonObject): void {
    const choices = value['choices'];
    if (!Array.isArray(choices)) return;
    for (const choice of choices) {
      if (!isObject(choice)) continue;
      const index = typeof choice['index'] === 'number' ? choice['index'] : 0;
      // Perplexity repeats all the text so far as a `message` beside each delta.
      const message = choice['delta'] ?? choice['message'];
      // Together repeats a chat's text beside its delta: it is counted once.
      if (isObject(message)) this.#addMessage(index, message);
      else this.#add(index, choice['text']);
    }
  }

  texts(): string[] {
    return [...this.#texts.values()].map((parts) => parts.join('')).filter((text) => text !== '');
  }

  #addMessage(index: number, message: JsonObject): void {
    // `reasoning` and `reasoning_content` are two names of one text where a server gives both.
    let reasoning: unknown = null;
    for (const key of TEXT_KEYS) {
      const value = message[key];
      if (key === 'reasoning' && value === reasoning) continue;
      if (key === 'reasoning_content') reasoning = value;
      this.#addContent(index, value);
    }
    const calls = message['tool_calls'];
    for (const call of Array.isArray(calls) ? calls : [calls]) {
      if (isObject(call)) this.#addCall(index, call['function']);
    }
    this.#addCall(index, message['function_call']);
  }

  #addContent(index: number, value: unknown): void {
    this.#add(index, value);
    if (!Array.isArray(value)) return;
    for (const part of value) {
      if (isObject(part)) this.#add(index, part['text']);
    }
  }

  #addCall(index: number, call: unknown): void {
    if (!isObject(call)) return;
    this.#add(index, call['name']);
    const args = call['arguments'] ?? call['parameters'];
    this.#add(index, isObject(args) ? JSON.stringify(args) : args);
  }

  #add(index: number, text: unknown): void {
    if (typeof text !== 'string' || text === '') return;
    const parts = this.#texts.get(index);
    if (parts === undefined) this.#texts.set(index, [text]);
    else parts.push(text);
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
