import type { Payload, UpstreamTarget } from '../../domain/provider.js';
import type { JsonObject, TaskRequest } from '../../domain/task.js';
import { isJsonObject } from '../../wire/json-object.js';
import { writeJson } from '../../wire/raw-json.js';
import { objectsIn } from '../json-answer.js';
import { RequestParameters } from '../request-parameters.js';
import { toCohereMessages } from './chat-messages.js';

const THINKING_BY_EFFORT: Readonly<Record<string, string>> = { none: 'disabled', high: 'enabled' };

/**
 * A request for `/v2/chat`. Renamed: `stop`, `top_p` (`p`), `top_k` (`k`), `max_completion_tokens`. A tool's `strict`
 * makes all tools strict (`strict_tools`). One tool that is demanded is the only one offered. Cohere's own parameters
 * (`documents`, `citation_options`, `safety_mode`, `thinking`, …) pass as they are.
 * Sources: https://docs.cohere.com/reference/chat, https://docs.cohere.com/docs/compatibility-api
 * @throws WaybillError invalid_request for what Cohere cannot do
 */
export function prepareCohereChat(request: TaskRequest, target: UpstreamTarget): Payload {
  const parameters = new RequestParameters(request, target, 'Cohere');
  const messages = toCohereMessages(objectsIn(parameters.take('messages')), parameters);
  parameters.settleChatCommons();
  // Its metadata and tiers are OpenAI's own; no tier but the usual one can be asked for here.
  parameters.take('metadata');
  const tier = parameters.take('service_tier');
  if (tier !== undefined && tier !== 'auto' && tier !== 'default') parameters.refuse('service_tier', 'has one tier');
  const body: JsonObject = {
    model: target.providerModel,
    stream: request.stream,
    messages,
    ...toolsOf(parameters),
    response_format: responseFormatOf(parameters),
    max_tokens: parameters.takeOutputBound(target.maxOutputTokens),
    stop_sequences: parameters.takeStops(),
    p: parameters.takeRaw('top_p'),
    k: parameters.takeRaw('top_k'),
    thinking: thinkingOf(parameters),
  };
  return { kind: 'json', body: writeJson({ ...body, ...parameters.rest() }) };
}

function toolsOf(parameters: RequestParameters): JsonObject {
  const choice = parameters.take('tool_choice');
  const isNamed = isJsonObject(choice) && choice['type'] === 'function' && isJsonObject(choice['function']);
  const wanted = isNamed ? (choice['function'] as JsonObject)['name'] : null;
  const tools = objectsIn(parameters.take('tools')).map((tool, index) => {
    if (tool['type'] !== 'function' || !isJsonObject(tool['function'])) {
      parameters.refuse(`tools[${index}]`, 'takes tools that are functions');
    }
    return tool['function'] as JsonObject;
  });
  const offered = wanted === null ? tools : tools.filter((tool) => tool['name'] === wanted);
  if (wanted !== null && offered.length === 0) parameters.refuse('tool_choice', 'was told of no such tool');
  const definitions = offered.map(({ strict: _, ...definition }) => ({ type: 'function', function: definition }));
  return {
    ...(definitions.length === 0 ? {} : { tools: definitions }),
    ...(offered.some((tool) => tool['strict'] === true) && !parameters.has('strict_tools')
      ? { strict_tools: true }
      : {}),
    tool_choice: isNamed ? 'REQUIRED' : choiceOf(choice, parameters),
  };
}

function choiceOf(choice: unknown, parameters: RequestParameters): string | undefined {
  if (choice === undefined || choice === 'auto') return undefined;
  if (choice === 'required' || choice === 'REQUIRED') return 'REQUIRED';
  if (choice === 'none' || choice === 'NONE') return 'NONE';
  return parameters.refuse('tool_choice', 'takes `auto`, `none`, `required` or one function');
}

/** Cohere's JSON mode takes the schema beside its type: https://docs.cohere.com/docs/structured-outputs */
function responseFormatOf(parameters: RequestParameters): unknown {
  const format = parameters.take('response_format');
  if (!isJsonObject(format) || format['type'] !== 'json_schema') return format;
  const given = format['json_schema'];
  const schema = isJsonObject(given) ? given['schema'] : undefined;
  return { type: 'json_object', json_schema: schema };
}

function thinkingOf(parameters: RequestParameters): unknown {
  const effort = parameters.take('reasoning_effort');
  const given = parameters.takeRaw('thinking');
  if (effort === undefined) return given;
  const type = THINKING_BY_EFFORT[String(effort)];
  if (type === undefined) {
    parameters.refuse('reasoning_effort', 'knows `none` and `high`; `thinking` with a `token_budget` is finer');
  }
  return given ?? { type };
}
