import { reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { developerAsSystem } from './parameter-rules.js';

/**
 * Hyperbolic. Usage comes without being asked for, on every chunk, and grows: the last one counts.
 * Source: https://docs.hyperbolic.xyz/docs/rest-api
 */
export const hyperbolic = openAiCompatible({
  id: 'hyperbolic',
  docs: 'https://docs.hyperbolic.xyz/docs/rest-api',
  baseUrl: 'https://api.hyperbolic.xyz/v1',
  tasks: ['chat', 'completion'],
  streamUsage: 'comes-anyway',
  parameters: { chat: { messages: [developerAsSystem] } },
  reshapes: [reasoningContent],
  sample: {
    id: 'hyperbolic',
    type: 'hyperbolic',
    api_keys: [`\${HYPERBOLIC_API_KEY}`],
    model: 'meta-llama/Llama-3.3-70B-Instruct',
  },
});
