import type { CacheHit } from '../domain/cache-hit.js';
import type { RoutedRequest } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import type { AttemptSettlement, LedgerEntry, RequestIntent, RequestSettlement } from '../domain/ledger.js';
import type { NanoUsd } from '../domain/money.js';
import type { Plan, Target } from '../domain/route.js';
import type { AttemptPlan } from './attempt-plan.js';
import type { CachedAnswer } from './cached-answers.js';
import type { Decision } from './decisions.js';
import type { DispatchParts } from './parts.js';
import type { Settled } from './settlement.js';

export interface RequestEnd {
  outcome: RequestSettlement['outcome'];
  status: number;
  errorCode: string | null;
}

/**
 * What the ledger, the log and the metrics are told of one request. An attempt's end is written together with
 * whatever comes next: the next attempt's intent, or the request's end.
 */
export class Record {
  readonly #parts: DispatchParts;
  readonly #request: RoutedRequest;
  #decision: Decision | null = null;
  #intended = 0;
  #pending: AttemptSettlement | null = null;
  #lastPlan: AttemptPlan | null = null;
  #lastSentAt = 0;
  #firstByteMs: number | null = null;
  #upstreamMs = 0;
  #costNanoUsd: NanoUsd | null = 0n;
  #ended = false;

  constructor(parts: DispatchParts, request: RoutedRequest) {
    this.#parts = parts;
    this.#request = request;
  }

  decided(plan: Plan): void {
    this.#decision = this.#parts.decisions.of(plan);
  }

  /** Nothing is planned and nothing sent: the answer is that of another request. */
  answeredFromCache({ inferenceId, provider, model }: Pick<CachedAnswer, 'inferenceId' | 'provider' | 'model'>): void {
    const hit: CacheHit = { cache_hit: { inference_id: inferenceId, provider, model } };
    this.#decision = { ...hit, candidates: [], excluded: [] };
  }

  passedOver(target: Target, reason: string): void {
    if (this.#decision === null) return;
    const excluded = [...this.#decision.excluded, { provider: target.providerId, model: target.model, reason }];
    this.#decision = { ...this.#decision, excluded };
  }

  /** Of all attempts so far; null when one of them is unknown. */
  get costNanoUsd(): NanoUsd | null {
    return this.#costNanoUsd;
  }

  /** True once an attempt's intent is durable. */
  hasAttempts(): boolean {
    return this.#intended > 0;
  }

  /** True once the attempt's row is durable. */
  isIntended({ attempt }: AttemptPlan): boolean {
    return this.#intended >= attempt;
  }

  /**
   * Resolves once the attempt's row is durable: only then may the call be made, and `intended` has to be told.
   * @throws WaybillError ledger_unavailable
   */
  intend(plan: AttemptPlan, heldNanoUsd: NanoUsd | null): Promise<void> {
    const { target } = plan;
    return this.#write({
      attemptIntent: {
        inferenceId: this.#request.inferenceId,
        attempt: plan.attempt,
        sentAt: plan.sentAt,
        provider: target.providerId,
        providerModel: target.upstream.providerModel,
        key: plan.key.id,
        region: target.region,
        heldNanoUsd,
        priceId: target.price?.id ?? null,
        reservedTokens: plan.reservation.tokens,
      },
    });
  }

  /** The attempt's row is durable, and the call is made. */
  intended(plan: AttemptPlan): void {
    this.#intended = plan.attempt;
    this.#lastPlan = plan;
    this.#lastSentAt = plan.sentAt;
  }

  settled(plan: AttemptPlan, { settlement, usage, cost }: Settled, message: string | null): void {
    const { target } = plan;
    this.#pending = settlement;
    const durationMs = settlement.endedAt - this.#lastSentAt;
    this.#upstreamMs += durationMs;
    if (settlement.firstByteAt !== null) this.#firstByteMs = settlement.firstByteAt - this.#request.receivedAt;
    this.#costNanoUsd =
      this.#costNanoUsd === null || settlement.costNanoUsd === null ? null : this.#costNanoUsd + settlement.costNanoUsd;
    this.#parts.observer.attemptEnded({
      inferenceId: this.#request.inferenceId,
      attempt: plan.attempt,
      provider: target.providerId,
      providerModel: target.upstream.providerModel,
      key: plan.key.id,
      outcome: settlement.outcome,
      status: settlement.status,
      errorCode: settlement.errorCode,
      message,
      durationMs,
      firstByteMs: settlement.firstByteAt === null ? null : settlement.firstByteAt - this.#lastSentAt,
      usage,
      costNanoUsd: cost === null ? 0n : settlement.costNanoUsd,
    });
  }

  /**
   * Resolves once the request's end is durable: only then may the client see the end of its answer.
   * @throws WaybillError ledger_unavailable
   */
  end(end: RequestEnd): Promise<void> {
    if (this.#ended) return Promise.resolve();
    this.#ended = true;
    const endedAt = this.#parts.clock.now();
    this.#report(end, endedAt);
    return this.#write({
      requestSettlement: {
        inferenceId: this.#request.inferenceId,
        endedAt,
        outcome: end.outcome,
        status: end.status,
        errorCode: end.errorCode,
        decision: this.#decision,
      },
    });
  }

  /** The same where the client is told of an error already: a ledger that cannot write is logged. */
  async endQuietly(end: RequestEnd): Promise<void> {
    try {
      await this.end(end);
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      const { inferenceId } = this.#request;
      this.#parts.logger.error({ inferenceId, err: error }, 'the end of a request could not be recorded');
    }
  }

  /** With what stands before it: the request's row, or the end of the attempt before. */
  #write(entry: LedgerEntry): Promise<void> {
    if (this.#intended === 0) entry.request = this.#requestIntent();
    if (this.#pending !== null) entry.attemptSettlement = this.#pending;
    this.#pending = null;
    return this.#parts.ledger.write(entry);
  }

  #requestIntent(): RequestIntent {
    const request = this.#request;
    return {
      inferenceId: request.inferenceId,
      receivedAt: request.receivedAt,
      client: request.client.id,
      tags: request.tags,
      endpoint: request.endpoint,
      task: request.ask.task,
      model: request.model,
      region: request.region ?? request.client.access.region,
      stream: request.ask.stream,
      configGeneration: this.#parts.policy.configGeneration,
    };
  }

  #report(end: RequestEnd, endedAt: number): void {
    const request = this.#request;
    this.#parts.observer.requestEnded({
      inferenceId: request.inferenceId,
      client: request.client.id,
      endpoint: request.endpoint,
      model: request.model,
      provider: this.#lastPlan?.target.providerId ?? null,
      providerModel: this.#lastPlan?.target.upstream.providerModel ?? null,
      stream: request.ask.stream,
      outcome: end.outcome,
      status: end.status,
      errorCode: end.errorCode,
      attempts: this.#intended,
      durationMs: endedAt - request.receivedAt,
      firstByteMs: this.#firstByteMs,
      upstreamMs: this.#upstreamMs,
      costNanoUsd: this.#costNanoUsd,
    });
  }
}
