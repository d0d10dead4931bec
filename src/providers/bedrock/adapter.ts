import { WaybillError } from '../../domain/errors.js';
import type { UpstreamFailure, Verdict } from '../../domain/failure.js';
import type { ProviderAdapter, TaskHelper } from '../../domain/provider.js';
import { readConverse } from './chat-answer.js';
import { prepareConverse } from './chat-request.js';
import { ConverseStreamReader } from './chat-stream.js';
import { bedrockUrl, DEFAULT_REGION, regionIn, regionOf } from './region.js';
import { authenticateBedrock, secretsInBedrockKey, signForBedrock } from './sign.js';

const EVENT_STREAM = 'application/vnd.amazon.eventstream';

const chat: TaskHelper = {
  makeRoute(request, target) {
    const operation = request.stream ? 'converse-stream' : 'converse';
    return { method: 'POST', url: `${target.baseUrl}/model/${pathSegment(target.providerModel)}/${operation}` };
  },
  prepareHeaders: (request) => (request.stream ? { accept: EVENT_STREAM } : {}),
  preparePayload: prepareConverse,
  getResponse: (answer, _request, target) => readConverse(answer, target),
  openStream: (_request, target, headers) => new ConverseStreamReader(target, headers),
};

/**
 * Amazon Bedrock by its Converse API, which is one dialect for the models of all vendors. A key is
 * `ACCESS_KEY:SECRET[:SESSION]`, and signs, or a Bedrock API key, and is sent. The region is the one of the address
 * (`https://bedrock-runtime.<region>.amazonaws.com`) or of the entry's `region`.
 * Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html,
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html,
 * https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html
 */
export const bedrock: ProviderAdapter = {
  id: 'bedrock',
  docs: 'https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html',
  baseUrl: null,
  needsKey: true,
  defaultRates: null,
  tasks: { chat },
  authenticate: authenticateBedrock,
  sign: signForBedrock,
  secretsIn: secretsInBedrockKey,
  baseUrlFor({ region }) {
    const known = regionOf(region);
    return known === null ? null : bedrockUrl(known);
  },
  checkEntry({ baseUrl, region }) {
    if (baseUrl === null || regionIn(baseUrl) !== null || regionOf(region) !== null) return [];
    return [`names no AWS region, and neither does \`region\`: keys that sign do so for ${DEFAULT_REGION}`];
  },
  classify: classifyBedrock,
  hint: hintOf,
  sampleConfig: () => ({
    id: 'bedrock',
    type: 'bedrock',
    base_url: bedrockUrl('us-east-1'),
    api_keys: [`\${AWS_ACCESS_KEY_ID}:\${AWS_SECRET_ACCESS_KEY}`],
    model: 'us.anthropic.claude-sonnet-4-5-20250929-v1:0',
    pricing: {
      unit: '1m_tokens',
      input_token_cost: 3,
      cached_input_token_cost: 0.3,
      cache_write_token_cost: 3.75,
      output_token_cost: 15,
    },
  }),
};

/** Failures that are of the model, not of the key or the request. The names come in a stream with a small letter. */
function classifyBedrock(failure: UpstreamFailure): Verdict | undefined {
  const { status, message } = failure;
  switch (failure.code?.toLowerCase()) {
    case 'modelerrorexception':
    case 'modelstreamerrorexception':
    case 'modelnotreadyexception':
      return { action: 'retry', afterMs: failure.retryAfterMs };
    // Access is given model by model; a key that is no good at all has other names.
    case 'accessdeniedexception':
      return { action: 'fall-back' };
    case 'servicequotaexceededexception':
      return { action: 'rotate-key', cooldownMs: failure.retryAfterMs };
    default:
      return status === 400 && /input is too long/i.test(message) ? { action: 'fall-back' } : undefined;
  }
}

function hintOf(failure: UpstreamFailure): string | undefined {
  if (/on-demand throughput isn.t supported/i.test(failure.message)) {
    return 'Ask for an inference profile, such as `us.` before the id of the model.';
  }
  if (/signature (not yet current|expired)/i.test(failure.message)) return 'Is the clock of this machine right?';
  return undefined;
}

/**
 * A model's id or ARN as one segment of a path.
 * @throws WaybillError invalid_request
 */
function pathSegment(model: string): string {
  if (/^\.{0,2}$/.test(model) || /[\ud800-\udfff]/u.test(model)) {
    throw new WaybillError('invalid_request', { message: '`model`: this is no name of a model', param: 'model' });
  }
  return encodeURIComponent(model);
}
