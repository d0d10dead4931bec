import type { AnswerFault, AnswerOutcome, UpstreamAnswer, UpstreamTarget } from '../../domain/provider.js';
import type { JsonObject } from '../../domain/task.js';
import { malformed } from '../../wire/fault.js';
import { isJsonObject } from '../../wire/json-object.js';
import { OutputCollector } from '../../wire/output-collector.js';
import { chatCompletion, createdBy } from '../chat-chunks.js';
import { objectsIn, readJsonAnswer, textOf } from '../json-answer.js';
import { readCohereUsage } from './usage.js';

/** Cohere's reasons by OpenAI's; those that are missing are failures. */
const FINISH_REASONS: Readonly<Record<string, string>> = {
  COMPLETE: 'stop',
  STOP_SEQUENCE: 'stop',
  MAX_TOKENS: 'length',
  TOOL_CALL: 'tool_calls',
  ERROR_LIMIT: 'length',
  ERROR_TOXIC: 'content_filter',
};

/**
 * OpenAI's finish reason, or the failure an answer ended with: `ERROR` is Cohere's own (500), `TIMEOUT` took it too long.
 * Source: https://docs.cohere.com/reference/chat
 */
export function finishOf(reason: unknown, error: unknown): string | AnswerFault {
  const known = typeof reason === 'string' ? FINISH_REASONS[reason.toUpperCase()] : undefined;
  if (known !== undefined && typeof error !== 'string') return known;
  return {
    kind: 'status',
    status: reason === 'TIMEOUT' ? 504 : 500,
    code: typeof reason === 'string' ? reason : null,
    type: null,
    param: null,
    message: textOf(error) ?? `the generation ended with ${JSON.stringify(reason ?? null)}`,
  };
}

/**
 * `/v2/chat`'s answer in OpenAI's shape. Citations are kept as `message.citations`; a tool plan is what the model said
 * before its tool calls, so it is content.
 */
export function readCohereChat(answer: UpstreamAnswer, target: UpstreamTarget): AnswerOutcome {
  const read = readJsonAnswer(answer);
  if (read.fault !== null) return { ok: false, fault: read.fault, usage: null };
  const { value } = read;
  const { message } = value;
  const usage = readCohereUsage(value['usage'], 'chat');
  if (!isJsonObject(message)) {
    return { ok: false, fault: malformed('the provider’s answer has no message'), usage: usage?.report ?? null };
  }
  const finish = finishOf(value['finish_reason'], value['error']);
  if (typeof finish !== 'string') return { ok: false, fault: finish, usage: usage?.report ?? null };
  const completion = chatCompletion({
    identity: { id: textOf(value['id']) ?? '', created: createdBy(answer.headers), model: target.providerModel },
    message: toMessage(message),
    finishReason: finish,
    ...(value['logprobs'] === undefined ? {} : { logprobs: toLogprobs(value['logprobs']) }),
    usage: usage?.shown ?? null,
  });
  return {
    ok: true,
    answer: {
      body: JSON.stringify(completion),
      usage: usage?.report ?? null,
      outputTexts: () => {
        const collector = new OutputCollector();
        collector.add(completion);
        return collector.texts();
      },
    },
  };
}

function toMessage(message: JsonObject): JsonObject {
  const parts = objectsIn(message['content']);
  const text = parts.map((part) => textOf(part['text']) ?? '').join('');
  const thinking = parts.map((part) => textOf(part['thinking']) ?? '').join('');
  const said = text === '' ? (textOf(message['tool_plan']) ?? '') : text;
  const calls = objectsIn(message['tool_calls']);
  const { citations } = message;
  return {
    content: said === '' && calls.length > 0 ? null : said,
    ...(thinking === '' ? {} : { reasoning_content: thinking }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(citations === undefined || citations === null ? {} : { citations }),
  };
}

/**
 * Log probabilities in OpenAI's shape. Cohere gives them for pieces of text that can be several tokens long: a piece is as
 * likely as all its tokens together.
 */
export function toLogprobs(items: unknown): JsonObject | null {
  if (!Array.isArray(items)) return null;
  const content = objectsIn(items).map((item) => {
    const each = Array.isArray(item['logprobs']) ? (item['logprobs'] as number[]) : [];
    const token = textOf(item['text']) ?? '';
    const bytes = [...Buffer.from(token)];
    return { token, logprob: each.reduce((sum, one) => sum + one, 0), bytes, top_logprobs: [] };
  });
  return { content, refusal: null };
}
