import type { HeaderFields, SseEvent, StreamReader, StreamStep, UpstreamTarget } from '../../domain/provider.js';
import type { JsonObject, TaskRequest } from '../../domain/task.js';
import type { UsageReport } from '../../domain/usage.js';
import { faultIn, malformed, statusFault } from '../../wire/fault.js';
import { parseJsonObject } from '../../wire/json-object.js';
import { answeredChoices } from '../../wire/openai-request.js';
import { OutputCollector } from '../../wire/output-collector.js';
import { secondsOf } from '../answer-date.js';
import { blockOf, CandidateReader, candidatesOf, signed } from './candidate.js';
import { finishFault, toFinishReason } from './finish.js';
import { toLogprobs } from './logprobs.js';
import { blockedChoice, idOf, modelOf } from './response.js';
import { type GeminiUsage, readUsage } from './usage.js';

const NOTHING: StreamStep = { kind: 'nothing' };

/**
 * Reads a stream of `streamGenerateContent?alt=sse`: each event is an answer of its own with what is new in it, the
 * usage so far on every one, and no end mark. Each gives one chunk, the first of a choice with its role.
 * Source: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
 */
export class GeminiStreamReader implements StreamReader {
  readonly #expected: number;
  readonly #created: number;
  readonly #collector = new OutputCollector();
  /** How many calls each choice that has begun has made. */
  readonly #calls = new Map<number, number>();
  readonly #finished = new Set<number>();
  #isBlocked = false;
  #usage: GeminiUsage | null = null;
  #id = '';
  #model: string;

  /** `headers`: of the answer; its `Date` is when the chunks were created. */
  constructor(request: TaskRequest, target: UpstreamTarget, headers: HeaderFields = {}) {
    this.#created = secondsOf(headers['date']);
    this.#model = target.providerModel;
    this.#expected = answeredChoices(request);
  }

  read(event: SseEvent): StreamStep {
    const data = event.data.trim();
    if (data === '') return NOTHING;
    if (data === '[DONE]') return { kind: 'done' };
    const value = parseJsonObject(data);
    if (value !== null) return this.#readAnswer(value, data, event.name);
    // The end of the stream cut it off, or it came after all there was to say: nothing is made of it.
    if (event.unterminated === true || this.isFinished()) return NOTHING;
    if (event.name === 'error') return { kind: 'fault', fault: statusFault(event.data) };
    return { kind: 'fault', fault: malformed('the stream has an event that is no JSON object') };
  }

  isFinished(): boolean {
    if (this.#isBlocked) return true;
    return this.#finished.size >= this.#expected && [...this.#calls.keys()].every((index) => this.#finished.has(index));
  }

  usage(): UsageReport | null {
    return this.#usage?.report ?? null;
  }

  usageChunk(): string | null {
    return this.#usage === null ? null : JSON.stringify({ ...this.#chunk([]), usage: this.#usage.usage });
  }

  outputTexts(): string[] {
    return this.#collector.texts();
  }

  identity(): { id: string; created: number; model: string } {
    return { id: this.#id, created: this.#created, model: this.#model };
  }

  #readAnswer(value: JsonObject, data: string, name: string | null): StreamStep {
    this.#usage = readUsage(value['usageMetadata']) ?? this.#usage;
    const fault = faultIn(value, name);
    if (fault !== null) return { kind: 'fault', fault };
    this.#id = idOf(value) || this.#id;
    this.#model = modelOf(value, this.#model);
    const candidates = candidatesOf(value);
    const block = candidates.length === 0 ? blockOf(value) : null;
    if (block !== null) {
      this.#isBlocked = true;
      return this.#step([blockedChoice('delta', block)]);
    }
    const reader = new CandidateReader(data, this.#id);
    const choices: JsonObject[] = [];
    for (const { candidate, index } of candidates) {
      const broken = finishFault(candidate['finishReason'], candidate['finishMessage']);
      if (broken !== null) return { kind: 'fault', fault: broken };
      choices.push(...this.#readCandidate(candidate, index, reader));
    }
    if (choices.length === 0) return NOTHING;
    this.#collector.add({ choices });
    return this.#step(choices);
  }

  /** One choice, or none where nothing is new. */
  #readCandidate(candidate: JsonObject, index: number, reader: CandidateReader): JsonObject[] {
    const callsBefore = this.#calls.get(index);
    const content = reader.read(candidate, index, callsBefore ?? 0);
    const calls = (callsBefore ?? 0) + content.calls.length;
    const delta = {
      ...(content.reasoning === '' ? {} : { reasoning_content: content.reasoning }),
      ...(content.text === '' ? {} : { content: content.text }),
      ...(content.calls.length === 0
        ? {}
        : { tool_calls: content.calls.map((call, at) => ({ index: (callsBefore ?? 0) + at, ...call })) }),
      ...(content.images.length === 0 ? {} : { images: content.images }),
      ...(content.signature === null ? {} : { extra_content: signed(content.signature) }),
    };
    const reason = toFinishReason(candidate['finishReason'], calls > 0);
    if (reason === null && Object.keys(delta).length === 0) return [];
    this.#calls.set(index, calls);
    if (reason !== null) this.#finished.add(index);
    const role = callsBefore === undefined ? { role: 'assistant' } : {};
    const logprobs = toLogprobs(candidate['logprobsResult']);
    return [{ index, delta: { ...role, ...delta }, logprobs, finish_reason: reason }];
  }

  #step(choices: JsonObject[]): StreamStep {
    return { kind: 'chunk', data: JSON.stringify(this.#chunk(choices)), content: true };
  }

  #chunk(choices: JsonObject[]): JsonObject {
    return { id: this.#id, object: 'chat.completion.chunk', created: this.#created, model: this.#model, choices };
  }
}
