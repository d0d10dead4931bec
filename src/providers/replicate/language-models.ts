import type { UpstreamTarget } from '../../domain/provider.js';

/** What a language model calls its inputs. Each model of Replicate has a schema of its own. */
export interface LanguageModel {
  /** Where the system's messages go; null: before the prompt. */
  system: string | null;
  /** The bound of the answer's tokens. */
  bound: string;
  /** Stop sequences, as one text with commas between them; null: it has none. */
  stops: string | null;
  /** Where images go, and how many; null: it takes none, or nobody knows. */
  images: { name: string; most: number } | null;
  /** OpenAI's parameters that its schema does not have. */
  lacks: readonly string[];
}

/**
 * Llama, and what is packaged with vLLM, Triton and their like.
 * Sources: https://replicate.com/meta/llama-2-13b-chat/api/schema, https://replicate.com/replicate/vllm
 */
const OPEN: LanguageModel = {
  system: 'system_prompt',
  bound: 'max_tokens',
  stops: 'stop_sequences',
  images: null,
  lacks: ['reasoning_effort'],
};

/** By the model's owner; the first that fits. */
const BY_NAME: ReadonlyArray<readonly [RegExp, LanguageModel]> = [
  // Sources: https://replicate.com/openai/gpt-4o, https://replicate.com/openai/o4-mini
  [
    /^openai\/(?!gpt-oss)/,
    {
      system: 'system_prompt',
      bound: 'max_completion_tokens',
      stops: null,
      images: { name: 'image_input', most: Number.POSITIVE_INFINITY },
      lacks: ['seed'],
    },
  ],
  // Source: https://replicate.com/anthropic/claude-4-sonnet
  [
    /^anthropic\//,
    {
      system: 'system_prompt',
      bound: 'max_tokens',
      stops: null,
      images: { name: 'image', most: 1 },
      lacks: ['temperature', 'top_p', 'presence_penalty', 'frequency_penalty', 'seed', 'reasoning_effort'],
    },
  ],
  // Source: https://replicate.com/google/gemini-2.5-flash
  [
    /^google\/gemini/,
    {
      system: 'system_instruction',
      bound: 'max_output_tokens',
      stops: null,
      images: { name: 'images', most: 10 },
      lacks: ['presence_penalty', 'frequency_penalty', 'seed', 'reasoning_effort'],
    },
  ],
];

export function languageModelOf({ providerModel }: UpstreamTarget): LanguageModel {
  return BY_NAME.find(([pattern]) => pattern.test(providerModel))?.[1] ?? OPEN;
}
