import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../../src/wire/canonical-json.js';

/** Writes a value as JSON in a way of its own: members shuffled, spaces strewn, some letters escaped. */
function written(value: unknown, pick: () => number): string {
  const space = () => ['', ' ', '\n', '\t\r '][pick() % 4] as string;
  const text = (raw: string) => {
    const plain = JSON.stringify(raw);
    if (pick() % 2 === 0) return plain;
    return plain.replace(/[a-z]/g, (letter, at: number) =>
      plain[at - 1] === '\\' || /\\u.{0,3}$/.test(plain.slice(0, at))
        ? letter
        : `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
  };
  if (typeof value === 'string') return text(value);
  if (Array.isArray(value)) return `[${space()}${value.map((item) => written(item, pick) + space()).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).sort(() => (pick() % 2 === 0 ? 1 : -1));
    const parts = members.map(([key, item]) => `${space()}${text(key)}${space()}:${space()}${written(item, pick)}`);
    return `{${parts.join(`${space()},`)}${space()}}`;
  }
  return JSON.stringify(value);
}

describe('canonical JSON', () => {
  it('is the same however a value is written, and the same value still', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.array(fc.nat(), { minLength: 1 }), (value, picks) => {
        let at = 0;
        const pick = () => picks[at++ % picks.length] as number;
        const plain = JSON.stringify(value);
        const canonical = canonicalJson(plain);
        expect(canonicalJson(written(JSON.parse(plain), pick))).toBe(canonical);
        expect(JSON.parse(canonical)).toEqual(JSON.parse(plain));
      }),
    );
  });

  it('is another for every other value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        const same = fc.stringify(JSON.parse(JSON.stringify(a))) === fc.stringify(JSON.parse(JSON.stringify(b)));
        fc.pre(!same && !JSON.stringify([a, b]).includes('-0'));
        const [one, other] = [canonicalJson(JSON.stringify(a)), canonicalJson(JSON.stringify(b))];
        expect(one === other).toBe(sorted(a) === sorted(b));
      }),
    );
  });

  it('keeps the text of numbers, those beyond 2^53 too', () => {
    expect(canonicalJson('{"b": 9007199254740993, "a": [1.0, -0, 1e-05 , 1E+2]}')).toBe(
      '{"a":[1.0,-0,1e-05,1E+2],"b":9007199254740993}',
    );
    expect(canonicalJson('{"seed":9007199254740993}')).not.toBe(canonicalJson('{"seed":9007199254740992}'));
  });

  it('keeps both values of a key that comes twice, in their order', () => {
    expect(canonicalJson('{"b":1,"a":1,"b":2}')).toBe('{"a":1,"b":1,"b":2}');
    expect(canonicalJson('{"b":2,"a":1,"b":1}')).not.toBe(canonicalJson('{"b":1,"a":1,"b":2}'));
  });
});

/** A value with its members in order, by other means. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
