import { describe, expect, it } from 'vitest';
import { problemsOf } from './known-types.js';

function aliases(rest: string): string[] {
  const text = `llm_providers:
  - { id: groq, type: openai, api_keys: [a], model: llama-8b }
  - { id: listed, type: openai, api_keys: [b], model: default-model, models: [alpha, "qwen:7b"] }
  - { id: bare, type: openai, api_keys: [c] }
model_aliases:
${rest}`;
  return problemsOf(text);
}

describe('aliases', () => {
  it.each([
    'groq:anything',
    'groq:with:colons/and/slashes',
    'groq',
    'llama-8b',
    'alpha',
    'qwen:7b',
    'alpha:fastest',
    'alpha:groq',
    'listed:alpha',
    'listed:default-model',
    'listed:qwen:7b',
    'listed:alpha:cheapest',
    'other',
  ])('may mean %s', (model) => {
    expect(aliases(`  name: ${JSON.stringify(model)}\n  other: groq:x\n`)).toEqual([]);
  });

  it.each([
    ['grok:llama', 'no provider has the id `grok`; did you mean `groq`?'],
    ['alpah', 'no provider offers `alpah`; did you mean `alpha`?'],
    ['listed:alpah', 'provider `listed` does not offer `alpah`; did you mean `alpha`?'],
    ['bare', 'provider `bare` has no default `model`; write `bare:<model>`'],
    ['groq:', '`groq:` names no model'],
    [
      'something-else-altogether',
      'no provider offers `something-else-altogether`; write `<provider id>:something-else-altogether` (ids: groq, listed, bare)',
    ],
  ])('that mean %s point nowhere', (model, message) => {
    expect(aliases(`  name: ${JSON.stringify(model)}\n`)).toEqual([`6 model_aliases.name: ${message}`]);
  });

  it('are checked in targets and fallbacks too, each on its own line', () => {
    const problems = aliases(
      '  "gpt-4.1":\n    targets:\n      - { model: nope:x }\n      - groq\n    fallback: [bare]\n',
    );
    expect(problems.map((line) => line.split(': ')[0])).toEqual([
      '8 model_aliases["gpt-4.1"].targets[0].model',
      '10 model_aliases["gpt-4.1"].fallback[0]',
    ]);
  });

  it('that come back to themselves are errors', () => {
    expect(aliases('  a: b\n  b: { targets: [groq], fallback: [c] }\n  c: a\n  d: a\n')).toEqual([
      '6 model_aliases.a: this alias comes back to itself: a → b → c → a',
      '7 model_aliases.b.fallback[0]: this alias comes back to itself: b → c → a → b',
      '8 model_aliases.c: this alias comes back to itself: c → a → b → c',
    ]);
  });
});

describe('lists of providers', () => {
  const text = (list: string) =>
    `llm_providers: [{ id: groq, type: ollama }]\napi_keys: [{ id: c, key: k, allowed_providers: ${list} }]\n`;

  it('take ids, the star and globs', () => {
    expect(problemsOf(text('["*", groq, "gr*"]'))).toEqual([]);
  });

  it('name what is not there', () => {
    expect(problemsOf(text('[grok, "x*"]'))).toEqual([
      '2 api_keys[0].allowed_providers[0]: no provider has the id `grok`; did you mean `groq`?',
      '2 api_keys[0].allowed_providers[1]: warning: no provider id matches `x*`',
    ]);
  });
});
