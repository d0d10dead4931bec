import type { ProviderAdapter } from '../domain/provider.js';
import { huggingface } from './huggingface/adapter.js';
import { ollama } from './ollama.js';
import { openai } from './openai.js';
import { openAiCompatibleServer } from './openai-compatible-server.js';
import { sandbox } from './sandbox/adapter.js';

/** Every provider there is. A new one is a file and a line here. */
export const adapters: readonly ProviderAdapter[] = [huggingface, openai, openAiCompatibleServer, ollama, sandbox];

/** The adapter of a `type`, by its id or another spelling of it; null when there is none. */
export function findAdapter(type: string): ProviderAdapter | null {
  return adapters.find((adapter) => adapter.id === type || adapter.aliases?.includes(type) === true) ?? null;
}
