import type { Payload, UpstreamTarget } from '../../domain/provider.js';
import type { JsonObject, TaskRequest } from '../../domain/task.js';
import { isJsonObject } from '../../wire/json-object.js';
import { writeJson } from '../../wire/raw-json.js';
import { objectsIn } from '../json-answer.js';
import { RequestParameters } from '../request-parameters.js';
import { type LanguageModel, languageModelOf } from './language-models.js';
import { placeOf } from './model-name.js';
import { type Prompt, toPrompt } from './prompt.js';

/**
 * A chat as the input of a language model. What nobody knows here is an input of the model's own (`top_k`,
 * `prompt_template`, …) and passes as it was written.
 * @throws WaybillError invalid_request for what a prompt cannot ask for
 */
export function prepareChat(request: TaskRequest, target: UpstreamTarget): Payload {
  const parameters = new RequestParameters(request, target, 'Replicate');
  const model = languageModelOf(target);
  const prompt = toPrompt(objectsIn(parameters.take('messages')), model, parameters);
  parameters.settleChatCommons();
  settleRest(parameters, model);
  const input: JsonObject = {
    ...promptInput(prompt, model),
    ...boundOf(parameters, model, target),
    ...stopsOf(parameters, model),
  };
  return predictionPayload(target, withOwnInputs(input, parameters, request));
}

/**
 * What became of OpenAI's parameters, and beside it what is an input of the model's own. One that is both would make one
 * of them be ignored: of the request it is refused, of the entry's `extra_body` it gives way.
 * @throws WaybillError invalid_request
 */
export function withOwnInputs(input: JsonObject, parameters: RequestParameters, { body }: TaskRequest): JsonObject {
  const own = parameters.rest();
  for (const name of Object.keys(input)) {
    if (own[name] === undefined) continue;
    if (body.members.has(name)) parameters.refuse(name, 'is given this input by another parameter of the request');
    delete own[name];
  }
  return { ...input, ...own };
}

/** The body that makes a prediction. */
export function predictionPayload(target: UpstreamTarget, input: JsonObject): Payload {
  const { version } = placeOf(target);
  return { kind: 'json', body: writeJson(version === null ? { input } : { version, input }) };
}

function settleRest(parameters: RequestParameters, model: LanguageModel): void {
  parameters.take('metadata');
  const tier = parameters.take('service_tier');
  if (tier !== undefined && tier !== 'auto' && tier !== 'default') parameters.refuse('service_tier', 'has one tier');
  const tools = parameters.take('tools');
  if (Array.isArray(tools) ? tools.length > 0 : tools !== undefined) parameters.refuse('tools', 'calls no tools');
  const choice = parameters.take('tool_choice');
  if (choice !== undefined && choice !== 'auto' && choice !== 'none') {
    parameters.refuse('tool_choice', 'calls no tools');
  }
  if (parameters.take('logprobs') === true) parameters.refuse('logprobs', 'tells no log probabilities');
  const format = parameters.take('response_format');
  if (format !== undefined && !(isJsonObject(format) && format['type'] === 'text')) {
    parameters.refuse('response_format', 'cannot hold its models to a format');
  }
  for (const name of model.lacks) {
    if (!parameters.has(name)) continue;
    parameters.refuse(name, 'has no such input for this model; `drop_params` of its entry can leave it out');
  }
}

function promptInput({ system, prompt, images }: Prompt, model: LanguageModel): JsonObject {
  const isBefore = model.system === null && system !== '';
  const pictures = model.images;
  return {
    prompt: isBefore ? `${system}\n\n${prompt}` : prompt,
    ...(model.system === null || system === '' ? {} : { [model.system]: system }),
    ...(pictures === null || images.length === 0
      ? {}
      : { [pictures.name]: pictures.most === 1 ? (images[0] as string) : images }),
  };
}

/** Under the name the request or the entry's `extra_body` uses for it, else under the model's usual one. */
function boundOf(parameters: RequestParameters, model: LanguageModel, target: UpstreamTarget): JsonObject {
  const own = 'max_new_tokens';
  const name = parameters.has(own) ? own : model.bound;
  const given = parameters.take(own);
  const asked = parameters.takeOutputBound(target.maxOutputTokens);
  const most = typeof given === 'number' ? Math.min(given, asked ?? given) : asked;
  return most === undefined ? {} : { [name]: most };
}

function stopsOf(parameters: RequestParameters, model: LanguageModel): JsonObject {
  const stops = parameters.takeStops();
  if (stops === undefined || (Array.isArray(stops) && stops.length === 0)) return {};
  if (model.stops === null) parameters.refuse('stop', 'has no such input for this model');
  if (!Array.isArray(stops) || stops.some((stop) => typeof stop !== 'string' || stop.includes(','))) {
    return parameters.refuse('stop', 'takes texts without commas');
  }
  return { [model.stops]: stops.join(',') };
}
