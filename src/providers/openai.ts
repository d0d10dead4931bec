import type { TaskRequest } from '../domain/task.js';
import { openAiCompatible } from './openai-compatible.js';
import type { MaxTokensName } from './openai-payload.js';

/** Models that reason refuse `max_tokens`. Dated and fine-tuned names (`ft:o4-mini:…`) begin the same way. */
const REASONING_MODEL = /^(ft:)?(o\d|gpt-([5-9]|\d{2,})|codex)(\b|-|$)/;

/**
 * OpenAI. `max_tokens` is deprecated for chat and refused by reasoning models, which take `max_completion_tokens`;
 * text completions know `max_tokens` alone. Cached and reasoning tokens come inside the totals.
 * Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-max_completion_tokens
 */
export const openai = openAiCompatible({
  id: 'openai',
  docs: 'https://platform.openai.com/docs/api-reference',
  baseUrl: 'https://api.openai.com/v1',
  maxTokensName: openAiMaxTokensName,
  sample: {
    id: 'openai',
    type: 'openai',
    api_keys: [`\${OPENAI_API_KEY}`],
    model: 'gpt-4o-mini',
    pricing: { unit: '1m_tokens', input_token_cost: 0.15, cached_input_token_cost: 0.075, output_token_cost: 0.6 },
  },
});

/** For OpenAI's own models, wherever they run. */
export function openAiMaxTokensName(providerModel: string, request: TaskRequest): MaxTokensName | null {
  if (request.task === 'completion') return 'max_tokens';
  return REASONING_MODEL.test(providerModel) ? 'max_completion_tokens' : null;
}
