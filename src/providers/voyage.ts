import { openAiCompatible } from './openai-compatible.js';
import { withTasks } from './openai-media.js';
import { rerankHelper } from './rerank.js';

/**
 * Voyage AI: embeddings. `input_type` (`query`, `document`) and `truncation` pass. Its format is base64 or nothing, its
 * usage `total_tokens` alone.
 * Source: https://docs.voyageai.com/reference/embeddings-api
 */
const text = openAiCompatible({
  id: 'voyage',
  docs: 'https://docs.voyageai.com/reference/embeddings-api',
  baseUrl: 'https://api.voyageai.com/v1',
  tasks: ['embedding'],
  listsModels: false,
  parameters: {
    embedding: {
      leaveOut: ['user'],
      rename: { dimensions: 'output_dimension' },
      values: { encoding_format: { '"float"': 'null' } },
      textInput: true,
    },
  },
  sample: {
    id: 'voyage',
    type: 'voyage',
    api_keys: [`\${VOYAGE_API_KEY}`],
    models: [{ id: 'voyage-4', tasks: ['embedding'] }],
  },
});

/** With reranking. Source: https://docs.voyageai.com/reference/reranker-api */
export const voyage = withTasks(text, { rerank: rerankHelper({ topName: 'top_k' }) });
