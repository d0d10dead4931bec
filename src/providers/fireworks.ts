import type { UpstreamTarget } from '../domain/provider.js';
import { apiRoot, openAiCompatible } from './openai-compatible.js';
import { openAiMedia, withTasks } from './openai-media.js';
import { developerAsSystem } from './parameter-rules.js';
import { rerankHelper } from './rerank.js';

/**
 * Fireworks AI. A model is `accounts/fireworks/models/NAME`. Usage comes on a stream's last chunk without being asked for,
 * and `response_format` is OpenAI's.
 * Sources: https://docs.fireworks.ai/tools-sdks/openai-compatibility,
 * https://docs.fireworks.ai/api-reference/post-chatcompletions
 */
const text = openAiCompatible({
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

const OWN_HOST = 'https://api.fireworks.ai';

/**
 * With transcription, translation and reranking.
 * Sources: https://docs.fireworks.ai/guides/querying-asr-models,
 * https://docs.fireworks.ai/api-reference/audio-transcriptions, https://docs.fireworks.ai/guides/querying-embeddings-models
 */
export const fireworks = withTasks(text, {
  ...openAiMedia(['transcription', 'audio-translation'], { url: audioUrl, streams: [] }),
  rerank: rerankHelper({ defaultPath: '/inference/v1' }),
});

/** Recordings have hosts of their own, by model; an address that the config gives is used as written. */
function audioUrl({ baseUrl, providerModel }: UpstreamTarget, path: string): string {
  if (!baseUrl.startsWith(OWN_HOST)) return `${apiRoot(baseUrl, '/v1')}${path}`;
  const host = providerModel.endsWith('-turbo') ? 'audio-turbo' : 'audio-prod';
  return `https://${host}.api.fireworks.ai/v1${path}`;
}
