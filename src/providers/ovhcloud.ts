import { reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { developerAsSystem } from './parameter-rules.js';

/**
 * OVHcloud AI Endpoints. Answers without a key too, at a lower rate.
 * Source: https://endpoints.ai.cloud.ovh.net/
 */
export const ovhcloud = openAiCompatible({
  id: 'ovhcloud',
  docs: 'https://endpoints.ai.cloud.ovh.net/',
  baseUrl: 'https://oai.endpoints.kepler.ai.cloud.ovh.net/v1',
  needsKey: false,
  parameters: { chat: { messages: [developerAsSystem] } },
  reshapes: [reasoningContent],
  sample: {
    id: 'ovhcloud',
    type: 'ovhcloud',
    api_keys: [`\${OVH_AI_ENDPOINTS_ACCESS_TOKEN:-}`],
    model: 'gpt-oss-120b',
  },
});
