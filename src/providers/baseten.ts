import { reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { developerAsSystem } from './parameter-rules.js';

/**
 * Baseten's Model APIs: chat. A dedicated deployment has a base URL of its own.
 * Source: https://docs.baseten.co/inference/model-apis/overview
 */
export const baseten = openAiCompatible({
  id: 'baseten',
  docs: 'https://docs.baseten.co/inference/model-apis/overview',
  baseUrl: 'https://inference.baseten.co/v1',
  tasks: ['chat'],
  parameters: { chat: { messages: [developerAsSystem] } },
  reshapes: [reasoningContent],
  sample: { id: 'baseten', type: 'baseten', api_keys: [`\${BASETEN_API_KEY}`], model: 'openai/gpt-oss-120b' },
});
