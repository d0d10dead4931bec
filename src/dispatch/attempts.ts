import type { AnswerOrigin, RoutedAnswer, RoutedRequest } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import { defaultVerdict, isContextLength, type Verdict } from '../domain/failure.js';
import { LimitWaitError, type StatedLimit } from '../domain/limit.js';
import type { Target } from '../domain/route.js';
import { type AttemptResult, makeAttempt, prepare } from './attempt.js';
import type { AttemptPlan, Prepared } from './attempt-plan.js';
import { backoffMs, type WaitBudget } from './backoff.js';
import { Call, type ClientTokens } from './call.js';
import { type Delivery, deliverStream, settleWhole, wholeAnswer } from './delivery.js';
import { abandonmentOf } from './endings.js';
import { type FailedAttempt, rejectedError } from './exhausted.js';
import type { Expectation } from './expectation.js';
import { keyScope, type Lease, leaseKey } from './lease.js';
import { learnFromFailure } from './lessons.js';
import type { DispatchParts } from './parts.js';
import type { Reading } from './reading.js';
import type { Record } from './record.js';
import type { SecondChances } from './second-chances.js';

const NO_KEYS: ReadonlySet<string> = new Set();

/** What the attempts of a request share with its journey. */
export interface AttemptsOptions {
  parts: DispatchParts;
  request: RoutedRequest;
  record: Record;
  waits: WaitBudget;
  expectation: Expectation;
  clientTokens: ClientTokens;
  chances: SecondChances;
  /** Gives back what the request as a whole has taken. */
  land: () => void;
}

/** The attempts of one request, target by target: what each costs, what its failure means, and what they have seen. */
export class Attempts {
  readonly #shared: AttemptsOptions;
  /** Keys of attempts that failed: used again only where no other is free. */
  #usedKeys: Set<string> | null = null;
  readonly #failed: FailedAttempt[] = [];
  /** The largest window that the prompt was too long for. */
  #exceededWindow = 0;
  #refusedBy: WaybillError | null = null;
  #made = 0;
  #origin: AnswerOrigin = { provider: null, model: null, attempts: 0, limits: [] };

  constructor(options: AttemptsOptions) {
    this.#shared = options;
  }

  get made(): number {
    return this.#made;
  }

  get failed(): readonly FailedAttempt[] {
    return this.#failed;
  }

  /** Why a target could not take the request, the last that could not. */
  get refusedBy(): WaybillError | null {
    return this.#refusedBy;
  }

  /** Of the last attempt. */
  get origin(): AnswerOrigin {
    return this.#origin;
  }

  /** True when the body was passed along as it came, and is gone: there is nothing to send again. */
  get isSpent(): boolean {
    const { carried } = this.#shared.request.ask;
    return carried?.kind === 'form' && carried.isSpent;
  }

  /** True where the prompt was too long for a window that was no smaller. */
  isTooSmall({ contextWindow }: Target): boolean {
    return contextWindow !== null && contextWindow <= this.#exceededWindow;
  }

  /**
   * Attempts on one target until it answers, or the next one should be tried: then null. Beside one for each untried
   * target, `kept` attempts are kept back. A whole answer is settled, its request's end durable.
   * @throws WaybillError ledger_unavailable when it cannot be recorded
   */
  async on(target: Target, untried: number, kept: number): Promise<RoutedAnswer | null> {
    const { retry } = this.#shared.parts.policy;
    const prepared = this.#prepare(target);
    if (prepared === null) return null;
    let first = true;
    for (let retries = 0; first || this.#mayTry(untried + kept); retries += 1) {
      if (this.#made >= retry.maxAttempts) return null;
      first = false;
      const leased = this.#lease(target, untried);
      const lease = leased instanceof Promise ? await leased : leased;
      if (lease === null) return null;
      const call = this.#open(target, lease, prepared);
      let result: AttemptResult;
      try {
        await this.#shared.record.intend(call.plan, this.#shared.expectation.heldFor(target));
        this.#shared.record.intended(call.plan);
        result = await makeAttempt(call.plan, this.#shared.parts);
      } catch (error) {
        this.#abandon(call, error);
        throw error;
      }
      this.#observe(call.plan, result.stated);
      const { reading } = result;
      if (reading.kind !== 'failed') {
        const delivery = this.#answered(reading, call);
        if (reading.kind === 'stream') return deliverStream(delivery, reading);
        const usage = settleWhole(delivery, reading);
        // Waited for here, and not by a function of its own: every promise on the way is one more for each request.
        await this.#shared.record.end({ outcome: 'ok', status: 200, errorCode: null });
        return wholeAnswer(delivery, reading, usage);
      }
      const verdict = this.#failedAttempt(reading, call);
      if (!(await this.#goOn(verdict, target, { untried, kept, retries }))) return null;
    }
    return null;
  }

  /** One attempt is kept back for each target not yet tried. */
  #mayTry(keptBack: number): boolean {
    const { maxAttempts } = this.#shared.parts.policy.retry;
    return !this.isSpent && this.#made < Math.max(maxAttempts - keptBack, this.#made === 0 ? 1 : 0);
  }

  /** What is to be sent to the target; null when its adapter cannot do what is asked, and others may. */
  #prepare(target: Target): Prepared | null {
    try {
      const upstream = this.#shared.expectation.bounded(target);
      return prepare(this.#shared.request, target, upstream);
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      this.#refusedBy = error;
      this.#shared.record.passedOver(target, error.message);
      return null;
    }
  }

  /** Carries a verdict out: waits where it says so; false when this target is not to be tried again. */
  async #goOn(
    verdict: Verdict,
    target: Target,
    { untried, kept, retries }: { untried: number; kept: number; retries: number },
  ): Promise<boolean> {
    const mayTry = this.#mayTry(untried + kept);
    const last = (this.#failed.at(-1) as FailedAttempt).failure;
    // Its breaker opened: the next target comes before more of this one.
    if (untried > 0 && verdict.action !== 'reject' && this.#shared.parts.health.isOpen(target.id)) return false;
    switch (verdict.action) {
      case 'reject':
        throw rejectedError(last);
      case 'fall-back':
        return false;
      case 'rotate-key':
        this.#noteCooldown(target);
        // Without another key the next target comes before waiting for this one.
        return untried === 0 || this.#hasUnusedKey(target);
      case 'wait':
        if (untried > 0) this.#shared.chances.readyIn(target, verdict.afterMs);
        if (untried > 0 || !mayTry || this.#shared.waits.leftMs <= 0) return false;
        await this.#shared.waits.wait(verdict.afterMs, this.#shared.request.life.signal);
        return true;
      case 'retry': {
        if (!mayTry) return false;
        const back = backoffMs(retries, this.#shared.parts.policy.retry, this.#shared.parts.random);
        const wait = Math.max(verdict.afterMs ?? 0, back);
        const hasOtherKey = this.#hasUnusedKey(target);
        if (wait > this.#shared.waits.leftMs && !hasOtherKey) return false;
        await this.#shared.waits.wait(hasOtherKey ? Math.min(wait, back) : wait, this.#shared.request.life.signal);
        return true;
      }
    }
  }

  /** By the time the other targets have been asked, the first key may be ready again. */
  #noteCooldown(target: Target): void {
    const readyInMs = target.keys.readyInMs();
    if (readyInMs !== null && readyInMs > 0) this.#shared.chances.readyIn(target, readyInMs);
  }

  #hasUnusedKey(target: Target): boolean {
    return target.keys.usable().some((key) => this.#usedKeys?.has(key.id) !== true);
  }

  /** A key with room; a promise of it only where it has to be waited for. Null: try the next target. */
  #lease(target: Target, untried: number): Lease | null | Promise<Lease | null> {
    if (target.keys.readyInMs() !== 0) return this.#waitAndLease(target, untried);
    const lease = this.#leaseNow(target, untried);
    if (lease instanceof Promise) return this.#passedOverOr(lease, target, untried);
    // The keys that were ready are not any more.
    return lease ?? this.#waitAndLease(target, untried);
  }

  /** The same where every key cools down, and is waited for if nothing else is left. */
  async #waitAndLease(target: Target, untried: number): Promise<Lease | null> {
    for (;;) {
      const readyInMs = target.keys.readyInMs();
      if (readyInMs === null) return null;
      if (readyInMs > 0) {
        if (
          untried > 0 ||
          readyInMs > this.#shared.waits.leftMs ||
          this.#shared.chances.isOtherSooner(target, readyInMs)
        ) {
          this.#shared.record.passedOver(target, `every key cools down, the first for ${readyInMs} ms`);
          return null;
        }
        await this.#shared.waits.wait(readyInMs, this.#shared.request.life.signal);
        continue;
      }
      const lease = this.#leaseNow(target, untried);
      if (lease instanceof Promise) return this.#passedOverOr(lease, target, untried);
      if (lease !== null) return lease;
    }
  }

  #leaseNow(target: Target, untried: number): Lease | null | Promise<Lease> {
    const { limiter, policy } = this.#shared.parts;
    return leaseKey({
      target,
      used: this.#usedKeys ?? NO_KEYS,
      limiter,
      expectation: this.#shared.expectation,
      client: this.#shared.request.client.id,
      maxWaitMs: untried > 0 ? 0 : policy.queueMaxWaitMs,
      life: this.#shared.request.life,
    });
  }

  /** A target without room is passed over where there is another, or was. */
  async #passedOverOr(lease: Promise<Lease>, target: Target, untried: number): Promise<Lease | null> {
    try {
      return await lease;
    } catch (error) {
      if (!(error instanceof LimitWaitError) || (untried === 0 && this.#made === 0)) throw error;
      this.#shared.record.passedOver(target, error.message);
      return null;
    }
  }

  /** The call ended from our side, or could not even be written down. */
  #abandon(call: Call, cause: unknown): void {
    const { plan } = call;
    this.#shared.parts.health.abandonProbe(plan.target.id);
    if (this.#shared.record.isIntended(plan)) {
      call.settle({ kind: 'abandoned', wasSent: plan.wasSent, ...abandonmentOf(cause) }, null);
    } else call.giveBack();
  }

  /** Of a brought key nothing is kept, its limits neither. */
  #observe({ target, key }: AttemptPlan, stated: readonly StatedLimit[]): void {
    if (stated.length === 0 || target.isBrought === true) return;
    for (const limit of stated) this.#shared.parts.limiter.observe(keyScope(key), limit);
  }

  /** Takes the worst case out of the budget; what was leased is given back when it does not fit. */
  #open(target: Target, lease: Lease, prepared: Prepared): Call {
    const { clock, policy, budgets } = this.#shared.parts;
    const { id } = this.#shared.request.client;
    try {
      const isOurs = target.isBrought !== true && budgets.has(id);
      const hold = isOurs ? budgets.hold(id, this.#shared.expectation.heldFor(target) ?? 0n) : null;
      this.#made += 1;
      this.#origin = { provider: target.providerId, model: target.model, attempts: this.#made, limits: [] };
      const plan: AttemptPlan = {
        request: this.#shared.request,
        target,
        upstream: prepared.upstream,
        prepared,
        counted: () => this.#shared.expectation.countedFor(target),
        key: lease.key,
        reservation: lease.reservation,
        wasSent: false,
        attempt: this.#made,
        sentAt: clock.now(),
        firstByteMs: Math.min(policy.retry.timeoutMs, target.timeouts.firstByteMs),
        input: this.#shared.expectation.input,
      };
      return new Call({
        plan,
        parts: this.#shared.parts,
        record: this.#shared.record,
        hold,
        clientTokens: this.#shared.clientTokens,
      });
    } catch (error) {
      lease.reservation.settle(0, false);
      lease.reservation.release();
      throw error;
    }
  }

  #failedAttempt(result: Extract<Reading, { kind: 'failed' }>, call: Call): Verdict {
    const { failure } = result;
    const { target, key } = call.plan;
    this.#usedKeys ??= new Set();
    this.#usedKeys.add(key.id);
    const verdict = target.adapter.classify?.(failure) ?? defaultVerdict(failure);
    target.keys.report(key.id, verdict, failure.message);
    const now = this.#shared.parts.clock.now();
    learnFromFailure(this.#shared.parts.health, call.plan, { failure, verdict, now });
    this.#failed.push({ failure, verdict });
    if (isContextLength(failure)) this.#exceededWindow = Math.max(this.#exceededWindow, target.contextWindow ?? 0);
    call.settle({ kind: 'failed', failure, report: result.report }, result.firstByteAt, failure.message);
    return verdict;
  }

  /** The target and its key are well. What is still to be done with the answer. */
  #answered(result: Exclude<Reading, { kind: 'failed' }>, call: Call): Delivery {
    const { target, key, sentAt } = call.plan;
    const { health, limiter } = this.#shared.parts;
    target.keys.report(key.id, 'ok');
    health.record(target.id, { ok: true, firstByteMs: result.firstByteAt - sentAt });
    const origin = (): AnswerOrigin => {
      const own = limiter.snapshot(this.#shared.request.client.limits);
      const isOwn = own.length > 0 || target.isBrought === true;
      const { provider, model, attempts } = this.#origin;
      return { provider, model, attempts, limits: isOwn ? own : limiter.snapshot(keyScope(key)) };
    };
    return { call, parts: this.#shared.parts, record: this.#shared.record, origin, land: this.#shared.land };
  }
}
