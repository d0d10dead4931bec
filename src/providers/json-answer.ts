import type { AnswerFault, UpstreamAnswer } from '../domain/provider.js';
import type { JsonObject } from '../domain/task.js';
import { faultIn, malformed } from '../wire/fault.js';
import { isJsonObject, parseJsonObject } from '../wire/json-object.js';
import { answerText, isBeyondText, notJson, TOO_LARGE } from '../wire/openai-answer.js';

/** An answer's JSON object and its text, or why it is none: too large, no JSON, an error inside a 200. */
export function readJsonAnswer(
  answer: UpstreamAnswer,
): { fault: null; value: JsonObject; text: string } | { fault: AnswerFault } {
  if (isBeyondText(answer)) return { fault: malformed(TOO_LARGE) };
  const text = answerText(answer);
  const value = parseJsonObject(text);
  if (value === null) return { fault: malformed(notJson(text)) };
  const fault = faultIn(value);
  return fault === null ? { fault: null, value, text } : { fault };
}

export function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** The objects of a list; none where it is no list. */
export function objectsIn(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}
