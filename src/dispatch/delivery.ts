import type { AnswerBody } from '../domain/body.js';
import type { AnswerOrigin, RoutedAnswer, StreamSink } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import type { UpstreamFailure } from '../domain/failure.js';
import { ClientGoneError } from '../domain/lifeline.js';
import type { TaskAnswer } from '../domain/provider.js';
import type { Usage } from '../domain/usage.js';
import { usageChunk, withCost } from '../wire/openai-cost.js';
import type { Call } from './call.js';
import { abandonmentOf, toStreamError } from './endings.js';
import type { DispatchParts } from './parts.js';
import type { Reading } from './reading.js';
import type { Record } from './record.js';
import type { OpenStream } from './stream.js';

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

/**
 * A whole answer: settled, and only then given.
 * @throws WaybillError ledger_unavailable when its cost cannot be recorded
 */
export async function deliverWhole(
  delivery: Delivery,
  { answer, headers, status, firstByteAt }: Extract<Reading, { kind: 'answer' }>,
): Promise<RoutedAnswer> {
  const { call, record } = delivery;
  const outputTexts = () => answer.outputTexts();
  const usage = call.settle({ kind: 'answered', status, report: answer.usage, outputTexts }, firstByteAt);
  const { costNanoUsd } = record;
  delivery.land();
  await record.end({ outcome: 'ok', status: 200, errorCode: null });
  if (answer.contentType !== undefined) {
    const { contentType } = answer;
    return { kind: 'body', origin: delivery.origin(), headers, body: wholeBody(answer), contentType, costNanoUsd };
  }
  const body = withCost(answer.body, { task: call.plan.request.ask.task, usage, costNanoUsd });
  return { kind: 'body', origin: delivery.origin(), headers, body, costNanoUsd };
}

function wholeBody({ body }: TaskAnswer): AnswerBody {
  return typeof body === 'string' || Buffer.isBuffer(body) ? body : [...body.before, ...body.after];
}

/** A stream: passed along as it comes, its end written only when it is settled. */
export function deliverStream(
  delivery: Delivery,
  { stream, headers, firstByteAt }: Extract<Reading, { kind: 'stream' }>,
): RoutedAnswer {
  if (delivery.call.plan.target.onDisconnect === 'drain') delivery.call.plan.request.life.outliveClient();
  return {
    kind: 'stream',
    origin: delivery.origin(),
    headers,
    pump: (sink) => new Pump(delivery, stream, firstByteAt).run(sink),
  };
}

class Pump {
  readonly #delivery: Delivery;
  readonly #stream: OpenStream;
  readonly #firstByteAt: number;

  constructor(delivery: Delivery, stream: OpenStream, firstByteAt: number) {
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
      await sink.write(this.#end(usage));
    } catch (cause) {
      const ended = this.#stream.abort();
      await this.#cutShort(cause, sink);
      await ended;
    } finally {
      land();
    }
  }

  /** The usage chunk for a client that asked, and the end mark. */
  #end(usage: Usage | null): string {
    const { ask } = this.#delivery.call.plan.request;
    const { reader } = this.#stream;
    if (!ask.includeUsage) return 'data: [DONE]\n\n';
    const charge = { task: ask.task, usage, costNanoUsd: this.#delivery.record.costNanoUsd };
    const data = usageChunk({ identity: reader.identity(), chunkText: reader.usageChunk(), charge });
    return `data: ${data}\n\ndata: [DONE]\n\n`;
  }

  /** The provider broke the stream after its first content: told in the stream, and never made to look complete. */
  async #broke(failure: UpstreamFailure, sink: StreamSink): Promise<void> {
    const { call, parts, record } = this.#delivery;
    parts.health.record(call.plan.target.id, { ok: false, firstByteMs: null });
    const outcome = call.plan.request.life.clientGone ? 'cancelled' : 'failed';
    const errorCode = 'upstream_interrupted';
    this.#settle({ kind: 'cut', outcome, status: 200, errorCode }, failure.message);
    await record.endQuietly({ outcome, status: 200, errorCode });
    const message = `The provider's stream broke off: ${failure.message}`;
    await sink.write(errorEvent(new WaybillError('upstream_interrupted', { message })));
  }

  /** Ended from our side: the client left, the daemon stops, the time is over, or the end could not be recorded. */
  async #cutShort(cause: unknown, sink: StreamSink): Promise<void> {
    const { call, record } = this.#delivery;
    if (!call.isSettled) {
      const { outcome, errorCode } = abandonmentOf(cause);
      this.#settle({ kind: 'cut', outcome, status: 200, errorCode });
      await record.endQuietly({ outcome, status: 200, errorCode });
    }
    if (!(cause instanceof ClientGoneError)) await sink.write(errorEvent(toStreamError(cause)));
  }

  #settle(
    end:
      | { kind: 'answered' | 'drained'; status: number }
      | { kind: 'cut'; outcome: 'failed' | 'cancelled' | 'interrupted'; status: number; errorCode: string },
    message: string | null = null,
  ): Usage | null {
    const { reader } = this.#stream;
    const seen = { report: reader.usage(), outputTexts: () => reader.outputTexts() };
    return this.#delivery.call.settle({ ...end, ...seen }, this.#firstByteAt, message);
  }
}

function errorEvent(error: WaybillError): string {
  return `data: ${JSON.stringify(error.toBody())}\n\n`;
}
