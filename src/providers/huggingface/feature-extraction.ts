import { WaybillError } from '../../domain/errors.js';
import type { AnswerOutcome, Payload, TaskAnswer, UpstreamAnswer, UpstreamTarget } from '../../domain/provider.js';
import type { TaskRequest } from '../../domain/task.js';
import { toBase64 } from '../../wire/embedding.js';
import { faultIn, malformed } from '../../wire/fault.js';
import { isJsonObject } from '../../wire/json-object.js';
import { arrayItems, writeObject } from '../../wire/json-text.js';
import { answerText, isBeyondText, notJson, TOO_LARGE } from '../../wire/openai-answer.js';
import { poolingOf, toVectors } from './pooling.js';

/** Members that OpenAI's request has and this one does not; the rest (`normalize`, `truncate`, …) is passed on. */
const OPENAI_ONLY = new Set(['model', 'input', 'encoding_format', 'dimensions', 'user']);

/**
 * `{inputs}` with whatever else the client gave.
 * Source: https://huggingface.co/docs/inference-providers/tasks/feature-extraction
 * @throws WaybillError invalid_request for tokens instead of texts, and for `dimensions`
 */
export function prepareFeatureExtraction(request: TaskRequest, target: UpstreamTarget): Payload {
  const { value, members } = request.body;
  const { input, dimensions } = value;
  if (Array.isArray(input) && input.some((item) => typeof item !== 'string')) {
    refuse('input', 'feature extraction takes texts, not tokens');
  }
  if (dimensions !== undefined && dimensions !== null) {
    // Cutting a vector short is only right for models trained for it, and the answer does not say which are.
    refuse('dimensions', 'feature extraction gives vectors of the model’s own length');
  }
  const body = new Map<string, string>([['inputs', members.get('input') ?? 'null']]);
  for (const key in target.extraBody) body.set(key, JSON.stringify(target.extraBody[key]));
  for (const [key, raw] of members) {
    if (!OPENAI_ONLY.has(key)) body.set(key, raw);
  }
  for (const name of target.dropParams) body.delete(name);
  return { kind: 'json', body: writeObject(body) };
}

function refuse(param: string, why: string): never {
  throw new WaybillError('invalid_request', { message: `\`${param}\`: ${why}`, param });
}

/** True for an answer that is a bare array: feature extraction's, whatever was asked. */
export function isFeatureExtraction(answer: UpstreamAnswer): boolean {
  return /^\s*\[/.test(answer.body.subarray(0, 64).toString('latin1'));
}

/**
 * Wraps the arrays into OpenAI's shape. Vectors that come one for each input keep their text; token vectors are pooled
 * as the model's kind says. There is no usage in the answer.
 */
export function readFeatureExtraction(
  answer: UpstreamAnswer,
  request: TaskRequest,
  target: UpstreamTarget,
): AnswerOutcome {
  if (isBeyondText(answer)) return { ok: false, fault: malformed(TOO_LARGE), usage: null };
  const text = answerText(answer);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, fault: malformed(notJson(text)), usage: null };
  }
  if (!Array.isArray(value)) {
    const fault = isJsonObject(value) ? faultIn(value) : null;
    return { ok: false, fault: fault ?? malformed('the provider’s answer is no array of vectors'), usage: null };
  }
  const { input } = request.body.value;
  const inputs = Array.isArray(input) ? input.length : 1;
  const vectors = toVectors(value, inputs, poolingOf(target.providerModel));
  if (vectors === null) {
    const fault = malformed(`the provider’s answer has no vector for each of ${inputs} inputs`);
    return { ok: false, fault, usage: null };
  }
  const texts =
    request.body.value['encoding_format'] === 'base64' ? vectors.map(quoted) : vectorTexts(text, value, vectors);
  return { ok: true, answer: wrapped(texts, target.providerModel) };
}

function wrapped(vectors: readonly string[], model: string): TaskAnswer {
  const data = vectors.map((raw, index) => `{"object":"embedding","index":${index},"embedding":${raw}}`);
  return {
    body: `{"object":"list","data":[${data.join(',')}],"model":${JSON.stringify(model)}}`,
    usage: null,
    outputTexts: () => [],
  };
}

function quoted(vector: readonly number[]): string {
  return JSON.stringify(toBase64(vector));
}

/** Each vector's text as the provider wrote it, where none had to be made. */
function vectorTexts(text: string, value: readonly unknown[], vectors: readonly number[][]): string[] {
  if (typeof value[0] === 'number') return [text.trim()];
  if (value.length === vectors.length && value.every((item, index) => item === vectors[index])) return arrayItems(text);
  return vectors.map((vector) => JSON.stringify(vector));
}
