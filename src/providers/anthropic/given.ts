import type { UpstreamTarget } from '../../domain/provider.js';
import type { TaskRequest } from '../../domain/task.js';

/**
 * What the client asked, over what the config adds, without what the target drops. A member that is null was not given.
 * Each is taken once, by whoever has a place for it; the rest is passed on under its own name.
 */
export class Given {
  readonly #values = new Map<string, unknown>();
  readonly #texts = new Map<string, string>();

  constructor(request: TaskRequest, target: UpstreamTarget) {
    for (const key in target.extraBody) this.#set(key, target.extraBody[key], JSON.stringify(target.extraBody[key]));
    for (const [key, text] of request.body.members) this.#set(key, request.body.value[key], text);
    for (const name of target.dropParams) this.#delete(name);
  }

  /** The value of a member, its text left behind; undefined where it was not given. */
  take(name: string): unknown {
    return this.takeBoth(name).value;
  }

  takeBoth(name: string): { value: unknown; text: string | undefined } {
    const both = { value: this.#values.get(name), text: this.#texts.get(name) };
    this.#delete(name);
    return both;
  }

  /** What nobody took. */
  rest(): ReadonlyMap<string, string> {
    return this.#texts;
  }

  #set(key: string, value: unknown, text: string): void {
    if (value === null) {
      this.#delete(key);
      return;
    }
    this.#values.set(key, value);
    this.#texts.set(key, text);
  }

  #delete(key: string): void {
    this.#values.delete(key);
    this.#texts.delete(key);
  }
}
