import type { Given } from './given.js';
import { refuse } from './refuse.js';

/** Without effect on the answer, and without a place here. */
const LEFT_OUT = ['stream_options', 'store', 'prediction', 'prompt_cache_key', 'prompt_cache_retention'] as const;

/** Parameters that would change the answer and have no place here, each with the values that ask for nothing. */
const REFUSED: ReadonlyArray<readonly [name: string, isNothing: (value: unknown) => boolean, why: string]> = [
  ['n', (value) => value === 1, 'one answer is given to a request'],
  ['logprobs', (value) => value === false, 'no probabilities of tokens are given'],
  ['top_logprobs', (value) => value === 0, 'no probabilities of tokens are given'],
  ['logit_bias', isEmpty, 'tokens cannot be weighted'],
  ['seed', () => false, 'answers cannot be repeated'],
  ['frequency_penalty', (value) => value === 0, 'there are no penalties'],
  ['presence_penalty', (value) => value === 0, 'there are no penalties'],
  ['modalities', (value) => Array.isArray(value) && value.every((item) => item === 'text'), 'only text is given'],
  ['audio', () => false, 'only text is given'],
  ['verbosity', (value) => value === 'medium', 'there is no such setting; say it in the prompt'],
  ['web_search_options', () => false, 'the search of this provider is not offered here'],
  ['functions', (value) => Array.isArray(value) && value.length === 0, 'is not taken; `tools` are'],
  ['function_call', (value) => value === 'none', 'is not taken; `tool_choice` is'],
];

/**
 * Takes out what has no place in a request to Claude.
 * Source: https://platform.claude.com/docs/en/api/openai-sdk, which lists what its own layer for OpenAI's dialect ignores
 * @throws WaybillError invalid_request for a parameter that would have changed the answer
 */
export function leaveOutUnsupported(given: Given): void {
  for (const name of LEFT_OUT) given.take(name);
  for (const [name, isNothing, why] of REFUSED) {
    const value = given.take(name);
    if (value !== undefined && !isNothing(value)) refuse(name, why);
  }
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
