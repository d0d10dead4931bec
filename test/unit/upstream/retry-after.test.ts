import { describe, expect, it } from 'vitest';
import { parseWait, readRetryAfter, readStatedLimits } from '../../../src/upstream/retry-after.js';

const NOW = Date.parse('2026-01-15T12:00:00.500Z');

describe('parseWait', () => {
  it.each([
    ['20', 20_000],
    [' 0.25 ', 250],
    ['24588.037240743637', 24_588_038],
    ['1s', 1_000],
    ['88ms', 88],
    ['6m0s', 360_000],
    ['1h2m3.5s', 3_723_500],
    ['2d', 172_800_000],
    ['0', 0],
    [String(NOW / 1000 + 7), 7_000],
    [String(NOW + 7_000), 7_000],
    ['Thu, 15 Jan 2026 12:00:30 GMT', 29_500],
    ['2026-01-15T12:01:00Z', 59_500],
    ['Thu, 15 Jan 2026 11:00:00 GMT', 0],
    ['Thursday, 15-Jan-26 12:00:30 GMT', 29_500],
    ['Thu Jan 15 12:00:30 2026', 29_500],
    ['1m26.4s', 86_400],
    ['2500µs', 3],
    ['7.66s', 7_660],
  ])('reads %s', (text, ms) => {
    expect(parseWait(text, NOW)).toBe(ms);
  });

  it.each(['', 'soon', '-1', '1x', '5 apples', 'NaN', 's'])('makes nothing of %j', (text) => {
    expect(parseWait(text, NOW)).toBeNull();
  });
});

describe('readRetryAfter', () => {
  it('takes the finest statement first', () => {
    expect(readRetryAfter({ 'retry-after-ms': '1500', 'retry-after': '2' }, NOW)).toBe(1500);
    expect(readRetryAfter({ 'retry-after': '2', 'x-ratelimit-reset-requests': '9s' }, NOW)).toBe(2000);
    expect(readRetryAfter({ 'retry-after': 'soon', 'x-ratelimit-reset-requests': '9s' }, NOW)).toBe(9000);
    expect(readRetryAfter({}, NOW)).toBeNull();
  });

  it('waits for the limit that is used up, not for one that has room', () => {
    const headers = {
      'x-ratelimit-remaining-requests-day': '215977',
      'x-ratelimit-reset-requests-day': '24588.03',
      'x-ratelimit-remaining-tokens-minute': '0',
      'x-ratelimit-reset-tokens-minute': '48.03',
    };
    expect(readRetryAfter(headers, NOW)).toBe(48_030);
    expect(readRetryAfter({ ...headers, 'x-ratelimit-remaining-tokens-minute': '5' }, NOW)).toBeNull();
  });

  it.each([
    [{ 'x-ms-retry-after-ms': '250' }, 250],
    [{ 'retry-after': '1.5' }, 1_500],
    [{ 'x-ratelimit-reset': String((NOW + 3_000) / 1000) }, 3_000],
    [{ 'x-ratelimit-reset': String(NOW + 3_000), 'x-ratelimit-remaining': '0' }, 3_000],
    [{ 'ratelimit-reset': '12' }, 12_000],
    [{ ratelimit: '"api";r=0;t=55' }, 55_000],
    [{ ratelimit: '"pages";r=12;t=20, "api"; r=0; t=7' }, 7_000],
    [{ ratelimit: '"api";r=3;t=55' }, null],
    [
      {
        'anthropic-ratelimit-requests-remaining': '4',
        'anthropic-ratelimit-requests-reset': '2026-01-15T12:00:59Z',
        'anthropic-ratelimit-input-tokens-remaining': '0',
        'anthropic-ratelimit-input-tokens-reset': '2026-01-15T12:00:04Z',
      },
      3_500,
    ],
  ])('reads %j', (headers, ms) => {
    expect(readRetryAfter(headers, NOW)).toBe(ms);
  });

  it('waits for the longest of those that are used up', () => {
    expect(readRetryAfter({ 'x-ratelimit-reset-requests': '1s', 'x-ratelimit-reset-tokens': '6m0s' }, NOW)).toBe(
      360_000,
    );
  });
});

describe('readStatedLimits', () => {
  it('reads what is left and until when', () => {
    expect(
      readStatedLimits(
        {
          'x-ratelimit-remaining-requests': '599',
          'x-ratelimit-reset-requests': '1s',
          'x-ratelimit-remaining-tokens-minute': '399973',
          'x-ratelimit-reset-tokens-minute': '88ms',
          'anthropic-ratelimit-tokens-remaining': '7',
          'anthropic-ratelimit-tokens-reset': '2026-01-15T12:00:01Z',
        },
        { now: () => NOW },
      ),
    ).toEqual([
      { kind: 'requests', remaining: 599, resetMs: 1000 },
      { kind: 'tokens', remaining: 399_973, resetMs: 88 },
      { kind: 'tokens', remaining: 7, resetMs: 500 },
    ]);
  });

  it('believes nothing that is incomplete or means nothing', () => {
    expect(
      readStatedLimits(
        {
          'x-ratelimit-remaining-requests': '-1',
          'x-ratelimit-reset-requests': '0',
          'x-ratelimit-remaining-tokens': '10',
          'x-ratelimit-remaining-tokens-prompt': '10',
          'x-ratelimit-remaining': '199',
          'x-ratelimit-reset': '2',
        },
        { now: () => NOW },
      ),
    ).toEqual([]);
  });
});
