import { DISABLED_KEY_MS, type UpstreamFailure, type Verdict } from '../../domain/failure.js';
import type { ProviderAdapter, TaskHelper, UpstreamTarget } from '../../domain/provider.js';
import { encodeModel } from '../model-path.js';
import { apiRoot } from '../openai-compatible.js';
import { isSingle, prepareEmbedding, readEmbedding } from './embeddings.js';
import { isImagen, prepareImage, readImages } from './images.js';
import { prepareChat } from './request.js';
import { readChat } from './response.js';
import { prepareSpeech, readSpeech } from './speech.js';
import { GeminiStreamReader } from './stream.js';

const DOCS = 'https://ai.google.dev/api';
const DEFAULT_VERSION = 'v1beta';

const chat: TaskHelper = {
  makeRoute: (request, target) => routeTo(target, request.stream ? 'streamGenerateContent?alt=sse' : 'generateContent'),
  preparePayload: prepareChat,
  getResponse: (answer, _request, target) => readChat(answer, target),
  openStream: (request, target, headers) => new GeminiStreamReader(request, target, headers),
};

const embedding: TaskHelper = {
  makeRoute: (request, target) => routeTo(target, isSingle(request) ? 'embedContent' : 'batchEmbedContents'),
  preparePayload: (request, target) => prepareEmbedding(request, target, resourceOf(target)),
  getResponse: readEmbedding,
};

const image: TaskHelper = {
  makeRoute: (_request, target) => routeTo(target, isImagen(target) ? 'predict' : 'generateContent'),
  preparePayload: prepareImage,
  getResponse: (answer, _request, target) => readImages(answer, target),
};

const speech: TaskHelper = {
  makeRoute: (_request, target) => routeTo(target, 'generateContent'),
  preparePayload: prepareSpeech,
  getResponse: readSpeech,
};

/**
 * Google's Gemini API in its own dialect, with the key in a header: in the URL it would be in every log on the way.
 * Sources: https://ai.google.dev/api, https://ai.google.dev/gemini-api/docs/api-key,
 * https://ai.google.dev/gemini-api/docs/troubleshooting
 */
export const gemini: ProviderAdapter = {
  id: 'gemini',
  baseUrl: 'https://generativelanguage.googleapis.com',
  docs: DOCS,
  needsKey: true,
  defaultRates: null,
  tasks: { chat, embedding, image, speech },
  authenticate: (key) => ({ 'x-goog-api-key': key.reveal() }),
  classify,
  sampleConfig: () => ({
    id: 'gemini',
    type: 'gemini',
    api_keys: [`\${GEMINI_API_KEY}`],
    model: 'gemini-2.5-flash',
    pricing: {
      unit: '1m_tokens',
      input_token_cost: 0.3,
      cached_input_token_cost: 0.03,
      output_token_cost: 2.5,
      audio_input_token_cost: 1,
    },
  }),
};

function routeTo(target: UpstreamTarget, method: string): { method: 'POST'; url: string } {
  const root = apiRoot(target.baseUrl, `/${target.apiVersion ?? DEFAULT_VERSION}`);
  return { method: 'POST', url: `${root}/${encodeModel(resourceOf(target))}:${method}` };
}

/** `models/gemini-2.5-flash`; a name that says its collection (`tunedModels/mine`) is whole already. */
function resourceOf({ providerModel }: UpstreamTarget): string {
  return /^(models|tunedModels)\//.test(providerModel) ? providerModel : `models/${providerModel}`;
}

/**
 * What Google says with a 400 that is not about the request: a key that is wrong or has expired, a place it does not
 * serve, a prompt beyond the model's window (in words of its own).
 */
function classify({ status, code, type, message }: UpstreamFailure): Verdict | undefined {
  if (status !== 400) return undefined;
  if (type === 'API_KEY_INVALID' || /^API key (not valid|expired)/.test(message)) {
    return { action: 'rotate-key', cooldownMs: DISABLED_KEY_MS, disable: true };
  }
  if (code === 'FAILED_PRECONDITION' && /location|free tier/i.test(message)) return { action: 'fall-back' };
  return /input token count .*exceeds the maximum/i.test(message) ? { action: 'fall-back' } : undefined;
}
