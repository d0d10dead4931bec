import type { UpstreamTarget } from '../domain/provider.js';
import { encodeModel } from './model-path.js';
import { openAiMaxTokensName } from './openai.js';
import { openAiCompatible } from './openai-compatible.js';
import { openAiMedia, withTasks } from './openai-media.js';

/**
 * Azure OpenAI. The provider model is the deployment's name. With `api_version` (and a base URL that does not end in
 * `/openai/v1`) the deployment stands in the path and the version in the query; otherwise it is the v1 API, which takes
 * the deployment as `model`, and passes a version on when there is one (`preview`). A base URL that leads to one
 * deployment is used as written.
 * Sources: https://learn.microsoft.com/azure/ai-foundry/openai/reference,
 * https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle
 */
const text = openAiCompatible({
  id: 'azure_openai',
  docs: 'https://learn.microsoft.com/azure/ai-foundry/openai/reference',
  url: azureUrl,
  maxTokensName: openAiMaxTokensName,
  // Deployments are listed by the control plane, with other credentials.
  listsModels: false,
  authenticate: (key) => ({ 'api-key': key.reveal() }),
  hint: ({ status }) =>
    status === 404
      ? 'Azure OpenAI: the model is the name of a deployment, base_url its resource (https://NAME.openai.azure.com), and api_version is needed but for the v1 API.'
      : undefined,
  sample: {
    id: 'azure',
    type: 'azure_openai',
    base_url: 'https://my-resource.openai.azure.com',
    api_version: '2024-10-21',
    api_keys: [`\${AZURE_OPENAI_API_KEY}`],
    model: 'my-gpt-4o-deployment',
  },
});

/** With images, speech, transcription and translation. Source: https://learn.microsoft.com/azure/ai-foundry/openai/reference-preview */
export const azureOpenAi = withTasks(
  text,
  openAiMedia(['image', 'image-edit', 'speech', 'transcription', 'audio-translation'], { url: azureUrl }),
);

function azureUrl(target: UpstreamTarget, path: string): string {
  const base = target.baseUrl.replace(/\/+$/, '');
  const query = target.apiVersion === null ? '' : `?api-version=${encodeURIComponent(target.apiVersion)}`;
  const resource = base.replace(/\/openai$/, '');
  const isResource = resource !== base || !target.hasOwnPath;
  if (!isResource) return `${base}${path}${query}`;
  if (target.apiVersion === null) return `${resource}/openai/v1${path}`;
  return `${resource}/openai/deployments/${encodeModel(target.providerModel)}${path}${query}`;
}
