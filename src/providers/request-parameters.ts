import { WaybillError } from '../domain/errors.js';
import type { UpstreamTarget } from '../domain/provider.js';
import type { TaskRequest } from '../domain/task.js';
import { RawJson } from '../wire/raw-json.js';

/** Parameters that say nothing about the answer: of use to OpenAI alone, or to the router, which has read them. */
const WITHOUT_EFFECT = [
  ...['model', 'stream', 'stream_options', 'user', 'safety_identifier', 'store', 'prompt_cache_key'],
  ...['prompt_cache_retention', 'prediction'],
];
/** Parameters of OpenAI's chat that ask for something a native dialect has no place for. */
const OPENAI_ONLY = ['audio', 'function_call', 'functions', 'logit_bias', 'top_logprobs', 'verbosity'];

/**
 * The parameters of a request on their way into a provider's own dialect: what the config adds under the client's own,
 * without what it drops. Each is taken once; what nobody takes is the provider's own and passes as it was written. Null
 * is as good as absent.
 */
export class RequestParameters {
  readonly #provider: string;
  readonly #members = new Map<string, { value: unknown; raw: string }>();

  /** `provider`: its name, for whoever reads a refusal. */
  constructor(request: TaskRequest, target: UpstreamTarget, provider: string) {
    this.#provider = provider;
    const { value, members } = request.body;
    for (const key in target.extraBody) {
      const added = target.extraBody[key];
      if (!members.has(key)) this.#members.set(key, { value: added, raw: JSON.stringify(added) });
    }
    for (const [key, raw] of members) this.#members.set(key, { value: value[key], raw });
    for (const name of target.dropParams) this.#members.delete(name);
    for (const [key, member] of this.#members) {
      if (member.value === null) this.#members.delete(key);
    }
  }

  has(name: string): boolean {
    return this.#members.has(name);
  }

  take(name: string): unknown {
    const member = this.#members.get(name);
    this.#members.delete(name);
    return member?.value;
  }

  /** The same as it was written; undefined when it is not there. */
  takeRaw(name: string): RawJson | undefined {
    const member = this.#members.get(name);
    this.#members.delete(name);
    return member === undefined ? undefined : new RawJson(member.raw);
  }

  /** What nobody took, as it was written. */
  rest(): { [key: string]: RawJson } {
    return Object.fromEntries([...this.#members].map(([key, { raw }]) => [key, new RawJson(raw)]));
  }

  /** @throws WaybillError invalid_request */
  refuse(param: string, why: string): never {
    throw new WaybillError('invalid_request', { message: `\`${param}\`: ${this.#provider} ${why}`, param });
  }

  /**
   * Takes what makes no difference to the answer, and refuses what this dialect cannot do: several choices, one tool call
   * at a time, sound, OpenAI's own parameters.
   * @throws WaybillError invalid_request
   */
  settleChatCommons(): void {
    for (const name of WITHOUT_EFFECT) this.take(name);
    const n = this.take('n');
    if (n !== undefined && n !== 1) this.refuse('n', 'gives one answer to a request');
    if (this.take('parallel_tool_calls') === false) {
      this.refuse('parallel_tool_calls', 'cannot be held to one tool call at a time');
    }
    const modalities = this.take('modalities');
    if (Array.isArray(modalities) && modalities.some((each) => each !== 'text')) {
      this.refuse('modalities', 'answers with text');
    }
    for (const name of OPENAI_ONLY) {
      if (says(this.take(name))) this.refuse(name, 'has no such parameter');
    }
    // Empty it asks for a search as well.
    if (this.take('web_search_options') !== undefined) this.refuse('web_search_options', 'has no such parameter');
  }

  /** The bound of the answer's tokens, kept within `cap`. 0 and -1 mean no bound to the servers that take them. */
  takeOutputBound(cap: number | null): number | undefined {
    const [current, old] = [this.take('max_completion_tokens'), this.take('max_tokens')];
    const asked = current ?? old;
    const bound = typeof asked === 'number' && asked > 0 ? asked : null;
    return cap === null ? (bound ?? undefined) : Math.min(bound ?? cap, cap);
  }

  /** `stop` as a list. */
  takeStops(): unknown {
    const stop = this.take('stop');
    return typeof stop === 'string' ? [stop] : stop;
  }
}

/** False for what asks for nothing: absent, false, 0, an empty text, list or object. */
function says(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return Boolean(value);
  return Object.keys(value).length > 0;
}
