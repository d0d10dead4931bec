import { reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { reasoningAs } from './parameter-rules.js';

/**
 * Cerebras. Refuses penalties and logit bias, and has no store. Usage rides on a stream's last chunk. Reasoning comes and
 * goes back as `reasoning`.
 * Sources: https://inference-docs.cerebras.ai/api-reference/chat-completions,
 * https://inference-docs.cerebras.ai/resources/openai
 */
export const cerebras = openAiCompatible({
  id: 'cerebras',
  docs: 'https://inference-docs.cerebras.ai/api-reference/chat-completions',
  baseUrl: 'https://api.cerebras.ai/v1',
  tasks: ['chat', 'completion'],
  streamUsage: 'comes-anyway',
  maxTokensName: (_model, { task }) => (task === 'chat' ? 'max_completion_tokens' : 'max_tokens'),
  parameters: {
    chat: {
      leaveOut: ['store', 'metadata', 'safety_identifier', 'prompt_cache_key'],
      refuse: ['n', 'frequency_penalty', 'presence_penalty', 'logit_bias', 'verbosity'],
      messages: [reasoningAs('reasoning')],
    },
  },
  reshapes: [reasoningContent],
  sample: { id: 'cerebras', type: 'cerebras', api_keys: [`\${CEREBRAS_API_KEY}`], model: 'gpt-oss-120b' },
});
