import { reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { openAiMedia, withTasks } from './openai-media.js';
import { reasoningAs } from './parameter-rules.js';

/**
 * OpenRouter. Usage comes with every answer, cost and cache writes in it: `usage.include` and `stream_options` have no
 * effect any more. Reasoning comes and goes back as `reasoning`. A 403 is a prompt that moderation flagged, not a bad key.
 * Sources: https://openrouter.ai/docs/use-cases/usage-accounting, https://openrouter.ai/docs/api-reference/errors
 */
const text = openAiCompatible({
  id: 'openrouter',
  docs: 'https://openrouter.ai/docs/api-reference/overview',
  baseUrl: 'https://openrouter.ai/api/v1',
  streamUsage: 'comes-anyway',
  parameters: { chat: { messages: [reasoningAs('reasoning')] } },
  reshapes: [reasoningContent],
  classify: ({ status, message }) =>
    status === 403 && /flagged|moderation/i.test(message) ? { action: 'reject' } : undefined,
  sample: {
    id: 'openrouter',
    type: 'openrouter',
    api_keys: [`\${OPENROUTER_API_KEY}`],
    model: 'openai/gpt-4o-mini',
  },
});

/**
 * With speech. Its transcriptions and images are asked for in another shape than OpenAI's.
 * Source: https://openrouter.ai/docs/guides/overview/multimodal/tts
 */
export const openrouter = withTasks(text, openAiMedia(['speech'], { defaultPath: '/api/v1', streams: [] }));
