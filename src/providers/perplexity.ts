import { openAiCompatible } from './openai-compatible.js';
import { developerAsSystem, NO_EFFECT } from './parameter-rules.js';

const DEEP_RESEARCH = /deep-research/;

/**
 * Perplexity's Sonar: chat without tools. Citations and search results stand beside the choices and pass. Deep research
 * counts reasoning beside both completion and total, and is billed for citation tokens (as input) and searches too; the
 * other models have a fee for each request, which is a request price. `usage.cost.total_cost` is the provider's own word.
 * Perplexity meant to end Sonar on 27 September 2026 in favour of its Agent API, which is not this dialect.
 * Sources: https://docs.perplexity.ai/guides/chat-completions-guide, https://docs.perplexity.ai/getting-started/pricing,
 * https://docs.perplexity.ai/docs/agent-api/migrate-from-sonar/overview
 */
export const perplexity = openAiCompatible({
  id: 'perplexity',
  docs: 'https://docs.perplexity.ai/guides/chat-completions-guide',
  baseUrl: 'https://api.perplexity.ai',
  tasks: ['chat'],
  streamUsage: 'comes-anyway',
  reasoningOutside: 'of-the-total-too',
  billedBeside: (model) =>
    DEEP_RESEARCH.test(model) ? { input: 'citation_tokens', searches: 'num_search_queries' } : null,
  maxTokensName: () => 'max_tokens',
  parameters: {
    chat: {
      leaveOut: NO_EFFECT,
      refuse: [
        ...['tools', 'tool_choice', 'parallel_tool_calls', 'n', 'seed', 'stop'],
        ...['logprobs', 'top_logprobs', 'logit_bias', 'verbosity'],
      ],
      responseFormats: ['json_schema', 'regex'],
      messages: [developerAsSystem],
    },
  },
  listsModels: false,
  hint: ({ status, message }) =>
    status === 404 || status === 410 || /agent api/i.test(message)
      ? 'Perplexity meant to end this API (Sonar) on 27 September 2026 in favour of its Agent API.'
      : undefined,
  sample: { id: 'perplexity', type: 'perplexity', api_keys: [`\${PERPLEXITY_API_KEY}`], model: 'sonar' },
});
