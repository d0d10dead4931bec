import { reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { openAiMedia, withTasks } from './openai-media.js';
import { developerAsSystem } from './parameter-rules.js';

/**
 * Nebius Token Factory, which was AI Studio.
 * Source: https://docs.tokenfactory.nebius.com/api-reference/introduction
 */
const text = openAiCompatible({
  id: 'nebius',
  docs: 'https://docs.tokenfactory.nebius.com/api-reference/introduction',
  baseUrl: 'https://api.tokenfactory.nebius.com/v1',
  parameters: { chat: { messages: [developerAsSystem] } },
  reshapes: [reasoningContent],
  sample: {
    id: 'nebius',
    type: 'nebius',
    api_keys: [`\${NEBIUS_API_KEY}`],
    model: 'meta-llama/Llama-3.3-70B-Instruct',
  },
});

/** With images. Source: https://docs.tokenfactory.nebius.com/api-reference/introduction */
export const nebius = withTasks(text, openAiMedia(['image'], { streams: [] }));
