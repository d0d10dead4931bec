import type { AnswerOutcome, SseEvent, Unfinished, UpstreamAnswer, UpstreamTarget } from '../../domain/provider.js';
import type { TaskRequest } from '../../domain/task.js';
import { malformed } from '../../wire/fault.js';
import { chatCompletion } from '../chat-chunks.js';
import { readPrediction } from './prediction.js';

/**
 * A language model's prediction in OpenAI's shape: its output is a text, or pieces of one. Replicate does not say why a
 * model stopped, so every answer ends with `stop`.
 */
export function readChat(
  answer: UpstreamAnswer,
  request: TaskRequest,
  target: UpstreamTarget,
): AnswerOutcome | Unfinished {
  const read = readPrediction(answer, request, target);
  if (read.ok !== true) return read;
  const { id, created, output, usage } = read.prediction;
  const text = textOfOutput(output);
  if (text === null) {
    const fault = malformed('the prediction’s output is no text');
    return { ok: false, fault, usage: usage?.report ?? null, hasEnded: true };
  }
  const completion = chatCompletion({
    identity: { id, created, model: target.providerModel },
    message: { content: text },
    finishReason: 'stop',
    usage: usage?.shown ?? null,
  });
  return {
    ok: true,
    answer: {
      body: JSON.stringify(completion),
      usage: usage?.report ?? null,
      outputTexts: () => (text === '' ? [] : [text]),
      ...(request.stream ? { events: eventsOf(text) } : {}),
    },
  };
}

function textOfOutput(output: unknown): string | null {
  if (typeof output === 'string') return output;
  if (!Array.isArray(output) || !output.every((piece) => typeof piece === 'string')) return null;
  return output.join('');
}

/** The stream that a model which does not stream would have sent. */
function eventsOf(text: string): SseEvent[] {
  return [
    { name: 'output', data: text },
    { name: 'done', data: '{}' },
  ];
}
