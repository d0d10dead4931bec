import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scrub } from '../../../src/wire/scrub.js';

const secret = 'Zx9!secret/key+1';

describe('scrub', () => {
  it.each([
    ['as such', secret],
    ['URL-encoded', encodeURIComponent(secret)],
    ['in JSON', JSON.stringify('a"b-secret').slice(1, -1)],
    ['in base64', Buffer.from(secret).toString('base64')],
  ])('removes a secret %s', (_how, form) => {
    const clean = scrub(`before ${form} after`, [secret, 'a"b-secret']);
    expect(clean).toContain('[redacted]');
    expect(clean).not.toContain(form);
    expect(clean).toMatch(/^before .* after$/);
  });

  it('removes a secret from inside longer base64, wherever it begins', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (before, after) => {
        const encoded = Buffer.from(before + secret + after).toString('base64');
        const clean = scrub(encoded, [secret]);
        expect(Buffer.from(clean.replace('[redacted]', ''), 'base64').toString()).not.toContain(secret);
        expect(clean).toContain('[redacted]');
      }),
    );
  });

  it.each([
    'Bearer abcdefghijklmnop',
    'sk-proj-abcDEF0123456789xyz',
    'hf_abcdefABCDEF0123456789',
    'gsk_abcdefABCDEF0123456789',
    `AIza${'Ab1'.repeat(12)}`,
  ])('removes what looks like a key: %s', (key) => {
    const clean = scrub(`Incorrect API key provided: ${key}.`, []);
    expect(clean).not.toContain(key.replace('Bearer ', ''));
    expect(clean).toContain('[redacted]');
  });

  it('removes the keys inside a key that is a JSON object', () => {
    const key = '{"together_api_key":"tg-0123abc","vllm_api_token":"vl-4567def","retries":3}';
    expect(scrub('wrong key tg-0123abc, or vl-4567def', [key])).toBe('wrong key [redacted], or [redacted]');
    expect(scrub('wrong key {nearly-json', ['{nearly-json'])).toBe('wrong key [redacted]');
  });

  it('leaves ordinary words alone', () => {
    const text =
      'The key-value store sk-learn of hf_hub failed: ask task-force-seven, Bearer of bad news, id chatcmpl-123';
    expect(scrub(text, ['', 'a', 'key'])).toBe(text);
  });
});
