import { reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { developerAsSystem } from './parameter-rules.js';

/**
 * NVIDIA's API catalogue, and NIM containers by their own base URL. Retrieval models want `input_type`, `query` or
 * `passage`, which others call `document`.
 * Source: https://docs.api.nvidia.com/nim/reference/
 */
export const nvidia = openAiCompatible({
  id: 'nvidia',
  docs: 'https://docs.api.nvidia.com/nim/reference/',
  baseUrl: 'https://integrate.api.nvidia.com/v1',
  parameters: {
    chat: { messages: [developerAsSystem] },
    embedding: { values: { input_type: { '"document"': '"passage"' } } },
  },
  reshapes: [reasoningContent],
  sample: {
    id: 'nvidia',
    type: 'nvidia',
    api_keys: [`\${NVIDIA_API_KEY}`],
    model: 'meta/llama-3.3-70b-instruct',
  },
});
