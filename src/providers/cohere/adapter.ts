import { DISABLED_KEY_MS, type UpstreamFailure, type Verdict } from '../../domain/failure.js';
import type { ProviderAdapter, TaskHelper } from '../../domain/provider.js';
import { createdBy } from '../chat-chunks.js';
import { apiRoot, bearer } from '../openai-compatible.js';
import { rerankHelper } from '../rerank.js';
import { readCohereChat } from './chat-answer.js';
import { prepareCohereChat } from './chat-request.js';
import { CohereStreamReader } from './chat-stream.js';
import { prepareCohereEmbed, readCohereEmbed } from './embed.js';

const chat: TaskHelper = {
  makeRoute: (_request, target) => ({ method: 'POST', url: `${apiRoot(target.baseUrl, '/v2')}/chat` }),
  preparePayload: prepareCohereChat,
  getResponse: (answer, _request, target) => readCohereChat(answer, target),
  openStream: (_request, target, headers) => new CohereStreamReader(target, createdBy(headers)),
};

const embedding: TaskHelper = {
  makeRoute: (_request, target) => ({ method: 'POST', url: `${apiRoot(target.baseUrl, '/v2')}/embed` }),
  preparePayload: prepareCohereEmbed,
  getResponse: readCohereEmbed,
};

/** Source: https://docs.cohere.com/reference/rerank */
const rerank = rerankHelper({ defaultPath: '/v2' });

/**
 * Cohere's native API v2. Errors are `{"message": …}` under the usual statuses.
 * Sources: https://docs.cohere.com/reference/about, https://docs.cohere.com/reference/errors
 */
export const cohere: ProviderAdapter = {
  id: 'cohere',
  docs: 'https://docs.cohere.com/reference/about',
  baseUrl: 'https://api.cohere.com',
  needsKey: true,
  defaultRates: null,
  tasks: { chat, embedding, rerank },
  authenticate: bearer,
  classify: classifyCohere,
  sampleConfig: () => ({
    id: 'cohere',
    type: 'cohere',
    api_keys: [`\${COHERE_API_KEY}`],
    model: 'command-a-03-2025',
    models: [
      {
        id: 'command-a-03-2025',
        tasks: ['chat'],
        pricing: { unit: '1m_tokens', input_token_cost: 2.5, output_token_cost: 10 },
      },
      { id: 'embed-v4.0', tasks: ['embedding'], pricing: { unit: '1m_tokens', input_token_cost: 0.12 } },
    ],
  }),
};

/** A trial key has so many calls a month: one that has used them up is of no use for a while. */
function classifyCohere(failure: UpstreamFailure): Verdict | undefined {
  if (failure.status !== 429 || !/trial key.*month/i.test(failure.message)) return undefined;
  return { action: 'rotate-key', cooldownMs: DISABLED_KEY_MS, disable: true };
}
