/** The encodings that are still in use; everything new is counted with the first. */
export type Encoding = 'o200k_base' | 'cl100k_base';

export interface ModelEncoding {
  encoding: Encoding;
  /** False where the model has a tokenizer of its own, for which this one stands in. */
  isItsOwn: boolean;
}

/** Source: tiktoken's `model_to_encoding.json`. */
const KNOWN: ReadonlyArray<{ pattern: RegExp; encoding: Encoding }> = [
  { pattern: /^(chatgpt-)?gpt-4(o|\.1|\.5)/, encoding: 'o200k_base' },
  { pattern: /^(gpt-(5|oss|realtime|image|audio)|codex|computer-use|o[134](-|$))/, encoding: 'o200k_base' },
  { pattern: /^gpt-(4|3\.5|35)/, encoding: 'cl100k_base' },
  { pattern: /^text-embedding-(3|ada-002)/, encoding: 'cl100k_base' },
  { pattern: /^(davinci|babbage)-002/, encoding: 'cl100k_base' },
];

/** Which encoding counts for a model: `gpt-4`, `openai/gpt-4o`, `ft:gpt-3.5-turbo:acme::1`, `meta-llama/Llama-3.1-8B`. */
export function encodingFor(model: string): ModelEncoding {
  const name = model.toLowerCase().replace(/^.*\//, '').replace(/^ft:/, '');
  for (const { pattern, encoding } of KNOWN) {
    if (pattern.test(name)) return { encoding, isItsOwn: true };
  }
  return { encoding: 'o200k_base', isItsOwn: false };
}
