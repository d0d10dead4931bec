import type { AnswerFault, AnswerOutcome, UpstreamAnswer, UpstreamTarget } from '../../domain/provider.js';
import type { JsonObject } from '../../domain/task.js';
import { faultIn, malformed } from '../../wire/fault.js';
import { parseJsonObject } from '../../wire/json-object.js';
import { answerText, isBeyondText, notJson, TOO_LARGE } from '../../wire/openai-answer.js';
import { OutputCollector } from '../../wire/output-collector.js';
import { secondsOf } from '../answer-date.js';
import { blockOf, type CandidateContent, CandidateReader, candidatesOf, signed } from './candidate.js';
import { finishFault, toFinishReason } from './finish.js';
import { toLogprobs } from './logprobs.js';
import { readUsage } from './usage.js';

/**
 * A whole answer of `generateContent` in OpenAI's shape. It has no time of its own: `created` is what its `Date` says. A prompt that was
 * blocked is an answer that ends with `content_filter` and says why as its refusal: it is used up and paid for, and to
 * ask elsewhere would be to go around the block.
 * Source: https://ai.google.dev/api/generate-content#generatecontentresponse
 */
export function readChat(answer: UpstreamAnswer, target: UpstreamTarget): AnswerOutcome {
  const parsed = parseAnswer(answer);
  if ('fault' in parsed) return { ok: false, fault: parsed.fault, usage: null };
  const { value, text } = parsed;
  const usage = readUsage(value['usageMetadata']);
  const candidates = candidatesOf(value);
  const block = candidates.length === 0 ? blockOf(value) : null;
  const fault =
    faultIn(value) ??
    candidates
      .map(({ candidate }) => finishFault(candidate['finishReason'], candidate['finishMessage']))
      .find(Boolean) ??
    (candidates.length === 0 && block === null ? malformed('the provider’s answer has no candidates') : null);
  if (fault !== null) return { ok: false, fault, usage: usage?.report ?? null };

  const id = idOf(value);
  const reader = new CandidateReader(text, id);
  const choices = candidates.map(({ candidate, index }) =>
    toChoice(candidate, index, reader.read(candidate, index, 0)),
  );
  const written = { choices };
  const body = {
    id,
    object: 'chat.completion',
    created: secondsOf(answer.headers['date']),
    model: modelOf(value, target.providerModel),
    choices: block === null ? choices : [blockedChoice('message', block)],
    ...(usage === null ? {} : { usage: usage.usage }),
  };
  return {
    ok: true,
    answer: {
      body: JSON.stringify(body),
      usage: usage?.report ?? null,
      outputTexts: () => {
        const collector = new OutputCollector();
        collector.add(written);
        return collector.texts();
      },
    },
  };
}

/** The object an answer is, or what is wrong with it. */
export function parseAnswer(answer: UpstreamAnswer): { value: JsonObject; text: string } | { fault: AnswerFault } {
  if (isBeyondText(answer)) return { fault: malformed(TOO_LARGE) };
  const text = answerText(answer);
  const value = parseJsonObject(text);
  return value === null ? { fault: malformed(notJson(text)) } : { value, text };
}

/** Answers of older servers have no id. */
export function idOf(answer: JsonObject): string {
  const { responseId } = answer;
  return typeof responseId === 'string' ? responseId : '';
}

export function modelOf(answer: JsonObject, fallback: string): string {
  const { modelVersion } = answer;
  return typeof modelVersion === 'string' && modelVersion !== '' ? modelVersion : fallback;
}

export function blockedChoice(member: 'message' | 'delta', why: string): JsonObject {
  return {
    index: 0,
    [member]: { role: 'assistant', content: null, refusal: why },
    logprobs: null,
    finish_reason: 'content_filter',
  };
}

function toChoice(candidate: JsonObject, index: number, content: CandidateContent): JsonObject {
  const { text, reasoning, calls, images, signature } = content;
  const reason =
    toFinishReason(candidate['finishReason'], calls.length > 0) ?? (calls.length > 0 ? 'tool_calls' : 'stop');
  const isEmpty = calls.length > 0 || reason === 'content_filter';
  return {
    index,
    message: {
      role: 'assistant',
      content: text === '' && isEmpty ? null : text,
      refusal: null,
      ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
      ...(images.length === 0 ? {} : { images }),
      ...(signature === null ? {} : { extra_content: signed(signature) }),
    },
    logprobs: toLogprobs(candidate['logprobsResult']),
    finish_reason: reason,
  };
}
