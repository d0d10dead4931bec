import type { AnswerOrigin, RoutedAnswer, RoutedRequest } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import { defaultVerdict, isContextLength, type Verdict } from '../domain/failure.js';
import { LimitWaitError } from '../domain/limit.js';
import type { Candidate, Plan, Target } from '../domain/route.js';
import { type AttemptPlan, makeAttempt, type Prepared, prepare, type Reading } from './attempt.js';
import { backoffMs, WaitBudget } from './backoff.js';
import { Call, ClientTokens } from './call.js';
import { type Delivery, deliverStream, deliverWhole } from './delivery.js';
import { abandonmentOf, refusedEnd, toWaybillError } from './endings.js';
import { exhaustedError, type FailedAttempt, rejectedError } from './exhausted.js';
import { Expectation } from './expectation.js';
import { keyScope, type Lease, leaseKey } from './lease.js';
import type { DispatchParts } from './parts.js';
import { Record } from './record.js';
import { SecondChances } from './second-chances.js';
import { TotalDeadline } from './total-deadline.js';

/** How often a request comes back to targets that are left alone. */
const PROBE_ROUNDS = 3;

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
  readonly #chances: SecondChances;
  /** The largest window that the prompt was too long for. */
  #exceededWindow = 0;
  #refusedBy: WaybillError | null = null;
  #deadline: TotalDeadline | null = null;
  #attempts = 0;
  #origin: AnswerOrigin = { provider: null, model: null, attempts: 0, limits: [] };

  constructor(parts: DispatchParts, request: RoutedRequest) {
    this.#parts = parts;
    this.#request = request;
    this.#record = new Record(parts, request);
    this.#chances = new SecondChances(parts);
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
    const lastResorts = plan.lastResorts.filter((target) => this.#expectation.heldFor(target) !== null);
    if (priced.length > 0) return { ...plan, candidates: priced, lastResorts };
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
    this.#deadline = new TotalDeadline(life, first.timeouts.totalMs);
    this.#clientTokens.take(
      this.#parts.limiter.tryReserve(ask) ?? (await this.#parts.limiter.reserve({ ...ask, signal: life.signal })),
    );
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
      this.#chances.tried(target);
      const answer = await this.#tryProbed(target, untried, plan.lastResorts.length);
      if (answer !== null) return answer;
      if (this.#attempts >= this.#parts.policy.retry.maxAttempts) break;
      candidates = this.#withoutTooSmall(candidates, index);
    }
    const answer = (await this.#tryLastResorts(this.#chances.leftAlone(plan))) ?? (await this.#waitForOne(plan));
    if (answer !== null) return answer;
    throw this.#exhausted(plan);
  }

  /** None is ready: whichever says that it soon will be, the soonest first, as long as waiting and attempts last. */
  async #waitForOne(plan: Plan): Promise<RoutedAnswer | null> {
    const { maxAttempts } = this.#parts.policy.retry;
    while (this.#attempts < maxAttempts) {
      const soonest = this.#chances.soonest(plan, this.#waits.leftMs);
      if (soonest === null) return null;
      await this.#waits.wait(soonest.inMs, this.#request.life.signal);
      this.#chances.tried(soonest.target);
      const before = this.#attempts;
      // As one of several: where it asks for more time, another may be sooner.
      const answer = await this.#tryTarget(soonest.target, Number.POSITIVE_INFINITY, 0);
      if (answer !== null) return answer;
      if (this.#attempts === before) return null;
    }
    return null;
  }

  /** Rounds of one attempt on each. Meanwhile others may find out how one is, which closes its breaker. */
  async #tryLastResorts(targets: readonly Target[]): Promise<RoutedAnswer | null> {
    const { health, policy } = this.#parts;
    for (let round = 0; round < PROBE_ROUNDS && targets.length > 0; round += 1) {
      for (const target of targets) {
        if (this.#attempts >= policy.retry.maxAttempts) return null;
        if (this.#isTooSmall(target) || !health.tryProbe(target.id, true)) continue;
        const answer = await this.#tryProbed(target, Number.POSITIVE_INFINITY, 0);
        if (answer !== null) return answer;
      }
      const isLast = round + 1 === PROBE_ROUNDS || this.#attempts >= policy.retry.maxAttempts;
      if (isLast || this.#waits.leftMs <= 0) return null;
      await this.#waits.wait(backoffMs(round, policy.retry, this.#parts.random), this.#request.life.signal);
    }
    return null;
  }

  /** A probe of which nothing came is the next one's. */
  async #tryProbed(target: Target, untried: number, kept: number): Promise<RoutedAnswer | null> {
    const before = this.#attempts;
    const answer = await this.#tryTarget(target, untried, kept);
    if (this.#attempts === before) this.#parts.health.abandonProbe(target.id);
    return answer;
  }

  /**
   * Attempts on one target until it answers, or the next one should be tried: then null. Beside one for each untried
   * target, `kept` attempts are kept back.
   */
  async #tryTarget(target: Target, untried: number, kept: number): Promise<RoutedAnswer | null> {
    const { retry } = this.#parts.policy;
    // One attempt is kept back for each target not yet tried.
    const mayTry = () => this.#attempts < Math.max(retry.maxAttempts - untried - kept, this.#attempts === 0 ? 1 : 0);
    const prepared = this.#prepare(target);
    if (prepared === null) return null;
    let first = true;
    for (let retries = 0; first || mayTry(); retries += 1) {
      if (this.#attempts >= retry.maxAttempts) return null;
      first = false;
      const lease = await this.#lease(target, untried);
      if (lease === null) return null;
      const { reading, call } = await this.#attempt(target, lease, prepared);
      if (reading.kind !== 'failed') return this.#deliver(reading, call);
      const verdict = this.#failedAttempt(reading, call);
      if (!(await this.#goOn(verdict, target, untried, retries, mayTry))) return null;
    }
    return null;
  }

  /** What is to be sent to the target; null when its adapter cannot do what is asked, and others may. */
  #prepare(target: Target): Prepared | null {
    try {
      const upstream = this.#expectation.bounded(target);
      return prepare(this.#request, target, upstream);
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
    // Its breaker opened: the next target comes before more of this one.
    if (untried > 0 && verdict.action !== 'reject' && this.#parts.health.isOpen(target.id)) return false;
    switch (verdict.action) {
      case 'reject':
        throw rejectedError(last);
      case 'fall-back':
        return false;
      case 'rotate-key':
        // Without another key the next target comes before waiting for this one.
        return untried === 0 || this.#hasUnusedKey(target);
      case 'wait':
        if (untried > 0) this.#chances.loading(target, verdict.afterMs);
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
    return target.keys.usable().some((key) => !this.#usedKeys.has(key.id));
  }

  /** A key with room; waits for one that cools down where nothing else is left. Null: try the next target. */
  async #lease(target: Target, untried: number): Promise<Lease | null> {
    const parts = this.#parts;
    for (;;) {
      const readyInMs = target.keys.readyInMs();
      if (readyInMs === null) return null;
      if (readyInMs > 0) {
        if (untried > 0 || readyInMs > this.#waits.leftMs || this.#chances.isOtherSooner(readyInMs)) {
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

  async #attempt(target: Target, lease: Lease, prepared: Prepared): Promise<{ reading: Reading; call: Call }> {
    const { clock, client, limiter } = this.#parts;
    const call = this.#open(target, lease, prepared);
    let isIntended = false;
    try {
      await this.#record.intend(call.plan, this.#expectation.heldFor(target));
      isIntended = true;
      const { reading, stated } = await makeAttempt(call.plan, client, clock);
      for (const limit of stated) limiter.observe(keyScope(lease.key), limit);
      return { reading, call };
    } catch (error) {
      this.#parts.health.abandonProbe(target.id);
      if (isIntended) call.settle({ kind: 'abandoned', ...abandonmentOf(error) }, null);
      else call.giveBack();
      throw error;
    }
  }

  /** Takes the worst case out of the budget; what was leased is given back when it does not fit. */
  #open(target: Target, lease: Lease, prepared: Prepared): Call {
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

  #failedAttempt(result: Extract<Reading, { kind: 'failed' }>, call: Call): Verdict {
    const { failure } = result;
    const { target, key } = call.plan;
    const verdict = target.adapter.classify?.(failure) ?? defaultVerdict(failure);
    target.keys.report(key.id, verdict, failure.message);
    if (verdict.action === 'retry') {
      // One that is too slow to answer in time is at least so slow.
      const firstByteMs = failure.kind === 'timeout' ? this.#parts.clock.now() - call.plan.sentAt : null;
      this.#parts.health.record(target.id, { ok: false, firstByteMs });
    }
    // Whoever says what is wrong with a request, or with a key, is alive.
    else this.#parts.health.proofOfLife(target.id);
    this.#failed.push({ failure, verdict });
    if (isContextLength(failure)) this.#exceededWindow = Math.max(this.#exceededWindow, target.contextWindow ?? 0);
    call.settle({ kind: 'failed', failure, report: result.report }, result.firstByteAt, failure.message);
    return verdict;
  }

  #deliver(result: Exclude<Reading, { kind: 'failed' }>, call: Call): Promise<RoutedAnswer> | RoutedAnswer {
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
    if (this.#exceededWindow === 0) return candidates;
    return candidates.filter(({ target }, at) => at <= index || !this.#isTooSmall(target));
  }

  #isTooSmall({ contextWindow }: Target): boolean {
    return contextWindow !== null && contextWindow <= this.#exceededWindow;
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
