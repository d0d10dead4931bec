import { reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { developerAsSystem } from './parameter-rules.js';

/**
 * SambaNova. Timings stand among the counts of its usage, as floats, and `created` may be one. Refused is what it takes
 * and does not heed.
 * Source: https://docs.sambanova.ai/docs/api-reference/chat-completions/create-chat-based-completion
 */
export const sambanova = openAiCompatible({
  id: 'sambanova',
  docs: 'https://docs.sambanova.ai/docs/api-reference/chat-completions/create-chat-based-completion',
  baseUrl: 'https://api.sambanova.ai/v1',
  parameters: {
    chat: {
      refuse: ['n', 'presence_penalty', 'frequency_penalty', 'logit_bias', 'logprobs', 'top_logprobs'],
      messages: [developerAsSystem],
    },
  },
  reshapes: [reasoningContent],
  sample: {
    id: 'sambanova',
    type: 'sambanova',
    api_keys: [`\${SAMBANOVA_API_KEY}`],
    model: 'Meta-Llama-3.3-70B-Instruct',
  },
});
