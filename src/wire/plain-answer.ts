import type { AnswerOutcome, HeaderFields, TaskAnswer, UpstreamAnswer } from '../domain/provider.js';
import type { UsageReport } from '../domain/usage.js';
import { faultIn, malformed } from './fault.js';
import { isJsonObject } from './json-object.js';
import { answerText, isBeyondText, notJson, TOO_LARGE } from './openai-answer.js';

export const JSON_TYPE = 'application/json; charset=utf-8';

/** JSON as it was read: its text, and its value. */
export interface ReadJson {
  text: string;
  value: unknown;
}

/** An answer that must be JSON and no error; else the outcome that says what it is. */
export function readJsonAnswer(answer: UpstreamAnswer): ReadJson | Extract<AnswerOutcome, { ok: false }> {
  if (isBeyondText(answer)) return refused(TOO_LARGE);
  const text = answerText(answer);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refused(notJson(text));
  }
  const fault = isJsonObject(value) ? faultIn(value) : null;
  return fault === null ? { text, value } : { ok: false, fault, usage: null };
}

/** An answer whose JSON is passed on as it came. */
export function passed(text: string, usage: UsageReport | null, outputTexts: () => string[] = noTexts): AnswerOutcome {
  const answer: TaskAnswer = { body: text, contentType: JSON_TYPE, usage, outputTexts };
  return { ok: true, answer };
}

/**
 * An answer that must be a picture, a recording or whatever else is no text, and is passed on as it came: JSON is an
 * error, and so is a web page.
 */
export function readMedia(answer: UpstreamAnswer, usage: UsageReport | null): AnswerOutcome {
  const contentType = answer.headers['content-type'] ?? 'application/octet-stream';
  if (answer.body.length === 0) return refused('the provider answered with nothing');
  if (isText(contentType)) {
    const read = readJsonAnswer(answer);
    return 'ok' in read ? read : refused('the provider answered with JSON where a file was asked for');
  }
  return { ok: true, answer: { body: answer.body, contentType, usage, outputTexts: noTexts } };
}

/** The content type of an answer that is a file by what its headers say; null for text, which may be an error. */
export function fileType(headers: HeaderFields): string | null {
  const contentType = headers['content-type'] ?? 'application/octet-stream';
  return isText(contentType) ? null : contentType;
}

export function refused(message: string): Extract<AnswerOutcome, { ok: false }> {
  return { ok: false, fault: malformed(message), usage: null };
}

export function isJsonType(contentType: string | undefined): boolean {
  return /^application\/(?:[\w.-]+\+)?json\b/i.test(contentType ?? '');
}

function isText(contentType: string): boolean {
  return isJsonType(contentType) || /^text\//i.test(contentType);
}

function noTexts(): string[] {
  return [];
}
