const REDACTED = '[redacted]';

/**
 * A key or token that prints as `[redacted]` wherever it lands by mistake: string, JSON, inspect. `reveal()` is the one
 * way to its text, and is called only where the text goes on the wire or is compared.
 */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return REDACTED;
  }
}
