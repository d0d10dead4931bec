import { WaybillError } from '../../domain/errors.js';
import type { UpstreamFailure, Verdict } from '../../domain/failure.js';
import type { ProviderAdapter, TaskHelper, UpstreamRoute, UpstreamTarget } from '../../domain/provider.js';
import type { Task } from '../../domain/task.js';
import { openAiCompatible, openAiHelper } from '../openai-compatible.js';
import { teiRerankHelper } from '../rerank.js';
import { DEAD_HOST, endpointRoot, hostOf, modelUrl } from './base-url.js';
import { isFeatureExtraction, prepareFeatureExtraction, readFeatureExtraction } from './feature-extraction.js';
import { nativeTasks } from './native-tasks.js';
import { openAiTasks } from './openai-tasks.js';

const ROUTER = 'https://router.huggingface.co/v1';
const DEAD_HOST_HINT = `${DEAD_HOST} is gone for good: set base_url to ${ROUTER}, or leave it out.`;

const dialect = openAiCompatible({
  id: 'huggingface',
  docs: 'https://huggingface.co/docs/inference-providers/index',
  baseUrl: ROUTER,
  tasks: ['chat', 'completion'],
  classify: classifyHuggingFace,
  sample: {
    id: 'huggingface',
    type: 'huggingface',
    api_keys: [`\${HF_TOKEN}`],
    model: 'meta-llama/Llama-3.1-8B-Instruct',
    pricing: { unit: '1m_tokens', input_token_cost: 0.02, output_token_cost: 0.05 },
  },
});

const openAiEmbedding = openAiHelper('embedding');

/**
 * Embeddings: feature extraction on the router, OpenAI's own route on a dedicated endpoint (Text Embeddings Inference).
 * Sources: https://huggingface.co/docs/inference-providers/tasks/feature-extraction,
 * https://huggingface.co/docs/text-embeddings-inference/quick_tour
 */
const embedding: TaskHelper = {
  makeRoute: (request, target) => featureExtractionRoute(target) ?? openAiEmbedding.makeRoute(request, target),
  preparePayload: (request, target) =>
    featureExtractionRoute(target) === null
      ? openAiEmbedding.preparePayload(request, target)
      : prepareFeatureExtraction(request, target),
  getResponse: (answer, request, target) =>
    isFeatureExtraction(answer) || featureExtractionRoute(target) !== null
      ? readFeatureExtraction(answer, request, target)
      : openAiEmbedding.getResponse(answer, request, target),
};

/** Reranking: Text Embeddings Inference, on an endpoint of one's own. */
const teiRerank = teiRerankHelper(endpointRoot);
const rerank: TaskHelper = {
  ...teiRerank,
  preparePayload(request, target) {
    if (modelUrl(target) === null) return teiRerank.preparePayload(request, target);
    throw new WaybillError('task_not_supported', {
      message: `Hugging Face's router does not rerank; set base_url to an endpoint of Text Embeddings Inference for \`${target.providerModel}\`.`,
      param: 'model',
    });
  },
};

/**
 * Hugging Face: its router for Inference Providers, and dedicated endpoints (TGI, TEI). An organisation pays through the
 * header `X-HF-Bill-To`, which is set under `headers`.
 * Sources: https://huggingface.co/docs/inference-providers/index, https://huggingface.co/docs/inference-providers/pricing
 */
export const huggingface: ProviderAdapter = {
  ...dialect,
  tasks: { ...dialect.tasks, embedding, rerank, ...nativeTasks(taskRoute), ...openAiTasks(taskRoute) },
  hint: (_failure, target) => (hostOf(target.baseUrl) === DEAD_HOST ? DEAD_HOST_HINT : undefined),
  checkEntry: ({ baseUrl }) => (baseUrl !== null && hostOf(baseUrl) === DEAD_HOST ? [DEAD_HOST_HINT] : []),
};

/** Null where feature extraction is not asked by the model's name. */
function featureExtractionRoute(target: UpstreamTarget): UpstreamRoute | null {
  const url = modelUrl(target);
  return url === null ? null : { method: 'POST', url: `${url}/pipeline/feature-extraction` };
}

/**
 * The tasks of `POST /api/inference`. Feature extraction and sentence similarity are both asked of the same models, so
 * their route says which is meant; a dedicated endpoint does one task, at its root.
 */
function taskRoute(task: Task, target: UpstreamTarget): UpstreamRoute {
  const url = modelUrl(target);
  if (url === null) return { method: 'POST', url: `${endpointRoot(target)}/` };
  const isNamed = task === 'feature-extraction' || task === 'sentence-similarity';
  return { method: 'POST', url: isNamed ? `${url}/pipeline/${task}` : url };
}

/** The router says so when no provider serves the model any more: another target may. */
function classifyHuggingFace(failure: UpstreamFailure): Verdict | undefined {
  return failure.code === 'model_not_supported' ? { action: 'fall-back' } : undefined;
}
