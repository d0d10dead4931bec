import { reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { developerAsSystem } from './parameter-rules.js';

/**
 * Featherless AI. A 403 may be a model that is gated, which says nothing of the key.
 * Source: https://featherless.ai/docs
 */
export const featherless = openAiCompatible({
  id: 'featherless',
  docs: 'https://featherless.ai/docs',
  baseUrl: 'https://api.featherless.ai/v1',
  tasks: ['chat', 'completion'],
  parameters: { chat: { messages: [developerAsSystem] } },
  reshapes: [reasoningContent],
  classify: ({ status, code, message }) =>
    status === 403 && /gated/i.test(`${code} ${message}`) ? { action: 'fall-back' } : undefined,
  sample: {
    id: 'featherless',
    type: 'featherless',
    api_keys: [`\${FEATHERLESS_API_KEY}`],
    model: 'unsloth/Llama-3.3-70B-Instruct',
  },
});
