import type { SseEvent, StreamReader, StreamStep } from '../domain/provider.js';
import type { JsonObject } from '../domain/task.js';
import { noCounts, USAGE_CLASSES, type UsageReport } from '../domain/usage.js';
import { faultIn, malformed, statusFault } from './fault.js';
import { isJsonObject, parseJsonObject } from './json-object.js';
import { OutputCollector } from './output-collector.js';
import { reportedAudioMs, tokenUsage, unitReport, usageWithUnit } from './task-usage.js';

/** What the events of one task say. */
export interface MediaEvents {
  /** The event whose coming means that the answer is whole, and that tells its usage. */
  final: string;
  /** Other events that carry a part of the answer. */
  parts: readonly string[];
  /** Usage of the final event; of a part, what is known to have been used at least. */
  usageOf(event: { text: string; value: JsonObject }, isFinal: boolean): UsageReport | null;
  /** An event in OpenAI's words where the provider has others; null leaves it as it is. */
  spelled?(value: JsonObject): JsonObject | null;
}

/** Source: https://platform.openai.com/docs/api-reference/audio/speech-audio-delta-event */
export const SPEECH_EVENTS: MediaEvents = {
  final: 'speech.audio.done',
  parts: ['speech.audio.delta'],
  usageOf: (event, isFinal) => (isFinal ? tokenUsage(event) : null),
};

/** Source: https://platform.openai.com/docs/api-reference/audio/transcript-text-delta-event */
export const TRANSCRIPT_EVENTS: MediaEvents = {
  final: 'transcript.text.done',
  parts: ['transcript.text.delta', 'transcript.text.segment'],
  usageOf: (event, isFinal) => (isFinal ? usageWithUnit(event, 'audioMs', reportedAudioMs(event.value)) : null),
};

/** Each image has a final event. Source: https://platform.openai.com/docs/api-reference/images-streaming */
export const IMAGE_EVENTS = imageEvents('image_generation');
export const IMAGE_EDIT_EVENTS = imageEvents('image_edit');

function imageEvents(name: string): MediaEvents {
  return {
    final: `${name}.completed`,
    parts: [`${name}.partial_image`],
    usageOf: (event, isFinal) => (isFinal ? usageWithUnit(event, 'images', 1) : unitReport('images', 0)),
  };
}

/** A picture of the largest size stands in one event, in base64. */
const MAX_EVENT_BYTES = 64 * 1024 * 1024;
const END_MARK = '[DONE]';
const NOTHING: StreamStep = { kind: 'nothing' };

/** Reads the events of a task that is no text generation. They reach the client as they came, usage and all. */
export class MediaStreamReader implements StreamReader {
  readonly maxEventBytes = MAX_EVENT_BYTES;
  readonly #events: MediaEvents;
  #isFinished = false;
  #report: UsageReport | null = null;
  readonly #deltas: string[] = [];
  #text: string | null = null;
  readonly #chunks = new OutputCollector();

  constructor(events: MediaEvents) {
    this.#events = events;
  }

  read(event: SseEvent): StreamStep {
    const data = event.data.trim();
    if (data === '') return NOTHING;
    if (data === END_MARK) {
      this.#isFinished = true;
      return { kind: 'done' };
    }
    const value = parseJsonObject(data);
    if (value === null) return this.#unreadable(event);
    const fault = faultIn(value, event.name);
    if (fault !== null) return { kind: 'fault', fault };
    const spelled = this.#events.spelled?.(value) ?? null;
    return this.#take(spelled ?? value, spelled === null ? data : JSON.stringify(spelled), event);
  }

  isFinished(): boolean {
    return this.#isFinished;
  }

  usage(): UsageReport | null {
    return this.#report;
  }

  /** Usage rides on the final event. */
  usageChunk(): null {
    return null;
  }

  outputTexts(): string[] {
    const text = this.#text ?? this.#deltas.join('');
    return text === '' ? this.#chunks.texts() : [text];
  }

  identity(): { id: string; created: number; model: string } {
    return { id: '', created: 0, model: '' };
  }

  #take(value: JsonObject, data: string, event: SseEvent): StreamStep {
    // Where an event has no type of its own, its name is one.
    const type = typeof value['type'] === 'string' ? value['type'] : event.name;
    const isFinal = type === this.#events.final;
    const isPart = type !== null && this.#events.parts.includes(type);
    if (!isFinal && !isPart) return { kind: 'chunk', data, content: this.#takeChoices(value, data) };
    const report = this.#events.usageOf({ text: data, value }, isFinal);
    if (report !== null) this.#report = this.#report === null ? report : sum(this.#report, report);
    if (isFinal) {
      this.#isFinished = true;
      if (typeof value['text'] === 'string') this.#text = value['text'];
    } else if (typeof value['delta'] === 'string') this.#deltas.push(value['delta']);
    return { kind: 'chunk', data, content: true };
  }

  /**
   * vLLM streams a transcription in the chunks of a chat, usage on the last. True for a chunk that has something in it.
   * Source: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html#transcriptions-api
   */
  #takeChoices(value: JsonObject, data: string): boolean {
    this.#chunks.add(value);
    if (isJsonObject(value['usage'])) this.#report = tokenUsage({ text: data, value }) ?? this.#report;
    return Array.isArray(value['choices']) && value['choices'].length > 0;
  }

  #unreadable(event: SseEvent): StreamStep {
    if (event.unterminated === true || this.#isFinished) return NOTHING;
    if (event.name === 'error') return { kind: 'fault', fault: statusFault(event.data) };
    return { kind: 'fault', fault: malformed('the stream has an event that is no JSON object') };
  }
}

/** Of several images each event tells its own. */
function sum(earlier: UsageReport, later: UsageReport): UsageReport {
  const counts = noCounts();
  for (const name of USAGE_CLASSES) {
    const [a, b] = [earlier.counts[name], later.counts[name]];
    counts[name] = a === null ? b : b === null ? a : a + b;
  }
  const providerCostUsd = later.providerCostUsd ?? earlier.providerCostUsd;
  return { counts, providerCostUsd, problems: [...earlier.problems, ...later.problems] };
}
