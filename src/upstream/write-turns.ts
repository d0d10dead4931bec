/** Something that can be written to: a kept connection with a call to carry. */
export interface Writer {
  write(): void;
}

/**
 * When a kept connection is written to: after the event loop has looked at what came on it. A server that closes a
 * connection it said it would keep is met by no request then, unless both are under way at the same time.
 */
export class WriteTurns {
  /** How often the loop has looked. */
  count = 0;
  #due: Writer[] = [];
  #dueNext: Writer[] = [];
  #immediate: NodeJS.Immediate | null = null;

  /** `freeSince` is the count when the connection became free: in this turn its end may not have been looked for yet. */
  add(writer: Writer, freeSince: number): void {
    if (freeSince === this.count) this.#dueNext.push(writer);
    else this.#due.push(writer);
    this.#immediate ??= setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.count += 1;
    this.#immediate = null;
    const due = this.#due;
    this.#due = this.#dueNext;
    this.#dueNext = [];
    if (this.#due.length > 0) this.#immediate = setImmediate(() => this.#turn());
    for (const writer of due) writer.write();
  }
}
