import type { UpstreamFailure, Verdict } from '../../domain/failure.js';
import type { HeaderFields, ProviderAdapter, TaskHelper } from '../../domain/provider.js';
import type { TaskRequest } from '../../domain/task.js';
import { bearer } from '../openai-compatible.js';
import { readChat } from './chat-answer.js';
import { prepareChat } from './chat-request.js';
import { ReplicateStreamReader } from './chat-stream.js';
import { prepareImage, readImage } from './images.js';
import { placeOf } from './model-name.js';

const DOCS = 'https://replicate.com/docs/reference/http';

/**
 * How long the call that makes a prediction is held for it to end: 1 to 60 seconds. Short, because a prediction can only
 * be cancelled once its call has been answered.
 * Source: https://replicate.com/docs/topics/predictions/create-a-prediction
 */
const WAIT_SECONDS = 5;

const predicting = {
  makeRoute: (_request, target) => ({ method: 'POST', url: placeOf(target).url }),
  prepareHeaders: waitHeader,
  predicts: true,
} as const satisfies Partial<TaskHelper>;

const chat: TaskHelper = {
  ...predicting,
  preparePayload: prepareChat,
  getResponse: readChat,
  openStream: (_request, target, headers, step) => new ReplicateStreamReader(target, headers, step),
};

const image: TaskHelper = { ...predicting, preparePayload: prepareImage, getResponse: readImage };

/**
 * Replicate: predictions that are made, asked for, streamed and cancelled. Errors are `{"detail": …}` under the usual
 * statuses; failures of a model stand in its prediction.
 * Sources: https://replicate.com/docs/reference/http, https://replicate.com/docs/topics/predictions
 */
export const replicate: ProviderAdapter = {
  id: 'replicate',
  docs: DOCS,
  baseUrl: 'https://api.replicate.com',
  needsKey: true,
  defaultRates: null,
  tasks: { chat, image },
  authenticate: bearer,
  classify,
  sampleConfig: () => ({
    id: 'replicate',
    type: 'replicate',
    api_keys: [`\${REPLICATE_API_TOKEN}`],
    models: [
      {
        id: 'meta/meta-llama-3-70b-instruct',
        tasks: ['chat'],
        pricing: { unit: '1m_tokens', input_token_cost: 0.65, output_token_cost: 2.75 },
      },
      { id: 'black-forest-labs/flux-schnell', tasks: ['image'], pricing: { image_cost: 0.003 } },
    ],
  }),
};

/** A stream is opened as soon as there is one. */
function waitHeader(request: TaskRequest): HeaderFields {
  return request.stream ? { accept: 'application/json' } : { prefer: `wait=${WAIT_SECONDS}` };
}

/** Throttled calls say in words when to come back. Source: https://replicate.com/docs/topics/predictions/rate-limits */
function classify({ status, retryAfterMs, message }: UpstreamFailure): Verdict | undefined {
  if (status !== 429 || retryAfterMs !== null) return undefined;
  const seconds = /(?:resets in|available in) ~?(\d{1,5})\s?s/.exec(message)?.[1];
  return seconds === undefined ? undefined : { action: 'rotate-key', cooldownMs: Number(seconds) * 1_000 };
}
