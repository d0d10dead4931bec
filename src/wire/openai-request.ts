import { WaybillError } from '../domain/errors.js';
import type { CountedInput } from '../domain/metering.js';
import { type JsonBody, type JsonObject, type TaskRequest, writesText } from '../domain/task.js';
import { taskInput } from './task-input.js';

/** The tasks whose requests are OpenAI's own. */
export type OpenAiTask = 'chat' | 'completion' | 'embedding';

/**
 * OpenAI's rule of thumb for an image: 85 tokens at low detail, 765 for a square of 1024 pixels at high detail
 * (https://platform.openai.com/docs/guides/images-vision#calculating-costs). Only for estimates.
 */
const LOW_DETAIL_TOKENS = 85;
const HIGH_DETAIL_TOKENS = 765;

/**
 * A client's body as a request for `task`. Looks at what the router relies on, and leaves the rest to the provider.
 * @throws WaybillError invalid_request, with `param` set
 */
export function openTaskRequest(task: OpenAiTask, body: JsonBody): TaskRequest {
  const { value } = body;
  if (typeof value['model'] !== 'string' || value['model'] === '') refuse('model', 'must be the name of a model');
  if (task === 'chat') checkMessages(value['messages']);
  if (task === 'completion') checkTexts('prompt', value['prompt']);
  if (task === 'embedding') checkTexts('input', value['input']);
  if (task !== 'embedding') {
    for (const name of ['n', 'best_of']) checkWhole(name, value[name], 1);
    // 0 and -1 mean no bound to some servers, and clients send them.
    for (const name of ['max_tokens', 'max_completion_tokens']) checkWhole(name, value[name], Number.NEGATIVE_INFINITY);
  }
  return { task, body, stream: readStream(task, value), includeUsage: readIncludeUsage(value) };
}

function checkMessages(messages: unknown): void {
  if (!Array.isArray(messages)) refuse('messages', 'must be a list of messages');
  if (messages.length === 0) refuse('messages', 'must not be empty');
  for (const [index, message] of messages.entries()) {
    if (!isObject(message)) refuse(`messages[${index}]`, 'must be an object');
    if (typeof message['role'] !== 'string' || message['role'] === '') {
      refuse(`messages[${index}].role`, 'must be the role of who speaks, e.g. `user`');
    }
  }
}

/** A text, texts, tokens, or lists of tokens. */
function checkTexts(name: string, value: unknown): void {
  if (typeof value === 'string') {
    // An empty prompt is a prompt: the model begins a text of its own.
    if (value === '' && name === 'input') refuse(name, 'must not be empty');
    return;
  }
  const wanted = 'must be a text, a list of texts, a list of tokens or a list of lists of tokens';
  if (!Array.isArray(value)) refuse(name, wanted);
  if (value.length === 0) refuse(name, 'must not be empty');
  const isFit =
    value.every((item) => typeof item === 'string') || isTokens(value) || value.every((item) => isTokens(item));
  if (!isFit) refuse(name, wanted);
}

function isTokens(value: unknown): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.every((item) => Number.isInteger(item) && item >= 0);
}

function checkWhole(name: string, value: unknown, least: number): void {
  if (value === undefined || value === null) return;
  if (Number.isSafeInteger(value) && (value as number) >= least) return;
  refuse(name, least === 1 ? 'must be a whole number from 1 on' : 'must be a whole number');
}

function readStream(task: OpenAiTask, value: JsonObject): boolean {
  const stream = value['stream'];
  if (stream === undefined || stream === null) return false;
  if (typeof stream !== 'boolean') refuse('stream', 'must be true or false');
  if (stream && task === 'embedding') refuse('stream', 'embeddings do not stream');
  return stream;
}

function readIncludeUsage(value: JsonObject): boolean {
  const options = value['stream_options'];
  if (options === undefined || options === null) return false;
  if (!isObject(options)) refuse('stream_options', 'must be an object');
  const include = options['include_usage'];
  if (include === undefined || include === null) return false;
  if (typeof include !== 'boolean') refuse('stream_options.include_usage', 'must be true or false');
  return include;
}

function refuse(param: string, why: string): never {
  throw new WaybillError('invalid_request', { message: `\`${param}\` ${why}`, param });
}

/**
 * The most output tokens the request allows, over all its choices and prompts; null where it sets no bound, as 0 and
 * -1 do to the servers that take them. Embeddings, and whatever else writes no text, have no output.
 */
export function outputBound(request: TaskRequest): number | null {
  if (!writesText(request.task)) return 0;
  const { value } = request.body;
  const each = value['max_completion_tokens'] ?? value['max_tokens'] ?? newTokens(value['parameters']);
  if (typeof each !== 'number' || each <= 0) return null;
  return each * choiceCount(request);
}

/** Text Generation Inference's own name of the bound. */
function newTokens(parameters: unknown): unknown {
  return isObject(parameters) ? parameters['max_new_tokens'] : undefined;
}

/** How many choices the request asks for: `n` of each prompt. */
export function choiceCount(request: TaskRequest): number {
  const { n, best_of: bestOf } = request.body.value;
  const perPrompt = Math.max(typeof n === 'number' ? n : 1, typeof bestOf === 'number' ? bestOf : 1);
  return perPrompt * promptCount(request);
}

function promptCount(request: TaskRequest): number {
  const { prompt } = request.body.value;
  const isBatch = request.task === 'completion' && Array.isArray(prompt) && typeof prompt[0] !== 'number';
  return isBatch ? Math.max(1, prompt.length) : 1;
}

/** How many choices the answer has: as many as `n` says of each prompt, of however many the provider made first. */
export function answeredChoices(request: TaskRequest): number {
  const { n } = request.body.value;
  return Math.max(1, typeof n === 'number' ? n : 1) * promptCount(request);
}

/** What of a request is input to be counted. */
export function countedInput(request: TaskRequest): CountedInput {
  const { value } = request.body;
  if (request.task === 'completion') return countedTexts(value['prompt']);
  if (request.task === 'embedding') return countedTexts(value['input']);
  if (request.task !== 'chat') return taskInput(request);
  const counter = new Counter();
  const messages = Array.isArray(value['messages']) ? value['messages'] : [];
  for (const message of messages) counter.addMessage(message);
  // Definitions go to the model as text much like their JSON.
  if (value['tools'] != null) counter.addText(request.body.members.get('tools'));
  if (value['functions'] != null) counter.addText(request.body.members.get('functions'));
  if (value['response_format'] != null) counter.addText(request.body.members.get('response_format'));
  return { texts: counter.texts, tokens: counter.tokens, messages: messages.length };
}

function countedTexts(value: unknown): CountedInput {
  if (typeof value === 'string') return { texts: [value], tokens: 0, messages: 0 };
  const items = Array.isArray(value) ? value : [];
  const texts = items.filter((item) => typeof item === 'string');
  let tokens = 0;
  for (const item of items) tokens += typeof item === 'number' ? 1 : Array.isArray(item) ? item.length : 0;
  return { texts, tokens, messages: 0 };
}

class Counter {
  readonly texts: string[] = [];
  tokens = 0;

  addText(value: unknown): void {
    if (typeof value === 'string' && value !== '') this.texts.push(value);
  }

  addMessage(message: unknown): void {
    if (!isObject(message)) return;
    this.addText(message['role']);
    this.addText(message['name']);
    this.addText(message['refusal']);
    this.addText(message['reasoning_content'] ?? message['reasoning']);
    this.addContent(message['content']);
    this.addCall(message['function_call']);
    const calls = Array.isArray(message['tool_calls']) ? message['tool_calls'] : [];
    for (const call of calls) this.addCall(isObject(call) ? call['function'] : null);
  }

  addContent(content: unknown): void {
    this.addText(content);
    if (!Array.isArray(content)) return;
    for (const part of content) {
      if (typeof part === 'string') this.addText(part);
      if (!isObject(part)) continue;
      this.addText(part['text']);
      this.addText(part['refusal']);
      if (part['type'] === 'image_url') this.addImage(part['image_url']);
    }
  }

  addImage(image: unknown): void {
    this.tokens += isObject(image) && image['detail'] === 'low' ? LOW_DETAIL_TOKENS : HIGH_DETAIL_TOKENS;
  }

  addCall(call: unknown): void {
    if (!isObject(call)) return;
    this.addText(call['name']);
    const args = call['arguments'];
    this.addText(typeof args === 'object' && args !== null ? JSON.stringify(args) : args);
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
