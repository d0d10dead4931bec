/** How finely a window remembers: in slices of this share of its length, and never finer than 10 ms. */
const SLICES_PER_WINDOW = 6_000;
const LONG_SLICES_PER_WINDOW = 1_000;
const SHORT_WINDOW_MS = 60_000;
const MIN_SLICE_MS = 10;

/**
 * We count when a request is sent, the provider when it arrives. A slot therefore stays taken a little longer than the
 * window, so that a slow request followed by a fast one is not one too many: 500 ms on a minute, less on shorter ones.
 */
const ARRIVAL_MARGIN = { partOfWindow: 1 / 120, maxMs: 500 };

const FIRST_CAPACITY = 8;
/** An empty window gives its memory back when it had grown beyond this. */
const KEPT_CAPACITY = 256;

/**
 * What was taken in the last `windowMs`, wherever the window starts: a ring of slices, each with the sum of what was
 * taken in it. A slice counts until its last instant is older than the window, so the sum is never too low; memory is
 * bounded by the number of slices. Instants are milliseconds of a clock that never goes back.
 */
export class RollingWindow {
  readonly windowMs: number;
  readonly #sliceMs: number;
  /** From the start of a slice until it no longer counts. */
  readonly #holdMs: number;
  #indexes = new Float64Array(FIRST_CAPACITY);
  #sums = new Float64Array(FIRST_CAPACITY);
  #head = 0;
  #length = 0;
  #used = 0;

  constructor(windowMs: number) {
    this.windowMs = windowMs;
    const slices = windowMs <= SHORT_WINDOW_MS ? SLICES_PER_WINDOW : LONG_SLICES_PER_WINDOW;
    this.#sliceMs = Math.max(MIN_SLICE_MS, Math.ceil(windowMs / slices));
    const marginMs = Math.min(ARRIVAL_MARGIN.maxMs, windowMs * ARRIVAL_MARGIN.partOfWindow);
    this.#holdMs = this.#sliceMs + windowMs + marginMs;
  }

  /** What still counts at `now`. */
  used(now: number): number {
    while (this.#length > 0 && this.#expiryOf(this.#head) <= now) {
      this.#used -= this.#sums[this.#head] as number;
      this.#head = (this.#head + 1) & (this.#indexes.length - 1);
      this.#length -= 1;
    }
    if (this.#length === 0) this.#reset();
    return this.#used;
  }

  /** Takes `amount` at `at`, which is not before any earlier instant. */
  add(at: number, amount: number): void {
    if (amount === 0) return;
    const index = Math.floor(at / this.#sliceMs);
    const last = (this.#head + this.#length - 1) & (this.#indexes.length - 1);
    if (this.#length > 0 && (this.#indexes[last] as number) >= index) {
      this.#sums[last] = (this.#sums[last] as number) + amount;
    } else {
      if (this.#length === this.#indexes.length) this.#grow();
      const next = (this.#head + this.#length) & (this.#indexes.length - 1);
      this.#indexes[next] = index;
      this.#sums[next] = amount;
      this.#length += 1;
    }
    this.#used += amount;
  }

  /** Corrects what was taken at `at` by `delta`. Nothing happens when that instant has left the window. */
  correct(at: number, delta: number, now: number): void {
    if (delta === 0) return;
    this.used(now);
    const index = Math.floor(at / this.#sliceMs);
    const mask = this.#indexes.length - 1;
    let high = this.#length - 1;
    // Slices have numbers of their own: no more of them follow one than numbers do. A call's is most often among the last few.
    const newest = this.#indexes[(this.#head + high) & mask] as number;
    let low = Math.max(0, high - (newest - index));
    while (low <= high) {
      const middle = (low + high) >> 1;
      const slot = (this.#head + middle) & mask;
      const found = this.#indexes[slot] as number;
      if (found === index) {
        const sum = this.#sums[slot] as number;
        const corrected = Math.max(0, sum + delta);
        this.#sums[slot] = corrected;
        this.#used += corrected - sum;
        return;
      }
      if (found < index) low = middle + 1;
      else high = middle - 1;
    }
    // Taken as 0 (which leaves no slice) and now known to be more: counted as new, which is too long rather than too short.
    if (delta > 0 && at + this.windowMs > now) this.add(now, delta);
  }

  /** What was taken at `at` is taken at `now` instead, which is not before any earlier instant. */
  move(at: number, now: number, amount: number): void {
    if (Math.floor(at / this.#sliceMs) === Math.floor(now / this.#sliceMs)) return;
    this.correct(at, -amount, now);
    this.add(now, amount);
  }

  /** The first instant from `now` on at which no more than `ceiling` counts; Infinity when that is below zero. */
  fallsTo(ceiling: number, now: number): number {
    let left = this.used(now);
    if (ceiling < 0) return Number.POSITIVE_INFINITY;
    if (left <= ceiling) return now;
    const mask = this.#indexes.length - 1;
    let slot = this.#head;
    for (let nth = 0; nth < this.#length; nth += 1) {
      slot = (this.#head + nth) & mask;
      left -= this.#sums[slot] as number;
      if (left <= ceiling) break;
    }
    return this.#expiryOf(slot);
  }

  /** The instant from which nothing counts any more. */
  emptyAt(now: number): number {
    if (this.used(now) === 0) return now;
    return this.#expiryOf((this.#head + this.#length - 1) & (this.#indexes.length - 1));
  }

  /** The same takings in a window of another length. */
  resized(windowMs: number): RollingWindow {
    const other = new RollingWindow(windowMs);
    for (let nth = 0; nth < this.#length; nth += 1) {
      const slot = (this.#head + nth) & (this.#indexes.length - 1);
      const endOfSlice = ((this.#indexes[slot] as number) + 1) * this.#sliceMs - 1;
      other.add(endOfSlice, this.#sums[slot] as number);
    }
    return other;
  }

  #expiryOf(slot: number): number {
    return (this.#indexes[slot] as number) * this.#sliceMs + this.#holdMs;
  }

  #grow(): void {
    const mask = this.#indexes.length - 1;
    const indexes = new Float64Array(this.#indexes.length * 2);
    const sums = new Float64Array(this.#indexes.length * 2);
    for (let nth = 0; nth < this.#length; nth += 1) {
      const slot = (this.#head + nth) & mask;
      indexes[nth] = this.#indexes[slot] as number;
      sums[nth] = this.#sums[slot] as number;
    }
    this.#indexes = indexes;
    this.#sums = sums;
    this.#head = 0;
  }

  #reset(): void {
    this.#head = 0;
    this.#used = 0;
    if (this.#indexes.length <= KEPT_CAPACITY) return;
    this.#indexes = new Float64Array(FIRST_CAPACITY);
    this.#sums = new Float64Array(FIRST_CAPACITY);
  }
}
