import type { JsonObject } from '../../domain/task.js';
import { isJsonObject } from '../../wire/json-object.js';
import { objectsIn } from '../json-answer.js';

/**
 * A candidate's `logprobsResult` as OpenAI's `logprobs`; null where there is none.
 * Source: https://ai.google.dev/api/generate-content#LogprobsResult
 */
export function toLogprobs(result: unknown): JsonObject | null {
  const chosen = listIn(result, 'chosenCandidates');
  if (chosen.length === 0) return null;
  const top = listIn(result, 'topCandidates');
  const content = chosen.map((token, index) => ({
    ...toToken(token),
    top_logprobs: listIn(top[index], 'candidates').map(toToken),
  }));
  return { content, refusal: null };
}

function listIn(holder: unknown, name: string): JsonObject[] {
  return objectsIn(isJsonObject(holder) ? holder[name] : undefined);
}

function toToken(token: JsonObject): JsonObject {
  const text = typeof token['token'] === 'string' ? token['token'] : '';
  // A probability of one has a logarithm of zero, which may be left out.
  return { token: text, logprob: token['logProbability'] ?? 0, bytes: [...Buffer.from(text)] };
}
