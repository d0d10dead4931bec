import { createTokenizer } from '../src/metering/tokenizer.js';
import { ADVERSARIAL_TEXTS } from './tokenizer-texts.js';

/**
 * How long counting takes at most: inputs of 1 MB and 20 MB that are known to be hard for tokenizers.
 * Prints one line an input; run with `npx tsx bench/tokenizer.ts`.
 */
const SIZES = [100_000, 1_000_000, 20_000_000];

const tokenizer = createTokenizer();
const loadStart = performance.now();
tokenizer.count(['a'], 'o200k_base');
print(`load o200k_base ${(performance.now() - loadStart).toFixed(0)} ms`);
for (const [name, make] of Object.entries(ADVERSARIAL_TEXTS)) {
  const times = SIZES.map((size) => {
    const texts = make(size);
    const start = performance.now();
    const tokens = tokenizer.count(texts, 'o200k_base');
    return `${(performance.now() - start).toFixed(1).padStart(7)} ms ${String(tokens).padStart(9)} tokens`;
  });
  print(`${name.padEnd(24)} ${times.join(' | ')}`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
