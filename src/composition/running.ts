import type { Config } from '../config/config.js';
import type { Serving } from './serving.js';

/** The one reference that a reload swaps. */
export class Running {
  #config: Config;
  #serving: Serving | null = null;

  constructor(first: Config) {
    this.#config = first;
  }

  get config(): Config {
    return this.#config;
  }

  /** What answers the next request; there is one as soon as the router listens. */
  get serving(): Serving {
    if (this.#serving === null) throw new Error('nothing has been built yet');
    return this.#serving;
  }

  swap(next: Serving): void {
    this.#serving = next;
    this.#config = next.generation.config;
  }
}
