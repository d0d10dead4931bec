import { openAiCompatible } from './openai-compatible.js';
import { withTasks } from './openai-media.js';
import { rerankHelper } from './rerank.js';

/**
 * Jina AI: embeddings. What others call `input_type` is a `task` here, and the format `embedding_type`.
 * Sources: https://jina.ai/embeddings/, https://api.jina.ai/redoc
 */
const text = openAiCompatible({
  id: 'jina',
  docs: 'https://jina.ai/embeddings/',
  baseUrl: 'https://api.jina.ai/v1',
  tasks: ['embedding'],
  listsModels: false,
  parameters: {
    embedding: {
      leaveOut: ['user'],
      values: { input_type: { '"query"': '"retrieval.query"', '"document"': '"retrieval.passage"' } },
      rename: { input_type: 'task', encoding_format: 'embedding_type' },
      textInput: true,
    },
  },
  sample: {
    id: 'jina',
    type: 'jina',
    api_keys: [`\${JINA_API_KEY}`],
    models: [{ id: 'jina-embeddings-v3', tasks: ['embedding'] }],
  },
});

/** With reranking. Source: https://jina.ai/reranker/ */
export const jina = withTasks(text, { rerank: rerankHelper() });
