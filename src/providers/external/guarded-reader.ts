import type { AnswerFault, SseEvent, StreamReader, StreamStep, UpstreamAnswer } from '../../domain/provider.js';
import type { UsageReport } from '../../domain/usage.js';
import type { Guard } from './guard.js';
import { checkedIdentity, checkedStep, checkedUsage, textOf, textsOf } from './results.js';

/** A reader of an adapter that is not ours. Once it has failed at an event it is asked no more, and the stream is broken. */
export class GuardedReader implements StreamReader {
  readonly #guard: Guard;
  readonly #where: string;
  readonly #model: string;
  readonly #reader: StreamReader | null;
  readonly maxEventBytes?: number;
  readonly passes?: (block: string, bytes: Buffer) => boolean;
  readonly readAfterwards?: (answer: UpstreamAnswer) => boolean;
  #fault: AnswerFault | null = null;

  constructor(open: () => StreamReader, guard: Guard, { where, model }: { where: string; model: string }) {
    this.#guard = guard;
    this.#where = where;
    this.#model = model;
    const reader = guard.read(where, open, (fault) => {
      this.#fault = fault;
      return null;
    });
    this.#reader = reader;
    const bound = reader?.maxEventBytes;
    if (Number.isSafeInteger(bound) && (bound as number) > 0) this.maxEventBytes = bound as number;
    if (typeof reader?.passes === 'function') {
      this.passes = (block, bytes) => this.#may('passes', () => reader.passes?.(block, bytes) === true, false);
    }
    if (typeof reader?.readAfterwards === 'function') {
      this.readAfterwards = (answer) =>
        this.#may('readAfterwards', () => reader.readAfterwards?.(answer) === true, false);
    }
  }

  read(event: SseEvent): StreamStep {
    if (this.#fault !== null || this.#reader === null) return this.#broken();
    const reader = this.#reader;
    return this.#guard.read(
      `${this.#where} (read)`,
      () => checkedStep(reader.read(event)),
      (fault) => {
        this.#fault = fault;
        return this.#broken();
      },
    );
  }

  isFinished(): boolean {
    return this.#fault === null && this.#may('isFinished', () => this.#reader?.isFinished() === true, false);
  }

  usage(): UsageReport | null {
    return this.#may('usage', () => checkedUsage(this.#reader?.usage()), null);
  }

  usageChunk(): string | null {
    return this.#may('usageChunk', () => textOf(this.#reader?.usageChunk() ?? undefined) ?? null, null);
  }

  outputTexts(): string[] {
    return this.#may('outputTexts', () => (this.#reader === null ? [] : textsOf(this.#reader.outputTexts())), []);
  }

  identity(): { id: string; created: number; model: string } {
    const unknown = { id: '', created: 0, model: this.#model };
    return this.#may('identity', () => checkedIdentity({ ...unknown, ...this.#reader?.identity() }), unknown);
  }

  #broken(): StreamStep {
    const fault = this.#fault as AnswerFault;
    return { kind: 'fault', fault };
  }

  #may<T>(name: string, call: () => T, instead: T): T {
    return this.#guard.may(`${this.#where} (${name})`, call, () => instead);
  }
}
