import { assert, constantFrom, integer, array as listOf, oneof, property, record, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeadBefore } from '../../../src/upstream/answer-head.js';
import { AnswerReader } from '../../../src/upstream/answer-reader.js';
import { BlockPool } from '../../../src/upstream/block-pool.js';
import { OK } from '../../support/raw-upstream.js';

/** Everything a connection would tell of one answer. */
interface Told {
  status: number | null;
  headers: Record<string, string> | null;
  body: string;
  isWhole: boolean;
  /** A close of the connection would end it well. */
  endsHere: boolean;
  keepMs: number | null | undefined;
  excess: number;
  error: string | null;
}

/** One for all of them, good and bad: it must make no difference. */
const headBefore = new HeadBefore();

/** Reads as a connection does: into the reader's own space where it has one, else into a buffer all reads share. */
function tell(text: string, cuts: readonly number[] = []): Told {
  const reader = new AnswerReader(new BlockPool(), headBefore);
  const bytes = Buffer.from(text, 'latin1');
  const shared = Buffer.alloc(64 * 1024, 'x');
  const parts: Buffer[] = [];
  let excess = 0;
  const ends = [...cuts].map((cut) => cut % (bytes.length + 1)).sort((one, other) => one - other);
  for (let at = 0; at < bytes.length && reader.error === null && !reader.isWhole; ) {
    const space = reader.space ?? shared;
    const end = ends.find((cut) => cut > at) ?? bytes.length;
    const size = Math.min(space.length, end - at);
    bytes.copy(space, 0, at, at + size);
    reader.take(space, size);
    at += size;
    if (reader.part !== null) parts.push(reader.part);
    reader.part = null;
    excess = reader.isWhole ? reader.excess + bytes.length - at : 0;
    // The next read overwrites it: what was handed over must be a copy.
    shared.fill('x');
  }
  const { head, isWhole, endsHere, error } = reader;
  return {
    status: head?.status ?? null,
    headers: head?.headers ?? null,
    body: Buffer.concat(parts).toString('latin1'),
    isWhole,
    endsHere,
    keepMs: head?.keepMs,
    excess,
    error: error === null ? null : String((error as { code?: unknown }).code),
  };
}

const chunked = `${OK}transfer-encoding: chunked\r\n\r\n`;

describe('an answer’s head', () => {
  it.each<[string, string, Partial<Told>]>([
    ['without a reason', 'HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nhi', { status: 200, body: 'hi' }],
    ['with an empty reason', 'HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nhi', { status: 200, body: 'hi' }],
    ['with a reason in latin1', 'HTTP/1.1 200 \xe9\xff\r\ncontent-length: 0\r\n\r\n', { status: 200, isWhole: true }],
    ['after line ends that are too many', `\r\n\n\r\n${OK}content-length: 2\r\n\r\nhi`, { status: 200, body: 'hi' }],
    ['with a status of no class', 'HTTP/1.1 999 X\r\ncontent-length: 0\r\n\r\n', { status: 999, isWhole: true }],
    ['with space around a value', `${OK}X-A: \t b c \t\r\nx-b:d\r\n\r\n`, { headers: { 'x-a': 'b c', 'x-b': 'd' } }],
    [
      'with space within values',
      `${OK}x: a  b\t c \t d\r\nconnection:  x y ,\tclose \r\ncontent-length: 0\r\n\r\n`,
      { headers: { x: 'a  b\t c \t d', connection: 'x y ,\tclose', 'content-length': '0' }, keepMs: 0 },
    ],
    ['with a value of nothing but space', `${OK}x: \t \t \r\n\r\n`, { headers: { x: '' } }],
    ['with an empty value', `${OK}x:\r\ny: \r\n\r\n`, { headers: { x: '', y: '' } }],
    ['with a tab and latin1 in a value', `${OK}x: a\tb\xe9\r\n\r\n`, { headers: { x: 'a\tb\xe9' } }],
    [
      'with names that come twice, and one that every object has',
      `${OK}Set-Cookie: a=1\r\nset-cookie: b=2\r\nconstructor: c\r\nconstructor: d\r\n\r\n`,
      { headers: { 'set-cookie': 'a=1, b=2', constructor: 'c, d' } },
    ],
    ['of version 1.0 ends its connection', 'HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n', { keepMs: 0 }],
    [
      'of version 1.0 keeps it where it says so',
      'HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\ncontent-length: 0\r\n\r\n',
      { keepMs: null },
    ],
    ['says close among others', `${OK}connection: x, Close\r\ncontent-length: 0\r\n\r\n`, { keepMs: 0 }],
    ['says close in a second line', `${OK}connection: keep-alive\r\nconnection: close\r\n\r\n`, { keepMs: 0 }],
    ['says closed, which is nothing', `${OK}connection: closed\r\ncontent-length: 0\r\n\r\n`, { keepMs: null }],
    ['says for how long', `${OK}keep-alive: timeout=5, max=100\r\ncontent-length: 0\r\n\r\n`, { keepMs: 5_000 }],
  ])('%s', (_name, text, told) => {
    expect(tell(text)).toMatchObject({ ...told, error: null });
  });

  it.each(
    named([
      ['HPE_INVALID_CONSTANT', 'SSH-2.0-OpenSSH_8.9\r\n'],
      ['HPE_INVALID_CONSTANT', '\x15\x03\x01\x00\x02\x02'],
      ['HPE_INVALID_CONSTANT', '<html>'],
      ['HPE_INVALID_CONSTANT', 'http/1.1 200 OK\r\n\r\n'],
      ['HPE_INVALID_CONSTANT', ' HTTP/1.1 200 OK\r\n\r\n'],
      ['HPE_INVALID_CONSTANT', 'HTTP/2.0 200 OK\r\n\r\n'],
      ['HPE_INVALID_VERSION', 'HTTP/1.2 200 OK\r\n\r\n'],
      ['HPE_CLOSED_CONNECTION', `HTTP/1.0 103 Early Hints\r\n\r\n${OK}content-length: 2\r\n\r\nhi`],
      ['HPE_CLOSED_CONNECTION', `HTTP/1.1 103 Early\r\nconnection: close\r\n\r\n${OK}content-length: 2\r\n\r\nhi`],
      ['HPE_INVALID_VERSION', 'HTTP/1.11 200 OK\r\n\r\n'],
      ['HPE_INVALID_STATUS', 'HTTP/1.1 20 OK\r\n\r\n'],
      ['HPE_INVALID_STATUS', 'HTTP/1.1 2000 OK\r\n\r\n'],
      ['HPE_INVALID_STATUS', 'HTTP/1.1 099 OK\r\n\r\n'],
      ['HPE_INVALID_STATUS', 'HTTP/1.1 2x0 OK\r\n\r\n'],
      ['HPE_INVALID_STATUS', 'HTTP/1.1  200 OK\r\n\r\n'],
      ['HPE_INVALID_STATUS', 'HTTP/1.1 200\tOK\r\n\r\n'],
      ['HPE_CR_EXPECTED', 'HTTP/1.1 200 OK\ncontent-length: 2\r\n\r\nhi'],
      ['HPE_CR_EXPECTED', 'HTTP/1.1 200 OK\n\n'],
      ['HPE_CR_EXPECTED', `${OK}content-length: 2\n\n`],
      ['HPE_CR_EXPECTED', `${OK}content-length: 2\r\n\nhi`],
      ['HPE_CR_EXPECTED', `${OK}x: y\rz: 1`],
      ['HPE_INVALID_HEADER_TOKEN', `${OK}x: a\nb: c\r\n\r\n`],
      ['HPE_INVALID_HEADER_TOKEN', `${OK}x: a\rb: c\r\n\r\n`],
      ['HPE_INVALID_HEADER_TOKEN', `${OK}x: a\0b\r\n\r\n`],
      ['HPE_INVALID_HEADER_TOKEN', `${OK}x: a\x7fb\r\n\r\n`],
      ['HPE_INVALID_HEADER_TOKEN', `${OK}x : y\r\n\r\n`],
      ['HPE_INVALID_HEADER_TOKEN', `${OK}x y: z\r\n\r\n`],
      ['HPE_INVALID_HEADER_TOKEN', `${OK}x\xe9: y\r\n\r\n`],
      ['HPE_INVALID_HEADER_TOKEN', `${OK}: y\r\n\r\n`],
      ['HPE_INVALID_HEADER_TOKEN', `${OK}no colon\r\n\r\n`],
      ['HPE_INVALID_HEADER_TOKEN', `${OK} x: y\r\n\r\n`],
      ['HPE_INVALID_HEADER_TOKEN', `${OK}x: y\r\n folded\r\n\r\n`],
      ['HPE_INVALID_HEADER_TOKEN', `${OK}content-length:\r\n\t2\r\n\r\nhi`],
      ['HPE_UNEXPECTED_CONTENT_LENGTH', `${OK}content-length: 2\r\ncontent-length: 2\r\n\r\nhi`],
      ['HPE_UNEXPECTED_CONTENT_LENGTH', `${OK}content-length: 2\r\ncontent-length: 3\r\n\r\nhi!`],
      ['HPE_INVALID_HEADER_TOKEN', `${OK}content-length: 2\t\r\n\r\nhi`],
      ['HPE_INVALID_HEADER_TOKEN', `${OK}transfer-encoding:\tchunked\r\n\r\n0\r\n\r\n`],
      ['HPE_INVALID_CONTENT_LENGTH', `${OK}content-length: 2, 2\r\n\r\nhi`],
      ['HPE_INVALID_CONTENT_LENGTH', `${OK}content-length: +2\r\n\r\nhi`],
      ['HPE_INVALID_CONTENT_LENGTH', `${OK}content-length: -2\r\n\r\nhi`],
      ['HPE_INVALID_CONTENT_LENGTH', `${OK}content-length: 0x2\r\n\r\nhi`],
      ['HPE_INVALID_CONTENT_LENGTH', `${OK}content-length:\r\n\r\nhi`],
      ['HPE_INVALID_CONTENT_LENGTH', `${OK}content-length: 18446744073709551615\r\n\r\nhi`],
      [
        'HPE_INVALID_TRANSFER_ENCODING',
        `${OK}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`,
      ],
      ['HPE_INVALID_TRANSFER_ENCODING', `${OK}transfer-encoding: identity\r\ncontent-length: 2\r\n\r\nhi`],
      ['UND_ERR_SOCKET', 'HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n'],
      ['UND_ERR_HEADERS_OVERFLOW', `${OK}x: ${'a'.repeat(17_000)}\r\n\r\n`],
      ['UND_ERR_HEADERS_OVERFLOW', `${OK}x: ${'a'.repeat(1_000_000)}`],
      ['UND_ERR_HEADERS_OVERFLOW', `HTTP/1.1 200 ${'a'.repeat(20_000)}\r\n\r\n`],
      ['UND_ERR_HEADERS_OVERFLOW', `${OK}${'x: y\r\n'.repeat(3_000)}\r\n`],
    ]),
  )('is malformed (%s): %s', (error, _name, text) => {
    const { error: said, status } = tell(text);
    expect({ error: said, status }).toEqual({ error, status: null });
    expect(tell(text.slice(0, 20_000), everyByte(text.slice(0, 20_000))).error).not.toBeNull();
  });
});

describe('answers before the answer', () => {
  it('are passed over, whatever they say', () => {
    const early = 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\ncontent-length: 4\r\n\r\n';
    const text = `HTTP/1.1 100 Continue\r\n\r\n${early}${OK}content-length: 2\r\n\r\nhi`;
    for (const cuts of [[], everyByte(text)]) {
      expect(tell(text, cuts)).toMatchObject({ status: 200, body: 'hi', headers: { 'content-length': '2' } });
    }
  });
});

describe('what comes before an answer', () => {
  const early = 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n';

  it.each([
    ['early answers', early.repeat(1_000)],
    ['empty lines', '\r\n'.repeat(9_000)],
    ['both', `${early}\r\n\r\n`.repeat(800)],
  ])('is bounded together with its head: %s', (_name, flood) => {
    const inReads = Array.from({ length: 600 }, (_, index) => index * 97);
    for (const cuts of [[], inReads, everyByte(flood)]) {
      expect(tell(flood, cuts)).toMatchObject({ error: 'UND_ERR_HEADERS_OVERFLOW', status: null });
    }
  });

  it('leaves the head what it has not taken itself', () => {
    const passed = early.repeat(100);
    const head = (bytes: number) => `${passed}${OK}x: ${'a'.repeat(bytes - passed.length - OK.length - 3)}\r\n\r\n`;
    for (const cuts of [[], [passed.length], [passed.length + 10]]) {
      expect(tell(head(16 * 1024), cuts)).toMatchObject({ error: null, status: 200 });
      expect(tell(head(16 * 1024 + 1), cuts)).toMatchObject({ error: 'UND_ERR_HEADERS_OVERFLOW', status: null });
    }
  });
});

describe('space within a line', () => {
  it.each<[string, (fill: string) => string]>([
    ['of a head', (fill) => `${OK}x:  a${fill}b\r\n\r\n`],
    ['of tabs', (fill) => `${OK}x:\t\ta${fill.replaceAll(' ', '\t')}b\r\n\r\n`],
    ['of connection', (fill) => `${OK}connection:  a${fill}b\r\n\r\n`],
    ['of a trailer', (fill) => `${chunked}0\r\nx:  a${fill}b\r\n\r\n`],
  ])('%s costs no more than letters do, more or less', (_name, text) => {
    const [spaces, letters] = [text(' '.repeat(16_000)), text('c'.repeat(16_000))];
    // The best of several: what else the machine does is none of this.
    const took = (read: string) =>
      Math.min(
        ...Array.from({ length: 5 }, () => {
          const began = performance.now();
          expect(tell(read).error).toBeNull();
          return performance.now() - began;
        }),
      );
    expect(took(spaces)).toBeLessThan(20 * took(letters) + 1);
  });
});

describe('a body', () => {
  it.each<[string, string, Partial<Told>]>([
    ['of no bytes', `${OK}content-length: 0\r\n\r\n`, { body: '', isWhole: true, excess: 0 }],
    ['with zeros before its length', `${OK}content-length: 002\r\n\r\nhi`, { body: 'hi', isWhole: true }],
    ['and bytes behind it', `${OK}content-length: 2\r\n\r\nhi!!`, { body: 'hi', isWhole: true, excess: 2 }],
    ['that lacks bytes', `${OK}content-length: 3\r\n\r\nhi`, { body: 'hi', isWhole: false, endsHere: false }],
    ['until the end', `${OK}\r\nhi`, { body: 'hi', isWhole: false, endsHere: true, keepMs: 0 }],
    [
      'until the end, by another coding',
      `${OK}transfer-encoding: chunked, gzip\r\n\r\nhi`,
      { endsHere: true, keepMs: 0 },
    ],
    ['of 204 is none', 'HTTP/1.1 204 No Content\r\n\r\n', { body: '', isWhole: true }],
    [
      'of 204 is none, whatever it says',
      'HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\nhello',
      { isWhole: true, excess: 5 },
    ],
    ['of 304 is none', 'HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n', { body: '', isWhole: true }],
    ['in chunks', `${chunked}2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n`, { body: 'hi!', isWhole: true, excess: 0 }],
    [
      'in chunks with sizes in capitals',
      `${chunked}A\r\n0123456789\r\n0\r\n\r\n`,
      { body: '0123456789', isWhole: true },
    ],
    ['in chunks with zeros before a size', `${chunked}0002\r\nhi\r\n000\r\n\r\n`, { body: 'hi', isWhole: true }],
    ['in chunks, the coding last of two', `${OK}transfer-encoding: gzip, Chunked \r\n\r\n0\r\n\r\n`, { isWhole: true }],
    ['in chunks with extensions', `${chunked}2;a;b=c;d="e \\" f"\r\nhi\r\n0;x\r\n\r\n`, { body: 'hi', isWhole: true }],
    ['in chunks with space within trailers', `${chunked}0\r\nx:  a  b \r\n\r\n`, { body: '', isWhole: true }],
    ['in chunks with trailers', `${chunked}2\r\nhi\r\n0\r\nx-t: 1\r\nx-u:\r\n\r\n`, { body: 'hi', isWhole: true }],
    ['in chunks and bytes behind it', `${chunked}0\r\n\r\nHTTP`, { isWhole: true, excess: 4 }],
    ['in chunks that lack the last', `${chunked}2\r\nhi\r\n`, { body: 'hi', isWhole: false, endsHere: false }],
    [
      'in chunks that lack the last line',
      `${chunked}2\r\nhi\r\n0\r\n`,
      { body: 'hi', isWhole: false, endsHere: false },
    ],
  ])('%s', (_name, text, told) => {
    for (const cuts of [[], everyByte(text)]) expect(tell(text, cuts)).toMatchObject({ ...told, error: null });
  });

  it.each(
    named([
      ['HPE_INVALID_CHUNK_SIZE', 'x\r\n'],
      ['HPE_INVALID_CHUNK_SIZE', '\r\n'],
      ['HPE_INVALID_CHUNK_SIZE', '0x2\r\nhi'],
      ['HPE_INVALID_CHUNK_SIZE', '-2\r\nhi'],
      ['HPE_INVALID_CHUNK_SIZE', '2 \r\nhi'],
      ['HPE_INVALID_CHUNK_SIZE', '2\nhi\r\n'],
      ['HPE_INVALID_CHUNK_SIZE', 'fffffffffffffffff\r\n'],
      ['HPE_INVALID_CHUNK_SIZE', '2;\r\nhi'],
      ['HPE_INVALID_CHUNK_SIZE', '2;a=b\x01\r\nhi'],
      ['HPE_INVALID_CHUNK_SIZE', '2; a = b\r\nhi'],
      ['HPE_CR_EXPECTED', '2;a=b\nhi'],
      ['HPE_LF_EXPECTED', '2\rxhi'],
      ['HPE_LF_EXPECTED', '2;a\rb\r\nhi'],
      ['HPE_INVALID_HEADER_TOKEN', '0\r\nx t: 1\r\n'],
      ['HPE_INVALID_HEADER_TOKEN', '0\r\nx: 1\r\n folded\r\n'],
      ['HPE_CR_EXPECTED', '0\r\n\n'],
      ['HPE_UNEXPECTED_CONTENT_LENGTH', '0\r\ncontent-length: 5\r\n'],
      ['UND_ERR_HEADERS_OVERFLOW', `2;${'a'.repeat(20_000)}\r\nhi`],
      ['UND_ERR_HEADERS_OVERFLOW', `0\r\n${'x: y\r\n'.repeat(4_000)}\r\n`],
    ]),
  )('in chunks is malformed (%s), and what came before is handed over: %s', (error, _name, text) => {
    const all = `${chunked}4\r\ngood\r\n${text}`;
    for (const cuts of [[], everyByte(all)]) {
      expect(tell(all, cuts)).toMatchObject({ error, body: 'good', status: 200, isWhole: false });
    }
  });

  it.each(
    named([
      ['HPE_CR_EXPECTED', '2\r\nhi\n0\r\n\r\n'],
      ['HPE_CR_EXPECTED', '2\r\nhi!\r\n0\r\n\r\n'],
      ['HPE_CR_EXPECTED', '2\r\nhi0\r\n\r\n'],
      ['HPE_LF_EXPECTED', '2\r\nhi\rx0\r\n\r\n'],
    ]),
  )('in chunks longer than said is malformed (%s): %s', (error, _name, text) => {
    for (const cuts of [[], everyByte(chunked + text)]) {
      expect(tell(chunked + text, cuts)).toMatchObject({ error, body: 'hi' });
    }
  });
});

describe('an answer cut anywhere', () => {
  const bodies = string({ unit: 'binary-ascii', maxLength: 300 });
  const large = integer({ min: 0, max: 700_000 }).map((size) => 'abcdefghij'.repeat(size / 10).slice(0, size));
  const framing = constantFrom('length', 'chunks', 'close');
  const plan = record({
    early: constantFrom('', 'HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n'),
    framing,
    parts: listOf(bodies, { maxLength: 8 }),
    trailer: constantFrom('', 'x-t: 1\r\n'),
    cuts: listOf(integer({ min: 0, max: 5_000 }), { maxLength: 40 }),
  });

  it('says the same, in chunks, with a length and without', () => {
    assert(
      property(plan, ({ early, framing: by, parts, trailer, cuts }) => {
        const body = parts.join('');
        const text = `${early}${OK}x: y\r\n${framed(by, parts, trailer)}`;
        const told = tell(text, cuts);
        expect(told).toEqual(tell(text));
        expect(told).toMatchObject({ body, error: null, status: 200, isWhole: by !== 'close', excess: 0 });
      }),
    );
  });

  it('says the same of many bytes', () => {
    const cuts = listOf(integer({ min: 0, max: 700_000 }), { maxLength: 20 });
    assert(
      property(large, oneof(constantFrom('length'), framing), cuts, (body, by, at) => {
        const told = tell(`${OK}${framed(by, [body], '')}`, at);
        expect(told.body === body).toBe(true);
        expect(told).toMatchObject({ error: null, isWhole: by !== 'close', excess: 0 });
      }),
      { numRuns: 30 },
    );
  });

  it('never says that it is whole before its end, wherever the connection breaks off', () => {
    const text = `${chunked}4;a=b\r\ngood\r\n1\r\n!\r\n0\r\nx: y\r\n\r\n`;
    for (let end = 0; end < text.length; end += 1) {
      expect(tell(text.slice(0, end))).toMatchObject({ isWhole: false, endsHere: false, error: null });
    }
  });
});

/** With what is told of each case. */
function named(cases: readonly [code: string, text: string][]): [string, string, string][] {
  return cases.map(([code, text]) => [code, JSON.stringify(text).slice(0, 60), text]);
}

function framed(by: string, parts: readonly string[], trailer: string): string {
  const body = parts.join('');
  if (by === 'length') return `content-length: ${body.length}\r\n\r\n${body}`;
  if (by === 'close') return `\r\n${body}`;
  const chunks = parts.filter((part) => part !== '').map((part) => `${part.length.toString(16)}\r\n${part}\r\n`);
  return `transfer-encoding: chunked\r\n\r\n${chunks.join('')}0\r\n${trailer}\r\n`;
}

function everyByte(text: string): number[] {
  return Array.from({ length: text.length }, (_, index) => index);
}
