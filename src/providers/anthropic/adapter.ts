import type { UpstreamFailure, Verdict } from '../../domain/failure.js';
import { DISABLED_KEY_MS } from '../../domain/failure.js';
import type { ProviderAdapter, TaskHelper } from '../../domain/provider.js';
import { ANTHROPIC_VERSION } from '../../wire/anthropic.js';
import { apiRoot, openAiModelLister } from '../openai-compatible.js';
import { prepareMessagesPayload } from './request.js';
import { readMessage } from './response.js';
import { AnthropicStreamReader } from './stream.js';

const ROOT = '/v1';

/** An account that may not spend any more, in the words and codes that stand in 400 and 429. */
const OUT_OF_CREDIT = /credit balance is too low|usage limits?\b.*regain access|spend(ing)? limit/i;
const OUT_OF_CREDIT_CODES = new Set([
  'contract_spend_limit_reached',
  'enforced_spend_limit_reached',
  'linked_organization_spend_limit_reached',
]);

const chat: TaskHelper = {
  makeRoute: (_request, target) => ({ method: 'POST', url: `${apiRoot(target.baseUrl, ROOT)}/messages` }),
  prepareHeaders: (_request, target) => ({ 'anthropic-version': target.apiVersion ?? ANTHROPIC_VERSION }),
  preparePayload: prepareMessagesPayload,
  getResponse: (answer, _request, target) => readMessage(answer, target),
  openStream: (_request, target, headers) => new AnthropicStreamReader(target, headers),
};

/**
 * Claude by Anthropic's own Messages API. Beta features are asked for by the header `anthropic-beta`, which is set under
 * `headers`.
 * Sources: https://platform.claude.com/docs/en/api/messages/create, https://platform.claude.com/docs/en/api/errors,
 * https://platform.claude.com/docs/en/api/versioning, https://platform.claude.com/docs/en/api/models/list
 */
export const claude: ProviderAdapter = {
  id: 'claude',
  aliases: ['anthropic'],
  baseUrl: 'https://api.anthropic.com/v1',
  docs: 'https://platform.claude.com/docs/en/api/messages',
  needsKey: true,
  defaultRates: null,
  tasks: { chat },
  authenticate: (key) => ({ 'x-api-key': key.reveal() }),
  classify: classifyClaude,
  listModels: openAiModelLister(ROOT),
  sampleConfig: () => ({
    id: 'claude',
    type: 'claude',
    api_keys: [`\${ANTHROPIC_API_KEY}`],
    model: 'claude-sonnet-5-5',
    pricing: {
      unit: '1m_tokens',
      input_token_cost: 2,
      cached_input_token_cost: 0.1,
      cache_write_token_cost: 2.5,
      output_token_cost: 10,
    },
  }),
};

/** An account without credit is answered with 400, as if the request were wrong: another key may have some. */
function classifyClaude({ status, code, message }: UpstreamFailure): Verdict | undefined {
  if (status !== 400 && status !== 429) return undefined;
  const isOut = code === null ? OUT_OF_CREDIT.test(message) : OUT_OF_CREDIT_CODES.has(code);
  return isOut ? { action: 'rotate-key', cooldownMs: DISABLED_KEY_MS, disable: true } : undefined;
}
