import type {
  AnswerFault,
  HeaderFields,
  SseEvent,
  StreamReader,
  StreamStep,
  UpstreamTarget,
} from '../../domain/provider.js';
import type { JsonObject } from '../../domain/task.js';
import { faultIn, malformed, statusFault } from '../../wire/fault.js';
import { isJsonObject, parseJsonObject } from '../../wire/json-object.js';
import { ChatChunks, type ChatIdentity } from '../chat-chunks.js';
import { textOf } from '../json-answer.js';
import { identityOf, redactedBlock, thinkingBlock } from './chat-answer.js';
import { finishOf } from './stop-reason.js';
import { type BedrockUsage, readBedrockUsage } from './usage.js';

const NOTHING: StreamStep = { kind: 'nothing' };

/** What each exception of a stream stands for. */
const STATUS_OF_EXCEPTION: Readonly<Record<string, number>> = {
  internalServerException: 500,
  modelStreamErrorException: 424,
  modelTimeoutException: 408,
  serviceUnavailableException: 503,
  throttlingException: 429,
  validationException: 400,
};

/** One block of the message while it is written. */
interface OpenBlock {
  /** Number of the tool call; null for a block that is none. */
  call: number | null;
  hasInput: boolean;
  text: string;
  signature: string;
  redacted: string;
}

/**
 * Reads ConverseStream's events: messageStart, contentBlockStart, -Delta and -Stop, messageStop, metadata (with the usage,
 * at the very end), and exceptions. Signed thoughts are given whole, as `thinking_blocks`, with the finish reason.
 * Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html
 */
export class ConverseStreamReader implements StreamReader {
  readonly #chunks: ChatChunks;
  readonly #model: string;
  readonly #blocks = new Map<unknown, OpenBlock>();
  #calls = 0;
  #isFinished = false;
  #usage: BedrockUsage | null = null;

  constructor(target: UpstreamTarget, headers: HeaderFields | undefined) {
    this.#model = target.providerModel;
    this.#chunks = new ChatChunks(identityOf(headers, target));
  }

  read(event: SseEvent): StreamStep {
    const value = parseJsonObject(event.data);
    const status = event.name === null ? undefined : STATUS_OF_EXCEPTION[event.name];
    if (status !== undefined || event.name?.endsWith('Exception') === true || event.name === 'error') {
      return { kind: 'fault', fault: exceptionOf(event, value ?? {}, status) };
    }
    if (value !== null) return this.#readEvent(event.name, value);
    return { kind: 'fault', fault: malformed('the stream has an event that is no JSON object') };
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

  #readEvent(name: string | null, value: JsonObject): StreamStep {
    const index = value['contentBlockIndex'];
    switch (name) {
      case 'messageStart':
        return this.#chunks.open();
      case 'contentBlockStart':
        return this.#startBlock(index, value['start']);
      case 'contentBlockDelta':
        return isJsonObject(value['delta']) ? this.#readDelta(this.#blockAt(index), value['delta']) : NOTHING;
      case 'contentBlockStop':
        return this.#endBlock(this.#blockAt(index));
      case 'messageStop':
        return this.#finish(value['stopReason']);
      case 'metadata':
        this.#usage = readBedrockUsage(value['usage']);
        return this.#isFinished ? { kind: 'done' } : NOTHING;
      default: {
        const fault = faultIn(value);
        return fault === null ? NOTHING : { kind: 'fault', fault };
      }
    }
  }

  /** A text's block begins without a start. */
  #blockAt(index: unknown): OpenBlock {
    const known = this.#blocks.get(index);
    if (known !== undefined) return known;
    const block: OpenBlock = { call: null, hasInput: false, text: '', signature: '', redacted: '' };
    this.#blocks.set(index, block);
    return block;
  }

  #startBlock(index: unknown, start: unknown): StreamStep {
    const use = isJsonObject(start) ? start['toolUse'] : null;
    if (!isJsonObject(use)) return NOTHING;
    const call = this.#calls;
    this.#calls += 1;
    this.#blockAt(index).call = call;
    const named = { name: use['name'], arguments: '' };
    return this.#chunks.delta({
      tool_calls: [{ index: call, id: use['toolUseId'], type: 'function', function: named }],
    });
  }

  #readDelta(block: OpenBlock, delta: JsonObject): StreamStep {
    const { text, toolUse, reasoningContent: reasoning, citation } = delta;
    if (typeof text === 'string') return text === '' ? NOTHING : this.#chunks.delta({ content: text });
    if (isJsonObject(toolUse)) return this.#readInput(block, textOf(toolUse['input']) ?? '');
    if (isJsonObject(citation)) return this.#chunks.delta({ citations: [citation] });
    if (!isJsonObject(reasoning)) return NOTHING;
    block.signature += textOf(reasoning['signature']) ?? '';
    block.redacted += textOf(reasoning['redactedContent']) ?? '';
    const thought = textOf(reasoning['text']) ?? '';
    block.text += thought;
    return thought === '' ? NOTHING : this.#chunks.delta({ reasoning_content: thought });
  }

  #readInput(block: OpenBlock, input: string): StreamStep {
    if (input === '') return NOTHING;
    block.hasInput = true;
    return this.#chunks.delta({ tool_calls: [{ index: block.call ?? 0, function: { arguments: input } }] });
  }

  /** A call without arguments says nothing of them, and clients parse what they are given. */
  #endBlock(block: OpenBlock): StreamStep {
    return block.call !== null && !block.hasInput ? this.#readInput(block, '{}') : NOTHING;
  }

  #finish(stopReason: unknown): StreamStep {
    const finish = finishOf(stopReason);
    if (typeof finish !== 'string') return { kind: 'fault', fault: finish };
    this.#isFinished = true;
    const thinking = [...this.#blocks.values()].flatMap(({ text, signature, redacted }) => {
      if (redacted !== '') return [redactedBlock(redacted, this.#model)];
      return signature === '' ? [] : [thinkingBlock({ text, signature }, this.#model)];
    });
    return this.#chunks.finish(finish, thinking.length === 0 ? {} : { thinking_blocks: thinking });
  }
}

function exceptionOf(event: SseEvent, value: JsonObject, status: number | undefined): AnswerFault {
  const fault = statusFault(value);
  return { ...fault, status: status ?? fault.status, code: event.name === 'error' ? fault.code : event.name };
}
