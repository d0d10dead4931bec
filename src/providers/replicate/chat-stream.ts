import type {
  HeaderFields,
  NextStep,
  SseEvent,
  StreamReader,
  StreamStep,
  UpstreamAnswer,
  UpstreamTarget,
} from '../../domain/provider.js';
import type { UsageReport } from '../../domain/usage.js';
import { faultIn } from '../../wire/fault.js';
import { parseJsonObject } from '../../wire/json-object.js';
import { ChatChunks, type ChatIdentity, createdBy } from '../chat-chunks.js';
import { faultOf, hasEnded } from './prediction.js';
import { type PredictionUsage, readMetrics } from './usage.js';

const NOTHING: StreamStep = { kind: 'nothing' };

/**
 * Reads a prediction's stream: `output` with plain text, `error` with `{"detail": …}`, `done` with `{}` or with the
 * `reason` it ended for. Usage is not in it, and is asked for afterwards.
 * Source: https://replicate.com/docs/topics/predictions/streaming
 */
export class ReplicateStreamReader implements StreamReader {
  readonly #chunks: ChatChunks;
  #isFinished = false;
  #usage: PredictionUsage | null = null;

  constructor(target: UpstreamTarget, headers?: HeaderFields, step?: NextStep) {
    this.#chunks = new ChatChunks({ id: step?.id ?? '', created: createdBy(headers), model: target.providerModel });
  }

  read({ name, data, unterminated }: SseEvent): StreamStep {
    // Cut off by the end of the stream: nobody knows how much of it is missing.
    if (this.#isFinished || unterminated === true) return NOTHING;
    switch (name) {
      case 'output':
        return data === '' ? NOTHING : this.#chunks.delta({ content: data });
      case 'error':
        return { kind: 'fault', fault: faultOf('failed', parseJsonObject(data) ?? data) };
      case 'done':
        return this.#readDone(data);
      default: {
        const value = parseJsonObject(data);
        const fault = value === null ? null : faultIn(value);
        return fault === null ? NOTHING : { kind: 'fault', fault };
      }
    }
  }

  isFinished(): boolean {
    return this.#isFinished;
  }

  usage(): UsageReport | null {
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

  readAfterwards(answer: UpstreamAnswer): boolean {
    const value = parseJsonObject(answer.body.toString('utf8'));
    if (value === null || !hasEnded(value)) return false;
    this.#usage = readMetrics(value['metrics']);
    return true;
  }

  #readDone(data: string): StreamStep {
    const reason = parseJsonObject(data)?.['reason'];
    if (reason === 'canceled' || reason === 'aborted') return { kind: 'fault', fault: faultOf(reason, null) };
    if (reason === 'error') return { kind: 'fault', fault: faultOf('failed', 'the prediction failed') };
    this.#isFinished = true;
    const step = this.#chunks.finish('stop');
    return step.kind === 'chunk' ? { ...step, isLast: true } : step;
  }
}
