import { constants } from 'node:buffer';
import type { AnswerOutcome, UpstreamAnswer } from '../domain/provider.js';
import type { JsonObject, TaskRequest } from '../domain/task.js';
import { toEmbeddingFormat } from './embedding.js';
import { splitEmbeddingAnswer } from './embedding-bytes.js';
import { faultIn, malformed, statusFault } from './fault.js';
import { rewriteAt, scanMembers } from './json-text.js';
import { type OpenAiUsageOptions, parseOpenAiUsage } from './openai-usage.js';
import { OutputCollector } from './output-collector.js';
import { type Reshape, reshaped } from './reshape.js';

export interface OpenAiAnswerOptions {
  reasoningOutside: NonNullable<OpenAiUsageOptions['reasoningOutside']>;
  /** What is billed beside the tokens, and where. Default: nothing. */
  beside?: OpenAiUsageOptions['beside'];
  /** Changes of a chat's answer into OpenAI's shape. Default: none. */
  reshapes?: readonly Reshape[];
}

export const TOO_LARGE = 'the provider’s answer is too large to be read';

const ARGUMENTS = [
  ['choices', '*', 'message', 'tool_calls', '*', 'function', 'arguments'],
  ['choices', '*', 'message', 'tool_calls', 'function', 'arguments'],
  ['choices', '*', 'message', 'function_call', 'arguments'],
] as const;

/**
 * Reads a whole answer in OpenAI's dialect. Its text is passed on as it came, but for two things that clients fall over:
 * vectors in another format than was asked for, and tool-call arguments that are an object where the dialect has text
 * (Text Generation Inference).
 */
export function readOpenAiAnswer(
  answer: UpstreamAnswer,
  request: TaskRequest,
  options: OpenAiAnswerOptions,
): AnswerOutcome {
  const split = splitEmbeddings(answer, request);
  if (split !== null) return split;
  if (isBeyondText(answer)) return { ok: false, fault: malformed(TOO_LARGE), usage: null };
  const text = answerText(answer);
  const value = parseAnswer(text);
  if (value === null) return { ok: false, fault: malformed(notJson(text)), usage: null };
  const raw = mentionsCost(value['usage']) ? scanMembers(text).get('usage') : undefined;
  const usage = parseOpenAiUsage(value['usage'], {
    reasoningOutside: options.reasoningOutside,
    outputless: request.task === 'embedding',
    beside: options.beside ?? null,
    ...(raw === undefined ? {} : { text: raw }),
  });
  const fault = faultIn(value) ?? choiceFault(value) ?? shapeFault(value, request);
  if (fault !== null) return { ok: false, fault, usage };
  const body =
    request.task === 'embedding'
      ? withFormat(text, value, request)
      : reshaped(callsTools(value) ? withTextArguments(text, ARGUMENTS) : text, options.reshapes ?? [], 'message');
  return {
    ok: true,
    answer: {
      body,
      usage,
      outputTexts: () => {
        const collector = new OutputCollector();
        collector.add(body === text ? value : (JSON.parse(body) as JsonObject));
        return collector.texts();
      },
    },
  };
}

/** A large answer whose vectors are in the format that was asked for; null for any other. */
function splitEmbeddings(answer: UpstreamAnswer, request: TaskRequest): AnswerOutcome | null {
  const format = request.body.value['encoding_format'] ?? 'float';
  if (request.task !== 'embedding' || (format !== 'float' && format !== 'base64')) return null;
  const found = splitEmbeddingAnswer(answer, format);
  if (found === null) return null;
  const usage = parseOpenAiUsage(found.usage, { outputless: true, text: found.body.usage ?? '{}' });
  return { ok: true, answer: { body: found.body, usage, outputTexts: () => [], recyclable: true } };
}

/** True for an answer larger than any text can be. */
export function isBeyondText(answer: UpstreamAnswer): boolean {
  return answer.body.length > constants.MAX_STRING_LENGTH;
}

/** The answer's text without a byte order mark. */
export function answerText(answer: UpstreamAnswer): string {
  const text = answer.body.toString('utf8');
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** What to say of an answer that does not parse. */
export function notJson(text: string): string {
  return text.trim() === ''
    ? 'the provider answered with nothing'
    : 'the provider answered with something else than JSON';
}

/** True when the usage says what it cost; only then is its text needed. */
export function mentionsCost(usage: unknown): boolean {
  return typeof usage === 'object' && usage !== null && (usage as JsonObject)['cost'] != null;
}

/** Tool-call arguments that are objects, as the JSON text of them, wherever `paths` lead. */
export function withTextArguments(text: string, paths: ReadonlyArray<readonly string[]>): string {
  if (!/"arguments"\s*:\s*\{/.test(text)) return text;
  let result = text;
  for (const path of paths) {
    result = rewriteAt(result, path, (raw) => (raw.startsWith('{') ? JSON.stringify(raw) : undefined));
  }
  return result;
}

function parseAnswer(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null;
  } catch {
    // The caller says what is wrong with it.
    return null;
  }
}

/** True where arguments may stand in the answer: the text of others need not be looked through for them. */
function callsTools(value: JsonObject): boolean {
  const choices = value['choices'] as ReadonlyArray<JsonObject | null>;
  return choices.some((choice) => {
    const message = choice?.['message'] as JsonObject | null | undefined;
    return message?.['tool_calls'] != null || message?.['function_call'] != null;
  });
}

/** OpenRouter's way: an error in every choice, beside no message. */
function choiceFault(value: JsonObject): ReturnType<typeof faultIn> {
  const choices = value['choices'];
  if (!Array.isArray(choices) || choices.length === 0) return null;
  for (const choice of choices as ReadonlyArray<JsonObject | null>) {
    const error = choice?.['error'];
    if (typeof error !== 'object' || error === null || choice?.['message'] != null) return null;
  }
  return statusFault({ error: (choices[0] as JsonObject)['error'] });
}

function shapeFault(value: JsonObject, request: TaskRequest): ReturnType<typeof faultIn> {
  const name = request.task === 'embedding' ? 'data' : 'choices';
  const list = value[name];
  if (Array.isArray(list) && list.length > 0) return null;
  return malformed(`the provider's answer has no ${name}`);
}

function withFormat(text: string, value: JsonObject, request: TaskRequest): string {
  const asked = request.body.value['encoding_format'] ?? 'float';
  if (asked !== 'float' && asked !== 'base64') return text;
  const other = asked === 'float' ? 'string' : 'object';
  const items = value['data'] as ReadonlyArray<JsonObject | null>;
  if (items.every((item) => typeof item?.['embedding'] !== other)) return text;
  return rewriteAt(text, ['data', '*', 'embedding'], (raw) => toEmbeddingFormat(raw, asked));
}
