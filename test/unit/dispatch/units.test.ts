import { describe, expect, it } from 'vitest';
import { leastInUnits, measureInUnits, unansweredInUnits, worstCaseInUnits } from '../../../src/dispatch/units.js';
import type { Price, Rates } from '../../../src/domain/pricing.js';
import type { CarriedBytes, Task } from '../../../src/domain/task.js';
import { noCounts, type UsageCounts } from '../../../src/domain/usage.js';
import { createMeter } from '../../../src/metering/meter.js';
import { countedInput } from '../../../src/wire/openai-request.js';
import { aUnitRequest } from '../../conformance/unit-tasks.js';

/** In what a call is counted, by task and price; and the most it can cost. */

const meter = createMeter({});
const USD = 1_000_000_000_000_000n;
const priced = (rates: Rates): Price => ({ id: 'p', origin: 'test', rates, tiers: [] });
const byTokens = priced({ input: 1_000_000_000n, output: 2_000_000_000n });

function callOf(task: Task, json: object, price: Price | null) {
  const ask = aUnitRequest(task, { json: { model: 'm', ...json } });
  return { ask, price, subject: { providerId: 'p', providerModel: 'm', task }, input: () => countedInput(ask) };
}

function measured(task: Task, json: object, price: Price | null, told: Partial<UsageCounts> | null = null, text = '') {
  const report = told === null ? null : { counts: { ...noCounts(), ...told }, providerCostUsd: null, problems: [] };
  const outputTexts = () => (text === '' ? [] : [text]);
  const { counts, source } = measureInUnits(
    { ...callOf(task, json, price), report, outputTexts, interrupted: false },
    meter,
  );
  return { ...Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== null)), source };
}

describe('a call is counted', () => {
  const image = { prompt: 'a', n: 3 };
  it.each<[string, Price | null, Partial<UsageCounts> | null, object]>([
    ['in images by their price', priced({ image: USD }), { images: 2 }, { images: 2, source: 'reported' }],
    [
      'in images that were asked for, where none are told',
      priced({ image: USD }),
      null,
      { images: 3, source: 'estimated' },
    ],
    ['in tokens by theirs', byTokens, { images: 2, input: 5, output: 6 }, { input: 5, output: 6, source: 'reported' }],
    ['in images where tokens are priced and not told', byTokens, { images: 2 }, { images: 2, source: 'reported' }],
    [
      'in both by both',
      priced({ image: USD, input: 1n }),
      { images: 2, input: 5 },
      { images: 2, input: 5, source: 'reported' },
    ],
    ['in nothing by a price of the request', priced({ request: 1n }), { images: 2, input: 5 }, { source: 'reported' }],
    ['in everything without a price', null, { images: 2, input: 5 }, { images: 2, input: 5, source: 'reported' }],
  ])('%s', (_how, price, told, expected) => {
    expect(measured('image', image, price, told)).toEqual(expected);
  });

  it('in the text that goes in and comes out, where the task writes', () => {
    expect(measured('summarization', { inputs: 'one two' }, byTokens, null, 'three')).toEqual({
      input: 2,
      output: 1,
      source: 'estimated',
    });
    // What is told stays, and what is missing beside it is counted.
    expect(measured('text-generation', { inputs: 'one two' }, byTokens, { output: 9 }, 'x')).toEqual({
      input: 2,
      output: 9,
      source: 'estimated',
    });
  });

  it('in tokens of every text a moderation has, and of no picture', () => {
    const parts = [
      { type: 'text', text: 'one two' },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAAAAAA' } },
    ];
    expect(measured('moderation', { input: parts }, priced({ input: 1n }))).toEqual({ input: 2, source: 'estimated' });
  });

  it('in code points of what is spoken', () => {
    const told = measured('speech', { input: 'é😀\u200d👩', voice: 'x' }, priced({ character: 1n }));
    expect(told).toEqual({ characters: 4, source: 'estimated' });
  });

  it('in search units of a hundred documents, long ones counted more than once', () => {
    const documents = (count: number, text: string) => ({ query: 'q', documents: Array(count).fill(text) });
    const price = priced({ searchUnit: 1n });
    expect(measured('rerank', documents(100, 'a'), price)).toMatchObject({ searchUnits: 1 });
    expect(measured('rerank', documents(101, 'a'), price)).toMatchObject({ searchUnits: 2 });
    expect(measured('rerank', documents(100, 'a'.repeat(2_000)), price)).toMatchObject({ searchUnits: 2 });
  });

  // Counted again for each document it would take minutes, and run into the test's own limit.
  it('in tokens of the query as often as there are documents, which are counted once', () => {
    const query = 'word '.repeat(20_000);
    const documents = Array.from({ length: 1_000 }, () => 'b');
    expect(measured('rerank', { query, documents }, priced({ input: 1n }))).toEqual({
      input: 1_000 * 20_001 + 1_000,
      source: 'estimated',
    });
  });
});

describe('a call that was sent and not answered costs', () => {
  it('what went in, and no image', () => {
    const lower = (task: Task, json: object, price: Price) => unansweredInUnits(callOf(task, json, price), meter);
    expect(lower('image', { prompt: 'a', n: 2 }, priced({ image: USD })).counts.images).toBe(0);
    expect(lower('speech', { input: 'abc' }, priced({ character: 1n })).counts.characters).toBe(3);
    expect(lower('moderation', { input: 'one two' }, priced({ input: 1n })).counts.input).toBe(2);
    expect(lower('moderation', { input: 'a' }, priced({ request: 1n })).counts).toEqual(noCounts());
    expect(lower('speech', { input: 'abc' }, priced({ character: 1n })).source).toBe('lower-bound');
  });
});

describe('the most a call can cost is', () => {
  const worst = (task: Task, json: object, price: Price | null, tokens = { input: 10, output: 0 }) =>
    worstCaseInUnits(callOf(task, json, price).ask, tokens, price);

  it.each<[string, Task, object, Price | null, bigint | null]>([
    ['every image', 'image', { n: 3 }, priced({ image: USD }), 3_000_000_000n],
    ['every token an image can have', 'image', { n: 1 }, byTokens, 10n * 1_000n + 6_500n * 2_000n],
    [
      'both where both are priced',
      'image',
      { n: 1 },
      priced({ image: USD, input: 1_000_000_000n, output: 0n }),
      1_000_010_000n,
    ],
    ['the request’s own price', 'moderation', { input: 'a' }, priced({ request: USD }), 1_000_000_000n],
    ['unknown without a price', 'image', { n: 1 }, null, null],
    ['unknown by a price of something else', 'image', { n: 1 }, priced({ character: 1n }), null],
    ['unknown for speech that is priced by tokens', 'speech', { input: 'abc' }, byTokens, null],
    [
      'the characters where speech has both prices',
      'speech',
      { input: 'abc' },
      priced({ character: USD, input: 1n }),
      3_000_000_000n,
    ],
    ['the tokens that go in', 'moderation', { input: 'a' }, byTokens, 10_000n],
    [
      'a minute for 60,000 bytes',
      'automatic-speech-recognition',
      { inputs: 'A'.repeat(80_000) },
      priced({ audioMinute: USD }),
      1_000_000_000n,
    ],
  ])('%s', (_what, task, json, price, expected) => {
    expect(worst(task, json, price)).toBe(expected);
  });

  it.each<[Task, object, Price | null, bigint | null]>([
    ['image', { n: 3 }, priced({ image: USD }), 3_000_000_000n],
    ['image', { n: 3 }, byTokens, 10_000n],
    ['speech', { input: 'abc' }, priced({ character: USD }), 3_000_000_000n],
    ['speech', { input: 'abc' }, byTokens, null],
    ['moderation', { input: 'a' }, priced({ request: USD }), 1_000_000_000n],
    ['moderation', { input: 'a' }, null, null],
  ])('at least what is asked for: %s %j', (task, json, price, expected) => {
    expect(leastInUnits(callOf(task, json, price).ask, 10, price)).toBe(expected);
  });

  it('begun seconds of a recording whose length is known', () => {
    const ask = aUnitRequest('automatic-speech-recognition', { bytes: Buffer.alloc(9), contentType: 'audio/wav' });
    const heard = { ...ask, carried: { ...(ask.carried as CarriedBytes), audioMs: 59_001 } };
    expect(worstCaseInUnits(heard, { input: 0, output: 0 }, priced({ audioMinute: USD }))).toBe(1_000_000_000n);
  });

  it('unknown for pictures that are priced by tokens', () => {
    const ask = aUnitRequest('image-classification', { bytes: Buffer.alloc(9), contentType: 'image/png' });
    expect(worstCaseInUnits(ask, { input: 0, output: 0 }, byTokens)).toBeNull();
    expect(worstCaseInUnits(ask, { input: 0, output: 0 }, priced({ request: USD }))).toBe(1_000_000_000n);
  });
});
