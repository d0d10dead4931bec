import type { Random } from '../domain/ports.js';

/** Random numbers that may be looked at before they are drawn: what is drawn next is then what was seen. */
export class Draws {
  readonly #random: Random;
  #seen: number[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  /** Draws the next number. */
  readonly draw: Random = () => this.#seen.shift() ?? this.#random();

  /** The next numbers one by one, none of them drawn. */
  look(): Random {
    let at = 0;
    return () => {
      const seen = this.#seen[at] ?? this.#random();
      this.#seen[at] = seen;
      at += 1;
      return seen;
    };
  }
}
