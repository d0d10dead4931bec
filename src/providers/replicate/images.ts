import type { AnswerOutcome, Payload, Unfinished, UpstreamAnswer, UpstreamTarget } from '../../domain/provider.js';
import type { JsonObject, TaskRequest } from '../../domain/task.js';
import { malformed } from '../../wire/fault.js';
import { passed } from '../../wire/plain-answer.js';
import { unitReport } from '../../wire/task-usage.js';
import { RequestParameters } from '../request-parameters.js';
import { predictionPayload, withOwnInputs } from './chat-request.js';
import { readPrediction } from './prediction.js';

/** OpenAI's parameters of the image, of which its own models on Replicate have inputs of the same names. */
const LOOKS = ['quality', 'style', 'background', 'moderation', 'output_compression', 'input_fidelity'];
/** Values of them that ask for nothing. */
const USUAL = new Set<unknown>(['auto', 'standard', 'vivid']);

/**
 * What models that make several images at once call their number.
 * Sources: https://replicate.com/black-forest-labs/flux-schnell, https://replicate.com/stability-ai/sdxl,
 * https://replicate.com/openai/gpt-image-1
 */
const NUMBERED: ReadonlyArray<readonly [RegExp, string]> = [
  [/^black-forest-labs\/flux-(schnell|dev)/, 'num_outputs'],
  [/^stability-ai\/(sdxl|stable-diffusion)(:|$)/, 'num_outputs'],
  [/^openai\/gpt-image/, 'number_of_images'],
];

/**
 * An image as the input of a model: its prompt, and what is an input of the model's own (`aspect_ratio`, `seed`,
 * `output_format`, …) as it was written. Images are answered by their addresses; they would have to be fetched to be given
 * as base64.
 * @throws WaybillError invalid_request for what a model has no input for
 */
export function prepareImage(request: TaskRequest, target: UpstreamTarget): Payload {
  const parameters = new RequestParameters(request, target, 'Replicate');
  if (request.stream) parameters.refuse('stream', 'answers with whole images; leave it out');
  for (const name of ['model', 'stream', 'partial_images', 'user']) parameters.take(name);
  const format = parameters.take('response_format');
  if (format !== undefined && format !== 'url') {
    parameters.refuse('response_format', 'answers with the addresses of its images: ask for `url`');
  }
  const size = parameters.take('size');
  if (size !== undefined && size !== 'auto') {
    parameters.refuse(
      'size',
      'has inputs of each model’s own instead, such as `aspect_ratio`, or `width` and `height`',
    );
  }
  if (!target.providerModel.startsWith('openai/')) {
    for (const name of LOOKS) {
      const value = parameters.take(name);
      if (value !== undefined && !USUAL.has(value)) parameters.refuse(name, 'has no such input for this model');
    }
  }
  const input: JsonObject = { prompt: parameters.takeRaw('prompt'), ...numberOf(parameters, target) };
  return predictionPayload(target, withOwnInputs(input, parameters, request));
}

function numberOf(parameters: RequestParameters, { providerModel }: UpstreamTarget): JsonObject {
  const n = parameters.take('n');
  if (n === undefined || n === 1) return {};
  const name = NUMBERED.find(([pattern]) => pattern.test(providerModel))?.[1];
  if (name === undefined) {
    return parameters.refuse('n', 'makes one image to a request of this model; its own input may ask for more');
  }
  return { [name]: n };
}

/** The addresses of the images; one that is a data URL is the image itself, and is given as base64. */
export function readImage(
  answer: UpstreamAnswer,
  request: TaskRequest,
  target: UpstreamTarget,
): AnswerOutcome | Unfinished {
  const read = readPrediction(answer, request, target);
  if (read.ok !== true) return read;
  const { created, output } = read.prediction;
  const urls = (Array.isArray(output) ? output : [output]).filter(isAddress);
  if (urls.length === 0 || (Array.isArray(output) && urls.length < output.length)) {
    return { ok: false, fault: malformed('the prediction’s output is no image'), usage: null, hasEnded: true };
  }
  const data = urls.map((url) => {
    const base64 = /^data:[^,;]*(?:;[^,;]+)*;base64,(.*)$/s.exec(url)?.[1];
    return base64 === undefined ? { url } : { b64_json: base64 };
  });
  return passed(JSON.stringify({ created, data }), unitReport('images', data.length));
}

function isAddress(value: unknown): value is string {
  return typeof value === 'string' && /^(https?:|data:)/.test(value);
}
