import type { LimitAsk, LimitDemand, LimitOption, LimitScope } from '../domain/limit.js';
import type { Clock, Logger } from '../domain/ports.js';
import { Line, Ticket } from './line.js';
import { type Expected, neverFits, queueFull, tooLong } from './refusals.js';
import { HeldReservation, type ReservationHome } from './reservation.js';
import { canEverFit, type ScopeState, ScopeStates } from './scopes.js';

/** The longest sleep at a time; what is far off is looked at again on the way. */
const MAX_SLEEP_MS = 3_600_000;

/**
 * Who may go now, and who is next. Admission is counting, without promises. Those for whom there is no room stand in
 * lines and are looked at again, all in one pass, whenever something was given back or time has made room.
 *
 * In a pass every waiter claims the scopes it found no room in. Nobody behind it, and no newcomer, takes from a claimed
 * scope, so a large request is not starved by small ones, while requests for other scopes go past it.
 */
export class Turns implements ReservationHome {
  readonly states = new ScopeStates();
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #maxLength: () => number;
  readonly #lines = new Map<string, Line>();
  #depth = 0;
  #arrivals = 0;
  #pass = 0;
  #isPassDue = false;
  #nextDeadline = Number.POSITIVE_INFINITY;
  #wakeAt = Number.POSITIVE_INFINITY;
  #alarm: AbortController | null = null;
  #latest = Number.NEGATIVE_INFINITY;
  #clockOffset = 0;

  constructor(options: { clock: Clock; queueMaxLength: () => number; logger: Logger }) {
    this.#clock = options.clock;
    this.#maxLength = options.queueMaxLength;
    this.#logger = options.logger;
  }

  get depth(): number {
    return this.#depth;
  }

  /** Milliseconds that never go back, whatever is done to the machine's clock. */
  now(): number {
    let now = this.#clock.now() + this.#clockOffset;
    if (now < this.#latest) {
      this.#clockOffset += this.#latest - now;
      now = this.#latest;
    }
    this.#latest = now;
    return now;
  }

  /** Room in the first option that has it, or null. */
  take({ options, tokens }: LimitDemand): HeldReservation | null {
    const now = this.now();
    for (const option of options) {
      if (this.isFree(option.scopes, tokens, now)) return new HeldReservation(this, option, tokens, now);
    }
    return null;
  }

  /** True when there is room in every scope, and nobody waits for it. */
  isFree(scopes: readonly LimitScope[], tokens: number, now: number): boolean {
    for (const scope of scopes) {
      const state = this.states.get(scope.id, now);
      if (this.#isClaimed(state) || !state.hasRoom(scope.settings, tokens, now)) return false;
    }
    return true;
  }

  /**
   * Stands in line.
   * @throws LimitWaitError when that is of no use: never-fits, queue-full, too-long
   */
  enter(ask: LimitAsk): Ticket {
    const now = this.now();
    const options = ask.options.filter((option) =>
      option.scopes.every(({ settings }) => canEverFit(settings, ask.tokens)),
    );
    if (options.length === 0) throw neverFits(ask);
    const expected = this.#expect(options, ask.tokens, now);
    const deadline = now + ask.maxWaitMs;
    if (ask.maxWaitMs <= 0 || expected.at > deadline) throw tooLong(ask, expected, now);
    if (this.#depth >= this.#maxLength()) throw queueFull(ask, expected, now);

    const ticket = new Ticket({ ask, options, deadline, nth: this.#arrivals });
    this.#arrivals += 1;
    let line = this.#lines.get(ask.queue);
    if (line === undefined) {
      line = new Line();
      this.#lines.set(ask.queue, line);
    }
    line.join(ticket);
    this.#depth += 1;
    this.#nextDeadline = Math.min(this.#nextDeadline, deadline);
    this.#wakeBy(Math.min(this.#claim(ticket, now), deadline), now);
    return ticket;
  }

  /** Takes a ticket out of its line, which then fails with `reason`. Does nothing when it is not in line. */
  leave(ticket: Ticket, reason: unknown): void {
    const line = this.#lines.get(ticket.ask.queue);
    if (line === undefined || !line.leave(ticket)) return;
    this.#depth -= 1;
    if (line.length === 0) this.#lines.delete(ticket.ask.queue);
    ticket.fail(reason);
    if (this.#depth === 0) this.#rest();
    else this.changed();
  }

  /** Something was given back: one pass for everything that happened in this tick. */
  changed(): void {
    if (this.#isPassDue || this.#depth === 0) return;
    this.#isPassDue = true;
    queueMicrotask(() => {
      this.#isPassDue = false;
      this.#lookAtAll();
    });
  }

  /** Sends everybody away. */
  dismissAll(reason: unknown): void {
    for (const line of [...this.#lines.values()]) {
      for (const ticket of [...line.tickets()]) this.leave(ticket, reason);
    }
  }

  #lookAtAll(): void {
    const now = this.now();
    this.#pass += 1;
    let wakeAt = Number.POSITIVE_INFINITY;
    // Where one was turned away each of its options is claimed, so there is nothing for others who ask for the same.
    const blocked = new Set<string>();
    for (const [name, line] of [...this.#lines]) {
      const anyServed = line.serveAround((ticket) => {
        if (blocked.has(ticket.flow)) return false;
        const reservation = this.#serve(ticket, now);
        if (reservation === null) {
          wakeAt = Math.min(wakeAt, this.#claim(ticket, now));
          blocked.add(ticket.flow);
          return false;
        }
        this.#depth -= 1;
        ticket.grant(reservation);
        return true;
      });
      if (!anyServed) continue;
      // Lines take turns as clients do, so that of two lines for one key none is always first.
      this.#lines.delete(name);
      if (line.length > 0) this.#lines.set(name, line);
    }
    if (now >= this.#nextDeadline) this.#expire(now);
    if (this.#depth === 0) this.#rest();
    else this.#wakeBy(Math.min(wakeAt, this.#nextDeadline), now);
  }

  #serve(ticket: Ticket, now: number): HeldReservation | null {
    for (const option of ticket.options) {
      if (this.isFree(option.scopes, ticket.ask.tokens, now)) {
        return new HeldReservation(this, option, ticket.ask.tokens, now);
      }
    }
    return null;
  }

  /** Marks what this waiter found no room in. Returns the first instant at which time may have made room for it. */
  #claim(ticket: Ticket, now: number): number {
    const wanted: ScopeState[] = [];
    let instant = Number.POSITIVE_INFINITY;
    for (const { scopes } of ticket.options) {
      if (scopes.some((scope) => this.#isClaimed(this.states.get(scope.id, now)))) continue;
      let optionAt = now;
      for (const scope of scopes) {
        const state = this.states.get(scope.id, now);
        if (state.hasRoom(scope.settings, ticket.ask.tokens, now)) continue;
        wanted.push(state);
        optionAt = Math.max(optionAt, state.roomAt(scope.settings, ticket.ask.tokens, now));
      }
      // Where only a running call stands in the way no alarm is of use: its release starts the next pass.
      if (optionAt > now) instant = Math.min(instant, optionAt);
    }
    for (const state of wanted) state.claimedInPass = this.#pass;
    return instant;
  }

  #isClaimed(state: ScopeState): boolean {
    return this.#depth > 0 && state.claimedInPass === this.#pass;
  }

  #expect(options: readonly LimitOption[], tokens: number, now: number): Expected {
    let best: Expected | null = null;
    for (const { scopes } of options) {
      const found: Expected = { at: now, scopeId: scopes[0]?.id ?? '' };
      for (const scope of scopes) {
        const state = this.states.get(scope.id, now);
        const at = state.roomAt(scope.settings, tokens, now);
        const isFirstLacking = found.at === now && !state.hasRoom(scope.settings, tokens, now);
        if (at > found.at || isFirstLacking) {
          found.at = at;
          found.scopeId = scope.id;
        }
      }
      if (best === null || found.at < best.at) best = found;
    }
    return best ?? { at: now, scopeId: '' };
  }

  #expire(now: number): void {
    this.#nextDeadline = Number.POSITIVE_INFINITY;
    for (const line of [...this.#lines.values()]) {
      for (const ticket of [...line.tickets()]) {
        if (ticket.deadline > now) {
          this.#nextDeadline = Math.min(this.#nextDeadline, ticket.deadline);
          continue;
        }
        this.leave(ticket, tooLong(ticket.ask, this.#expect(ticket.options, ticket.ask.tokens, now), now));
      }
    }
  }

  /** Nobody waits: nothing is claimed, and nothing has to wake. */
  #rest(): void {
    this.#pass += 1;
    this.#nextDeadline = Number.POSITIVE_INFINITY;
    this.#cancelAlarm();
  }

  #wakeBy(at: number, now: number): void {
    if (at >= this.#wakeAt) return;
    this.#cancelAlarm();
    this.#wakeAt = at;
    const alarm = new AbortController();
    this.#alarm = alarm;
    this.#clock.sleep(Math.max(1, Math.min(at - now, MAX_SLEEP_MS)), alarm.signal).then(
      () => {
        if (this.#alarm !== alarm) return;
        this.#alarm = null;
        this.#wakeAt = Number.POSITIVE_INFINITY;
        this.#lookAtAll();
      },
      (error: unknown) => {
        if (!alarm.signal.aborted) this.#logger.error({ err: error }, 'the alarm of the waiting line failed');
      },
    );
  }

  #cancelAlarm(): void {
    this.#wakeAt = Number.POSITIVE_INFINITY;
    this.#alarm?.abort();
    this.#alarm = null;
  }
}
