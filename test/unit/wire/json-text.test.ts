import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJsonBody } from '../../../src/wire/json-body.js';
import { JsonTextError } from '../../../src/wire/json-scan.js';
import {
  arrayItems,
  editMembers,
  replaceMember,
  rewriteAt,
  scanMembers,
  writeObject,
} from '../../../src/wire/json-text.js';

const spaced = fc.constantFrom('', ' ', '\n', '\t', '\r\n  ');
const anyObject = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue());

/** An object's text with spaces of all kinds between its parts, and the text of each value beside it. */
const spacedObject = fc
  .tuple(anyObject, fc.array(spaced, { minLength: 4, maxLength: 4 }))
  .map(([object, [a, b, c, d]]) => {
    const values = new Map(Object.entries(object).map(([key, value]) => [key, JSON.stringify(value, null, 1)]));
    const members = [...values].map(([key, raw]) => `${a}${JSON.stringify(key)}${b}:${c}${raw}${d}`);
    return { text: `${d}{${members.join(',')}${a}}${b}`, values };
  });

describe('parseJsonBody', () => {
  it('gives each member with the text of its value, byte for byte', () => {
    fc.assert(
      fc.property(spacedObject, ({ text, values }) => {
        const body = parseJsonBody(text, { maxDepth: 1000 });
        expect(body.members).toEqual(values);
        expect(body.value).toEqual(JSON.parse(text));
      }),
    );
  });

  it('keeps integers beyond 2^53', () => {
    const body = parseJsonBody('{"seed": 14150443913665712001, "id":9007199254740993}');
    expect(body.members.get('seed')).toBe('14150443913665712001');
    expect(body.members.get('id')).toBe('9007199254740993');
  });

  it('takes the last of a key that comes twice, as JSON.parse does', () => {
    const body = parseJsonBody('{"a":1,"b":2,"\\u0061":3}');
    expect([...body.members]).toEqual([
      ['a', '3'],
      ['b', '2'],
    ]);
    expect(body.value).toEqual({ a: 3, b: 2 });
  });

  it('is not misled by quotes, backslashes and braces inside texts', () => {
    const value = { 'k"e\\y': 'a"b\\', b: '\\"}],{[', c: [{ d: '"' }] };
    const body = parseJsonBody(JSON.stringify(value));
    expect([...body.members.keys()]).toEqual(Object.keys(value));
    expect(body.members.get('b')).toBe(JSON.stringify(value.b));
  });

  it.each(['', '[]', '"text"', '1', 'null', '{', '{"a":}', '{"a":1,}', '{"a" 1}', '{"a":1}x', '{"a":"b'])(
    'refuses %j with a typed error',
    (text) => {
      expect(() => parseJsonBody(text)).toThrow(JsonTextError);
    },
  );

  it('names the position of what nests too deep', () => {
    try {
      parseJsonBody('{"a":[1,[2]]}', { maxDepth: 2 });
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ name: 'JsonTextError', position: 8 });
    }
  });

  it('refuses what nests deeper than it may, however deep that is', () => {
    const nested = (depth: number) => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
    expect(parseJsonBody(nested(128)).members.size).toBe(1);
    expect(() => parseJsonBody(nested(129))).toThrow('nested deeper than 128 levels');
    expect(() => parseJsonBody('{"a":'.repeat(1_000_000))).toThrow(JsonTextError);
    expect(() => parseJsonBody(nested(9), { maxDepth: 8 })).toThrow(JsonTextError);
  });
});

describe('restAfterFirst', () => {
  /** Keys that come twice, that need escapes or that are escaped without need, numbers that would change if they were read. */
  const hostileKey = fc.constantFrom(
    'model',
    'a',
    'b',
    'mod\\u0065l',
    'x y',
    '\\u0061',
    '',
    '__proto__',
    '1',
    'a"'.replace('"', '\\"'),
  );
  const hostileRaw = fc.constantFrom(
    '1',
    '-0',
    '14150443913665712001',
    '1.0',
    '"\\"}"',
    '[ 1 ]',
    '{"model":2}',
    'null',
    '"\\u0061"',
  );
  const hostileText = fc
    .tuple(fc.array(fc.tuple(hostileKey, hostileRaw), { maxLength: 5 }), fc.constantFrom('', '', '', ' ', '\n'))
    .map(([members, space]) => `${space}{${members.map(([key, raw]) => `"${key}":${raw}`).join(`,${space}`)}}`);

  it('is the text that writing the members again would give, or nothing', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          hostileText,
          spacedObject.map(({ text }) => text),
        ),
        (text) => {
          const body = parseJsonBody(text, { maxDepth: 1000 });
          const [first] = body.members.keys();
          const rest = body.restAfterFirst?.(first ?? 'model') ?? null;
          if (rest === null) return;
          const [[name, raw] = ['', ''], ...others] = body.members;
          expect(rest).toBe(writeObject(others).slice(1));
          expect(`{${JSON.stringify(name)}:${raw},${rest}`).toBe(text);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('is there for the most usual text, and not where another key is first', () => {
    const body = parseJsonBody('{"model":"m","messages":[ {"a":1} ],"top_p":1.0}');
    expect(body.restAfterFirst?.('model')).toBe('"messages":[ {"a":1} ],"top_p":1.0}');
    expect(body.restAfterFirst?.('messages')).toBeNull();
  });

  it.each([
    '{"model":"m"}',
    '{}',
    '{"model":"m", "a":1}',
    '{"model": "m","a":1}',
    '{"model":"m","a":1} ',
    '{"model":"m","a":1,"model":"n"}',
    '{"model":"m","a":1,"mod\\u0065l":"n"}',
    '{"mod\\u0065l":"m","a":1}',
    '{"model":"m","a":1,"a":2}',
  ])('is not there for %s', (text) => {
    expect(parseJsonBody(text).restAfterFirst?.('model')).toBeNull();
  });
});

describe('writeObject', () => {
  it('is the inverse of scanning', () => {
    fc.assert(
      fc.property(spacedObject, ({ values }) => {
        expect(scanMembers(writeObject(values))).toEqual(values);
      }),
    );
  });
});

describe('replaceMember', () => {
  /** Keys and values in which the name stands where it is no key of the object. */
  const key = fc.constantFrom('usage', 'us\\u0061ge', 'a', '\\"usage', 'usage\\"', 'usage:');
  const raw = fc.constantFrom(
    '1',
    '"usage"',
    '"\\"usage\\":{}"',
    '"\\\\"',
    '"a\\"usage"',
    '{ "usage" : {"a":"}"} }',
    '[{"usage":null},"usage"]',
    '{"a":[[{"usage":2}]]}',
  );
  const space = fc.constantFrom('', '', ' ', '\n');
  const hostile = fc
    .tuple(fc.array(fc.tuple(key, raw), { maxLength: 4 }), space, space)
    .map(([members, a, b]) => `${b}{${members.map(([k, v]) => `${a}"${k}"${b}:${a}${v}${b}`).join(',')}}${a}`);

  it('replaces every member of the name and nothing else, or adds one', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const given: Array<string | null> = [];
        const result = replaceMember(text, 'usage', (each) => {
          given.push(each);
          return '"new"';
        });
        const found: string[] = [];
        const edited = editMembers(text, (name, each) => {
          if (name !== 'usage') return undefined;
          found.push(each);
          return { raw: '"new"' };
        });
        expect(given).toEqual(found.length === 0 ? [null] : found);
        if (found.length > 0) expect(result).toBe(edited);
        else expect([...scanMembers(result)]).toEqual([...scanMembers(text), ['usage', '"new"']]);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('editMembers', () => {
  it('changes nothing when nothing is to be changed', () => {
    fc.assert(
      fc.property(spacedObject, ({ text }) => {
        expect(editMembers(text, () => undefined)).toBe(text);
      }),
    );
  });

  it('removes, replaces, renames and appends, and keeps the text of the rest', () => {
    fc.assert(
      fc.property(spacedObject, fc.func(fc.integer({ min: 0, max: 3 })), ({ text, values }, choose) => {
        const expected = new Map<string, string>();
        for (const [key, raw] of values) {
          const choice = choose(key);
          if (choice === 0) continue;
          expected.set(choice === 2 ? `new ${key}` : key, choice === 1 ? '"changed"' : raw);
        }
        expected.set('appended', '[1, 2]');
        const edited = editMembers(
          text,
          (key) => [null, { raw: '"changed"' }, { key: `new ${key}` }, undefined][choose(key)],
          [['appended', '[1, 2]']],
        );
        expect(() => JSON.parse(edited)).not.toThrow();
        expect(scanMembers(edited)).toEqual(expected);
      }),
    );
  });
});

describe('rewriteAt', () => {
  it('changes the values at a path and no other byte', () => {
    const text = '{ "x": 12345678901234567890, "list": [ {"v" : "a"}, {"v":"b", "v2":[1]} , 5 ] , "v":"c" }';
    expect(rewriteAt(text, ['list', '*', 'v'], (raw) => raw.toUpperCase())).toBe(
      '{ "x": 12345678901234567890, "list": [ {"v" : "A"}, {"v":"B", "v2":[1]} , 5 ] , "v":"c" }',
    );
  });

  it('leaves the text alone where the path leads nowhere, or nothing is given back', () => {
    const text = '{"a":[[],{},"x",{"b":null}]}';
    expect(rewriteAt(text, ['a', 'b'], () => '1')).toBe(text);
    expect(rewriteAt(text, ['a', '*', 'c'], () => '1')).toBe(text);
    expect(rewriteAt(text, ['a', '*', 'b'], () => undefined)).toBe(text);
  });

  it('finds every value that there is', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (items) => {
        const text = JSON.stringify({ items }, null, 2);
        const seen: string[] = [];
        const result = rewriteAt(text, ['items', '*'], (raw) => {
          seen.push(raw);
          return raw;
        });
        expect(result).toBe(text);
        expect(seen.map((raw) => JSON.parse(raw))).toEqual(JSON.parse(JSON.stringify(items)));
        expect(arrayItems(JSON.stringify(items))).toEqual(items.map((item) => JSON.stringify(item)));
      }),
    );
  });
});
