import type { AnswerBody } from '../domain/body.js';
import type { AnswerOrigin, RoutedAnswer, StreamSink } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import type { UpstreamFailure } from '../domain/failure.js';
import { ClientGoneError } from '../domain/lifeline.js';
import type { HeaderFields, TaskAnswer } from '../domain/provider.js';
import type { Usage } from '../domain/usage.js';
import { usageChunk, withCost } from '../wire/openai-cost.js';
import type { AnswerStream } from './answer-stream.js';
import type { Call } from './call.js';
import { abandonmentOf, toStreamError } from './endings.js';
import { learnFromBreak } from './lessons.js';
import type { DispatchParts } from './parts.js';
import type { Reading } from './reading.js';
import type { Record } from './record.js';
import type { AttemptEnd } from './settlement.js';

/** What a successful call still has to do: give its answer to the client, settled before its end. */
export interface Delivery {
  call: Call;
  parts: DispatchParts;
  record: Record;
  /** Of this instant: limits are what is left when it is asked. */
  origin: () => AnswerOrigin;
  /** Gives back what the request as a whole has taken. */
  land: () => void;
}

/** An answer that has come whole. */
export type WholeReading = Extract<Reading, { kind: 'answer' }>;

/** Settles the call of a whole answer, and gives back what its request has taken. What was used. */
export function settleWhole({ call, land }: Delivery, { answer, response, firstByteAt }: WholeReading): Usage | null {
  const outputTexts = () => answer.outputTexts();
  const usage = call.settle(
    { kind: 'answered', status: response.status, report: answer.usage, outputTexts },
    firstByteAt,
  );
  land();
  return usage;
}

/** A whole answer as the client gets it. To be given once its request's end is durable. */
export function wholeAnswer(
  { call, record, origin }: Delivery,
  { answer, response, headers }: WholeReading,
  usage: Usage | null,
): RoutedAnswer {
  const { costNanoUsd } = record;
  if (answer.contentType !== undefined) {
    const { contentType } = answer;
    return { kind: 'body', origin: origin(), headers, body: wholeBody(answer), contentType, costNanoUsd };
  }
  const body = withCost(answer.body, { task: call.plan.request.ask.task, usage, costNanoUsd });
  const whole: RoutedAnswer = { kind: 'body', origin: origin(), headers, body, costNanoUsd };
  if (answer.recyclable === true) whole.written = () => response.recycle();
  return whole;
}

function wholeBody({ body }: TaskAnswer): AnswerBody {
  return typeof body === 'string' || Buffer.isBuffer(body) ? body : [...body.before, ...body.after];
}

/** A stream: passed along as it comes, its end written only when it is settled. */
export function deliverStream(
  delivery: Delivery,
  { stream, contentType, headers, firstByteAt }: Extract<Reading, { kind: 'stream' }>,
): RoutedAnswer {
  if (delivery.call.plan.target.onDisconnect === 'drain') delivery.call.plan.request.life.outliveClient();
  const origin = delivery.origin();
  const pump = (sink: StreamSink) => new Pump(delivery, stream, firstByteAt).run(sink);
  if (contentType === undefined) return { kind: 'stream', origin, headers, pump };
  return { kind: 'stream', origin, headers: { ...headers, ...costHeader(delivery) }, contentType, pump };
}

/** What is charged by what went in is known before the answer has ended, and costs the same when it breaks off. */
function costHeader({ call, record }: Delivery): HeaderFields {
  const [before, own] = [record.costNanoUsd, call.foreseenCost()];
  return { 'x-waybill-cost-nano-usd': before === null || own === null ? 'unknown' : String(before + own) };
}

class Pump {
  readonly #delivery: Delivery;
  readonly #stream: AnswerStream;
  readonly #firstByteAt: number;

  constructor(delivery: Delivery, stream: AnswerStream, firstByteAt: number) {
    this.#delivery = delivery;
    this.#stream = stream;
    this.#firstByteAt = firstByteAt;
  }

  async run(sink: StreamSink): Promise<void> {
    const { call, record, land } = this.#delivery;
    const { life } = call.plan.request;
    try {
      const end = await this.#stream.passTo({ write: (text) => (life.clientGone ? undefined : sink.write(text)) });
      if (end.kind === 'broken') {
        await this.#broke(end.failure, sink);
        return;
      }
      const usage = this.#settle({ kind: life.clientGone ? 'drained' : 'answered', status: 200 });
      await record.end(
        life.clientGone
          ? { outcome: 'cancelled', status: 200, errorCode: 'client_gone' }
          : { outcome: 'ok', status: 200, errorCode: null },
      );
      if (this.#stream.reader !== null) await sink.write(this.#end(usage, this.#stream.reader), true);
    } catch (cause) {
      const ended = this.#stream.abort();
      await this.#cutShort(cause, sink);
      await ended;
    } finally {
      land();
    }
  }

  /** The usage chunk for a client that asked, and the end mark. */
  #end(usage: Usage | null, reader: NonNullable<AnswerStream['reader']>): string {
    const { ask } = this.#delivery.call.plan.request;
    if (!ask.includeUsage) return 'data: [DONE]\n\n';
    const charge = { task: ask.task, usage, costNanoUsd: this.#delivery.record.costNanoUsd };
    const data = usageChunk({ identity: reader.identity(), chunkText: reader.usageChunk(), charge });
    return `data: ${data}\n\ndata: [DONE]\n\n`;
  }

  /** The provider broke the stream after its first content: told in the stream, and never made to look complete. */
  async #broke(failure: UpstreamFailure, sink: StreamSink): Promise<void> {
    const { call, parts, record } = this.#delivery;
    learnFromBreak(parts.health, call.plan);
    const outcome = call.plan.request.life.clientGone ? 'cancelled' : 'failed';
    const errorCode = 'upstream_interrupted';
    this.#settle({ kind: 'cut', outcome, status: 200, errorCode }, failure.message);
    await record.endQuietly({ outcome, status: 200, errorCode });
    const message = `The provider's stream broke off: ${failure.message}`;
    await this.#tell(new WaybillError('upstream_interrupted', { message }), sink);
  }

  /** Ended from our side: the client left, the daemon stops, the time is over, or the end could not be recorded. */
  async #cutShort(cause: unknown, sink: StreamSink): Promise<void> {
    const { call, record } = this.#delivery;
    if (!call.isSettled) {
      const { outcome, errorCode } = abandonmentOf(cause);
      this.#settle({ kind: 'cut', outcome, status: 200, errorCode });
      await record.endQuietly({ outcome, status: 200, errorCode });
    }
    if (!(cause instanceof ClientGoneError)) await this.#tell(toStreamError(cause), sink);
  }

  /** An error has its event; a file has no place for one, and is broken off. */
  async #tell(error: WaybillError, sink: StreamSink): Promise<void> {
    if (this.#stream.reader === null) sink.cut?.();
    else await sink.write(errorEvent(error), true);
  }

  #settle(
    end:
      | { kind: 'answered' | 'drained'; status: number }
      | { kind: 'cut'; outcome: 'failed' | 'cancelled' | 'interrupted'; status: number; errorCode: string },
    message: string | null = null,
  ): Usage | null {
    const { reader } = this.#stream;
    const report = reader?.usage() ?? null;
    const outputTexts = () => reader?.outputTexts() ?? [];
    const { kind, status } = end;
    // Name by name: a copy that is then added to gets a hidden class of its own.
    const whole: AttemptEnd =
      kind === 'cut'
        ? { kind, outcome: end.outcome, status, errorCode: end.errorCode, report, outputTexts }
        : { kind, status, report, outputTexts };
    return this.#delivery.call.settle(whole, this.#firstByteAt, message);
  }
}

function errorEvent(error: WaybillError): string {
  return `data: ${JSON.stringify(error.toBody())}\n\n`;
}
