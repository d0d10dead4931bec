import { reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';

/**
 * Nscale: chat.
 * Source: https://docs.nscale.com/
 */
export const nscale = openAiCompatible({
  id: 'nscale',
  docs: 'https://docs.nscale.com/',
  baseUrl: 'https://inference.api.nscale.com/v1',
  tasks: ['chat'],
  reshapes: [reasoningContent],
  sample: {
    id: 'nscale',
    type: 'nscale',
    api_keys: [`\${NSCALE_API_KEY}`],
    model: 'meta-llama/Llama-3.3-70B-Instruct',
  },
});
