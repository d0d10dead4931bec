import type { AnswerFault } from '../../domain/provider.js';
import { malformed } from '../../wire/fault.js';

/** Ends that are the provider's doing, not the model's: something was held back. */
const FILTERED = new Set([
  ...['SAFETY', 'RECITATION', 'LANGUAGE', 'BLOCKLIST', 'PROHIBITED_CONTENT', 'SPII', 'OTHER', 'ESCALATION'],
  ...['IMAGE_SAFETY', 'IMAGE_PROHIBITED_CONTENT', 'IMAGE_RECITATION', 'IMAGE_OTHER', 'NO_IMAGE', 'MODEL_ARMOR'],
]);

/** Ends of an answer that is none. */
const BROKEN = new Set([
  ...['MALFORMED_FUNCTION_CALL', 'UNEXPECTED_TOOL_CALL', 'TOO_MANY_TOOL_CALLS', 'MALFORMED_RESPONSE'],
]);

/** The history lacks a signature: the request's mistake, told in the answer. */
const MISSING_SIGNATURE = 'MISSING_THOUGHT_SIGNATURE';

/**
 * A candidate's finish reason in OpenAI's words; null while it goes on.
 * Source: https://ai.google.dev/api/generate-content#FinishReason
 */
export function toFinishReason(reason: unknown, hasCalls: boolean): string | null {
  if (typeof reason !== 'string' || reason === '' || reason === 'FINISH_REASON_UNSPECIFIED') return null;
  if (reason === 'MAX_TOKENS') return 'length';
  if (FILTERED.has(reason)) return 'content_filter';
  return hasCalls ? 'tool_calls' : 'stop';
}

/** The fault of a candidate that ended without being an answer; null for any other. */
export function finishFault(reason: unknown, message: unknown): AnswerFault | null {
  if (typeof reason !== 'string' || (!BROKEN.has(reason) && reason !== MISSING_SIGNATURE)) return null;
  const said = typeof message === 'string' && message !== '' ? `: ${message}` : '';
  const text = `the model’s answer ended with ${reason}${said}`;
  if (reason !== MISSING_SIGNATURE) return { ...malformed(text), code: reason };
  return { kind: 'status', status: 400, code: reason, type: null, param: 'messages', message: text };
}
