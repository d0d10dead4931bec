import { openAiCompatible } from './openai-compatible.js';
import { developerAsSystem } from './parameter-rules.js';

/**
 * Fireworks AI. A model is `accounts/fireworks/models/NAME`. Usage comes on a stream's last chunk without being asked for,
 * and `response_format` is OpenAI's.
 * Sources: https://docs.fireworks.ai/tools-sdks/openai-compatibility,
 * https://docs.fireworks.ai/api-reference/post-chatcompletions
 */
export const fireworks = openAiCompatible({
  id: 'fireworks',
  docs: 'https://docs.fireworks.ai/tools-sdks/openai-compatibility',
  baseUrl: 'https://api.fireworks.ai/inference/v1',
  streamUsage: 'comes-anyway',
  maxTokensName: () => 'max_tokens',
  parameters: { chat: { messages: [developerAsSystem] } },
  sample: {
    id: 'fireworks',
    type: 'fireworks',
    api_keys: [`\${FIREWORKS_API_KEY}`],
    model: 'accounts/fireworks/models/llama-v3p3-70b-instruct',
  },
});
