import { reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { developerAsSystem } from './parameter-rules.js';

/**
 * Nscale: chat.
 * Source: https://docs.nscale.com/
 */
export const nscale = openAiCompatible({
  id: 'nscale',
  docs: 'https://docs.nscale.com/',
  baseUrl: 'https://inference.api.nscale.com/v1',
  tasks: ['chat'],
  parameters: { chat: { messages: [developerAsSystem] } },
  reshapes: [reasoningContent],
  sample: {
    id: 'nscale',
    type: 'nscale',
    api_keys: [`\${NSCALE_API_KEY}`],
    model: 'meta-llama/Llama-3.3-70B-Instruct',
  },
});
