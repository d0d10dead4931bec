import { expect, it } from 'vitest';
import { RawJson, writeJson } from '../../../src/wire/raw-json.js';

it('writes values as JSON does, and what was written already as it stands', () => {
  const value = { a: [1, 'x"', null, undefined, true], b: { c: undefined, d: {} }, 'é"': -0.5, e: null };
  expect(writeJson(value)).toBe(JSON.stringify(value));
  expect(writeJson({ id: new RawJson('12345678901234567890'), list: [new RawJson('{"a": 1.0}')] })).toBe(
    '{"id":12345678901234567890,"list":[{"a": 1.0}]}',
  );
});
