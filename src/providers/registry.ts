import type { ProviderAdapter } from '../domain/provider.js';
import { claude } from './anthropic/adapter.js';
import { azureOpenAi } from './azure-openai.js';
import { baseten } from './baseten.js';
import { bedrock } from './bedrock/adapter.js';
import { cerebras } from './cerebras.js';
import { cohere } from './cohere/adapter.js';
import { deepinfra } from './deepinfra.js';
import { deepseek } from './deepseek.js';
import { featherless } from './featherless.js';
import { fireworks } from './fireworks.js';
import { gemini } from './gemini/adapter.js';
import { grok } from './grok.js';
import { groq } from './groq.js';
import { huggingface } from './huggingface/adapter.js';
import { hyperbolic } from './hyperbolic.js';
import { jina } from './jina.js';
import { llamaStack } from './llama-stack.js';
import { mistral } from './mistral.js';
import { nebius } from './nebius.js';
import { novita } from './novita.js';
import { nscale } from './nscale.js';
import { nvidia } from './nvidia.js';
import { ollama } from './ollama.js';
import { openai } from './openai.js';
import { openAiCompatibleServer } from './openai-compatible-server.js';
import { openrouter } from './openrouter.js';
import { ovhcloud } from './ovhcloud.js';
import { perplexity } from './perplexity.js';
import { replicate } from './replicate/adapter.js';
import { sambanova } from './sambanova.js';
import { sandbox } from './sandbox/adapter.js';
import { scaleway } from './scaleway.js';
import { together } from './together.js';
import { voyage } from './voyage.js';

/** Providers in OpenAI's dialect, each a settings object. */
const dialects: readonly ProviderAdapter[] = [
  ...[azureOpenAi, mistral, groq, together, fireworks, openrouter, grok, deepseek, cerebras, deepinfra, perplexity],
  ...[nebius, novita, sambanova, hyperbolic, scaleway, ovhcloud, nscale, featherless, baseten, nvidia, llamaStack],
  ...[voyage, jina],
];

/** Every provider there is. A new one is a file and a line here. */
export const adapters: readonly ProviderAdapter[] = [
  ...[huggingface, openai, openAiCompatibleServer, ollama, sandbox, claude, gemini, cohere, bedrock, replicate],
  ...dialects,
];

/** The adapter of a `type`, by its id or another spelling of it; null when there is none. */
export function findAdapter(type: string): ProviderAdapter | null {
  return adapters.find((adapter) => adapter.id === type || adapter.aliases?.includes(type) === true) ?? null;
}
