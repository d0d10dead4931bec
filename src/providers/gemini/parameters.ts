import type { UpstreamTarget } from '../../domain/provider.js';
import type { TaskRequest } from '../../domain/task.js';

/**
 * The parameters of a request, as texts: what the config adds under what the client gave, without what the target drops.
 * A null is as good as nothing.
 */
export class Parameters {
  readonly #texts = new Map<string, string>();

  constructor(request: TaskRequest, target: UpstreamTarget) {
    for (const key in target.extraBody) this.#texts.set(key, JSON.stringify(target.extraBody[key]));
    for (const [key, raw] of request.body.members) this.#texts.set(key, raw);
    for (const name of target.dropParams) this.#texts.delete(name);
  }

  /** The text of a parameter's value, which is then dealt with. */
  take(name: string): string | undefined {
    const raw = this.#texts.get(name);
    this.#texts.delete(name);
    return raw === 'null' ? undefined : raw;
  }

  /** The same, parsed. */
  takeValue(name: string): unknown {
    const raw = this.take(name);
    return raw === undefined ? undefined : JSON.parse(raw);
  }

  /** What nobody has dealt with: Gemini's own members, and what it may refuse itself. */
  rest(): ReadonlyMap<string, string> {
    return this.#texts;
  }
}
