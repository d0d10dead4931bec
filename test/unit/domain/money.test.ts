import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ceilDiv,
  formatRatePerMillion,
  formatUsd,
  formatUsdShort,
  parseDecimal,
  toNanoUsd,
  toRate,
} from '../../../src/domain/money.js';

function rate(text: string, unit: 'token' | '1k_tokens' | '1m_tokens' = 'token'): bigint | null {
  const decimal = parseDecimal(text);
  return decimal === null ? null : toRate(decimal, unit);
}

describe('a decimal', () => {
  it.each([
    ['0.0000002', 2n, 7],
    ['2e-7', 2n, 7],
    ['2E-7', 2n, 7],
    ['.5', 5n, 1],
    ['5.', 5n, 0],
    ['1.50', 150n, 2],
    ['12e3', 12_000n, 0],
    ['1.5e1', 150n, 1],
    ['-0.25', -25n, 2],
    ['+3', 3n, 0],
    [' 7 ', 7n, 0],
    ['0', 0n, 0],
    ['123456789012345678901234567890.123', 123456789012345678901234567890123n, 3],
  ])('%s is read as it was written', (text, digits, scale) => {
    const decimal = parseDecimal(text);
    expect(decimal === null ? null : [decimal.digits * 10n ** BigInt(20 - decimal.scale)]).toEqual([
      digits * 10n ** BigInt(20 - scale),
    ]);
  });

  it.each(['', '.', 'e5', 'one', '1,5', '1.2.3', '0x10', 'NaN', 'Infinity', '1e', '1e9999', '--1', '1 2'])(
    '%j is none',
    (text) => {
      expect(parseDecimal(text)).toBeNull();
    },
  );

  it('never goes through binary arithmetic: what a double cannot hold comes out whole', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 40n }), fc.integer({ min: 0, max: 40 }), (digits, scale) => {
        const text = digits.toString().padStart(scale + 1, '0');
        const written = scale === 0 ? text : `${text.slice(0, -scale)}.${text.slice(-scale)}`;
        expect(parseDecimal(written)).toEqual({ digits, scale });
      }),
    );
  });
});

describe('a rate', () => {
  it('is nano-USD per million units, whatever unit it was written in', () => {
    expect(rate('0.0000002')).toBe(200_000_000n);
    expect(rate('0.0002', '1k_tokens')).toBe(200_000_000n);
    expect(rate('0.2', '1m_tokens')).toBe(200_000_000n);
    expect(rate('2e-7')).toBe(200_000_000n);
    // 0.1 + 0.2 has no exact double; 0.3 USD a million has an exact rate.
    expect(rate('0.3', '1m_tokens')).toBe((rate('0.1', '1m_tokens') ?? 0n) + (rate('0.2', '1m_tokens') ?? 0n));
  });

  it('is as fine as 1e-15 USD a unit; what is finer is refused, not rounded', () => {
    expect(rate('0.000000000000001')).toBe(1n);
    expect(rate('0.0000000000000010')).toBe(1n);
    expect(rate('0.0000000000000001')).toBeNull();
    expect(rate('0.000000001', '1m_tokens')).toBe(1n);
    expect(rate('0.0000000001', '1m_tokens')).toBeNull();
  });

  it('is printed per million as it was written', () => {
    for (const text of ['0.2', '1', '0.000000001', '15.75', '0', '100', '1234567.000000001']) {
      expect(formatRatePerMillion(rate(text, '1m_tokens') ?? -1n)).toBe(text);
    }
  });
});

describe('an amount', () => {
  it('is exact from text to nano-USD and back', () => {
    const exact = (text: string) => toNanoUsd(parseDecimal(text) ?? { digits: -1n, scale: 0 });
    expect(exact('50.00')).toBe(50_000_000_000n);
    expect(exact('0.000000001')).toBe(1n);
    expect(exact('0.0000000001')).toBeNull();
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), (amount) => {
        expect(exact(formatUsd(amount))).toBe(amount);
        expect(exact(formatUsdShort(amount))).toBe(amount);
      }),
    );
  });

  it('is printed with nine places, or with those it needs', () => {
    expect(formatUsd(12_345n)).toBe('0.000012345');
    expect(formatUsd(-1n)).toBe('-0.000000001');
    expect(formatUsd(0n)).toBe('0.000000000');
    expect(formatUsdShort(1_500_000_000n)).toBe('1.5');
    expect(formatUsdShort(0n)).toBe('0');
    expect(formatUsdShort(100_000_000_000n)).toBe('100');
    // 2^53 nano-USD and one more.
    expect(formatUsd(9_007_199_254_740_993n)).toBe('9007199.254740993');
  });
});

it('ceilDiv rounds up, and only where something is left', () => {
  expect(ceilDiv(0n, 7n)).toBe(0n);
  expect(ceilDiv(7n, 7n)).toBe(1n);
  expect(ceilDiv(8n, 7n)).toBe(2n);
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 30n }), fc.bigInt({ min: 1n, max: 10n ** 15n }), (a, b) => {
      const quotient = ceilDiv(a, b);
      expect(quotient * b >= a && (quotient - 1n) * b < a).toBe(true);
    }),
  );
});
