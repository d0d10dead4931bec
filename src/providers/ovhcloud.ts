import { reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { openAiMedia, withTasks } from './openai-media.js';
import { developerAsSystem } from './parameter-rules.js';

/**
 * OVHcloud AI Endpoints. Answers without a key too, at a lower rate.
 * Source: https://endpoints.ai.cloud.ovh.net/
 */
const text = openAiCompatible({
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

/** With transcription. Source: https://help.ovhcloud.com/csm/en-public-cloud-ai-endpoints-speech-to-text */
export const ovhcloud = withTasks(text, openAiMedia(['transcription'], { streams: [] }));
