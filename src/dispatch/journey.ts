import type { RoutedAnswer, RoutedRequest } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import type { Reservation } from '../domain/limit.js';
import type { Candidate, Plan, Target } from '../domain/route.js';
import { Attempts } from './attempts.js';
import { backoffMs, WaitBudget } from './backoff.js';
import { ClientTokens } from './call.js';
import { refusedEnd, toWaybillError } from './endings.js';
import { exhaustedError } from './exhausted.js';
import { Expectation } from './expectation.js';
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
  readonly #clientTokens = new ClientTokens();
  readonly #chances: SecondChances;
  readonly #attempts: Attempts;
  #deadline: TotalDeadline | null = null;

  constructor(parts: DispatchParts, request: RoutedRequest) {
    this.#parts = parts;
    this.#request = request;
    this.#record = new Record(parts, request);
    this.#chances = new SecondChances(parts);
    this.#waits = new WaitBudget(parts.policy.retry.maxWaitMs, parts.clock);
    this.#expectation = new Expectation(request, parts);
    this.#attempts = new Attempts({
      parts,
      request,
      record: this.#record,
      waits: this.#waits,
      expectation: this.#expectation,
      clientTokens: this.#clientTokens,
      chances: this.#chances,
      land: () => this.#land(),
    });
  }

  async run(): Promise<RoutedAnswer> {
    try {
      const plan = this.#plan();
      const admitted = this.#admit(plan);
      this.#clientTokens.take(admitted instanceof Promise ? await admitted : admitted);
      let { candidates } = plan;
      for (let index = 0; index < candidates.length; index += 1) {
        const { target } = candidates[index] as Candidate;
        if (!this.#parts.health.tryProbe(target.id)) {
          this.#record.passedOver(target, 'left alone until its probe has ended');
          continue;
        }
        const untried = candidates.length - index - 1;
        this.#chances.tried(target);
        const before = this.#attempts.made;
        const answer = await this.#attempts.on(target, untried, plan.lastResorts.length);
        this.#endProbe(target, before);
        if (answer !== null) return answer;
        if (this.#attempts.made >= this.#parts.policy.retry.maxAttempts || this.#attempts.isSpent) break;
        candidates = this.#withoutTooSmall(candidates, index);
      }
      return await this.#lastly(plan);
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
      brought: request.brought,
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

  /** The client's own limits: taken once for the request, however many attempts it needs. A promise where it has to wait. */
  #admit(plan: Plan): Reservation | Promise<Reservation> {
    const { life } = this.#request;
    const { limiter } = this.#parts;
    const scopes = [this.#request.client.limits];
    const first = (plan.candidates[0] as Candidate).target;
    const options = [{ option: 'client', scopes }];
    const tokens = this.#expectation.tokensFor(first, scopes);
    this.#deadline = new TotalDeadline(life, first.timeouts.totalMs);
    const taken = limiter.tryReserve({ options, tokens });
    if (taken !== null) return taken;
    const { id } = this.#request.client;
    const maxWaitMs = this.#parts.policy.queueMaxWaitMs;
    return limiter.reserve({ queue: `client:${id}`, client: id, options, tokens, maxWaitMs, signal: life.signal });
  }

  /** What is left to try once every candidate was. */
  async #lastly(plan: Plan): Promise<RoutedAnswer> {
    if (!this.#attempts.isSpent) {
      const answer = (await this.#tryLastResorts(this.#chances.leftAlone(plan))) ?? (await this.#waitForOne(plan));
      if (answer !== null) return answer;
    }
    throw this.#exhausted(plan);
  }

  /** None is ready: whichever says that it soon will be, the soonest first, as long as waiting and attempts last. */
  async #waitForOne(plan: Plan): Promise<RoutedAnswer | null> {
    const { maxAttempts } = this.#parts.policy.retry;
    while (this.#attempts.made < maxAttempts) {
      const soonest = this.#chances.soonest(plan, this.#waits.leftMs);
      if (soonest === null) return null;
      await this.#waits.wait(soonest.inMs, this.#request.life.signal);
      this.#chances.tried(soonest.target);
      const before = this.#attempts.made;
      // As one of several: where it asks for more time, another may be sooner.
      const answer = await this.#attempts.on(soonest.target, Number.POSITIVE_INFINITY, 0);
      if (answer !== null) return answer;
      if (this.#attempts.made === before) return null;
    }
    return null;
  }

  /** Rounds of one attempt on each. Meanwhile others may find out how one is, which closes its breaker. */
  async #tryLastResorts(targets: readonly Target[]): Promise<RoutedAnswer | null> {
    const { health, policy } = this.#parts;
    for (let round = 0; round < PROBE_ROUNDS && targets.length > 0; round += 1) {
      for (const target of targets) {
        if (this.#attempts.made >= policy.retry.maxAttempts) return null;
        if (this.#attempts.isTooSmall(target) || !health.tryProbe(target.id, true)) continue;
        const before = this.#attempts.made;
        const answer = await this.#attempts.on(target, Number.POSITIVE_INFINITY, 0);
        this.#endProbe(target, before);
        if (answer !== null) return answer;
      }
      const isLast = round + 1 === PROBE_ROUNDS || this.#attempts.made >= policy.retry.maxAttempts;
      if (isLast || this.#waits.leftMs <= 0) return null;
      await this.#waits.wait(backoffMs(round, policy.retry, this.#parts.random), this.#request.life.signal);
    }
    return null;
  }

  /** A probe of which nothing came is the next one's. */
  #endProbe(target: Target, madeBefore: number): void {
    if (this.#attempts.made === madeBefore) this.#parts.health.abandonProbe(target.id);
  }

  #land(): void {
    this.#clientTokens.release();
    this.#deadline?.clear();
  }

  /** A prompt that was too long for one target is not tried on a window that is no larger. */
  #withoutTooSmall(candidates: readonly Candidate[], index: number): readonly Candidate[] {
    return candidates.filter(({ target }, at) => at <= index || !this.#attempts.isTooSmall(target));
  }

  #exhausted(plan: Plan): WaybillError {
    if (this.#attempts.failed.length === 0 && this.#attempts.refusedBy !== null) return this.#attempts.refusedBy;
    const waits = plan.candidates.map(({ target }) => {
      const keys = target.keys.readyInMs();
      return keys === null ? null : Math.max(keys, this.#parts.health.retryInMs(target.id));
    });
    const known = waits.filter((wait): wait is number => wait !== null && wait > 0);
    return exhaustedError({
      failed: this.#attempts.failed,
      broughtFor: plan.candidates.every(({ target }) => target.isBrought === true)
        ? (this.#request.brought?.providerId ?? null)
        : null,
      allKeysDisabled: waits.every((wait) => wait === null),
      someKeyCooling: plan.candidates.some(({ target }) => (target.keys.readyInMs() ?? 0) > 0),
      retryAfterMs: known.length === 0 ? null : Math.min(...known),
    });
  }

  /** Turns whatever ended the journey into the client's error, and writes the request's end down. */
  async #refusal(cause: unknown): Promise<WaybillError> {
    const error = toWaybillError(cause);
    const wasSent = this.#attempts.made > 0 && this.#record.hasAttempts();
    await this.#record.endQuietly(refusedEnd(cause, error, wasSent));
    const limits = this.#parts.limiter.snapshot(this.#request.client.limits);
    return Object.assign(error, { origin: { ...this.#attempts.origin, limits } });
  }
}
