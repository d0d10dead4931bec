import { openAiCompatible } from '../openai-compatible.js';

/**
 * The bundled upstream, over real HTTP on a loopback port: for first steps, tests and benchmarks. Its address is given
 * by whoever starts it.
 */
export const sandbox = openAiCompatible({
  id: 'sandbox',
  docs: 'docs/providers.md#sandbox',
  needsKey: false,
  inline: true,
  sample: {
    id: 'sandbox',
    type: 'sandbox',
    api_keys: ['sandbox-key'],
    model: 'sandbox-small',
    pricing: { unit: '1m_tokens', input_token_cost: 0.2, output_token_cost: 0.6 },
  },
});
