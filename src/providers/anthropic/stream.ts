import type { HeaderFields, SseEvent, StreamReader, StreamStep, UpstreamTarget } from '../../domain/provider.js';
import type { JsonObject } from '../../domain/task.js';
import type { UsageReport } from '../../domain/usage.js';
import { finishReasonOf, type ThinkingBlock } from '../../wire/anthropic.js';
import { mergeAnthropicUsage, openAiUsageText, parseAnthropicUsage } from '../../wire/anthropic-usage.js';
import { faultIn, malformed, statusFault } from '../../wire/fault.js';
import { isJsonObject, parseJsonObject } from '../../wire/json-object.js';
import { secondsOf } from '../answer-date.js';
import { refusalOf } from './response.js';
import { ThinkingTrail } from './thinking-blocks.js';

const NOTHING: StreamStep = { kind: 'nothing' };
const DONE: StreamStep = { kind: 'done' };

/** A block that is being written. */
interface OpenBlock {
  /** The tool call's index among the calls; null for a block that is none. */
  call: number | null;
  /** Whether any arguments came. */
  hasInput: boolean;
  thinking: ThinkingBlock | null;
}

/**
 * Reads a stream of the Messages API as OpenAI's chunks. Thinking comes as `reasoning_content` while it is written, and
 * once more, whole and signed, as `thinking_blocks` on the chunk that finishes: clients that put deltas of a list
 * together do it in several ways, and all of them agree on what comes once. Usage is cumulative: its input comes with
 * the first event, its output counts from `message_delta` on, as what the first event says of it is only a beginning.
 * Source: https://platform.claude.com/docs/en/build-with-claude/streaming
 */
export class AnthropicStreamReader implements StreamReader {
  readonly #trail: ThinkingTrail;
  readonly #created: number;
  readonly #open = new Map<unknown, OpenBlock>();
  readonly #texts: string[] = [];
  #id = '';
  #model: string;
  /** Of every chunk, up to its delta. */
  #head = '';
  #calls = 0;
  #usage: JsonObject | null = null;
  #isFinished = false;

  /** `headers`: of the answer; its `Date` is when the chunks were created. */
  constructor(target: UpstreamTarget, headers: HeaderFields = {}) {
    this.#trail = new ThinkingTrail(target.providerModel);
    this.#created = secondsOf(headers['date']);
    this.#model = target.providerModel;
    this.#head = this.#writeHead();
  }

  read(event: SseEvent): StreamStep {
    const data = event.data.trim();
    if (data === '') return NOTHING;
    const value = parseJsonObject(data);
    if (value === null) return this.#unreadable(event);
    switch (value['type']) {
      case 'message_start':
        return this.#start(value['message']);
      case 'content_block_start':
        return this.#openBlock(value['index'], value['content_block']);
      case 'content_block_delta':
        return this.#delta(value['index'], value['delta']);
      case 'content_block_stop':
        return this.#closeBlock(value['index']);
      case 'message_delta':
        return this.#finish(value);
      case 'message_stop':
        this.#isFinished = true;
        return DONE;
      default: {
        // A ping, an event that is newer than this, or an error in whatever shape.
        const fault = faultIn(value, event.name);
        return fault === null ? NOTHING : { kind: 'fault', fault };
      }
    }
  }

  isFinished(): boolean {
    return this.#isFinished;
  }

  usage(): UsageReport | null {
    return parseAnthropicUsage(this.#usage);
  }

  usageChunk(): string | null {
    const report = this.usage();
    if (report === null) return null;
    return `${this.#head.slice(0, this.#head.indexOf('"choices":'))}"choices":[],"usage":${openAiUsageText(report)}}`;
  }

  outputTexts(): string[] {
    const text = this.#texts.join('');
    return text === '' ? [] : [text];
  }

  identity(): { id: string; created: number; model: string } {
    return { id: this.#id, created: this.#created, model: this.#model };
  }

  #unreadable(event: SseEvent): StreamStep {
    // The end of the stream cut it off, or it came after all there was to say: nothing is made of it.
    if (event.unterminated === true || this.#isFinished) return NOTHING;
    if (event.name === 'error') return { kind: 'fault', fault: statusFault(event.data) };
    return { kind: 'fault', fault: malformed('the stream has an event that is no JSON object') };
  }

  #start(message: unknown): StreamStep {
    if (!isJsonObject(message)) return NOTHING;
    const { id, model } = message;
    if (typeof id === 'string') this.#id = id;
    if (typeof model === 'string' && model !== '') this.#model = model;
    this.#head = this.#writeHead();
    const usage = mergeAnthropicUsage({}, message['usage']);
    delete usage['output_tokens'];
    delete usage['output_tokens_details'];
    this.#usage = usage;
    return this.#chunk('{"role":"assistant","content":""}', false);
  }

  #openBlock(index: unknown, block: unknown): StreamStep {
    if (!isJsonObject(block)) return NOTHING;
    const open: OpenBlock = { call: null, hasInput: false, thinking: null };
    this.#open.set(index, open);
    switch (block['type']) {
      case 'text':
        return this.#text(block['text']);
      case 'thinking':
        open.thinking = this.#trail.add({ type: 'thinking', thinking: '', signature: textOf(block['signature']) });
        return this.#thought(open, textOf(block['thinking']));
      case 'redacted_thinking':
        this.#trail.add({ type: 'redacted_thinking', data: textOf(block['data']) });
        return this.#thought(open, '');
      case 'tool_use': {
        open.call = this.#calls;
        this.#calls += 1;
        this.#trail.addCall();
        const name = textOf(block['name']);
        this.#texts.push(name);
        const call = { index: open.call, id: block['id'], type: 'function', function: { name, arguments: '' } };
        return this.#chunk(JSON.stringify({ tool_calls: [call] }), true);
      }
      default:
        return NOTHING;
    }
  }

  #delta(index: unknown, delta: unknown): StreamStep {
    const open = this.#open.get(index);
    if (!isJsonObject(delta) || open === undefined) return NOTHING;
    switch (delta['type']) {
      case 'text_delta':
        return this.#text(delta['text']);
      case 'thinking_delta':
        return open.thinking === null ? NOTHING : this.#thought(open, textOf(delta['thinking']));
      case 'signature_delta':
        if (open.thinking !== null) open.thinking.signature = textOf(delta['signature']);
        return NOTHING;
      case 'input_json_delta':
        return this.#input(open, textOf(delta['partial_json']));
      default:
        return NOTHING;
    }
  }

  #text(text: unknown): StreamStep {
    if (typeof text !== 'string' || text === '') return NOTHING;
    this.#trail.addText(text);
    this.#texts.push(text);
    return this.#chunk(`{"content":${JSON.stringify(text)}}`, true);
  }

  /** The first of a block is content even where it is empty: thinking that is not shown may take minutes. */
  #thought(open: OpenBlock, text: string): StreamStep {
    if (open.thinking !== null) open.thinking.thinking += text;
    this.#texts.push(text);
    return this.#chunk(`{"reasoning_content":${JSON.stringify(text)}}`, true);
  }

  #input(open: OpenBlock, json: string): StreamStep {
    if (json === '' || open.call === null) return NOTHING;
    open.hasInput = true;
    this.#texts.push(json);
    const call = `{"index":${open.call},"function":{"arguments":${JSON.stringify(json)}}}`;
    return this.#chunk(`{"tool_calls":[${call}]}`, true);
  }

  /** A call without arguments says nothing of them, and clients parse what they got. */
  #closeBlock(index: unknown): StreamStep {
    const open = this.#open.get(index);
    return open === undefined || open.call === null || open.hasInput ? NOTHING : this.#input(open, '{}');
  }

  #finish(value: JsonObject): StreamStep {
    this.#usage = mergeAnthropicUsage(this.#usage ?? {}, value['usage']);
    const stop = value['delta'];
    if (!isJsonObject(stop) || typeof stop['stop_reason'] !== 'string') return NOTHING;
    this.#isFinished = true;
    const refusal = refusalOf(stop);
    const thinking = this.#trail.blocks();
    const delta = {
      ...(thinking.length === 0 ? {} : { thinking_blocks: thinking }),
      ...(refusal === null ? {} : { refusal }),
    };
    return this.#chunk(JSON.stringify(delta), true, JSON.stringify(finishReasonOf(stop['stop_reason'])));
  }

  #chunk(delta: string, content: boolean, finishReason = 'null'): StreamStep {
    return { kind: 'chunk', data: `${this.#head}${delta},"finish_reason":${finishReason}}]}`, content };
  }

  #writeHead(): string {
    const [id, model] = [JSON.stringify(this.#id), JSON.stringify(this.#model)];
    const named = `"id":${id},"object":"chat.completion.chunk","created":${this.#created},"model":${model}`;
    return `{${named},"choices":[{"index":0,"delta":`;
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
