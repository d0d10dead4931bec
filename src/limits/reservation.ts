import type { LimitOption, LimitSettings, Reservation } from '../domain/limit.js';
import type { ScopeState, ScopeStates } from './scopes.js';

/** What a reservation needs of the limiter that gave it. */
export interface ReservationHome {
  readonly states: ScopeStates;
  now(): number;
  /** Something was given back: those who wait are looked at again. */
  changed(): void;
}

/** Less than this between taking and sending is within what windows hold a slot longer for. */
const SENT_AT_ONCE_MS = 50;

/** One scope that room was taken in. */
interface Held {
  state: ScopeState;
  settings: LimitSettings;
}

/** Room taken in every scope of one option. */
export class HeldReservation implements Reservation {
  readonly #home: ReservationHome;
  readonly option: string;
  /** Looked up once: a state that something runs in is never forgotten. */
  readonly #held: readonly Held[];
  #at: number;
  #tokens: number;
  #isReleased = false;

  /** Takes the room; the caller has made sure that there is some. */
  constructor(home: ReservationHome, option: LimitOption, tokens: number, now: number) {
    this.#home = home;
    this.option = option.option;
    this.#at = now;
    this.#tokens = tokens;
    this.#held = option.scopes.map(({ id, settings }) => {
      const state = home.states.get(id, now);
      state.take(settings, tokens, now);
      return { state, settings };
    });
  }

  get tokens(): number {
    return this.#tokens;
  }

  sent(): void {
    const now = this.#home.now();
    if (this.#isReleased || now - this.#at < SENT_AT_ONCE_MS) return;
    for (const { state, settings } of this.#held) state.move(settings, this.#tokens, this.#at, now);
    this.#at = now;
  }

  settle(tokens: number | null, isLowerBound: boolean): void {
    if (tokens === null || tokens === this.#tokens) return;
    if (isLowerBound && tokens < this.#tokens) return;
    const now = this.#home.now();
    const delta = tokens - this.#tokens;
    this.#tokens = tokens;
    for (const { state, settings } of this.#held) state.correctTokens(settings, delta, this.#at, now);
    this.#home.changed();
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    for (const { state } of this.#held) state.release();
    this.#home.changed();
  }

  /** As if it had never been given: for a request that left before anything was sent. */
  undo(): void {
    const now = this.#home.now();
    for (const { state, settings } of this.#held) state.undo(settings, this.#tokens, this.#at, now);
    this.#tokens = 0;
    this.release();
  }
}
