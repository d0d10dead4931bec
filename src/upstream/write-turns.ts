/** Something that can be written to: a kept connection with a call to carry. */
export interface Writer {
  /** Throws nothing: others wait for their turn behind it. */
  write(): void;
}

/**
 * When a kept connection is written to that became free in this very turn of the event loop, or that its server may not
 * mean to keep: after the loop has looked at what came on it since. A server that closes a connection it said it would keep is met by no request then, unless both are under way at once.
 */
export class WriteTurns {
  /** How often the loop has looked since something was asked of this. */
  count = 0;
  #due: Writer[] = [];
  #dueNext: Writer[] = [];
  #immediate: NodeJS.Immediate | null = null;

  /** A connection became free: the loop's next look is counted. */
  expect(): void {
    this.#immediate ??= setImmediate(() => this.#turn());
  }

  /** Writes after the loop's next look, or the one after that: for a connection that became free in this very turn. */
  add(writer: Writer, isFresh: boolean): void {
    if (isFresh) this.#dueNext.push(writer);
    else this.#due.push(writer);
    this.expect();
  }

  #turn(): void {
    this.count += 1;
    this.#immediate = null;
    const due = this.#due;
    this.#due = this.#dueNext;
    this.#dueNext = [];
    if (this.#due.length > 0) this.expect();
    for (const writer of due) writer.write();
  }
}
