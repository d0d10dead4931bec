import type { AnswerFault, AnswerOutcome, Payload, UpstreamAnswer, UpstreamTarget } from '../../domain/provider.js';
import type { JsonObject, TaskRequest } from '../../domain/task.js';
import { noCounts, type UsageReport } from '../../domain/usage.js';
import { faultIn, malformed } from '../../wire/fault.js';
import { isJsonObject } from '../../wire/json-object.js';
import { writeObject } from '../../wire/json-text.js';
import { passed } from '../../wire/plain-answer.js';
import { refuse } from '../../wire/task-request.js';
import { secondsOf } from '../answer-date.js';
import { membersOf } from '../json-payload.js';
import { applyRules, type ParameterRules } from '../parameter-rules.js';
import { blockOf, candidatesOf } from './candidate.js';
import { finishFault, toFinishReason } from './finish.js';
import { parseAnswer } from './response.js';
import { readUsage } from './usage.js';

const RULES: ParameterRules = {
  leaveOut: ['user', 'stream', 'partial_images'],
  refuse: ['quality', 'style', 'background', 'moderation', 'output_format', 'output_compression'],
};
const IMAGEN_RATIOS = ['1:1', '3:4', '4:3', '9:16', '16:9'];
const GEMINI_RATIOS = [...IMAGEN_RATIOS, '2:3', '3:2', '4:5', '5:4', '21:9'];

/** Imagen has a method of its own; Gemini's image models answer as a chat does. */
export function isImagen({ providerModel }: UpstreamTarget): boolean {
  return /(^|\/)imagen/.test(providerModel);
}

/**
 * `predict` with `instances` and `parameters` for Imagen, and `generateContent` for an answer of one image otherwise. A size
 * is an aspect ratio; members that OpenAI does not know are parameters of the model.
 * Sources: https://ai.google.dev/gemini-api/docs/imagen, https://ai.google.dev/gemini-api/docs/image-generation
 * @throws WaybillError invalid_request that names what has no place there
 */
export function prepareImage(request: TaskRequest, target: UpstreamTarget): Payload {
  if (request.stream) refuse('stream', 'this provider answers whole; leave it out');
  const rest = membersOf(request, target, applyRules(request, target, RULES));
  const take = (name: string): string => {
    const raw = rest.get(name) ?? 'null';
    rest.delete(name);
    return raw;
  };
  const [prompt, n, format] = [take('prompt'), take('n'), take('response_format')];
  if (format !== 'null' && format !== '"b64_json"') refuse('response_format', 'is `b64_json` at Gemini');
  const imagen = isImagen(target);
  const ratio = aspectRatio(take('size'), imagen ? IMAGEN_RATIOS : GEMINI_RATIOS);
  if (imagen) {
    const parameters = new Map([
      ['sampleCount', n === 'null' ? '1' : n],
      ...(ratio === null ? [] : [['aspectRatio', ratio] as const]),
      ...rest,
    ]);
    return { kind: 'json', body: `{"instances":[{"prompt":${prompt}}],"parameters":${writeObject(parameters)}}` };
  }
  if (n !== 'null' && n !== '1') refuse('n', 'is 1 for models of Gemini, which answer with one image');
  const config = new Map([['responseModalities', '["IMAGE"]'], ...rest]);
  if (ratio !== null && !config.has('imageConfig')) config.set('imageConfig', `{"aspectRatio":${ratio}}`);
  return { kind: 'json', body: `${contentsOf(prompt)},"generationConfig":${writeObject(config)}}` };
}

/** The beginning of a body that asks with one text. */
export function contentsOf(text: string): string {
  return `{"contents":[{"role":"user","parts":[{"text":${text}}]}]`;
}

/** OpenAI's shape: every image in base64. One that was held back is no image, and none at all is told as why. */
export function readImages(answer: UpstreamAnswer, target: UpstreamTarget): AnswerOutcome {
  const parsed = parseAnswer(answer);
  if ('fault' in parsed) return { ok: false, fault: parsed.fault, usage: null };
  const { value } = parsed;
  const told = readUsage(value['usageMetadata'])?.report ?? null;
  const images = isImagen(target) ? predictionsOf(value) : inlineData(value).map(({ data }) => data);
  const fault = faultIn(value) ?? (images.length > 0 ? null : whyNone(value));
  if (fault !== null) return { ok: false, fault, usage: told };
  const created = secondsOf(answer.headers['date']);
  const body = JSON.stringify({ created, data: images.map((data) => ({ b64_json: data })) });
  return passed(body, withImages(told, images.length));
}

function withImages(report: UsageReport | null, images: number): UsageReport {
  const base = report ?? { counts: noCounts(), providerCostUsd: null, problems: [] };
  return { ...base, counts: { ...base.counts, images } };
}

function predictionsOf({ predictions }: JsonObject): string[] {
  const list = Array.isArray(predictions) ? predictions.filter(isJsonObject) : [];
  return list.flatMap(({ bytesBase64Encoded: data }) => (typeof data === 'string' ? [data] : []));
}

/** The files among the parts of the answer. */
export function inlineData(value: JsonObject): Array<{ mimeType: string; data: string }> {
  return candidatesOf(value).flatMap(({ candidate }) => {
    const parts = isJsonObject(candidate['content']) ? candidate['content']['parts'] : [];
    return (Array.isArray(parts) ? parts : []).flatMap((part) => {
      const inline = isJsonObject(part) ? part['inlineData'] : undefined;
      if (!isJsonObject(inline) || typeof inline['data'] !== 'string' || inline['data'] === '') return [];
      return [{ mimeType: String(inline['mimeType'] ?? ''), data: inline['data'] }];
    });
  });
}

/** An answer without a file: held back, which is the request's matter and told as such, or none at all. */
export function whyNone(value: JsonObject): AnswerFault {
  const { predictions } = value;
  const filtered = (Array.isArray(predictions) ? predictions.filter(isJsonObject) : []).find(
    (one) => one['raiFilteredReason'],
  );
  if (filtered !== undefined) return heldBack(String(filtered['raiFilteredReason']));
  const [first] = candidatesOf(value);
  if (first === undefined) {
    const block = blockOf(value);
    return block === null ? malformed('the provider’s answer has no file') : heldBack(block);
  }
  const { finishReason, finishMessage } = first.candidate;
  const fault = finishFault(finishReason, finishMessage);
  if (fault !== null) return fault;
  if (toFinishReason(finishReason, false) === 'content_filter') {
    return heldBack(`the answer was held back: ${String(finishMessage ?? finishReason)}`);
  }
  return malformed('the provider’s answer has no file');
}

function heldBack(message: string): AnswerFault {
  return { kind: 'status', status: 400, code: 'content_filter', type: null, param: 'prompt', message };
}

/** `"1536x1024"` → `"3:2"`; null for none. */
function aspectRatio(size: string, known: readonly string[]): string | null {
  if (size === 'null' || size === '"auto"') return null;
  const [, width, height] = /^"(\d+)x(\d+)"$/.exec(size) ?? [];
  const [w, h] = [Number(width ?? 0), Number(height ?? 0)];
  const ratio = known.find((one) => {
    const [a, b] = one.split(':').map(Number) as [number, number];
    return w > 0 && w * b === h * a;
  });
  if (ratio === undefined) refuse('size', `must have one of these ratios for this model: ${known.join(', ')}`);
  return JSON.stringify(ratio);
}
