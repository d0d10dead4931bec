import { reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { developerAsSystem, reasoningAs } from './parameter-rules.js';

/**
 * Together AI. Knows `max_tokens` alone; usage rides on a stream's last chunk, with `cached_tokens` at its top level.
 * Reasoning comes and goes back as `reasoning`. `response_format` is OpenAI's.
 * Sources: https://docs.together.ai/reference/chat-completions-1,
 * https://docs.together.ai/docs/inference/chat/structured-outputs
 */
export const together = openAiCompatible({
  id: 'together',
  docs: 'https://docs.together.ai/reference/chat-completions-1',
  baseUrl: 'https://api.together.ai/v1',
  streamUsage: 'comes-anyway',
  maxTokensName: () => 'max_tokens',
  parameters: { chat: { messages: [developerAsSystem, reasoningAs('reasoning')] } },
  reshapes: [reasoningContent],
  sample: {
    id: 'together',
    type: 'together',
    api_keys: [`\${TOGETHER_API_KEY}`],
    model: 'meta-llama/Llama-3.3-70B-Instruct-Turbo',
  },
});
