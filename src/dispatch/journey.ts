import type { AnswerOrigin, RoutedAnswer, RoutedRequest } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import { defaultVerdict, isContextLength, type Verdict } from '../domain/failure.js';
import { LimitWaitError } from '../domain/limit.js';
import type { UpstreamTarget } from '../domain/provider.js';
import type { Candidate, Plan, Target } from '../domain/route.js';
import { type AttemptPlan, type AttemptResult, makeAttempt, type Prepared, prepare } from './attempt.js';
import { backoffMs, WaitBudget } from './backoff.js';
import { Call, ClientTokens } from './call.js';
import { type Delivery, deliverStream, deliverWhole } from './delivery.js';
import { abandonmentOf, refusedEnd, toWaybillError } from './endings.js';
import { exhaustedError, type FailedAttempt, rejectedError } from './exhausted.js';
import { Expectation } from './expectation.js';
import { keyScope, type Lease, leaseKey } from './lease.js';
import type { DispatchParts } from './parts.js';
import { Record } from './record.js';
import { TotalDeadline } from './total-deadline.js';

/**
 * One request on its way: plan, attempts in order, and one end. Whatever happens is settled exactly once, and what
 * was taken is given back.
 */
export class Journey {
  readonly #parts: DispatchParts;
  readonly #request: RoutedRequest;
  readonly #record: Record;
  readonly #waits: WaitBudget;
  readonly #expectation: Expectation;
  readonly #usedKeys = new Set<string>();
  readonly #failed: FailedAttempt[] = [];
  readonly #clientTokens = new ClientTokens();
  #refusedBy: WaybillError | null = null;
  #deadline: TotalDeadline | null = null;
  #attempts = 0;
  #origin: AnswerOrigin = { provider: null, model: null, attempts: 0, limits: [] };

  constructor(parts: DispatchParts, request: RoutedRequest) {
    this.#parts = parts;
    this.#request = request;
    this.#record = new Record(parts, request);
    this.#waits = new WaitBudget(parts.policy.retry.maxWaitMs, parts.clock);
    this.#expectation = new Expectation(request, parts);
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
    if (this.#parts.policy.unpriced === 'allow' && !this.#parts.budgets.has(request.client.id)) return plan;
    const priced = plan.candidates.filter(({ target }) => {
      if (this.#expectation.heldFor(target) !== null) return true;
      this.#record.passedOver(target, 'its cost would be unknown');
      return false;
    });
    if (priced.length > 0) return { ...plan, candidates: priced };
    throw new WaybillError('unpriced_model', {
      message: `The model \`${request.model}\` has no price, so its cost would be unknown; set \`pricing\` for it.`,
      param: 'model',
    });
  }

  /** The client's own limits: taken once for the request, however many attempts it needs. */
  async #admit(plan: Plan): Promise<void> {
    const { life } = this.#request;
    const scopes = [this.#request.client.limits];
    const first = (plan.candidates[0] as Candidate).target;
    const ask = {
      queue: `client:${this.#request.client.id}`,
      client: this.#request.client.id,
      options: [{ option: 'client', scopes }],
      tokens: this.#expectation.tokensFor(first, scopes),
      maxWaitMs: this.#parts.policy.queueMaxWaitMs,
    };
    this.#clientTokens.take(
      this.#parts.limiter.tryReserve(ask) ?? (await this.#parts.limiter.reserve({ ...ask, signal: life.signal })),
    );
    this.#deadline = new TotalDeadline(life, first.timeouts.totalMs);
  }

  async #tryInOrder(plan: Plan): Promise<RoutedAnswer> {
    let { candidates } = plan;
    for (let index = 0; index < candidates.length; index += 1) {
      const { target } = candidates[index] as Candidate;
      if (!this.#parts.health.tryProbe(target.id)) {
        this.#record.passedOver(target, 'left alone until its probe has ended');
        continue;
      }
      const untried = candidates.length - index - 1;
      const answer = await this.#tryTarget(target, untried);
      if (answer !== null) return answer;
      if (this.#attempts >= this.#parts.policy.retry.maxAttempts || this.#isSpent) break;
      candidates = this.#withoutTooSmall(candidates, index);
    }
    throw this.#exhausted(plan);
  }

  /** Attempts on one target until it answers, or the next one should be tried: then null. */
  async #tryTarget(target: Target, untried: number): Promise<RoutedAnswer | null> {
    const { retry } = this.#parts.policy;
    // One attempt is kept back for each target not yet tried.
    const mayTry = () =>
      !this.#isSpent && this.#attempts < Math.max(retry.maxAttempts - untried, this.#attempts === 0 ? 1 : 0);
    const prepared = this.#prepare(target);
    if (prepared === null) return null;
    let first = true;
    for (let retries = 0; first || mayTry(); retries += 1) {
      if (this.#attempts >= retry.maxAttempts) return null;
      first = false;
      const lease = await this.#lease(target, untried);
      if (lease === null) return null;
      const { result, call } = await this.#attempt(target, lease, prepared);
      if (result.kind !== 'failed') return this.#deliver(result, call);
      const verdict = this.#failedAttempt(result, call);
      if (!(await this.#goOn(verdict, target, untried, retries, mayTry))) return null;
    }
    return null;
  }

  /** True when the body was passed along as it came, and is gone: there is nothing to send again. */
  get #isSpent(): boolean {
    const { carried } = this.#request.ask;
    return carried?.kind === 'form' && carried.isSpent;
  }

  /** What is to be sent to the target; null when its adapter cannot do what is asked, and others may. */
  #prepare(target: Target): (Prepared & { upstream: UpstreamTarget }) | null {
    try {
      const upstream = this.#expectation.bounded(target);
      return { ...prepare(this.#request, target, upstream), upstream };
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      this.#refusedBy = error;
      this.#record.passedOver(target, error.message);
      return null;
    }
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
        await this.#waits.wait(verdict.afterMs, this.#request.life.signal);
        return true;
      case 'retry': {
        if (!mayTry()) return false;
        const back = backoffMs(retries, this.#parts.policy.retry, this.#parts.random);
        const wait = Math.max(verdict.afterMs ?? 0, back);
        const hasOtherKey = this.#hasUnusedKey(target);
        if (wait > this.#waits.leftMs && !hasOtherKey) return false;
        await this.#waits.wait(hasOtherKey ? Math.min(wait, back) : wait, this.#request.life.signal);
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
        if (untried > 0 || readyInMs > this.#waits.leftMs) {
          this.#record.passedOver(target, `every key cools down, the first for ${readyInMs} ms`);
          return null;
        }
        await this.#waits.wait(readyInMs, this.#request.life.signal);
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
          life: this.#request.life,
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

  async #attempt(
    target: Target,
    lease: Lease,
    prepared: Prepared & { upstream: UpstreamTarget },
  ): Promise<{ result: AttemptResult; call: Call }> {
    const { clock, client, limiter } = this.#parts;
    const call = this.#open(target, lease, prepared);
    let isIntended = false;
    try {
      await this.#record.intend(call.plan, this.#expectation.heldFor(target));
      isIntended = true;
      const result = await makeAttempt(call.plan, client, clock);
      for (const stated of result.stated) limiter.observe(keyScope(lease.key), stated);
      return { result, call };
    } catch (error) {
      this.#parts.health.abandonProbe(target.id);
      if (isIntended) call.settle({ kind: 'abandoned', ...abandonmentOf(error) }, null);
      else call.giveBack();
      throw error;
    }
  }

  /** Takes the worst case out of the budget; what was leased is given back when it does not fit. */
  #open(target: Target, lease: Lease, prepared: Prepared & { upstream: UpstreamTarget }): Call {
    const { clock, policy, budgets } = this.#parts;
    const { id } = this.#request.client;
    try {
      const hold = budgets.has(id) ? budgets.hold(id, this.#expectation.heldFor(target) ?? 0n) : null;
      this.#attempts += 1;
      this.#usedKeys.add(lease.key.id);
      this.#origin = { provider: target.providerId, model: target.model, attempts: this.#attempts, limits: [] };
      const plan: AttemptPlan = {
        request: this.#request,
        target,
        upstream: prepared.upstream,
        prepared,
        counted: () => this.#expectation.countedFor(target),
        key: lease.key,
        reservation: lease.reservation,
        attempt: this.#attempts,
        sentAt: clock.now(),
        firstByteMs: Math.min(policy.retry.timeoutMs, target.timeouts.firstByteMs),
        input: this.#expectation.input,
      };
      return new Call({ plan, parts: this.#parts, record: this.#record, hold, clientTokens: this.#clientTokens });
    } catch (error) {
      lease.reservation.settle(0, false);
      lease.reservation.release();
      throw error;
    }
  }

  #failedAttempt(result: Extract<AttemptResult, { kind: 'failed' }>, call: Call): Verdict {
    const { failure } = result;
    const { target, key } = call.plan;
    const verdict = target.adapter.classify?.(failure) ?? defaultVerdict(failure);
    target.keys.report(key.id, verdict, failure.message);
    if (verdict.action === 'retry') this.#parts.health.record(target.id, { ok: false, firstByteMs: null });
    // Whoever says what is wrong with a request, or with a key, is alive.
    else this.#parts.health.proofOfLife(target.id);
    this.#failed.push({ failure, verdict });
    call.settle({ kind: 'failed', failure, report: result.report }, result.firstByteAt, failure.message);
    return verdict;
  }

  #deliver(result: Exclude<AttemptResult, { kind: 'failed' }>, call: Call): Promise<RoutedAnswer> | RoutedAnswer {
    const { target, key, sentAt } = call.plan;
    const { health, limiter } = this.#parts;
    target.keys.report(key.id, 'ok');
    health.record(target.id, { ok: true, firstByteMs: result.firstByteAt - sentAt });
    const origin = () => {
      const own = limiter.snapshot(this.#request.client.limits);
      return { ...this.#origin, limits: own.length > 0 ? own : limiter.snapshot(keyScope(key)) };
    };
    const delivery: Delivery = {
      call,
      parts: this.#parts,
      record: this.#record,
      origin,
      land: () => this.#land(),
    };
    return result.kind === 'answer' ? deliverWhole(delivery, result) : deliverStream(delivery, result);
  }

  #land(): void {
    this.#clientTokens.release();
    this.#deadline?.clear();
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
    if (this.#failed.length === 0 && this.#refusedBy !== null) return this.#refusedBy;
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
    const wasSent = this.#attempts > 0 && this.#record.hasAttempts();
    await this.#record.endQuietly(refusedEnd(cause, error, wasSent));
    const limits = this.#parts.limiter.snapshot(this.#request.client.limits);
    return Object.assign(error, { origin: { ...this.#origin, limits } });
  }
}
