import { openAiCompatible } from './openai-compatible.js';
import { openAiMedia, withTasks } from './openai-media.js';
import { developerAsSystem } from './parameter-rules.js';

/**
 * DeepInfra: its OpenAI API lives under `/v1/openai`, and says what a call costs as `usage.estimated_cost`.
 * Source: https://deepinfra.com/docs/advanced/openai_api
 */
const text = openAiCompatible({
  id: 'deepinfra',
  docs: 'https://deepinfra.com/docs/advanced/openai_api',
  baseUrl: 'https://api.deepinfra.com/v1/openai',
  parameters: { chat: { messages: [developerAsSystem] } },
  sample: {
    id: 'deepinfra',
    type: 'deepinfra',
    api_keys: [`\${DEEPINFRA_API_KEY}`],
    model: 'meta-llama/Llama-3.3-70B-Instruct-Turbo',
  },
});

/**
 * With images, speech, transcription and translation, answered whole.
 * Sources: https://deepinfra.com/docs/tutorials/text-to-image, https://deepinfra.com/docs/tutorials/text-to-speech,
 * https://deepinfra.com/openai/whisper-large-v3/api
 */
export const deepinfra = withTasks(
  text,
  openAiMedia(['image', 'speech', 'transcription', 'audio-translation'], { defaultPath: '/v1/openai', streams: [] }),
);
