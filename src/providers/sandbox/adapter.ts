import { nativeTasks } from '../huggingface/native-tasks.js';
import { encodeModel } from '../model-path.js';
import { openAiCompatible } from '../openai-compatible.js';
import { openAiMedia, withTasks } from '../openai-media.js';
import { rerankHelper } from '../rerank.js';

const text = openAiCompatible({
  id: 'sandbox',
  docs: 'docs/providers.md#sandbox',
  needsKey: false,
  inline: true,
  sample: {
    id: 'sandbox',
    type: 'sandbox',
    api_keys: ['sandbox-key'],
    model: 'sandbox-small',
    pricing: { unit: '1m_tokens', input_token_cost: 0.2, output_token_cost: 0.6 },
  },
});

/**
 * The bundled upstream, over real HTTP on a loopback port: for first steps, tests and benchmarks. Its address is given
 * by whoever starts it. It does every task there is.
 */
export const sandbox = withTasks(text, {
  ...nativeTasks((task, target) => ({
    method: 'POST',
    url: `${target.baseUrl}/hf-inference/models/${encodeModel(target.providerModel)}/pipeline/${task}`,
  })),
  ...openAiMedia(),
  rerank: rerankHelper(),
});
