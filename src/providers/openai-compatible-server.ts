import { openAiCompatible } from './openai-compatible.js';
import { openAiMedia, withTasks } from './openai-media.js';
import { rerankHelper } from './rerank.js';

const text = openAiCompatible({
  id: 'openai_compatible',
  docs: 'https://platform.openai.com/docs/api-reference',
  needsKey: false,
  sample: {
    id: 'local',
    type: 'openai_compatible',
    base_url: 'http://127.0.0.1:8000/v1',
    api_keys: [`\${LOCAL_API_KEY:-}`],
    model: 'Qwen/Qwen3-8B',
    pricing: { unit: '1m_tokens', input_token_cost: 0, output_token_cost: 0 },
  },
});

/**
 * Any server that speaks the dialect: vLLM, TGI, llama.cpp, LM Studio, LiteLLM, another Waybill. Which tasks it can do
 * only its operator knows: `models[].tasks` says so.
 */
export const openAiCompatibleServer = withTasks(text, { ...openAiMedia(), rerank: rerankHelper() });
