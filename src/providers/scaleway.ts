import { reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { developerAsSystem } from './parameter-rules.js';

/**
 * Scaleway Generative APIs: chat and embeddings, with `max_tokens` alone.
 * Source: https://www.scaleway.com/en/docs/generative-apis/api-cli/using-chat-api/
 */
export const scaleway = openAiCompatible({
  id: 'scaleway',
  docs: 'https://www.scaleway.com/en/docs/generative-apis/api-cli/using-chat-api/',
  baseUrl: 'https://api.scaleway.ai/v1',
  tasks: ['chat', 'embedding'],
  maxTokensName: () => 'max_tokens',
  parameters: {
    chat: {
      leaveOut: ['user'],
      refuse: ['n', 'frequency_penalty', 'top_logprobs', 'logit_bias'],
      messages: [developerAsSystem],
    },
  },
  reshapes: [reasoningContent],
  sample: { id: 'scaleway', type: 'scaleway', api_keys: [`\${SCW_SECRET_KEY}`], model: 'llama-3.3-70b-instruct' },
});
