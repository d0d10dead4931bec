import { openAiCompatible } from './openai-compatible.js';
import { developerAsSystem } from './parameter-rules.js';

/**
 * Novita AI, which knows `max_tokens` alone.
 * Source: https://novita.ai/docs/api-reference/model-apis-llm-create-chat-completion
 */
export const novita = openAiCompatible({
  id: 'novita',
  docs: 'https://novita.ai/docs/api-reference/model-apis-llm-create-chat-completion',
  baseUrl: 'https://api.novita.ai/openai/v1',
  maxTokensName: () => 'max_tokens',
  parameters: { chat: { messages: [developerAsSystem] } },
  sample: {
    id: 'novita',
    type: 'novita',
    api_keys: [`\${NOVITA_API_KEY}`],
    model: 'meta-llama/llama-3.3-70b-instruct',
  },
});
