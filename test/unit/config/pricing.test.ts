import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PriceUnit } from '../../../src/domain/money.js';
import { check, problemsOf } from './known-types.js';

function file(pricing: string): string {
  return `llm_providers:\n  - { id: o, type: ollama, model: m, pricing: ${pricing} }\n`;
}

function pricingOf(pricing: string) {
  return check(file(pricing)).config?.providers[0]?.pricing;
}

const DIGITS: Record<PriceUnit, number> = { token: 0, '1k_tokens': 3, '1m_tokens': 6 };

describe('prices', () => {
  it('are the decimals that were written, in every unit and notation (property)', () => {
    const decimal = fc.record({
      whole: fc.bigInt({ min: 0n, max: 10n ** 12n }),
      fraction: fc.stringMatching(/^[0-9]{0,9}$/),
      exponent: fc.integer({ min: -3, max: 3 }),
      unit: fc.constantFrom<PriceUnit>('token', '1k_tokens', '1m_tokens'),
      quoted: fc.boolean(),
    });
    fc.assert(
      fc.property(decimal, ({ whole, fraction, exponent, unit, quoted }) => {
        const scale = unit === 'token' ? fraction : fraction.slice(0, 6);
        const written = `${whole}${scale === '' ? '' : `.${scale}`}${exponent === 0 ? '' : `e${exponent}`}`;
        const rates = pricingOf(`{ unit: ${unit}, input_token_cost: ${quoted ? `"${written}"` : written} }`)?.rates;
        // nano-USD per million units = digits * 10^(15 - unit - places + exponent), worked out from the text alone.
        const power = 15 - DIGITS[unit] - scale.length + exponent;
        const digits = BigInt(`${whole}${scale}`);
        const exact = power >= 0 ? digits * 10n ** BigInt(power) : null;
        if (exact === null) return;
        expect(rates).toEqual({ input: exact });
      }),
      { numRuns: 400 },
    );
  });

  it('are exact where binary numbers are not', () => {
    expect(pricingOf('{ input_token_cost: 0.0000002, output_token_cost: 0.00000000000000123e0 }')).toBeUndefined();
    expect(pricingOf('{ input_token_cost: 0.0000002, output_token_cost: 0.000000123456789 }')?.rates).toEqual({
      input: 200_000_000n,
      output: 123_456_789n,
    });
  });

  it('cover every class, the countable ones in USD each whatever the unit', () => {
    const pricing =
      pricingOf(`{ unit: 1m_tokens, input_token_cost: 1, output_token_cost: 2, cached_input_token_cost: 0.5,
      cache_write_token_cost: 1.25, reasoning_token_cost: 3, audio_input_token_cost: 4, audio_output_token_cost: 5,
      request_cost: 0.01, search_unit_cost: 0.002, image_cost: 0.04, audio_minute_cost: 0.006, character_cost: 0.000015 }`);
    expect(pricing).toEqual({
      source: 'config',
      tiers: [],
      rates: {
        input: 1_000_000_000n,
        output: 2_000_000_000n,
        cachedInput: 500_000_000n,
        cacheWrite: 1_250_000_000n,
        reasoning: 3_000_000_000n,
        audioInput: 4_000_000_000n,
        audioOutput: 5_000_000_000n,
        request: 10_000_000_000_000n,
        searchUnit: 2_000_000_000_000n,
        image: 40_000_000_000_000n,
        audioMinute: 6_000_000_000_000n,
        character: 15_000_000_000n,
      },
    });
  });

  it('leave a class without a price out, and keep a zero that was written', () => {
    expect(pricingOf('{ input_token_cost: 0, output_token_cost: null }')?.rates).toEqual({ input: 0n });
  });

  it('have tiers in the same unit', () => {
    const pricing =
      '{ unit: 1m_tokens, input_token_cost: 1, tiers: [{ above_input_tokens: 200000, input_token_cost: 2 }] }';
    expect(pricingOf(pricing)?.tiers).toEqual([{ aboveInputTokens: 200_000, rates: { input: 2_000_000_000n } }]);
  });

  it('may come from the catalogue', () => {
    expect(pricingOf('catalog')).toEqual({ source: 'catalog', rates: {}, tiers: [] });
  });

  it.each([
    ['{ input_token_cost: -0.1 }', 'input_token_cost', 'not negative'],
    ['{ input_token_cost: 1e-16 }', 'input_token_cost', 'this one is finer'],
    ['{ unit: 1m_tokens, input_token_cost: 1e-10 }', 'input_token_cost', 'this one is finer'],
    ['{ request_cost: 1e-16 }', 'request_cost', 'this one is finer'],
    ['{ input_token_cost: cheap }', 'input_token_cost', 'an amount of USD'],
    ['{ input_token_cost: .inf }', 'input_token_cost', 'an amount of USD'],
    ['{ unit: tokens }', 'unit', 'did you mean `token`?'],
    ['{ tiers: [{ input_token_cost: 0 }] }', 'tiers[0].above_input_tokens', 'missing'],
    [
      '{ tiers: [{ above_input_tokens: 1, input_token_cost: 1e-16 }] }',
      'tiers[0].input_token_cost',
      'this one is finer',
    ],
  ])('refuse %s', (pricing, key, message) => {
    const problems = problemsOf(file(pricing));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`2 llm_providers[0].pricing.${key}: `);
    expect(problems[0]).toContain(message);
  });

  it.each([
    [
      '{ input_token_cost: 0.002 }',
      '2000 USD per million tokens, above 1,000; `unit: 1k_tokens` would make it 2, `unit: 1m_tokens` would make it 0.002',
    ],
    ['{ input_token_cost: 3 }', '3000000 USD per million tokens, above 1,000; `unit: 1m_tokens` would make it 3'],
    [
      '{ unit: 1m_tokens, input_token_cost: 0.0000002 }',
      '0.0000002 USD per million tokens, below 0.0001; `unit: token` would make it 0.2, `unit: 1k_tokens` would make it 0.0002',
    ],
    ['{ tiers: [{ above_input_tokens: 1, output_token_cost: 3 }] }', '`unit: 1m_tokens` would make it 3'],
  ])('warn about %s, which no model costs, and say the unit that was meant', (pricing, message) => {
    const { config, problems } = check(file(pricing));
    expect(config).not.toBeNull();
    expect(problems).toHaveLength(1);
    expect(problems[0]?.severity).toBe('warning');
    expect(problems[0]?.message).toContain(message);
  });

  it.each([
    '{ input_token_cost: 0 }',
    '{ input_token_cost: 0.001 }',
    '{ input_token_cost: 1e-10 }',
    '{ image_cost: 2000 }',
  ])('say nothing about %s', (pricing) => {
    expect(problemsOf(file(pricing))).toEqual([]);
  });
});

describe('tiers', () => {
  const tiers = (...above: string[]) =>
    problemsOf(file(`{ tiers: [${above.map((n) => `{ above_input_tokens: ${n}, input_token_cost: 0.000001 }`)}] }`));

  it('that begin at the same count are an error, however it is written', () => {
    const message = 'llm_providers[0].pricing.tiers[2].above_input_tokens: the same as tiers[0]; keep one of the two';
    expect(tiers('9', '10', '9')).toEqual([`2 ${message}`]);
    expect(tiers('1000', '10', '1e3')).toEqual([`2 ${message}`]);
  });

  it('that begin at others are none', () => {
    expect(tiers('9', '0', '10')).toEqual([]);
  });
});
