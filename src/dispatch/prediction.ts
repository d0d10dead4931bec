import type { UpstreamFailure } from '../domain/failure.js';
import { Lifeline } from '../domain/lifeline.js';
import type { StatedLimit } from '../domain/limit.js';
import type { HeaderFields, NextStep, StreamReader, UpstreamRoute } from '../domain/provider.js';
import { UpstreamBrokenError, type UpstreamCall } from '../domain/upstream.js';
import { failureFromFault, malformed } from '../wire/fault.js';
import type { StreamOwner } from './answer-stream.js';
import type { AttemptPlan } from './attempt-plan.js';
import type { DispatchParts } from './parts.js';
import { failed, type Reading, readAll, readAnswer, type Step, withHint } from './reading.js';
import { TotalTimeoutError } from './total-deadline.js';

/** A prediction that could not be asked for is asked for again so often in a row. */
const ASKED_AGAIN = 3;
/** Between two askings at least. */
const ASKED_AGAIN_MS = 250;
/** What a cancel may take. A stop waits a little longer than this for what it cuts. */
const CANCEL_MS = 3_000;
/** How long the answer that names a prediction is waited for after its client has left. */
const UNNAMED_MS = 10_000;
/** Asking for the usage of a stream that has ended, whose client waits for the end mark: how often, how far apart, how long in all. */
const AFTERWARDS = { times: 4, apartMs: 250, mostMs: 2_500 };
const MAX_SMALL_ANSWER_BYTES = 16 * 1024 * 1024;

/**
 * One prediction, within one attempt: made, asked for until there is an answer, and cancelled at the provider when it
 * ends from our side before. The key goes nowhere but where the prediction was made, whatever the provider says.
 */
export class Prediction implements StreamOwner {
  readonly #plan: AttemptPlan;
  readonly #parts: Pick<DispatchParts, 'client' | 'clock' | 'logger'>;
  readonly #secrets: readonly string[];
  #next: NextStep | null = null;
  #isOver = false;
  #cancelling: Promise<void> | null = null;

  constructor(
    plan: AttemptPlan,
    parts: Pick<DispatchParts, 'client' | 'clock' | 'logger'>,
    secrets: readonly string[],
  ) {
    this.#plan = plan;
    this.#parts = parts;
    this.#secrets = secrets;
  }

  /**
   * Makes the call that begins it, and follows what it began.
   * @throws the lifeline's reason when it ends
   */
  async make(call: UpstreamCall): Promise<{ reading: Reading; stated: readonly StatedLimit[] }> {
    const { life } = call;
    if (life.isEnded) throw life.reason;
    // It goes on without its client, and may be sent only then.
    this.#plan.wasSent = true;
    const own = new Lifeline();
    const beginning = this.#begin({ ...call, life: own });
    if (!(await endsBefore(life, beginning))) {
      const { step, stated } = await beginning;
      return { stated, reading: step.kind === 'later' ? await this.#follow(step.next) : step };
    }
    const cancelled = this.#cancelUnnamed(beginning, own);
    if (!(life.reason instanceof TotalTimeoutError)) await cancelled;
    throw life.reason;
  }

  async completed(reader: StreamReader): Promise<void> {
    this.#isOver = true;
    const route = this.#next?.afterwards;
    if (route === undefined || reader.readAfterwards === undefined) return;
    const { clock, client } = this.#parts;
    const deadline = clock.now() + AFTERWARDS.mostMs;
    let why = 'it has not ended';
    for (let times = 0; times < AFTERWARDS.times && this.#isOwn(route.url); times += 1) {
      if (times > 0) await clock.sleep(AFTERWARDS.apartMs, this.#plan.request.life.signal);
      const leftMs = deadline - clock.now();
      if (leftMs <= 0) break;
      const result = await client.send(this.#callFor(route, leftMs));
      if (!result.ok) {
        why = result.failure.message;
        continue;
      }
      try {
        if (reader.readAfterwards(await readAll(result.response, MAX_SMALL_ANSWER_BYTES))) return;
      } catch (error) {
        if (!(error instanceof UpstreamBrokenError)) throw error;
        why = error.message;
      }
    }
    this.#parts.logger.warn({ ...this.#named(), why }, 'the usage of a streamed prediction is estimated');
  }

  cancel(): Promise<void> {
    if (this.#isOver || this.#next === null) return Promise.resolve();
    this.#cancelling ??= this.#sendCancel(this.#next);
    return this.#cancelling;
  }

  async #begin(call: UpstreamCall): Promise<{ step: Step; stated: readonly StatedLimit[] }> {
    const result = await this.#parts.client.send(call);
    if (!result.ok) {
      const failure = withHint(result.failure, this.#plan.target);
      return { step: failed(failure, result.report, null), stated: result.stated };
    }
    return { step: await this.#read(result.response), stated: result.response.stated };
  }

  #read(response: Parameters<typeof readAnswer>[1], step?: NextStep): Step | Promise<Step> {
    return readAnswer(this.#plan, response, this.#parts.clock.now(), this.#secrets, step);
  }

  async #follow(first: NextStep): Promise<Reading> {
    try {
      return await this.#untilRead(first);
    } catch (cause) {
      const cancelled = this.cancel();
      // Whoever waits for a timeout's error waits for nothing else.
      if (!(cause instanceof TotalTimeoutError)) await cancelled;
      throw cause;
    }
  }

  async #untilRead(first: NextStep): Promise<Reading> {
    const { clock, client } = this.#parts;
    const deadline = this.#plan.sentAt + this.#plan.firstByteMs;
    let next = first;
    let waitMs = first.afterMs;
    for (let failures = 0; ; ) {
      this.#next = next;
      if (next.keyless !== true && !this.#isOwn(next.route.url)) return this.#giveUp(this.#foreign(next.route));
      const mostMs = deadline - clock.now();
      const sleepMs = Math.max(0, Math.min(waitMs, mostMs));
      if (sleepMs > 0) await clock.sleep(sleepMs, this.#plan.request.life.signal);
      const leftMs = deadline - clock.now();
      if (leftMs <= 0) return this.#giveUp(late(this.#plan.firstByteMs));
      const result = await client.send(this.#callFor(next.route, leftMs, next));
      const step = result.ok ? await this.#read(result.response, next) : failed(result.failure, null, null);
      if (step.kind === 'later') {
        failures = 0;
        next = step.next;
        // Whatever an answer leads to, a provider is not asked in a tight loop.
        waitMs = Math.max(next.afterMs, ASKED_AGAIN_MS);
        continue;
      }
      if (step.kind === 'stream' && next.stream === true) {
        step.stream.belongTo?.(this);
        return step;
      }
      // An answer, or the prediction's own failure: there is nothing left to cancel.
      if (step.kind !== 'failed' || step.hasEnded === true || (result.ok && step.failure.kind === 'status')) {
        this.#isOver = true;
        return step;
      }
      failures += 1;
      if (failures > ASKED_AGAIN || !isPassing(step.failure)) return this.#giveUp(step.failure);
      waitMs = Math.max(next.afterMs, ASKED_AGAIN_MS, step.failure.retryAfterMs ?? 0);
    }
  }

  /** The prediction may have cost something, whatever was said when it was asked for: it is no refusal. */
  #giveUp(failure: UpstreamFailure): Reading {
    void this.cancel();
    const kind = failure.kind === 'status' || failure.kind === 'connect' ? 'reset' : failure.kind;
    const message = kind === 'timeout' ? failure.message : `the prediction could not be followed: ${failure.message}`;
    return failed(withHint({ ...failure, kind, message, sent: true }, this.#plan.target), null, null);
  }

  /** The client left before the provider had said what it has begun. */
  async #cancelUnnamed(beginning: Promise<{ step: Step }>, own: Lifeline): Promise<void> {
    const timer = setTimeout(() => own.end(new Error(`no answer within ${UNNAMED_MS} ms`)), UNNAMED_MS);
    try {
      const { step } = await beginning;
      if (step.kind === 'later') {
        this.#next = step.next;
        await this.cancel();
      } else if (step.kind === 'failed' && step.failure.kind !== 'status' && step.failure.sent) {
        this.#warn(step.failure.message);
      } else if (step.kind === 'stream') step.stream.abort();
    } catch (error) {
      this.#warn(error instanceof Error ? error.message : String(error));
    } finally {
      clearTimeout(timer);
    }
  }

  /** Best effort: what fails is logged, for the prediction then goes on and costs. */
  async #sendCancel({ cancel }: NextStep): Promise<void> {
    if (cancel === null) return;
    if (!this.#isOwn(cancel.url)) {
      this.#warn('its cancel leads to another host');
      return;
    }
    const life = new Lifeline();
    const timer = setTimeout(() => life.end(new Error(`no answer within ${CANCEL_MS} ms`)), CANCEL_MS);
    try {
      const result = await this.#parts.client.send({ ...this.#callFor(cancel, CANCEL_MS), life });
      if (result.ok) await result.response.readAll(MAX_SMALL_ANSWER_BYTES);
      else this.#warn(result.failure.message);
    } catch (error) {
      this.#warn(error instanceof Error ? error.message : String(error));
    } finally {
      clearTimeout(timer);
    }
  }

  #callFor(route: UpstreamRoute, firstByteMs: number, step?: NextStep): UpstreamCall {
    const { target, request } = this.#plan;
    return {
      route,
      headers: this.#headersFor(step),
      payload: null,
      connectMs: target.timeouts.connectMs,
      firstByteMs,
      idleMs: target.timeouts.idleMs,
      life: request.life,
      // Limits count predictions, not how often one is asked for.
      limits: { sent: () => {} },
      secrets: this.#secrets,
      isBrought: target.isBrought === true,
    };
  }

  #headersFor(step?: NextStep): HeaderFields {
    const { target, key, upstream } = this.#plan;
    const accept = step?.stream === true ? 'text/event-stream' : 'application/json';
    if (step?.keyless === true) return { accept };
    const secret = key.secret.reveal() === '' ? {} : target.adapter.authenticate(key.secret);
    return { accept, ...secret, ...upstream.headers };
  }

  /** True where the prediction was made: only there the key may go. */
  #isOwn(url: string): boolean {
    return URL.canParse(url) && new URL(url).origin === new URL(this.#plan.prepared.route.url).origin;
  }

  #foreign({ url }: UpstreamRoute): UpstreamFailure {
    const host = URL.canParse(url) ? new URL(url).host : 'no address';
    return failureFromFault(malformed(`it leads to another host (${host}), where the key is not sent`), this.#secrets);
  }

  #named(): object {
    const { request, attempt, target } = this.#plan;
    const { inferenceId } = request;
    return { inferenceId, attempt, provider: target.providerId, prediction: this.#next?.id ?? null };
  }

  #warn(why: string): void {
    this.#parts.logger.warn({ ...this.#named(), why }, 'a prediction could not be cancelled, and may go on and cost');
  }
}

/** True when the life ends first, false when the work does. */
async function endsBefore(life: Lifeline, work: Promise<unknown>): Promise<boolean> {
  let onEnd = () => {};
  const ended = new Promise<boolean>((resolve) => {
    onEnd = () => resolve(true);
    life.onEnd(onEnd);
  });
  try {
    return await Promise.race([ended, work.then(() => false)]);
  } finally {
    life.offEnd(onEnd);
  }
}

/** What may be otherwise the next time. */
function isPassing({ kind, status }: UpstreamFailure): boolean {
  if (kind !== 'status') return status === null;
  return status === null || status >= 500 || status === 429 || status === 408 || status === 425;
}

function late(ms: number): UpstreamFailure {
  return { ...failureFromFault(malformed(`the prediction did not end within ${ms} ms`), []), kind: 'timeout' };
}
