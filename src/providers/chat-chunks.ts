import type { HeaderFields, StreamStep } from '../domain/provider.js';
import type { JsonObject } from '../domain/task.js';
import { OutputCollector } from '../wire/output-collector.js';

/** What a whole answer or a stream is called. */
export interface ChatIdentity {
  id: string;
  /** Unix seconds; 0 where the provider did not say. */
  created: number;
  model: string;
}

/** When the answer's head was written, by the provider's own `date`, in Unix seconds; 0 without one (RFC 9110, 6.6.1). */
export function createdBy(headers: HeaderFields = {}): number {
  const time = Date.parse(headers['date'] ?? '');
  return Number.isNaN(time) ? 0 : Math.floor(time / 1000);
}

/** A whole chat answer in OpenAI's shape. `extra` stands beside it under the provider's own names. */
export function chatCompletion(parts: {
  identity: ChatIdentity;
  message: JsonObject;
  finishReason: string;
  logprobs?: unknown;
  usage: JsonObject | null;
  extra?: JsonObject;
}): JsonObject {
  const { identity, message, finishReason, logprobs, usage, extra } = parts;
  return {
    id: identity.id,
    object: 'chat.completion',
    created: identity.created,
    model: identity.model,
    choices: [
      { index: 0, message: { role: 'assistant', ...message }, logprobs: logprobs ?? null, finish_reason: finishReason },
    ],
    ...(usage === null ? {} : { usage }),
    ...extra,
  };
}

/** Writes the chunks of one stream in OpenAI's shape: the role with the first of them. */
export class ChatChunks {
  readonly identity: ChatIdentity;
  readonly #collector = new OutputCollector();
  #isOpen = false;

  constructor(identity: ChatIdentity) {
    this.identity = identity;
  }

  /** The chunk that opens the stream; nothing when it is open. */
  open(): StreamStep {
    return this.#isOpen ? { kind: 'nothing' } : this.#step({}, null, undefined, false);
  }

  /** A piece of the message. */
  delta(delta: JsonObject, logprobs?: unknown): StreamStep {
    return this.#step(delta, null, logprobs, true);
  }

  /** The last chunk of the message; `delta` is what came with its end. */
  finish(reason: string, delta: JsonObject = {}): StreamStep {
    return this.#step(delta, reason, undefined, true);
  }

  /** The data of the usage chunk. */
  usage(usage: JsonObject): string {
    return JSON.stringify({ ...this.#head(), choices: [], usage });
  }

  /** The text that went through here. */
  texts(): string[] {
    return this.#collector.texts();
  }

  #head(): JsonObject {
    const { id, created, model } = this.identity;
    return { id, object: 'chat.completion.chunk', created, model };
  }

  #step(delta: JsonObject, finishReason: string | null, logprobs: unknown, content: boolean): StreamStep {
    const opened = this.#isOpen ? delta : { role: 'assistant', content: '', ...delta };
    this.#isOpen = true;
    const choice = {
      index: 0,
      delta: opened,
      ...(logprobs === undefined ? {} : { logprobs }),
      finish_reason: finishReason,
    };
    const chunk = { ...this.#head(), choices: [choice] };
    this.#collector.add(chunk);
    return { kind: 'chunk', data: JSON.stringify(chunk), content };
  }
}
