import { openAiCompatible } from './openai-compatible.js';
import { developerAsSystem, NO_EFFECT } from './parameter-rules.js';

/**
 * DeepSeek: chat. Cache hits (`prompt_cache_hit_tokens`) are inside `prompt_tokens`. `reasoning_content` goes back as it
 * came: thinking with tools needs it. Refused is what its API does not know and would not heed. A thinking model itself
 * refuses log probabilities.
 * Sources: https://api-docs.deepseek.com/api/create-chat-completion, https://api-docs.deepseek.com/guides/thinking_mode
 */
export const deepseek = openAiCompatible({
  id: 'deepseek',
  docs: 'https://api-docs.deepseek.com/api/create-chat-completion',
  baseUrl: 'https://api.deepseek.com/v1',
  tasks: ['chat'],
  maxTokensName: () => 'max_tokens',
  parameters: {
    chat: {
      leaveOut: NO_EFFECT,
      refuse: ['n', 'seed', 'logit_bias', 'parallel_tool_calls', 'verbosity'],
      responseFormats: ['json_object'],
      messages: [developerAsSystem],
    },
  },
  sample: { id: 'deepseek', type: 'deepseek', api_keys: [`\${DEEPSEEK_API_KEY}`], model: 'deepseek-chat' },
});
