import type { LimitOption, Reservation } from '../domain/limit.js';
import type { ScopeStates } from './scopes.js';

/** What a reservation needs of the limiter that gave it. */
export interface ReservationHome {
  readonly states: ScopeStates;
  now(): number;
  /** Something was given back: those who wait are looked at again. */
  changed(): void;
}

/** Less than this between taking and sending is within what windows hold a slot longer for. */
const SENT_AT_ONCE_MS = 50;

/** Room taken in every scope of one option. */
export class HeldReservation implements Reservation {
  readonly #home: ReservationHome;
  readonly #taken: LimitOption;
  #at: number;
  #tokens: number;
  #isReleased = false;

  /** Takes the room; the caller has made sure that there is some. */
  constructor(home: ReservationHome, option: LimitOption, tokens: number, now: number) {
    this.#home = home;
    this.#taken = option;
    this.#at = now;
    this.#tokens = tokens;
    for (const scope of option.scopes) home.states.get(scope.id, now).take(scope.settings, tokens, now);
  }

  get option(): string {
    return this.#taken.option;
  }

  get tokens(): number {
    return this.#tokens;
  }

  sent(): void {
    const now = this.#home.now();
    if (this.#isReleased || now - this.#at < SENT_AT_ONCE_MS) return;
    for (const scope of this.#taken.scopes) {
      this.#home.states.get(scope.id, now).move(scope.settings, this.#tokens, this.#at, now);
    }
    this.#at = now;
  }

  settle(tokens: number | null, isLowerBound: boolean): void {
    if (tokens === null || tokens === this.#tokens) return;
    if (isLowerBound && tokens < this.#tokens) return;
    const now = this.#home.now();
    const delta = tokens - this.#tokens;
    this.#tokens = tokens;
    for (const scope of this.#taken.scopes) {
      this.#home.states.get(scope.id, now).correctTokens(scope.settings, delta, this.#at, now);
    }
    this.#home.changed();
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    // What is running is never forgotten, so that it is there.
    for (const scope of this.#taken.scopes) this.#home.states.running(scope.id)?.release();
    this.#home.changed();
  }

  /** As if it had never been given: for a request that left before anything was sent. */
  undo(): void {
    const now = this.#home.now();
    for (const scope of this.#taken.scopes) {
      this.#home.states.get(scope.id, now).undo(scope.settings, this.#tokens, this.#at, now);
    }
    this.#tokens = 0;
    this.release();
  }
}
