import type { AnswerOrigin, RoutedAnswer, RoutedRequest, StreamSink } from '../domain/dispatch.js';
import { ClientGoneError, ShutdownError } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import { defaultVerdict, isContextLength, type UpstreamFailure, type Verdict } from '../domain/failure.js';
import { LimitWaitError, type Reservation } from '../domain/limit.js';
import type { NanoUsd } from '../domain/money.js';
import type { TaskAnswer } from '../domain/provider.js';
import type { Candidate, Plan, Target } from '../domain/route.js';
import { totalTokens, type UsageReport } from '../domain/usage.js';
import { usageChunk, withCost } from '../wire/openai-cost.js';
import { type AttemptPlan, type AttemptResult, makeAttempt } from './attempt.js';
import { backoffMs, WaitBudget } from './backoff.js';
import { exhaustedError, type FailedAttempt, rejectedError } from './exhausted.js';
import { Expectation } from './expectation.js';
import { Flight, TotalTimeoutError } from './flight.js';
import { type Lease, leaseKey } from './lease.js';
import type { DispatchParts } from './parts.js';
import { Record } from './record.js';
import { type AttemptEnd, settleCall } from './settlement.js';
import type { OpenStream } from './stream.js';

/** One attempt that is under way: what must be given back and written down when it ends. */
interface UnderWay {
  plan: AttemptPlan;
  endLoad: () => void;
}

/**
 * One request on its way: plan, attempts in order, and one end. Whatever happens is settled exactly once, and what
 * was taken is given back.
 */
export class Journey {
  readonly #parts: DispatchParts;
  readonly #request: RoutedRequest;
  readonly #flight: Flight;
  readonly #record: Record;
  readonly #waits: WaitBudget;
  readonly #expectation: Expectation;
  readonly #usedKeys = new Set<string>();
  readonly #failed: FailedAttempt[] = [];
  #clientReservation: Reservation | null = null;
  #attempts = 0;
  #origin: AnswerOrigin = { provider: null, model: null, attempts: 0 };

  constructor(parts: DispatchParts, request: RoutedRequest) {
    this.#parts = parts;
    this.#request = request;
    this.#flight = new Flight(request.signal);
    this.#record = new Record(parts, request);
    this.#waits = new WaitBudget(parts.policy.retry.maxWaitMs, parts.clock);
    this.#expectation = new Expectation(request, parts.meter);
  }

  async run(): Promise<RoutedAnswer> {
    try {
      const plan = this.#plan();
      await this.#admit(plan);
      return await this.#tryInOrder(plan);
    } catch (error) {
      this.#land();
      throw await this.#refusal(error);
    }
  }

  #plan(): Plan {
    const request = this.#request;
    const plan = this.#parts.router.plan({
      model: request.model,
      task: request.ask.task,
      access: request.client.access,
      region: request.region,
      inputTokens: this.#expectation.roughInput,
      outputTokens: this.#expectation.outputBound,
    });
    this.#record.decided(plan);
    if (this.#parts.policy.unpriced === 'allow' && !request.client.hasBudget) return plan;
    const priced = plan.candidates.filter(({ target }) => this.#expectation.heldFor(target) !== null);
    if (priced.length > 0) return { ...plan, candidates: priced };
    throw new WaybillError('unpriced_model', {
      message: `The model \`${request.model}\` has no price, so its cost would be unknown; set \`pricing\` for it.`,
      param: 'model',
    });
  }

  /** The client's own limits: taken once for the request, however many attempts it needs. */
  async #admit(plan: Plan): Promise<void> {
    const scopes = [this.#request.client.limits];
    const first = (plan.candidates[0] as Candidate).target;
    const ask = {
      queue: `client:${this.#request.client.id}`,
      client: this.#request.client.id,
      options: [{ option: 'client', scopes }],
      tokens: this.#expectation.tokensFor(first, scopes),
      maxWaitMs: this.#parts.policy.queueMaxWaitMs,
      signal: this.#flight.signal,
    };
    this.#clientReservation = this.#parts.limiter.tryReserve(ask) ?? (await this.#parts.limiter.reserve(ask));
    this.#flight.endAfter(first.timeouts.totalMs, first.timeouts.totalMs);
  }

  async #tryInOrder(plan: Plan): Promise<RoutedAnswer> {
    let { candidates } = plan;
    for (let index = 0; index < candidates.length; index += 1) {
      const { target } = candidates[index] as Candidate;
      if (!this.#parts.health.tryProbe(target.id)) continue;
      const untried = candidates.length - index - 1;
      const answer = await this.#tryTarget(target, untried);
      if (answer !== null) return answer;
      if (this.#attempts >= this.#parts.policy.retry.maxAttempts) break;
      candidates = this.#withoutTooSmall(candidates, index);
    }
    throw this.#exhausted(plan);
  }

  /** Attempts on one target until it answers, or the next one should be tried: then null. */
  async #tryTarget(target: Target, untried: number): Promise<RoutedAnswer | null> {
    const { retry } = this.#parts.policy;
    // One attempt is kept back for each target not yet tried.
    const mayTry = () => this.#attempts < Math.max(retry.maxAttempts - untried, this.#attempts === 0 ? 1 : 0);
    let first = true;
    for (let retries = 0; first || mayTry(); retries += 1) {
      if (this.#attempts >= retry.maxAttempts) return null;
      first = false;
      const lease = await this.#lease(target, untried);
      if (lease === null) return null;
      const { result, underWay } = await this.#attempt(target, lease);
      if (result.kind === 'answer') return this.#answered(result, underWay);
      if (result.kind === 'stream') return this.#streaming(result, underWay);
      const verdict = this.#failedAttempt(result, underWay);
      if (!(await this.#goOn(verdict, target, untried, retries, mayTry))) return null;
    }
    return null;
  }

  /** Carries a verdict out: waits where it says so; false when this target is not to be tried again. */
  async #goOn(
    verdict: Verdict,
    target: Target,
    untried: number,
    retries: number,
    mayTry: () => boolean,
  ): Promise<boolean> {
    const last = (this.#failed.at(-1) as FailedAttempt).failure;
    switch (verdict.action) {
      case 'reject':
        throw rejectedError(last);
      case 'fall-back':
        return false;
      case 'rotate-key':
        // Without another key the next target comes before waiting for this one.
        return untried === 0 || this.#hasUnusedKey(target);
      case 'wait':
        if (untried > 0 || !mayTry() || this.#waits.leftMs <= 0) return false;
        await this.#waits.wait(verdict.afterMs, this.#flight.signal);
        return true;
      case 'retry': {
        if (!mayTry()) return false;
        const back = backoffMs(retries, this.#parts.policy.retry, this.#parts.random);
        const wait = Math.max(verdict.afterMs ?? 0, back);
        const hasOtherKey = this.#hasUnusedKey(target);
        if (wait > this.#waits.leftMs && !hasOtherKey) return false;
        await this.#waits.wait(hasOtherKey ? Math.min(wait, back) : wait, this.#flight.signal);
        return true;
      }
    }
  }

  #hasUnusedKey(target: Target): boolean {
    return target.keys.candidates(this.#usedKeys).some((key) => !this.#usedKeys.has(key.id));
  }

  /** A key with room; waits for one that cools down where nothing else is left. Null: try the next target. */
  async #lease(target: Target, untried: number): Promise<Lease | null> {
    const parts = this.#parts;
    for (;;) {
      const readyInMs = target.keys.readyInMs();
      if (readyInMs === null) return null;
      if (readyInMs > 0) {
        if (untried > 0 || readyInMs > this.#waits.leftMs) return null;
        await this.#waits.wait(readyInMs, this.#flight.signal);
        continue;
      }
      try {
        const lease = await leaseKey({
          target,
          used: this.#usedKeys,
          limiter: parts.limiter,
          tokensFor: (scopes) => this.#expectation.tokensFor(target, scopes),
          client: this.#request.client.id,
          maxWaitMs: untried > 0 ? 0 : parts.policy.queueMaxWaitMs,
          signal: this.#flight.signal,
        });
        if (lease !== null) return lease;
      } catch (error) {
        if (!(error instanceof LimitWaitError)) throw error;
        if (untried > 0 || this.#attempts > 0) {
          this.#record.passedOver(target, error.message);
          return null;
        }
        throw error;
      }
    }
  }

  async #attempt(target: Target, lease: Lease): Promise<{ result: AttemptResult; underWay: UnderWay }> {
    const { clock, health, client, policy } = this.#parts;
    this.#attempts += 1;
    this.#usedKeys.add(lease.key.id);
    this.#origin = { provider: target.providerId, model: target.model, attempts: this.#attempts };
    const plan: AttemptPlan = {
      request: this.#request,
      target,
      key: lease.key,
      reservation: lease.reservation,
      attempt: this.#attempts,
      sentAt: clock.now(),
      firstByteMs: Math.min(policy.retry.timeoutMs, target.timeouts.firstByteMs),
      signal: this.#flight.signal,
      input: this.#expectation.input,
    };
    const underWay: UnderWay = { plan, endLoad: health.begin(target.id) };
    let intended = false;
    try {
      await this.#record.intend(plan, this.#expectation.heldFor(target));
      intended = true;
      return { result: await makeAttempt(plan, client, clock), underWay };
    } catch (error) {
      if (!intended) this.#giveBack(underWay);
      else if (error instanceof WaybillError) this.#notSent(underWay, error);
      else this.#abandoned(underWay, error);
      throw error;
    }
  }

  /** The adapter refused to build the request: nothing was sent. */
  #notSent(underWay: UnderWay, error: WaybillError): void {
    const failure: UpstreamFailure = {
      kind: 'status',
      status: null,
      code: error.code,
      param: error.param,
      type: null,
      message: error.message,
      retryAfterMs: null,
      loadingMs: null,
      shouldRetry: null,
      sent: false,
    };
    this.#settle(underWay, { kind: 'failed', failure, report: null }, null);
  }

  /** Ended from our side before an answer came: the client left, the daemon stops, the time is over. */
  #abandoned(underWay: UnderWay, error: unknown): void {
    this.#settle(underWay, { kind: 'abandoned', ...abandonment(error) }, null);
  }

  #failedAttempt(result: Extract<AttemptResult, { kind: 'failed' }>, underWay: UnderWay): Verdict {
    const { failure } = result;
    const { target, key } = underWay.plan;
    const verdict = target.adapter.classify?.(failure) ?? defaultVerdict(failure);
    target.keys.report(key.id, verdict, failure.message);
    const isTargetsFault = verdict.action === 'retry';
    if (isTargetsFault) this.#parts.health.record(target.id, { ok: false, firstByteMs: null });
    this.#failed.push({ failure, verdict });
    this.#settle(underWay, { kind: 'failed', failure, report: result.report }, result.firstByteAt, failure.message);
    return verdict;
  }

  async #answered(result: Extract<AttemptResult, { kind: 'answer' }>, underWay: UnderWay): Promise<RoutedAnswer> {
    const { answer } = result;
    this.#succeeded(underWay, result.firstByteAt);
    const end: AttemptEnd = {
      kind: 'answered',
      status: result.status,
      report: answer.usage,
      outputTexts: () => answer.outputTexts(),
    };
    const { usage, costNanoUsd } = this.#settle(underWay, end, result.firstByteAt);
    this.#land();
    await this.#record.end({ outcome: 'ok', status: 200, errorCode: null });
    return {
      kind: 'body',
      origin: this.#origin,
      headers: result.headers,
      body: bodyWithCost(answer, this.#request, usage, costNanoUsd),
      costNanoUsd,
    };
  }

  #streaming(result: Extract<AttemptResult, { kind: 'stream' }>, underWay: UnderWay): RoutedAnswer {
    this.#succeeded(underWay, result.firstByteAt);
    if (underWay.plan.target.onDisconnect === 'drain') this.#flight.drainWhenClientLeaves();
    return {
      kind: 'stream',
      origin: this.#origin,
      headers: result.headers,
      pump: (sink) => this.#pump(result.stream, result.firstByteAt, underWay, sink),
    };
  }

  async #pump(stream: OpenStream, firstByteAt: number, underWay: UnderWay, sink: StreamSink): Promise<void> {
    const { reader } = stream;
    const seen = () => ({ report: reader.usage(), outputTexts: () => reader.outputTexts() });
    const guarded: StreamSink = { write: (text) => (this.#flight.clientGone ? undefined : sink.write(text)) };
    try {
      const end = await stream.passTo(guarded);
      if (end.kind === 'broken') {
        await this.#broke(end.failure, underWay, firstByteAt, seen(), sink);
        return;
      }
      const kind = this.#flight.clientGone ? 'drained' : 'answered';
      const settled = this.#settle(underWay, { kind, status: 200, ...seen() }, firstByteAt);
      await this.#record.end(kind === 'answered' ? OK : CANCELLED);
      await sink.write(this.#streamEnd(stream, settled));
    } catch (error) {
      stream.abort();
      await this.#cutShort(error, underWay, firstByteAt, seen(), sink);
    } finally {
      this.#land();
    }
  }

  #streamEnd(stream: OpenStream, settled: Charged): string {
    const { ask } = this.#request;
    const usage = ask.includeUsage
      ? `data: ${usageChunk({
          identity: stream.reader.identity(),
          chunkText: stream.reader.usageChunk(),
          charge: { task: ask.task, usage: settled.usage, costNanoUsd: settled.costNanoUsd },
        })}\n\n`
      : '';
    return `${usage}data: [DONE]\n\n`;
  }

  /** The provider broke the stream after its first content: told in the stream, and never made to look complete. */
  async #broke(
    failure: UpstreamFailure,
    underWay: UnderWay,
    firstByteAt: number,
    seen: { report: UsageReport | null; outputTexts: () => readonly string[] },
    sink: StreamSink,
  ): Promise<void> {
    this.#parts.health.record(underWay.plan.target.id, { ok: false, firstByteMs: null });
    const errorCode = 'upstream_interrupted';
    this.#settle(
      underWay,
      { kind: 'cut', outcome: 'failed', status: 200, errorCode, ...seen },
      firstByteAt,
      failure.message,
    );
    await this.#record.end({ outcome: 'failed', status: 200, errorCode });
    const error = new WaybillError('upstream_interrupted', {
      message: `The provider's stream broke off: ${failure.message}`,
    });
    await sink.write(`data: ${JSON.stringify(error.toBody())}\n\n`);
  }

  /** Ended from our side after the first content: the client left, the daemon stops, the time is over, the ledger failed. */
  async #cutShort(
    error: unknown,
    underWay: UnderWay,
    firstByteAt: number,
    seen: { report: UsageReport | null; outputTexts: () => readonly string[] },
    sink: StreamSink,
  ): Promise<void> {
    if (!this.#record.isSettled(underWay.plan.attempt)) {
      const { outcome, errorCode } = abandonment(error);
      this.#settle(underWay, { kind: 'cut', outcome, status: 200, errorCode, ...seen }, firstByteAt);
      await this.#record.end({ outcome, status: 200, errorCode });
    }
    if (error instanceof ClientGoneError) return;
    const told = error instanceof WaybillError ? error : endedBy(error, 'upstream_interrupted');
    await sink.write(`data: ${JSON.stringify(told.toBody())}\n\n`);
  }

  #succeeded(underWay: UnderWay, firstByteAt: number): void {
    const { target, key, sentAt } = underWay.plan;
    target.keys.report(key.id, 'ok');
    this.#parts.health.record(target.id, { ok: true, firstByteMs: firstByteAt - sentAt });
  }

  /** Writes an attempt's end down, corrects what was reserved for it and gives it back. */
  #settle(underWay: UnderWay, end: AttemptEnd, firstByteAt: number | null, message: string | null = null): Charged {
    const { plan } = underWay;
    const call = { request: this.#request, target: plan.target, attempt: plan.attempt, firstByteAt, input: plan.input };
    const settled = settleCall(call, end, this.#parts.meter, this.#parts.clock.now());
    const wasRefused = end.kind === 'failed' && settled.usage === null;
    const tokens = wasRefused ? 0 : settled.usage === null ? null : totalTokens(settled.usage.counts);
    const isLowerBound = settled.usage?.source === 'lower-bound';
    plan.reservation.settle(tokens, isLowerBound);
    if (!wasRefused) this.#clientReservation?.settle(tokens, isLowerBound);
    this.#giveBack(underWay);
    this.#record.settled(plan, settled, message);
    return { usage: settled.usage, costNanoUsd: settled.settlement.costNanoUsd };
  }

  #giveBack(underWay: UnderWay): void {
    underWay.endLoad();
    underWay.plan.reservation.release();
  }

  #land(): void {
    this.#clientReservation?.release();
    this.#clientReservation = null;
    this.#flight.land();
  }

  /** A prompt that was too long for one target is not tried on a window that is no larger. */
  #withoutTooSmall(candidates: readonly Candidate[], index: number): readonly Candidate[] {
    const last = this.#failed.at(-1)?.failure;
    const window = candidates[index]?.target.contextWindow ?? null;
    if (last === undefined || window === null || !isContextLength(last)) return candidates;
    return candidates.filter(
      ({ target }, at) => at <= index || (target.contextWindow ?? Number.POSITIVE_INFINITY) > window,
    );
  }

  #exhausted(plan: Plan): WaybillError {
    const waits = plan.candidates.map(({ target }) => {
      const keys = target.keys.readyInMs();
      return keys === null ? null : Math.max(keys, this.#parts.health.retryInMs(target.id));
    });
    const known = waits.filter((wait): wait is number => wait !== null && wait > 0);
    return exhaustedError({
      failed: this.#failed,
      allKeysDisabled: waits.every((wait) => wait === null),
      someKeyCooling: plan.candidates.some(({ target }) => (target.keys.readyInMs() ?? 0) > 0),
      retryAfterMs: known.length === 0 ? null : Math.min(...known),
    });
  }

  /** Turns whatever ended the journey into the client's error, and writes the request's end down. */
  async #refusal(cause: unknown): Promise<WaybillError> {
    const error = toWaybillError(cause);
    const outcome =
      cause instanceof ClientGoneError
        ? 'cancelled'
        : cause instanceof ShutdownError
          ? 'interrupted'
          : this.#attempts === 0 || !this.#record.hasAttempts()
            ? 'refused'
            : 'failed';
    await this.#record.endQuietly({ outcome, status: error.status, errorCode: error.code });
    return Object.assign(error, { origin: this.#origin });
  }
}

interface Charged {
  usage: ReturnType<typeof settleCall>['usage'];
  /** Null when unknown. */
  costNanoUsd: NanoUsd | null;
}

const OK = { outcome: 'ok', status: 200, errorCode: null } as const;
const CANCELLED = { outcome: 'cancelled', status: 200, errorCode: 'client_gone' } as const;

function bodyWithCost(
  answer: TaskAnswer,
  request: RoutedRequest,
  usage: Charged['usage'],
  costNanoUsd: NanoUsd | null,
): string {
  return withCost(answer.body, { task: request.ask.task, usage, costNanoUsd });
}

function abandonment(error: unknown): { outcome: 'failed' | 'cancelled' | 'interrupted'; errorCode: string } {
  if (error instanceof ClientGoneError) return { outcome: 'cancelled', errorCode: 'client_gone' };
  if (error instanceof ShutdownError) return { outcome: 'interrupted', errorCode: 'shutting_down' };
  if (error instanceof TotalTimeoutError) return { outcome: 'failed', errorCode: 'upstream_timeout' };
  return { outcome: 'failed', errorCode: 'internal_error' };
}

function toWaybillError(cause: unknown): WaybillError {
  if (cause instanceof WaybillError) return cause;
  if (cause instanceof LimitWaitError) return limitError(cause);
  return endedBy(cause, 'upstream_timeout');
}

function endedBy(cause: unknown, timeoutCode: 'upstream_timeout' | 'upstream_interrupted'): WaybillError {
  if (cause instanceof TotalTimeoutError) return new WaybillError(timeoutCode, { message: `${cause.message}.` });
  if (cause instanceof ShutdownError) {
    return new WaybillError('shutting_down', { message: 'The router is stopping.', retryAfterMs: 1_000 });
  }
  if (cause instanceof ClientGoneError) return new WaybillError('internal_error', { message: cause.message, cause });
  return new WaybillError('internal_error', { message: 'Something went wrong inside the router.', cause });
}

function limitError(error: LimitWaitError): WaybillError {
  if (error.reason === 'never-fits') {
    return new WaybillError('request_exceeds_limit', { message: error.message });
  }
  return new WaybillError('rate_limit_exceeded', { message: error.message, retryAfterMs: error.retryAfterMs ?? 1_000 });
}
