import type { SseEvent, StreamReader, StreamStep, UpstreamTarget } from '../../domain/provider.js';
import type { JsonObject } from '../../domain/task.js';
import { faultIn, malformed, statusFault } from '../../wire/fault.js';
import { isJsonObject, parseJsonObject } from '../../wire/json-object.js';
import { ChatChunks, type ChatIdentity } from '../chat-chunks.js';
import { textOf } from '../json-answer.js';
import { finishOf, toLogprobs } from './chat-answer.js';
import { type ReadUsage, readCohereUsage } from './usage.js';

const NOTHING: StreamStep = { kind: 'nothing' };

/**
 * Reads `/v2/chat`'s events: message-start, content-start, -delta and -end, tool-plan-delta, tool-call-start, -delta and
 * -end, citation-start and -end, message-end. Usage comes with message-end.
 * Sources: https://docs.cohere.com/reference/chat-stream, https://docs.cohere.com/docs/streaming
 */
export class CohereStreamReader implements StreamReader {
  readonly #chunks: ChatChunks;
  /** Cohere's index of each tool call, in the order they came. */
  readonly #calls: unknown[] = [];
  #isFinished = false;
  #usage: ReadUsage | null = null;

  constructor(target: UpstreamTarget, created: number) {
    this.#chunks = new ChatChunks({ id: '', created, model: target.providerModel });
  }

  read(event: SseEvent): StreamStep {
    const data = event.data.trim();
    if (data === '' || this.#isFinished) return NOTHING;
    const value = parseJsonObject(data);
    if (value !== null) return this.#readEvent(value, event.name);
    // Cut off by the end of the stream: nothing is made of it.
    if (event.unterminated === true) return NOTHING;
    const fault =
      event.name === 'error' ? statusFault(data) : malformed('the stream has an event that is no JSON object');
    return { kind: 'fault', fault };
  }

  isFinished(): boolean {
    return this.#isFinished;
  }

  usage() {
    return this.#usage?.report ?? null;
  }

  usageChunk(): string | null {
    return this.#usage === null ? null : this.#chunks.usage(this.#usage.shown);
  }

  outputTexts(): string[] {
    return this.#chunks.texts();
  }

  identity(): ChatIdentity {
    return this.#chunks.identity;
  }

  #readEvent(value: JsonObject, name: string | null): StreamStep {
    const delta = isJsonObject(value['delta']) ? value['delta'] : {};
    const message = isJsonObject(delta['message']) ? delta['message'] : {};
    switch (value['type']) {
      case 'message-start':
        this.#chunks.identity.id = textOf(value['id']) ?? '';
        return this.#chunks.open();
      case 'content-start':
      case 'content-delta':
        return this.#readContent(message['content'], value['logprobs']);
      case 'tool-plan-delta':
        return this.#text('content', message['tool_plan']);
      case 'tool-call-start':
      case 'tool-call-delta':
        return this.#readCall(value['index'], message['tool_calls']);
      case 'citation-start':
        return isJsonObject(message['citations']) ? this.#chunks.delta({ citations: [message['citations']] }) : NOTHING;
      case 'message-end':
        return this.#readEnd(delta);
      default: {
        const fault = faultIn(value, name === 'error' ? name : null);
        return fault === null ? NOTHING : { kind: 'fault', fault };
      }
    }
  }

  #readContent(content: unknown, logprobs: unknown): StreamStep {
    if (!isJsonObject(content)) return NOTHING;
    const items = logprobs === undefined || logprobs === null ? undefined : toLogprobs([logprobs].flat());
    return textOf(content['thinking']) === null
      ? this.#text('content', content['text'], items)
      : this.#text('reasoning_content', content['thinking'], items);
  }

  #text(name: string, text: unknown, logprobs?: unknown): StreamStep {
    return typeof text === 'string' && text !== '' ? this.#chunks.delta({ [name]: text }, logprobs) : NOTHING;
  }

  /** One call of several, told apart by `index`. */
  #readCall(index: unknown, call: unknown): StreamStep {
    if (!isJsonObject(call)) return NOTHING;
    const isNew = !this.#calls.includes(index);
    if (isNew) this.#calls.push(index);
    return this.#chunks.delta({ tool_calls: [{ index: this.#calls.indexOf(index), ...call }] });
  }

  #readEnd(delta: JsonObject): StreamStep {
    this.#usage = readCohereUsage(delta['usage'], 'chat');
    const finish = finishOf(delta['finish_reason'], delta['error']);
    if (typeof finish !== 'string') return { kind: 'fault', fault: finish };
    this.#isFinished = true;
    return this.#chunks.finish(finish);
  }
}
