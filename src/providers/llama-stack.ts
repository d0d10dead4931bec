import type { HeaderFields } from '../domain/provider.js';
import type { Secret } from '../domain/secret.js';
import { reasoningContent } from '../wire/reshape.js';
import { bearer, openAiCompatible } from './openai-compatible.js';

/**
 * Llama Stack (OGX), under `/v1`; older servers under `/v1/openai/v1`, which base_url then says. A key that is a JSON
 * object holds the keys of the providers behind it (`{"together_api_key": "…"}`) and goes into the header for that, under
 * its old and its new name; any other is the server's own. Streams end without an end mark, and errors are
 * `{"detail": …}`, inside a stream too.
 * Sources: https://llamastack.github.io/docs, https://github.com/ogx-ai/ogx
 */
export const llamaStack = openAiCompatible({
  id: 'llama_stack',
  docs: 'https://github.com/ogx-ai/ogx',
  needsKey: false,
  reshapes: [reasoningContent],
  authenticate: authenticateLlamaStack,
  sample: {
    id: 'llama-stack',
    type: 'llama_stack',
    base_url: 'http://127.0.0.1:8321',
    api_keys: [`\${LLAMA_STACK_PROVIDER_DATA:-}`],
    model: 'ollama/llama3.2:3b',
  },
});

function authenticateLlamaStack(key: Secret): HeaderFields {
  const data = asJsonObject(key.reveal());
  return data === null ? bearer(key) : { 'x-llamastack-provider-data': data, 'x-ogx-provider-data': data };
}

/** On one line and of ASCII, as a header must be; null for what is none. */
function asJsonObject(text: string): string | null {
  if (!text.trimStart().startsWith('{')) return null;
  try {
    return JSON.stringify(JSON.parse(text)).replace(BEYOND_ASCII, escaped);
  } catch {
    // A key that only begins like JSON.
    return null;
  }
}

/** UTF-16 units that a header cannot hold, or not as what they are. JSON may write any of them as an escape. */
const BEYOND_ASCII = /[^ -~]/g;

function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
