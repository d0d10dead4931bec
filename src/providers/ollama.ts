import { openAiCompatible } from './openai-compatible.js';

/**
 * Ollama on this or another machine: keyless, and free unless the config says what it costs.
 * Source: https://docs.ollama.com/api/openai-compatibility
 */
export const ollama = openAiCompatible({
  id: 'ollama',
  docs: 'https://docs.ollama.com/api/openai-compatibility',
  baseUrl: 'http://127.0.0.1:11434/v1',
  needsKey: false,
  defaultRates: {
    input: 0n,
    cacheWrite: 0n,
    output: 0n,
    audioInput: 0n,
    audioOutput: 0n,
  },
  sample: { id: 'ollama', type: 'ollama', base_url: 'http://127.0.0.1:11434', model: 'llama3.2:3b' },
});
