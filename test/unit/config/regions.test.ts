import { describe, expect, it } from 'vitest';
import { problemsOf } from './known-types.js';

describe('a type with an address in each region', () => {
  const entry = (rest: string) => `llm_providers:\n  - { id: one, type: regional, model: m${rest} }\n`;

  it('needs no base_url where the entry names a region of its own', () => {
    expect(problemsOf(entry(', region: eu-west-1'))).toEqual([
      expect.stringContaining('warning: goes to null in eu-west-1'),
    ]);
  });

  it('says what is missing where the region is none of its own, or there is none', () => {
    const missing = 'missing; the type `regional` needs it, such as https://host/v1, or a `region` such as us-east-1';
    for (const rest of [', region: eu', '']) {
      expect(problemsOf(entry(rest))).toEqual([`2 llm_providers[0].base_url: ${missing}`]);
    }
  });

  it('is told both', () => {
    expect(problemsOf(entry(', base_url: "https://h.example", region: eu'))).toEqual([
      expect.stringContaining('warning: goes to https://h.example in eu'),
    ]);
  });
});
