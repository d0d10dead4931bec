import type { Payload, UpstreamTarget } from '../../domain/provider.js';
import type { JsonObject, TaskRequest } from '../../domain/task.js';
import { isJsonObject } from '../../wire/json-object.js';
import { scanMembers } from '../../wire/json-text.js';
import { RawJson, writeJson } from '../../wire/raw-json.js';
import { objectsIn, textOf } from '../json-answer.js';
import { RequestParameters } from '../request-parameters.js';
import { type Conversation, cachePoint, toConversation } from './messages.js';

/** Members of Converse's own that pass as they are, over what is made of OpenAI's. */
const CONVERSE_OWN = [
  ...['additionalModelResponseFieldPaths', 'guardrailConfig', 'outputConfig', 'performanceConfig', 'promptVariables'],
  ...['requestMetadata', 'serviceTier', 'toolConfig'],
];
/** Converse has no place for them, and which name a model has for them only its own documentation tells. */
const WITHOUT_PLACE = ['frequency_penalty', 'logprobs', 'presence_penalty', 'seed'];

/**
 * A request for Converse and ConverseStream. A parameter neither knows is the model's own and goes into
 * `additionalModelRequestFields` (`top_k`, `thinking`, …). `metadata` is `requestMetadata`, `service_tier` is
 * `serviceTier`. A JSON schema is `outputConfig`'s; JSON without one cannot be demanded. OpenAI's own models take
 * `reasoning_effort` as theirs.
 * Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html,
 * https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html
 * @throws WaybillError invalid_request for what Converse cannot do
 */
export function prepareConverse(request: TaskRequest, target: UpstreamTarget): Payload {
  const parameters = new RequestParameters(request, target, 'Bedrock');
  const model = target.providerModel;
  const conversation = toConversation(objectsIn(parameters.take('messages')), model, parameters);
  parameters.settleChatCommons();
  for (const name of WITHOUT_PLACE) {
    const value = parameters.take(name);
    if (value !== undefined && value !== 0 && value !== false) parameters.refuse(name, 'has no such parameter');
  }
  const effort = parameters.takeRaw('reasoning_effort');
  if (effort !== undefined && !/\bopenai\./.test(model)) {
    parameters.refuse('reasoning_effort', 'leaves reasoning to each model’s own parameters, such as `thinking`');
  }
  const body: JsonObject = {
    messages: conversation.messages,
    system: conversation.system.length === 0 ? undefined : conversation.system,
    inferenceConfig: inferenceOf(parameters, target),
    toolConfig: toolsOf(parameters, conversation),
    outputConfig: outputOf(parameters),
    requestMetadata: parameters.takeRaw('metadata'),
    serviceTier: tierOf(parameters),
  };
  for (const name of CONVERSE_OWN) body[name] = parameters.takeRaw(name) ?? body[name];
  const own = membersOf(parameters.takeRaw('additionalModelRequestFields'));
  const fields = { ...(effort === undefined ? {} : { reasoning_effort: effort }), ...parameters.rest(), ...own };
  if (Object.keys(fields).length > 0) body['additionalModelRequestFields'] = fields;
  return { kind: 'json', body: writeJson(body) };
}

function inferenceOf(parameters: RequestParameters, target: UpstreamTarget): JsonObject | undefined {
  const config: JsonObject = {
    ...membersOf(parameters.takeRaw('inferenceConfig')),
    ...defined('maxTokens', parameters.takeOutputBound(target.maxOutputTokens)),
    ...defined('temperature', parameters.takeRaw('temperature')),
    ...defined('topP', parameters.takeRaw('top_p')),
    ...defined('stopSequences', parameters.takeStops()),
  };
  return Object.keys(config).length === 0 ? undefined : config;
}

function toolsOf(parameters: RequestParameters, conversation: Conversation): JsonObject | undefined {
  const choice = parameters.take('tool_choice');
  const definitions = objectsIn(parameters.take('tools'));
  const tools = definitions.flatMap((tool, index) => {
    const definition = tool['function'];
    // Converse's own (`toolSpec`, `systemTool`, `cachePoint`) have no type.
    if (tool['type'] === undefined) return [tool];
    if (tool['type'] !== 'function' || !isJsonObject(definition)) {
      return parameters.refuse(`tools[${index}]`, 'takes tools that are functions');
    }
    const { name, description, strict, parameters: schema } = definition;
    const spec = {
      name,
      ...(typeof description === 'string' && description !== '' ? { description } : {}),
      inputSchema: { json: schema ?? { type: 'object', properties: {} } },
      ...(strict === true ? { strict } : {}),
    };
    return [{ toolSpec: spec }, ...cachePoint(tool['cache_control'])];
  });
  if (choice === 'none') {
    if (conversation.hasToolUse) {
      parameters.refuse('tool_choice', 'cannot keep a model from tools that the conversation has called');
    }
    return undefined;
  }
  if (tools.length === 0) return undefined;
  return { tools, toolChoice: choiceOf(choice, parameters) };
}

/** Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolChoice.html */
function choiceOf(choice: unknown, parameters: RequestParameters): JsonObject | undefined {
  if (choice === undefined) return undefined;
  if (choice === 'auto') return { auto: {} };
  if (choice === 'required') return { any: {} };
  if (isJsonObject(choice) && isJsonObject(choice['function'])) return { tool: { name: choice['function']['name'] } };
  return parameters.refuse('tool_choice', 'takes `auto`, `none`, `required` or one function');
}

/** The schema goes as text: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_JsonSchemaDefinition.html */
function outputOf(parameters: RequestParameters): JsonObject | undefined {
  const format = parameters.take('response_format');
  if (format === undefined) return undefined;
  if (!isJsonObject(format)) return parameters.refuse('response_format', 'takes an object');
  if (format['type'] === 'text') return undefined;
  const given = format['json_schema'];
  if (format['type'] !== 'json_schema' || !isJsonObject(given) || !isJsonObject(given['schema'])) {
    return parameters.refuse('response_format', 'writes JSON by a schema only: give `json_schema` with its `schema`');
  }
  const jsonSchema = {
    schema: JSON.stringify(given['schema']),
    ...defined('name', textOf(given['name']) ?? undefined),
    ...defined('description', textOf(given['description']) ?? undefined),
  };
  return { textFormat: { type: 'json_schema', structure: { jsonSchema } } };
}

function tierOf(parameters: RequestParameters): JsonObject | undefined {
  const tier = parameters.take('service_tier');
  return tier === undefined || tier === 'auto' ? undefined : { type: tier };
}

/** The members of an object, each as it was written. */
function membersOf(raw: RawJson | undefined): JsonObject {
  if (raw?.text.startsWith('{') !== true) return {};
  return Object.fromEntries([...scanMembers(raw.text)].map(([key, text]) => [key, new RawJson(text)]));
}

function defined(name: string, value: unknown): JsonObject {
  return value === undefined ? {} : { [name]: value };
}
