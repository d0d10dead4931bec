import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitEmbeddingAnswer } from '../../../src/wire/embedding-bytes.js';
import { withCost } from '../../../src/wire/openai-cost.js';
import { answerTextOf } from '../../support/answer-text.js';

const vector = Array.from({ length: 1_536 }, (_, index) => (index % 7) / 11);

function answer(rest: object = { usage: { prompt_tokens: 9, total_tokens: 9 } }, embedding: unknown = vector): string {
  const data = Array.from({ length: 4 }, (_, index) => ({ object: 'embedding', index, embedding }));
  return JSON.stringify({ object: 'list', data, model: 'größer', ...rest });
}

/** The answer as it comes from a socket: in parts of `size` bytes. */
function splitText(text: string, format: 'float' | 'base64', size = 65_536) {
  const body = Buffer.from(text);
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; at += size) parts.push(body.subarray(at, at + size));
  return splitEmbeddingAnswer({ status: 200, headers: {}, body, parts }, format);
}

describe('a large embeddings answer', () => {
  it('is cut open at its usage, every other byte as it came', () => {
    const text = answer();
    const found = splitText(text, 'float');
    expect(found?.usage).toEqual({ prompt_tokens: 9, total_tokens: 9 });
    expect(answerTextOf(found?.body as NonNullable<typeof found>['body'])).toBe(text);
  });

  it('gets its cost between the bytes', () => {
    const found = splitText(answer(), 'float');
    const charged = withCost((found as NonNullable<typeof found>).body, {
      task: 'embedding',
      usage: null,
      costNanoUsd: 180n,
    });
    expect(JSON.parse(Buffer.concat(charged).toString())).toEqual({
      ...JSON.parse(answer()),
      usage: { prompt_tokens: 9, total_tokens: 9, cost: 0.00000018, cost_nano_usd: 180 },
    });
  });

  it.each([
    ['vectors in the other format', answer(undefined, 'A'.repeat(20_000)), 'float'],
    ['no usage', answer({}), 'float'],
    [
      'usage before the vectors',
      answer()
        .replace('{"object"', '{"usage":{"prompt_tokens":9},"object"')
        .replace(/,"usage":\{[^}]*\}\}$/, '}'),
      'float',
    ],
    ['usage of a vector’s own', answer({}).replace(/\}\],"model"/, ',"usage":{"prompt_tokens":1}}],"model"'), 'float'],
    ['an error', JSON.stringify({ error: 'x'.repeat(40_000), usage: { prompt_tokens: 9 } }), 'float'],
    ['a broken end', answer().slice(0, -1), 'float'],
  ] as const)('with %s is left to the careful way', (_name, text, format) => {
    expect(splitText(text, format)).toBeNull();
  });

  it('says the same usage as parsing all of it does', () => {
    const usage = fc.dictionary(
      fc.constantFrom('prompt_tokens', 'total_tokens', 'x'),
      fc.oneof(fc.nat(), fc.constant(null)),
    );
    fc.assert(
      fc.property(
        usage,
        fc.constantFrom('', ' ', '\n  '),
        fc.integer({ min: 20, max: 70_000 }),
        (object, space, size) => {
          const text = answer({ usage: object }).replace(',"usage":', `,${space}"usage"${space}:${space}`);
          const found = splitText(text, 'float', size);
          expect(found?.usage).toEqual(JSON.parse(text).usage);
          expect(JSON.parse(answerTextOf(found?.body as NonNullable<typeof found>['body']))).toEqual(JSON.parse(text));
        },
      ),
    );
  });
});
