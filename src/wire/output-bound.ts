import type { TaskRequest } from '../domain/task.js';
import type { Count } from '../domain/usage.js';
import { choiceCount, outputBound } from './openai-request.js';

/**
 * The most output tokens of a request, over all its choices and prompts, at a target that caps each of them; null where
 * neither bounds it.
 */
export function mostOutput(request: TaskRequest, cap: number | null): Count {
  const asked = outputBound(request);
  if (cap === null) return asked;
  const capped = cap * choiceCount(request);
  return asked === null ? capped : Math.min(asked, capped);
}
