import { endOfString } from './json-scan.js';

/**
 * JSON without white space, the members of every object in the order of their keys, strings escaped in one way. Numbers
 * keep their text, so that none is mistaken for another; a key that comes twice keeps both values. `text` must be valid
 * JSON that does not nest too deep, as `parseJsonBody` says of a body.
 */
export function canonicalJson(text: string): string {
  return new Canon(text).value();
}

/** From where it stands: what a number, `true`, `false` or `null` may be made of. */
const LITERAL = /[-+.\w]*/y;

class Canon {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(): string {
    const first = this.#peek();
    if (first === '{') return this.#object();
    if (first === '[') return this.#array();
    return first === '"' ? this.#string() : this.#literal();
  }

  #object(): string {
    const members: Array<[key: string, member: string]> = [];
    this.#at += 1;
    while (this.#peek() === '"') {
      const key = this.#string();
      this.#peek();
      // The colon.
      this.#at += 1;
      members.push([key, `${key}:${this.value()}`]);
      if (this.#peek() === ',') this.#at += 1;
    }
    this.#at += 1;
    // Stable: values of one key stay in their order.
    members.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return `{${members.map(([, member]) => member).join(',')}}`;
  }

  #array(): string {
    const items: string[] = [];
    this.#at += 1;
    while (this.#at < this.#text.length && this.#peek() !== ']') {
      items.push(this.value());
      if (this.#peek() === ',') this.#at += 1;
    }
    this.#at += 1;
    return `[${items.join(',')}]`;
  }

  #string(): string {
    const end = endOfString(this.#text, this.#at) + 1;
    const raw = this.#text.slice(this.#at, end);
    this.#at = end;
    return raw.includes('\\') ? JSON.stringify(JSON.parse(raw)) : raw;
  }

  #literal(): string {
    LITERAL.lastIndex = this.#at;
    const literal = LITERAL.exec(this.#text)?.[0] ?? '';
    this.#at += literal.length;
    return literal;
  }

  /** The next character that is no space. */
  #peek(): string {
    let code = this.#text.charCodeAt(this.#at);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
      this.#at += 1;
      code = this.#text.charCodeAt(this.#at);
    }
    return this.#text.charAt(this.#at);
  }
}
