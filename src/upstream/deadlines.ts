import { performance } from 'node:perf_hooks';

/** One wait. */
export interface Deadline {
  readonly ms: number;
  readonly expire: () => void;
  /** Null while it does not run. */
  line: Line | null;
  /** On `performance.now()`'s clock. */
  dueAt: number;
  before: Deadline | null;
  after: Deadline | null;
}

/** Waits of one length, the first to expire first, and the one timer they share. */
interface Line {
  first: Deadline;
  last: Deadline;
  timer: NodeJS.Timeout;
}

/**
 * Deadlines that are hardly ever reached. Those of one length expire in the order they began in: while any of them runs
 * they share one timer, which looks again when it is due. Nothing is left behind by the last.
 */
export class Deadlines {
  readonly #lines = new Map<number, Line>();

  start(ms: number, expire: () => void, now: number = performance.now()): Deadline {
    const deadline: Deadline = { ms, expire, line: null, dueAt: 0, before: null, after: null };
    this.join(deadline, now);
    return deadline;
  }

  /** Begins anew; nothing for one that was stopped. */
  restart(deadline: Deadline): void {
    if (deadline.line === null) return;
    this.stop(deadline);
    this.join(deadline);
  }

  stop(deadline: Deadline): void {
    const { line, before, after, ms } = deadline;
    if (line === null) return;
    if (before === null && after === null) {
      clearTimeout(line.timer);
      this.#lines.delete(ms);
    }
    if (before !== null) before.after = after;
    else if (after !== null) line.first = after;
    if (after !== null) after.before = before;
    else if (before !== null) line.last = before;
    deadline.line = null;
    deadline.before = null;
    deadline.after = null;
  }

  /** Begins one that does not run. */
  join(deadline: Deadline, now: number = performance.now()): void {
    const { ms } = deadline;
    deadline.dueAt = now + ms;
    const line = this.#lines.get(ms);
    if (line === undefined) {
      deadline.line = { first: deadline, last: deadline, timer: setTimeout(() => this.#look(ms), ms) };
      this.#lines.set(ms, deadline.line);
      return;
    }
    deadline.line = line;
    deadline.before = line.last;
    line.last.after = deadline;
    line.last = deadline;
  }

  #look(ms: number): void {
    const line = this.#lines.get(ms);
    // One that ended with its last, and was begun anew by it, has a timer of its own.
    while (line !== undefined && this.#lines.get(ms) === line) {
      const { first } = line;
      const leftMs = first.dueAt - performance.now();
      if (leftMs > 0) {
        line.timer = setTimeout(() => this.#look(ms), leftMs);
        return;
      }
      this.stop(first);
      first.expire();
    }
  }
}
