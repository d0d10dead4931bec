import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noCounts, type Usage } from '../../../src/domain/usage.js';
import { type Charge, usageChunk, withCost } from '../../../src/wire/openai-cost.js';

const reported: Usage = { counts: { ...noCounts(), input: 3, output: 4 }, source: 'reported' };
const estimated: Usage = { ...reported, source: 'estimated' };
const charge: Charge = { task: 'chat', usage: reported, costNanoUsd: 12_345n };
const identity = { id: 'chatcmpl-1', created: 1741626612, model: 'm"1' };

describe('withCost', () => {
  it('adds the cost to the provider’s usage and leaves every other byte alone', () => {
    const body = '{ "id":"x", "seed": 14150443913665712001,"usage": { "prompt_tokens": 3 ,"t":0.10 } , "z":[ ] }\n';
    expect(withCost(body, charge)).toBe(
      '{ "id":"x", "seed": 14150443913665712001,"usage": { "prompt_tokens": 3 ,"t":0.10,"cost":0.000012345,"cost_nano_usd":12345 } , "z":[ ] }\n',
    );
  });

  it('writes every amount exactly', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 24n }), (costNanoUsd) => {
        const text = withCost('{"usage":{"prompt_tokens":3}}', { ...charge, costNanoUsd });
        const [, usd = '', nano = ''] = /"cost":([\d.]+),"cost_nano_usd":(\d+)/.exec(text) ?? [];
        expect(BigInt(nano)).toBe(costNanoUsd);
        const [whole = '', fraction = ''] = usd.split('.');
        expect(BigInt(whole + fraction.padEnd(9, '0'))).toBe(costNanoUsd);
        expect(() => JSON.parse(text)).not.toThrow();
      }),
    );
  });

  it('says null for a cost that is unknown', () => {
    expect(withCost('{"usage":{}}', { ...charge, costNanoUsd: null })).toBe(
      '{"usage":{"cost":null,"cost_nano_usd":null}}',
    );
  });

  it('keeps the provider’s own cost under another name', () => {
    expect(withCost('{"usage":{"cost":1e-7,"n":1,"provider_cost":5,"cost_nano_usd":9}}', charge)).toBe(
      '{"usage":{"provider_cost":1e-7,"n":1,"cost":0.000012345,"cost_nano_usd":12345}}',
    );
  });

  it.each(['{"a":1}', '{"a":1,"usage":null}'])('puts our counts where the provider gave none: %s', (body) => {
    expect(JSON.parse(withCost(body, { ...charge, usage: estimated }))).toEqual({
      a: 1,
      usage: {
        prompt_tokens: 3,
        completion_tokens: 4,
        total_tokens: 7,
        source: 'estimated',
        cost: 0.000012345,
        cost_nano_usd: 12345,
      },
    });
  });

  it('fills what the provider left out, and says that it did', () => {
    const body = '{"usage":{"prompt_tokens":3,"completion_tokens":null,"x":1}}';
    expect(JSON.parse(withCost(body, { ...charge, usage: estimated })).usage).toEqual({
      prompt_tokens: 3,
      x: 1,
      completion_tokens: 4,
      total_tokens: 7,
      source: 'estimated',
      cost: 0.000012345,
      cost_nano_usd: 12345,
    });
  });

  it('puts the figures that were counted with where the provider has what is no count', () => {
    for (const [prompt, completion] of [
      ['"3"', '"4"'],
      ['3.5', '-4'],
      ['[]', '{}'],
      ['true', '9007199254740993'],
    ]) {
      const body = `{"usage":{"prompt_tokens":${prompt},"completion_tokens":${completion},"total_tokens":900}}`;
      expect(JSON.parse(withCost(body, { ...charge, usage: estimated })).usage).toEqual({
        prompt_tokens: 3,
        completion_tokens: 4,
        total_tokens: 7,
        source: 'estimated',
        cost: 0.000012345,
        cost_nano_usd: 12345,
      });
    }
  });

  it('replaces what is no count even where the rest is enough to know it, and adds nothing', () => {
    const body = '{"usage":{"prompt_tokens":"3","completion_tokens":4,"total_tokens":7}}';
    expect(JSON.parse(withCost(body, charge)).usage).toEqual({
      completion_tokens: 4,
      total_tokens: 7,
      prompt_tokens: 3,
      cost: 0.000012345,
      cost_nano_usd: 12345,
    });
  });

  it.each([
    '{ "prompt_tokens": 3, "completion_tokens": null , "total_tokens": 7, "details": {"prompt_tokens": 1} }',
    '{"prompt_tokens":3,"completion_tokens":4e0,"total_tokens":7}',
    '{"prompt_tokens":"3","prompt_tokens":3,"total_tokens":7}',
    '{"prompt\\u005ftokens":3,"note":"\\"","total_tokens":7}',
    '{"prompt_tokens":9007199254740991}',
  ])('only adds the cost to figures that are counts, however they are written: %s', (usage) => {
    const cost = '"cost":0.000012345,"cost_nano_usd":12345';
    const [, inner = '', end = ''] = /^(.*\S)(\s*\})$/.exec(usage) ?? [];
    expect(withCost(`{"usage":${usage}}`, charge)).toBe(`{"usage":${inner},${cost}${end}}`);
  });

  it.each(['"3"', '-3', '0.5', '1e999', '[3]', '9007199254740993', 'true'])(
    'replaces %s, which is no count, also where it is written with escapes',
    (figure) => {
      for (const name of ['total_tokens', 'total\\u005ftokens']) {
        const body = withCost(`{"usage":{"prompt_tokens":3,"completion_tokens":4,"${name}": ${figure} }}`, charge);
        expect(JSON.parse(body).usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 });
      }
    },
  );

  it('knows of no output in embeddings', () => {
    const usage: Usage = { counts: { ...noCounts(), input: 5 }, source: 'estimated' };
    const body = withCost('{"data":[]}', { task: 'embedding', usage, costNanoUsd: 0n });
    expect(body).toBe(
      '{"data":[],"usage":{"prompt_tokens":5,"total_tokens":5,"source":"estimated","cost":0,"cost_nano_usd":0}}',
    );
  });
});

describe('usageChunk', () => {
  it('is the provider’s own chunk with the cost in it', () => {
    const chunkText = '{"id":"p","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}';
    expect(usageChunk({ identity, chunkText, charge })).toBe(
      '{"id":"p","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"cost":0.000012345,"cost_nano_usd":12345}}',
    );
  });

  it.each([
    ['chat', 'chat.completion.chunk'],
    ['completion', 'text_completion'],
  ] as const)('is made in the likeness of a %s stream where the provider sent none', (task, object) => {
    const chunk = usageChunk({ identity, chunkText: null, charge: { task, usage: estimated, costNanoUsd: 1n } });
    expect(JSON.parse(chunk)).toEqual({
      ...identity,
      object,
      choices: [],
      usage: {
        prompt_tokens: 3,
        completion_tokens: 4,
        total_tokens: 7,
        source: 'estimated',
        cost: 1e-9,
        cost_nano_usd: 1,
      },
    });
  });
});
