import fc from 'fast-check';
import { get_encoding } from 'tiktoken';
import { afterAll, describe, expect, it } from 'vitest';
import { ADVERSARIAL_TEXTS } from '../../../bench/tokenizer-texts.js';
import { cutLongWords, MAX_WORD_BYTES } from '../../../src/metering/cuts.js';
import { encodingFor } from '../../../src/metering/encodings.js';
import { createTokenizer } from '../../../src/metering/tokenizer.js';

const tokenizer = createTokenizer();
const reference = { o200k_base: get_encoding('o200k_base'), cl100k_base: get_encoding('cl100k_base') };
afterAll(() => {
  for (const encoder of Object.values(reference)) encoder.free();
});

const PROSE = `It's 12:45 on "Friday" — the naïve café owner can't pay €3.50 (or $4,000.00)!\n\n\tfunction f(x) { return x/2; } // ok
Съешь же ещё этих мягких французских булок, да выпей чаю. 我们今天去公园散步,然后回家吃饭。 안녕하세요 여러분 반갑습니다 😀👍🏽\r\n`;

describe('tokens', () => {
  it.each(['o200k_base', 'cl100k_base'] as const)('are those of tiktoken in %s', (encoding) => {
    for (const text of [PROSE, PROSE.repeat(20), 'hello world', ' ', '\n\n', 'x']) {
      expect(tokenizer.count([text], encoding)).toBe(reference[encoding].encode_ordinary(text).length);
    }
  });

  it('are those of tiktoken for any text without very long words', () => {
    const word = fc.string({ unit: 'binary', maxLength: 12 });
    fc.assert(
      fc.property(fc.array(word, { maxLength: 12 }), (words) => {
        const text = words.join(' ');
        expect(tokenizer.count([text], 'o200k_base')).toBe(reference.o200k_base.encode_ordinary(text).length);
      }),
    );
  });

  it('are counted text by text', () => {
    expect(tokenizer.count(['hello', ' world', ''], 'o200k_base')).toBe(2);
    expect(tokenizer.count([], 'o200k_base')).toBe(0);
  });

  it('count special tokens as the text they are written in', () => {
    expect(tokenizer.count(['<|endoftext|>'], 'o200k_base')).toBeGreaterThan(1);
  });

  it('of half a surrogate pair are counted as well', () => {
    expect(tokenizer.count(['a\ud83d', '\ude00b', '\ud800'.repeat(1_000)], 'o200k_base')).toBeGreaterThan(0);
  });

  it('of a long text are extrapolated within 2%', () => {
    const text = Array.from({ length: 3_000 }, (_, nth) =>
      nth % 3 === 0 ? PROSE : `line ${nth} of a log file\n`,
    ).join('');
    const exact = reference.o200k_base.encode_ordinary(text).length;
    const counted = tokenizer.count([text], 'o200k_base');
    expect(Math.abs(counted - exact) / exact).toBeLessThan(0.02);
  });

  it('of very many short texts are extrapolated within 2%', () => {
    const texts = Array.from({ length: 100_000 }, (_, nth) => `item ${nth % 97}, colour ${nth % 7}`);
    const sample = texts.slice(0, 6_790);
    const exact = (tokenizer.count(sample, 'o200k_base') / sample.length) * texts.length;
    expect(Math.abs(tokenizer.count(texts, 'o200k_base') - exact) / exact).toBeLessThan(0.02);
  });
});

describe('time', () => {
  // Without bounds each of these takes minutes; the limit leaves room for a busy machine.
  it.each(Object.keys(ADVERSARIAL_TEXTS))('is bounded for 1 MB of %s', (name) => {
    const texts = ADVERSARIAL_TEXTS[name]?.(1_000_000) ?? [];
    tokenizer.count(['loaded before'], 'o200k_base');
    const start = performance.now();
    expect(tokenizer.count(texts, 'o200k_base')).toBeGreaterThan(0);
    expect(performance.now() - start).toBeLessThan(2_000);
  });
});

describe('cutting', () => {
  it('loses nothing, splits no character, and leaves no long word', () => {
    const unit = fc.constantFrom('a', 'Z', '1', '!', '/', ' ', '\n', 'é', '中', '。', '😀', '\u200d', 'ж');
    fc.assert(
      fc.property(fc.array(fc.tuple(unit, fc.integer({ min: 1, max: 200 })), { maxLength: 12 }), (runs) => {
        const text = runs.map(([character, times]) => character.repeat(times)).join('');
        const parts = cutLongWords(text);
        expect(parts.join('')).toBe(text);
        for (const part of parts) {
          expect(Buffer.from(part).toString()).toBe(part);
          for (const word of part.match(/\p{L}+|[^\s\p{L}\p{N}]+[\r\n/]*|\s+/gu) ?? []) {
            expect(Buffer.byteLength(word)).toBeLessThanOrEqual(MAX_WORD_BYTES + 4);
          }
        }
      }),
    );
  });

  it('leaves ordinary text whole', () => {
    expect(cutLongWords('The quick brown fox. '.repeat(1_000))).toHaveLength(1);
  });
});

it.each([
  ['gpt-4', 'cl100k_base', true],
  ['gpt-4-0613', 'cl100k_base', true],
  ['openai/gpt-3.5-turbo', 'cl100k_base', true],
  ['ft:gpt-3.5-turbo:acme::1', 'cl100k_base', true],
  ['text-embedding-3-small', 'cl100k_base', true],
  ['gpt-4o-mini', 'o200k_base', true],
  ['gpt-4.1', 'o200k_base', true],
  ['gpt-5-mini', 'o200k_base', true],
  ['o3', 'o200k_base', true],
  ['openai/gpt-oss-120b', 'o200k_base', true],
  ['meta-llama/Llama-3.1-8B-Instruct', 'o200k_base', false],
  ['claude-sonnet-4-5', 'o200k_base', false],
  ['olmo-2', 'o200k_base', false],
])('%s is counted with %s', (model, encoding, isItsOwn) => {
  expect(encodingFor(model)).toEqual({ encoding, isItsOwn });
});
