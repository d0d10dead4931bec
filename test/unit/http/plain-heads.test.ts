import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { READ_HEADERS } from '../../../src/http/exchange.js';
import { parsePlainHead } from '../../../src/http/short/head.js';
import { PlainHeads } from '../../../src/http/short/plain-heads.js';

const PATHS = ['/v1/chat/completions', '/v1/embeddings'];
const isPath = (path: string) => PATHS.includes(path);

const LINES = [
  'Host: here:80',
  'Authorization: Bearer a-key-of-a-client',
  'content-type: application/json',
  'x-waybill-tags: team=a',
  'Content-Length: 12',
  'idempotency-key: one',
  'Connection: keep-alive',
];

const PIECES = ['', '\r\n', '\r', '\n', ' ', '\t', ':', '0', '7', 'a', '\xe9', '\0', '\x7f', 'Content-Length: 3\r\n'];

function head(lines: readonly string[] = LINES, path = PATHS[0]): Buffer {
  return Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n{"and":"a body"}`, 'latin1');
}

/** As after a few requests of one client. */
function used(data: Buffer = head()): PlainHeads {
  const heads = new PlainHeads();
  for (let times = 0; times < 4; times += 1) expect(heads.read(data, data.length, isPath)).not.toBeNull();
  return heads;
}

function parsed(data: Buffer, size = data.length) {
  return parsePlainHead(data, size, isPath, []);
}

describe('a head on a connection that has brought others', () => {
  it('is read as by itself when it is the same', () => {
    expect(used().read(head(), head().length, isPath)).toEqual(parsed(head()));
    expect(parsed(head())?.headers).toMatchObject({ authorization: 'Bearer a-key-of-a-client', host: 'here:80' });
  });

  it.each([
    ['another key', 1, 'Authorization: Bearer another'],
    ['no key', 1, 'Authorization:'],
    ['spaces around its key', 1, 'Authorization: \t Bearer b \t'],
    ['another length', 4, 'Content-Length: 100000'],
    ['a length without a space', 4, 'Content-Length:7'],
    ['a length behind two spaces', 4, 'Content-Length:  7'],
    ['a length with a space behind it', 4, 'Content-Length: 7 '],
    ['another idempotency key', 5, 'idempotency-key: two'],
    ['other tags', 3, 'x-waybill-tags: team=b'],
    ['another name', 2, 'content-typo: application/json'],
    ['another host', 0, 'Host: there:80'],
  ])('says what it says with %s', (_what, at, line) => {
    const data = head(LINES.with(at, line));
    expect(parsed(data)).not.toBeNull();
    expect(used().read(data, data.length, isPath)).toEqual(parsed(data));
  });

  it.each([
    ['a length that is none', 4, 'Content-Length: 1e3'],
    ['no length', 4, 'Content-Length: '],
    ['a negative length', 4, 'Content-Length: -1'],
    ['a length that nobody can have', 4, `Content-Length: ${'9'.repeat(16)}`],
    ['a tab behind its length', 4, 'Content-Length: 12\t'],
    ['a key that is no ASCII', 1, 'Authorization: Bearer \xe9'],
    ['a line feed in its key', 1, 'Authorization: Bearer a\nb'],
    ['a carriage return in its key', 1, 'Authorization: Bearer a\rb'],
    ['a second key', 1, 'Authorization: Bearer a\r\nAuthorization: Bearer b'],
    ['a second length', 4, 'Content-Length: 12\r\nContent-Length: 12'],
    ['another framing behind its key', 1, 'Authorization: Bearer a\r\nTransfer-Encoding: chunked'],
    ['another framing behind its length', 4, 'Content-Length: 12\r\nTransfer-Encoding: chunked'],
    ['another connection', 6, 'Connection: close'],
  ])('is not plain with %s', (_what, at, line) => {
    const data = head(LINES.with(at, line));
    expect(parsed(data)).toBeNull();
    expect(used().read(data, data.length, isPath)).toBeNull();
  });

  it('is no longer than a head by itself may be', () => {
    const heads = used();
    const usual = head().indexOf('\r\n\r\n') + 4;
    const sizes = [1_023, 1_024, 1_025, 8_191, 8_192, 8_193, 17_000, 60_000];
    const isRead = sizes.map((size) => {
      const data = head(LINES.with(1, `${LINES[1]}${'k'.repeat(size - usual)}`));
      const read = heads.read(data, data.length, isPath);
      expect(read).toEqual(parsed(data));
      return read !== null;
    });
    expect(isRead).toEqual([true, true, true, true, true, false, false, false]);
  });

  it('is read as by itself, wherever it is cut off', () => {
    const data = head();
    const heads = used();
    for (let size = 0; size <= data.length; size += 1) {
      expect(heads.read(data, size, isPath)).toEqual(parsed(data, size));
    }
  });

  it('is read as by itself, whatever its bytes are', () => {
    const heads = used();
    const change = fc.record({ at: fc.nat(head().length - 1), cut: fc.nat(3), put: fc.constantFrom(...PIECES) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        let text = head().toString('latin1');
        for (const { at, cut, put } of changes) text = text.slice(0, at) + put + text.slice(at + cut);
        const data = Buffer.from(text, 'latin1');
        expect(heads.read(data, data.length, isPath)).toEqual(parsed(data));
        // So that what follows is held against a head it knows.
        for (let times = 0; times < 2; times += 1) heads.read(head(), head().length, isPath);
      }),
      { numRuns: 5_000 },
    );
  });

  it.each(READ_HEADERS.filter((name) => name !== 'origin' && name !== 'host'))('says its own %s', (name) => {
    const heads = new PlainHeads();
    const lines = LINES.filter((line) => !line.toLowerCase().startsWith(`${name}:`));
    const read = ['one', 'one', 'one', 'one', 'another', 'one', 'one'].map((value) => {
      const data = head([...lines, `${name}: ${value}`]);
      const headers = heads.read(data, data.length, isPath)?.headers;
      expect(headers).toStrictEqual(parsed(data)?.headers);
      return headers;
    });
    // Looked at when all have been read: one does not change with the next.
    expect(read.map((headers) => headers?.[name])).toEqual(['one', 'one', 'one', 'one', 'another', 'one', 'one']);
    expect(new Set(read).size).toBe(7);
  });

  it('goes to its own path', () => {
    const heads = used();
    const other = head(LINES, PATHS[1]);
    expect(heads.read(other, other.length, isPath)?.path).toBe(PATHS[1]);
    expect(heads.read(head(), head().length, () => false)).toBeNull();
  });

  it('may differ from all others', () => {
    const heads = new PlainHeads();
    for (let nth = 0; nth < 20; nth += 1) {
      const data = head([...LINES, `x-trace: ${nth % 7}`]);
      expect(heads.read(data, data.length, isPath)).toEqual(parsed(data));
    }
  });
});
