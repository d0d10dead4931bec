import type { SseEvent, StreamReader, StreamStep } from '../domain/provider.js';
import type { JsonObject, TaskRequest } from '../domain/task.js';
import type { UsageReport } from '../domain/usage.js';
import { faultIn, malformed, statusFault } from './fault.js';
import { editMembers, scanMembers, writeObject } from './json-text.js';
import { KeptBlocks } from './kept-blocks.js';
import { mentionsCost, type OpenAiAnswerOptions, withTextArguments } from './openai-answer.js';
import { answeredChoices, choiceCount } from './openai-request.js';
import { hasFigures, parseOpenAiUsage } from './openai-usage.js';
import { OutputCollector } from './output-collector.js';
import { needsReshape, type Reshape, reshaped } from './reshape.js';

/** The same as for a whole answer. */
export type OpenAiStreamOptions = OpenAiAnswerOptions;

const END_MARK = '[DONE]';
const LF = 0x0a;
const CLOSE_BRACE = 0x7d;
const NOTHING: StreamStep = { kind: 'nothing' };
const DONE: StreamStep = { kind: 'done' };

const DELTA_ARGUMENTS = [
  ['choices', '*', 'delta', 'tool_calls', '*', 'function', 'arguments'],
  ['choices', '*', 'delta', 'tool_calls', 'function', 'arguments'],
  ['choices', '*', 'delta', 'function_call', 'arguments'],
] as const;

/**
 * Reads a stream of chunks in OpenAI's dialect. Until the first content every chunk is parsed; after it only those that
 * may say something the router needs. Chunks pass as they came, with one exception: a usage object never rides on a
 * chunk that has choices, so that a client that adds up what it sees is right. The last usage is kept for the usage
 * chunk, in the provider's own words; `usage: null` stays where it is.
 */
export class OpenAiStreamReader implements StreamReader {
  readonly #options: OpenAiStreamOptions;
  readonly #reshapes: readonly Reshape[];
  /** With several choices each chunk's index matters. */
  readonly #parsesAll: boolean;
  /** Without an end mark, so many choices must have finished. */
  readonly #expected: number;
  #hasContent = false;
  #isDone = false;
  readonly #seen = new Set<number>();
  readonly #finished = new Set<number>();
  #report: UsageReport | null = null;
  #usageChunk: string | null = null;
  /** Chunks, and between them blocks of whole events. */
  readonly #passed: Array<string | KeptBlocks> = [];
  #id = '';
  #created = 0;
  #model = '';
  #object = '';

  constructor(request: TaskRequest, options: OpenAiStreamOptions) {
    this.#options = options;
    this.#reshapes = options.reshapes ?? [];
    this.#parsesAll = choiceCount(request) > 1;
    this.#expected = answeredChoices(request);
    this.#object = request.task === 'completion' ? 'text_completion' : 'chat.completion.chunk';
  }

  read(event: SseEvent): StreamStep {
    const { data } = event;
    if (
      this.#hasContent &&
      !this.#parsesAll &&
      event.name === null &&
      event.unterminated === undefined &&
      isPlain(data) &&
      !needsReshape(data, this.#reshapes)
    ) {
      this.#passed.push(data);
      return { kind: 'chunk', data, content: true };
    }
    const trimmed = data.trim();
    if (trimmed === '') return NOTHING;
    if (trimmed === END_MARK) {
      this.#isDone = true;
      return DONE;
    }
    const value = parseChunk(trimmed);
    return value === null ? this.#unreadable(event) : this.#readChunk(value, trimmed, event.name);
  }

  passes(block: string, bytes: Buffer): boolean {
    if (!this.#hasContent || this.#parsesAll || !hasPlainEvents(block)) return false;
    if (NOTABLE.test(block) || needsReshape(block, this.#reshapes)) return false;
    const last = this.#passed.at(-1);
    const kept = last instanceof KeptBlocks ? last : new KeptBlocks();
    if (kept !== last) this.#passed.push(kept);
    kept.add(bytes);
    return true;
  }

  isFinished(): boolean {
    if (this.#isDone) return true;
    return this.#finished.size >= this.#expected && [...this.#seen].every((index) => this.#finished.has(index));
  }

  usage(): UsageReport | null {
    return this.#report;
  }

  usageChunk(): string | null {
    return this.#usageChunk;
  }

  outputTexts(): string[] {
    const collector = new OutputCollector();
    for (const passed of this.#passed) {
      for (const data of typeof passed === 'string' ? [passed] : passed.pieces().flatMap(dataOf)) {
        const value = parseChunk(data);
        if (value !== null) collector.add(value);
      }
    }
    return collector.texts();
  }

  identity(): { id: string; created: number; model: string } {
    return { id: this.#id, created: this.#created, model: this.#model };
  }

  #unreadable(event: SseEvent): StreamStep {
    // The end of the stream cut it off, or it came after all there was to say: nothing is made of it.
    if (event.unterminated === true || this.isFinished()) return NOTHING;
    if (event.name === 'error') return { kind: 'fault', fault: statusFault(event.data) };
    return { kind: 'fault', fault: malformed('the stream has an event that is no JSON object') };
  }

  #readChunk(value: JsonObject, data: string, name: string | null): StreamStep {
    const fault = name === null || name === 'error' || says(value['error']) ? faultIn(value, name) : null;
    const { usage } = value;
    const choices = Array.isArray(value['choices']) ? value['choices'] : [];
    const hasUsage = typeof usage === 'object' && usage !== null;
    if (fault === null) this.#identify(value);
    // An error that says what was used costs that.
    if (hasUsage) this.#keepUsage(usage, data, choices.length === 0);
    else this.#keepGroqUsage(value);
    if (fault !== null) return { kind: 'fault', fault };
    if (choices.length === 0) {
      // A named event beside the chunks (a ping, a status) has no meaning without its name.
      const isPassed = !hasUsage && (name === null || value['choices'] !== undefined);
      return isPassed ? { kind: 'chunk', data, content: false } : NOTHING;
    }
    let content = false;
    for (const choice of choices) content = this.#readChoice(choice) || content;
    this.#hasContent ||= content;
    const stripped = hasUsage ? editMembers(data, (key) => (key === 'usage' ? null : undefined)) : data;
    const passed = reshaped(withTextArguments(stripped, DELTA_ARGUMENTS), this.#reshapes, 'delta');
    this.#passed.push(passed);
    return { kind: 'chunk', data: passed, content };
  }

  /** True when the choice has content or a finish reason. */
  #readChoice(choice: unknown): boolean {
    if (!isObject(choice)) return false;
    const index = typeof choice['index'] === 'number' ? choice['index'] : 0;
    this.#seen.add(index);
    // TGI sends an empty reason until it has one.
    const reason = choice['finish_reason'];
    const isFinish = typeof reason === 'string' && reason !== '';
    if (isFinish) this.#finished.add(index);
    if (isFinish || says(choice['text'])) return true;
    const delta = choice['delta'] ?? choice['message'];
    return isObject(delta) && Object.entries(delta).some(([key, member]) => key !== 'role' && says(member));
  }

  #keepUsage(usage: object, data: string, isOwnChunk: boolean): void {
    const needsText = !isOwnChunk || mentionsCost(usage);
    const text = needsText ? scanMembers(data).get('usage') : undefined;
    const report = this.#parse(usage, text);
    if (report === null || (this.#report !== null && hasFigures(this.#report) && !hasFigures(report))) return;
    this.#report = report;
    this.#usageChunk = isOwnChunk ? data : this.#ownChunk(text ?? JSON.stringify(usage));
  }

  /** Groq's own place for the usage of a stream that was not asked for it. */
  #keepGroqUsage(value: JsonObject): void {
    const groq = value['x_groq'];
    const report = isObject(groq) ? this.#parse(groq['usage'], undefined) : null;
    if (report !== null && hasFigures(report)) this.#report = report;
  }

  #parse(usage: unknown, text: string | undefined): UsageReport | null {
    const { reasoningOutside, beside = null } = this.#options;
    return parseOpenAiUsage(usage, { reasoningOutside, beside, ...(text === undefined ? {} : { text }) });
  }

  /** A usage chunk around usage that rode on another chunk. */
  #ownChunk(usage: string): string {
    return writeObject([
      ['id', JSON.stringify(this.#id)],
      ['object', JSON.stringify(this.#object)],
      ['created', String(this.#created)],
      ['model', JSON.stringify(this.#model)],
      ['choices', '[]'],
      ['usage', usage],
    ]);
  }

  /** Azure's first chunk has an empty model: the last name that is one counts. */
  #identify(value: JsonObject): void {
    const { id, model, created, object } = value;
    if (typeof id === 'string' && id !== '') this.#id = id;
    if (typeof model === 'string' && model !== '') this.#model = model;
    if (typeof created === 'number' && Number.isSafeInteger(created)) this.#created = created;
    if (typeof object === 'string' && object !== '') this.#object = object;
  }
}

/** A finish reason, a usage, an error or object arguments, by name and colon: inside a text the quotes have backslashes. */
const NOTABLE =
  /"(?:finish_reason"\s*:(?!\s*(?:null|""))|usage"\s*:(?!\s*null)|error"\s*:(?!\s*null)|arguments"\s*:\s*\{)/;

/** True for whole events, each of them one chunk with choices, and nothing between them. */
function hasPlainEvents(block: string): boolean {
  if (block.includes('\r')) return false;
  for (let at = 0; at < block.length; ) {
    const end = block.indexOf('\n', at);
    const choices = block.indexOf('"choices"', at);
    if (choices === -1 || choices > end || !block.startsWith('data: {', at)) return false;
    if (block.charCodeAt(end - 1) !== CLOSE_BRACE || block.charCodeAt(end + 1) !== LF) return false;
    at = end + 2;
  }
  return true;
}

/** The data of the events of a plain block. */
function dataOf(block: Buffer): string[] {
  const lines = block.toString('utf8').split('\n\n');
  return lines.filter((line) => line !== '').map((line) => line.slice('data: '.length));
}

/** True for a chunk of which the router needs nothing. Whatever is in doubt is parsed. */
function isPlain(data: string): boolean {
  return (
    data.charCodeAt(0) === 0x7b &&
    data.charCodeAt(data.length - 1) === 0x7d &&
    data.includes('"choices"') &&
    !NOTABLE.test(data)
  );
}

function parseChunk(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    // The caller knows what an unreadable event means where it stands.
    return null;
  }
}

function says(value: unknown): boolean {
  if (typeof value === 'string') return value !== '';
  if (typeof value !== 'object' || value === null) return false;
  return Array.isArray(value) ? value.length > 0 : Object.keys(value).length > 0;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
