import type { AnswerFault } from '../../domain/provider.js';
import { malformed } from '../../wire/fault.js';

const FINISH_REASONS: Readonly<Record<string, string>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  tool_use: 'tool_calls',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  guardrail_intervened: 'content_filter',
  content_filtered: 'content_filter',
};

/**
 * OpenAI's finish reason for a `stopReason`, or the failure it is: the model wrote what is no message, or no reason came.
 * One that is not known yet is a stop.
 * Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_MessageStopEvent.html
 */
export function finishOf(stopReason: unknown): string | AnswerFault {
  if (typeof stopReason !== 'string') return malformed('the provider’s answer has no stop reason');
  if (stopReason.startsWith('malformed_')) return malformed(`the model’s answer is no good: ${stopReason}`);
  return FINISH_REASONS[stopReason] ?? 'stop';
}
