import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noCounts, totalInput, totalOutput } from '../../../src/domain/usage.js';
import { parseOpenAiUsage } from '../../../src/wire/openai-usage.js';

const plain = { prompt_tokens: 46, completion_tokens: 20, total_tokens: 66 };

describe('parseOpenAiUsage', () => {
  it('reads the three figures every provider gives', () => {
    expect(parseOpenAiUsage(plain)).toEqual({
      counts: { ...noCounts(), input: 46, output: 20 },
      providerCostUsd: null,
      problems: [],
    });
  });

  it('takes what is part of a total out of it', () => {
    const report = parseOpenAiUsage({
      prompt_tokens: 100,
      completion_tokens: 80,
      prompt_tokens_details: { cached_tokens: 30, cache_write_tokens: 20, audio_tokens: 10 },
      completion_tokens_details: { reasoning_tokens: 64, audio_tokens: 6 },
    });
    expect(report?.counts).toEqual({
      ...noCounts(),
      input: 40,
      cachedInput: 30,
      cacheWrite: 20,
      audioInput: 10,
      output: 10,
      reasoning: 64,
      audioOutput: 6,
    });
  });

  it('keeps totals what they were, whatever the details', () => {
    const count = fc.nat(1000);
    fc.assert(
      fc.property(count, count, count, count, count, (prompt, completion, cached, write, reasoning) => {
        const report = parseOpenAiUsage({
          prompt_tokens: prompt,
          completion_tokens: completion,
          prompt_tokens_details: { cached_tokens: cached, cache_write_tokens: write },
          completion_tokens_details: { reasoning_tokens: reasoning },
        });
        expect(totalInput(report?.counts ?? noCounts())).toBe(prompt);
        expect(totalOutput(report?.counts ?? noCounts())).toBe(completion);
        expect(report?.problems.includes('prompt_tokens_details')).toBe(cached + write > prompt);
        expect(report?.problems.includes('completion_tokens_details')).toBe(reasoning > completion);
      }),
    );
  });

  it.each([
    ['prompt_tokens_details', { prompt_tokens_details: { cached_tokens: 6 } }],
    ['Together', { cached_tokens: 6 }],
    ['DeepSeek', { prompt_cache_hit_tokens: 6, prompt_cache_miss_tokens: 40 }],
  ])('finds cached tokens as %s writes them', (_who, extra) => {
    expect(parseOpenAiUsage({ ...plain, ...extra })?.counts).toMatchObject({ input: 40, cachedInput: 6 });
  });

  it('takes an explicit 0 for a report, and an absent figure for none', () => {
    expect(
      parseOpenAiUsage({ ...plain, prompt_tokens_details: { cached_tokens: 0, audio_tokens: null } })?.counts,
    ).toMatchObject({ input: 46, cachedInput: 0, audioInput: null, cacheWrite: null });
    expect(parseOpenAiUsage({ prompt_tokens: 0, completion_tokens: 0 })?.counts).toMatchObject({ input: 0, output: 0 });
  });

  it('works out one missing figure from the total', () => {
    expect(parseOpenAiUsage({ prompt_tokens: 5, total_tokens: 9 })?.counts).toMatchObject({ input: 5, output: 4 });
    expect(parseOpenAiUsage({ completion_tokens: 5, total_tokens: 9 })?.counts).toMatchObject({ input: 4, output: 5 });
    expect(parseOpenAiUsage({ prompt_tokens: 9, total_tokens: 5 })).toMatchObject({
      counts: { input: 9, output: null },
      problems: ['total_tokens'],
    });
    expect(parseOpenAiUsage({ total_tokens: 9 })).toBeNull();
  });

  it('counts reasoning beside the output where the provider does, told so or shown by the sum', () => {
    const usage = { prompt_tokens: 10, completion_tokens: 5, completion_tokens_details: { reasoning_tokens: 20 } };
    expect(parseOpenAiUsage(usage, { reasoningOutside: true })?.counts).toMatchObject({ output: 5, reasoning: 20 });
    expect(parseOpenAiUsage({ ...usage, total_tokens: 35 })?.counts).toMatchObject({ output: 5, reasoning: 20 });
    expect(parseOpenAiUsage({ ...usage, total_tokens: 15 })).toMatchObject({
      counts: { output: 5, reasoning: null },
      problems: ['completion_tokens_details'],
    });
  });

  it('has no output for a task without one', () => {
    expect(parseOpenAiUsage({ prompt_tokens: 5, total_tokens: 5 }, { outputless: true })?.counts).toEqual({
      ...noCounts(),
      input: 5,
    });
    expect(parseOpenAiUsage({ total_tokens: 5 }, { outputless: true })?.counts.input).toBe(5);
  });

  it.each([-1, 1.5, '7', 2 ** 53, Number.NaN, {}, true])('treats %j as absent, and says so', (figure) => {
    expect(parseOpenAiUsage({ prompt_tokens: figure, completion_tokens: 3 })).toEqual({
      counts: { ...noCounts(), output: 3 },
      providerCostUsd: null,
      problems: ['prompt_tokens'],
    });
  });

  it.each([undefined, null, {}, [], 'x', 4, { prompt_tokens: null, completion_tokens: null, total_tokens: null }])(
    'makes nothing of %j',
    (raw) => {
      expect(parseOpenAiUsage(raw)).toBeNull();
    },
  );

  it('does not mind floats of another kind beside the figures', () => {
    const sambanova = { ...plain, total_latency: 1.87, start_time: 1739457229.13, time_to_first_token: 0.1 };
    expect(parseOpenAiUsage(sambanova)).toMatchObject({ counts: { input: 46, output: 20 }, problems: [] });
  });

  it('keeps the provider’s statement of cost as it was written', () => {
    const text = '{"prompt_tokens":1,"completion_tokens":1,"cost":0.000000100000000000000000001}';
    expect(parseOpenAiUsage(JSON.parse(text), { text })?.providerCostUsd).toBe('0.000000100000000000000000001');
    expect(parseOpenAiUsage({ ...plain, cost: { total_cost: 0.006 } })?.providerCostUsd).toBe('0.006');
    expect(parseOpenAiUsage({ ...plain, cost: -1 })?.providerCostUsd).toBeNull();
    expect(parseOpenAiUsage({ cost: 0 })).toEqual({ counts: noCounts(), providerCostUsd: '0', problems: [] });
  });
});
