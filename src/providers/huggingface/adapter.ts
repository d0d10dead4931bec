import type { UpstreamFailure, Verdict } from '../../domain/failure.js';
import type { ProviderAdapter, TaskHelper, UpstreamRoute, UpstreamTarget } from '../../domain/provider.js';
import { encodeModel } from '../model-path.js';
import { openAiCompatible, openAiHelper } from '../openai-compatible.js';
import { isFeatureExtraction, prepareFeatureExtraction, readFeatureExtraction } from './feature-extraction.js';

const ROUTER = 'https://router.huggingface.co/v1';
const ROUTER_HOST = 'router.huggingface.co';
const DEAD_HOST = 'api-inference.huggingface.co';
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

/**
 * Hugging Face: its router for Inference Providers, and dedicated endpoints (TGI, TEI). An organisation pays through the
 * header `X-HF-Bill-To`, which is set under `headers`.
 * Sources: https://huggingface.co/docs/inference-providers/index, https://huggingface.co/docs/inference-providers/pricing
 */
export const huggingface: ProviderAdapter = {
  ...dialect,
  tasks: { ...dialect.tasks, embedding },
  hint: (_failure, target) => (hostOf(target.baseUrl) === DEAD_HOST ? DEAD_HOST_HINT : undefined),
  checkEntry: ({ baseUrl }) => (baseUrl !== null && hostOf(baseUrl) === DEAD_HOST ? [DEAD_HOST_HINT] : []),
};

/**
 * Null where the base URL is a dedicated endpoint, or one of the router's providers by name (`/together/v1`), which speak
 * OpenAI's dialect. A base URL whose path ends in `/hf-inference` (the router's, or that of something in front of it) is
 * that root as written.
 */
function featureExtractionRoute(target: UpstreamTarget): UpstreamRoute | null {
  const base = target.baseUrl.replace(/\/+$/, '');
  const host = hostOf(base);
  const pipeline = () => `models/${encodeModel(target.providerModel)}/pipeline/feature-extraction`;
  if (base.endsWith('/hf-inference')) return { method: 'POST', url: `${base}/${pipeline()}` };
  if (host === ROUTER_HOST && /^(\/v1)?$/.test(base.slice(originOf(base).length))) {
    return { method: 'POST', url: `${originOf(base)}/hf-inference/${pipeline()}` };
  }
  // The dead host is asked as written: what it answers says where to go.
  if (host === DEAD_HOST) return { method: 'POST', url: `${originOf(base)}/${pipeline()}` };
  return null;
}

/** The router says so when no provider serves the model any more: another target may. */
function classifyHuggingFace(failure: UpstreamFailure): Verdict | undefined {
  return failure.code === 'model_not_supported' ? { action: 'fall-back' } : undefined;
}

function originOf(base: string): string {
  const slash = base.indexOf('/', base.indexOf('://') + 3);
  return slash === -1 ? base : base.slice(0, slash);
}

function hostOf(base: string): string {
  const origin = originOf(base);
  return origin
    .slice(origin.indexOf('://') + 3)
    .replace(/:\d+$/, '')
    .toLowerCase();
}
