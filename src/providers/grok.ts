import type { UpstreamFailure, Verdict } from '../domain/failure.js';
import { DISABLED_KEY_MS } from '../domain/failure.js';
import { grokImages } from './grok-images.js';
import { openAiCompatible } from './openai-compatible.js';
import { withTasks } from './openai-media.js';

/**
 * xAI. Reasoning tokens are counted beside `completion_tokens`, and the cost is told in ticks
 * (`usage.cost_in_usd_ticks`). A wrong key is a 400, and a 403 may be a prompt that is against the usage guidelines.
 * Reasoning models themselves refuse `presence_penalty`, `frequency_penalty` and `stop`.
 * Sources: https://docs.x.ai/docs/api-reference, https://docs.x.ai/docs/guides/reasoning
 */
const text = openAiCompatible({
  id: 'grok',
  aliases: ['xai'],
  docs: 'https://docs.x.ai/docs/api-reference',
  baseUrl: 'https://api.x.ai/v1',
  tasks: ['chat'],
  reasoningOutside: true,
  classify: classifyGrok,
  sample: { id: 'grok', type: 'grok', api_keys: [`\${XAI_API_KEY}`], model: 'grok-latest' },
});

/** With images and their edits. */
export const grok = withTasks(text, grokImages);

function classifyGrok({ status, message }: UpstreamFailure): Verdict | undefined {
  if (status === 400 && /incorrect api key/i.test(message)) {
    return { action: 'rotate-key', cooldownMs: DISABLED_KEY_MS, disable: true };
  }
  return status === 403 && /usage guidelines|SAFETY_CHECK/i.test(message) ? { action: 'reject' } : undefined;
}
