import { once } from 'node:events';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { Exchange } from '../../src/http/exchange.js';
import { type Line, openLine } from '../support/raw-http.js';
import { BODY_LIMIT, HOT_PATH, openWay, type Way, type WayOptions } from '../support/two-ways.js';

/** What comes the short way is answered as `node:http` answers it; what is not plain, `node:http` answers. */

const ways: Way[] = [];
afterEach(async () => {
  await Promise.all(ways.splice(0).map((way) => way.close()));
});

async function open(options: Partial<WayOptions> = {}): Promise<Way> {
  const way = await openWay({ isShort: true, ...options });
  ways.push(way);
  return way;
}

const both = async (options: Partial<WayOptions> = {}): Promise<[short: Way, node: Way]> => [
  await open(options),
  await open({ ...options, isShort: false }),
];

/** A request with a head of these lines between the first and the length. */
function plain(body = 'hello', { path = HOT_PATH, lines = [] as string[] } = {}): string {
  const head = [`POST ${path} HTTP/1.1`, 'Host: here', ...lines, `Content-Length: ${Buffer.byteLength(body)}`];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

const LAST = 'GET /last HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n';

/** Writes parts one after the other, each read by itself; gives everything that came until the other side closed. */
async function answersTo(way: Way, parts: ReadonlyArray<string | Buffer>): Promise<string> {
  const line = await openLine(way.url);
  await write(line, parts);
  line.socket.setTimeout(4_000, () => line.socket.destroy(new Error('not closed')));
  await line.closed;
  return timeless(line.received());
}

async function write(line: Line, parts: ReadonlyArray<string | Buffer>): Promise<void> {
  line.socket.setNoDelay(true);
  for (const part of parts) {
    line.socket.write(part);
    // Long enough for what follows to be read by itself, mostly; nothing depends on it.
    await new Promise(setImmediate);
  }
}

const timeless = (text: string) => text.replace(/^Date: [^\r\n]+/gm, 'Date: now');

describe('an answer is the same, byte by byte,', () => {
  it.each([
    ['whole, of text', 'hello'],
    ['whole, of text that is not ASCII', 'hëllo ☃'],
    ['whole, of bytes', 'bytes'],
    ['whole, of a body without a byte', ''],
    ['whole, of a large body', 'x'.repeat(200_000)],
    ['in parts', 'stream'],
    ['of an error', 'x'.repeat(BODY_LIMIT + 1)],
  ])('%s', async (_what, body) => {
    const [short, node] = await both();
    const request = plain(body, { lines: ['Authorization: Bearer k', 'X-Waybill-Tags:\t a=b \t', 'Other: 1'] });
    const answer = await answersTo(short, [request, LAST]);
    expect(answer).toBe(await answersTo(node, [request, LAST]));
    expect(answer).toMatch(/^HTTP\/1\.1 (200 OK|413 Payload Too Large)\r\n/);
    expect(answer).toContain('\r\nConnection: keep-alive\r\nKeep-Alive: timeout=75\r\n');
    expect(short.bodies).toEqual(node.bodies);
    // The last request alone was not for the short way.
    expect([short.requestsOfNode(), node.requestsOfNode()]).toEqual([1, 2]);
  });

  it('while the server drains', async () => {
    const [short, node] = await both();
    for (const way of [short, node]) way.drain();
    const answer = await answersTo(short, [plain()]);
    expect(answer).toBe(await answersTo(node, [plain()]));
    expect(answer).toContain('\r\nconnection: close\r\n');
    expect(short.requestsOfNode()).toBe(0);
  });

  it('with a field that was set before, and of a header that no answer can hold', async () => {
    const handle = async (exchange: Exchange) => {
      const value = (await exchange.readBody(BODY_LIMIT)).toString();
      exchange.preset('x-before', 'yes');
      exchange.answer(200, ['x-value', value], 'ok');
    };
    const [short, node] = await both({ handle });
    for (const value of ['good', 'a\r\nb: c']) {
      const answer = await answersTo(short, [plain(value), LAST]);
      // Node keeps the words of the status that it could not write.
      const same = (await answersTo(node, [plain(value), LAST])).replace('500 OK', '500 Internal Server Error');
      expect(answer).toBe(same);
      expect(answer).not.toContain('\nb: c');
      expect(answer).toContain(value === 'good' ? 'x-before: yes\r\nx-value: good\r\n' : 'HTTP/1.1 500 ');
    }
  });

  it('of a name that no header can have', async () => {
    const handle = async (exchange: Exchange) => {
      const name = (await exchange.readBody(BODY_LIMIT)).toString();
      exchange.answer(200, [name, 'a'], 'ok');
    };
    const [short, node] = await both({ handle });
    for (const name of ['a b', 'a b', 'a:b', 'a\r\nb', '']) {
      const answer = await answersTo(short, [plain(name), LAST]);
      const same = (await answersTo(node, [plain(name), LAST])).replace('500 OK', '500 Internal Server Error');
      expect(answer).toBe(same);
      expect(answer).toMatch(/^HTTP\/1\.1 500 /);
    }
  });

  it('with a value that is the name of a header', async () => {
    const handle = async (exchange: Exchange) => {
      await exchange.readBody(BODY_LIMIT);
      exchange.answer(200, ['x-provider', 'connection', 'x-other', 'close'], 'ok');
    };
    const [short, node] = await both({ handle });
    const answer = await answersTo(short, [plain(), LAST]);
    expect(answer).toBe(await answersTo(node, [plain(), LAST]));
    expect(answer).toContain('\r\nx-provider: connection\r\nx-other: close\r\n');
    expect(answer).toContain('elsewhere: GET /last');
  });

  it.each([
    ['none', undefined],
    ['without a byte', ''],
    ['of text', 'data: [DONE]\n\n'],
    ['of text that is not ASCII', 'dâta: ☃\n\n'],
    ['of bytes', Buffer.from('dâta')],
    ['of many bytes', Buffer.alloc(20_000, 'x')],
  ])('that ends with a last part, %s, after others and as the only one', async (_what, part) => {
    const handle = async (exchange: Exchange) => {
      const body = (await exchange.readBody(BODY_LIMIT)).toString();
      exchange.begin(200, ['content-type', 'text/plain']);
      if (body === 'after others') exchange.write('before');
      exchange.end(part);
    };
    const [short, node] = await both({ handle });
    for (const body of ['after others', 'only one']) {
      const answer = await answersTo(short, [plain(body), LAST]);
      expect(answer).toBe(await answersTo(node, [plain(body), LAST]));
      expect(answer).toContain('\r\n0\r\n\r\nHTTP/1.1 200 OK');
    }
  });

  it('and its last part is written with its end', async () => {
    const way = await open({
      handle: async (exchange) => {
        exchange.begin(200, []);
        exchange.write('first');
        await new Promise(setImmediate);
        exchange.end('last');
      },
    });
    const written: string[] = [];
    way.server.on('connection', (socket) => {
      const [write, writeAll] = [socket._write.bind(socket), socket._writev?.bind(socket)];
      socket._write = (chunk, ...rest) => {
        written.push(String(chunk));
        write(chunk, ...rest);
      };
      socket._writev = (chunks, done) => {
        written.push(chunks.map(({ chunk }) => String(chunk)).join(''));
        writeAll?.(chunks, done);
      };
    });
    await answersTo(way, [plain(), LAST]);
    expect(written[1]).toBe('4\r\nlast\r\n0\r\n\r\n');
  });

  it('but for a value of Latin-1, which stays what it is', async () => {
    const handle = async (exchange: Exchange) => exchange.answer(200, ['x-value', 'é'], '☃');
    const way = await open({ handle });
    const socket = (await openLine(way.url)).socket;
    const parts: Buffer[] = [];
    socket.on('data', (part) => parts.push(part));
    socket.write(plain() + LAST);
    await once(socket, 'close');
    const text = Buffer.concat(parts).toString('latin1');
    expect(text).toContain('x-value: \xe9\r\n');
    expect(text).toContain('\r\n\r\n\xe2\x98\x83HTTP/1.1 ');
  });
});

const DEVIATIONS: ReadonlyArray<readonly [what: string, request: string]> = [
  ['another method', plain().replace('POST', 'PUT')],
  ['a method in small letters', plain().replace('POST', 'post')],
  ['another path', plain('hello', { path: '/v1/models' })],
  ['a query', plain('hello', { path: `${HOT_PATH}?a=b` })],
  ['an address for a path', plain('hello', { path: `http://here${HOT_PATH}` })],
  ['HTTP/1.0', plain().replace('HTTP/1.1', 'HTTP/1.0')],
  ['HTTP/1.2', plain().replace('HTTP/1.1', 'HTTP/1.2')],
  ['two spaces in the first line', plain().replace(' HTTP', '  HTTP')],
  ['a blank line before', `\r\n${plain()}`],
  ['lines that end with LF', plain().replaceAll('\r\n', '\n')],
  ['one line that ends with LF', plain().replace('Host: here\r\n', 'Host: here\n')],
  ['a CR within a value', plain('hello', { lines: ['a: b\rc'] })],
  ['a line that goes on in the next', plain('hello', { lines: ['a: b', ' c'] })],
  ['a length that goes on in the next line', plain().replace('Length: 5', 'Length:\r\n 5')],
  ['a space before the colon', plain('hello', { lines: ['a : b'] })],
  ['a name that is no token', plain('hello', { lines: ['a(b): c'] })],
  ['no name', plain('hello', { lines: [': c'] })],
  ['a line without a colon', plain('hello', { lines: ['abc'] })],
  ['a NUL in a value', plain('hello', { lines: ['a: b\0c'] })],
  ['a NUL in a name', plain('hello', { lines: ['a\0b: c'] })],
  ['a value that is not ASCII', plain('hello', { lines: ['a: é'] })],
  ['no Host', plain().replace('Host: here\r\n', '')],
  ['an empty Host', plain().replace('Host: here', 'Host:')],
  ['two Hosts', plain('hello', { lines: ['Host: there'] })],
  ['two keys', plain('hello', { lines: ['Authorization: Bearer a', 'authorization: Bearer b'] })],
  ['no length', plain().replace('Content-Length: 5\r\n', '')],
  ['two lengths that are the same', plain('hello', { lines: ['Content-Length: 5'] })],
  ['two lengths that are not the same', plain('hello', { lines: ['Content-Length: 4'] })],
  ['two lengths in one', plain().replace('Length: 5', 'Length: 5, 5')],
  ['a length with a sign', plain().replace('Length: 5', 'Length: +5')],
  ['a length below nothing', plain().replace('Length: 5', 'Length: -5')],
  ['a length with a space in it', plain('hello hello').replace('Length: 11', 'Length: 1 1')],
  ['a length of another base', plain().replace('Length: 5', 'Length: 0x5')],
  ['a length with a fraction', plain().replace('Length: 5', 'Length: 5.0')],
  ['an empty length', plain().replace('Length: 5', 'Length: ')],
  ['a length with a tab behind it', plain().replace('Length: 5', 'Length: 5\t')],
  ['a length with a tab and a space behind it', plain().replace('Length: 5', 'Length: 5\t ')],
  ['a length beyond every number', plain().replace('Length: 5', `Length: ${'9'.repeat(30)}`)],
  [
    'chunks',
    plain().replace('Content-Length: 5', 'Transfer-Encoding: chunked').replace('hello', '5\r\nhello\r\n0\r\n\r\n'),
  ],
  ['a length and chunks', plain('0\r\n\r\n', { lines: ['Transfer-Encoding: chunked'] })],
  [
    'a length and chunks, in another order',
    plain('0\r\n\r\n').replace('\r\n\r\n', '\r\nTransfer-Encoding: chunked\r\n\r\n'),
  ],
  ['a length and chunks by another name', plain('0\r\n\r\n', { lines: ['Transfer-Encoding: xchunked'] })],
  ['a length and a coding that changes nothing', plain('hello', { lines: ['Transfer-Encoding: identity'] })],
  ['an expectation', plain('hello', { lines: ['Expect: 100-continue'] })],
  ['an expectation of something else', plain('hello', { lines: ['Expect: much'] })],
  ['another protocol', plain('hello', { lines: ['Connection: upgrade', 'Upgrade: h2c'] })],
  ['a connection that closes', plain('hello', { lines: ['Connection: close'] })],
  ['a connection of two words', plain('hello', { lines: ['Connection: keep-alive, te'] })],
  ['two words of the connection', plain('hello', { lines: ['Connection: keep-alive', 'Connection: close'] })],
  ['a connection to a proxy that closes', plain('hello', { lines: ['Proxy-Connection: close'] })],
  ['a connection to a proxy that stays', plain('hello', { lines: ['Proxy-Connection: keep-alive'] })],
  ['more lines than are looked at', plain('hello', { lines: Array.from({ length: 100 }, (_, n) => `a-${n}: b`) })],
  ['more lines than Node looks at', plain('hello', { lines: [...Array(2_010).fill('a:'), 'Authorization: Bearer k'] })],
  ['an origin', plain('hello', { lines: ['Origin: http://there'] })],
  ['an encoding', plain('hello', { lines: ['Content-Encoding: identity'] })],
  ['a long head', plain('hello', { lines: [`a: ${'b'.repeat(9_000)}`] })],
  ['too long a head', plain('hello', { lines: [`a: ${'b'.repeat(20_000)}`] })],
  ['the head of TLS', '\x16\x03\x01\x02\x00garbage\r\n\r\n'],
];

/** Asks these one after the other, then the odd request, and once that has an answer of some kind, the last. */
async function answersToOdd(way: Way, request: string, before: readonly string[] = []): Promise<string> {
  const line = await openLine(way.url);
  for (const body of before) {
    line.socket.write(plain(body));
    await line.until(` ${body}`);
  }
  const length = line.received().length;
  line.socket.write(request, 'latin1');
  await expect.poll(() => line.socket.destroyed || line.received().length > length, { interval: 2 }).toBe(true);
  line.socket.write(LAST);
  await line.closed;
  return timeless(line.received());
}

describe('what is not plain is answered by node:http:', () => {
  it.each(DEVIATIONS)('%s', async (_what, request) => {
    const [short, node] = await both();
    const answer = await answersToOdd(short, request);
    expect(answer).toBe(await answersToOdd(node, request));
    expect(answer).toMatch(/^HTTP\/1\.1 \d/);
    expect(short.bodies).toEqual(node.bodies);
    expect(short.requestsOfNode()).toBe(node.requestsOfNode());
  });

  it.each(DEVIATIONS)('%s, after requests that were plain', async (_what, request) => {
    const [short, node] = await both();
    const before = ['one', 'two'];
    expect(await answersToOdd(short, request, before)).toBe(await answersToOdd(node, request, before));
    expect(short.bodies).toEqual(node.bodies);
    expect(short.requestsOfNode()).toBe(node.requestsOfNode() - 2);
  });

  it('a request whose head comes byte by byte', async () => {
    const [short, node] = await both();
    const bytes = [...plain('hello')];
    const answer = await answersTo(short, [...bytes, LAST]);
    expect(answer).toBe(await answersTo(node, [...bytes, LAST]));
    expect(short.bodies).toEqual(['hello']);
  });

  it('a head that ends in the middle, and a body that does', async () => {
    const [short, node] = await both();
    for (const cut of [1, 20, 60, plain().length - 2]) {
      const answers = await Promise.all(
        [short, node].map(async (way) => {
          const line = await openLine(way.url);
          line.socket.end(plain().slice(0, cut));
          await line.closed;
          return timeless(line.received());
        }),
      );
      expect(answers[0]).toBe(answers[1]);
      expect(answers[0]).toMatch(/^HTTP\/1\.1 400 /);
    }
    expect(short.bodies).toEqual([]);
  });

  it('another request on the same connection, and all that follow', async () => {
    const way = await open();
    const line = await openLine(way.url);
    line.socket.write(plain('one'));
    await line.until(' one');
    line.socket.write('GET /v1/models HTTP/1.1\r\nHost: here\r\n\r\n');
    await line.until('elsewhere: GET /v1/models');
    line.socket.write(plain('x'.repeat(100_000)));
    await line.until('x'.repeat(100_000));
    expect(way.requestsOfNode()).toBe(2);
    // Node's own care for its connections: this one is idle.
    way.server.close();
    await line.closed;
  });
});

/** What changes how a head is read, or how far its request goes. */
const EDITS = [
  ...['\r', '\n', '\r\n', '\r\n\r\n', '\0', ' ', '\t', ':', ',', ';', '+', '-', '0', '1', '5', 'x', '\xe9', '_'],
  ...[
    'chunked',
    'Content-Length: 3\r\n',
    'content-length:5\r\n',
    '5\t\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Host: there\r\n',
  ],
  ...[
    'Connection: close\r\n',
    'Connection: keep-alive\r\n',
    'Proxy-Connection: close\r\n',
    'Expect: 100-continue\r\n',
    'GET ',
    'HTTP/1.0',
    'POST ',
  ],
];

it('a head that is changed anywhere says the same to both', { timeout: 60_000 }, async () => {
  const [short, node] = await both();
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    removed: fc.constantFrom(0, 0, 1, 2),
    added: fc.constantFrom(...EDITS),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
      let request = plain('hello', { lines: ['Authorization: Bearer k', 'Accept: */*'] });
      for (const { at, removed, added } of edits) {
        const place = Math.floor(at * (request.length - 5));
        request = request.slice(0, place) + added + request.slice(place + removed);
      }
      for (const way of [short, node]) way.bodies.length = 0;
      const lines = await Promise.all([openLine(short.url), openLine(node.url)]);
      for (const { socket } of lines) socket.write(request + LAST, 'latin1');
      const [one, other] = lines;
      const said = (line: Line) => timeless(line.received());
      // Where no HTTP follows a plain request, Node drops the answer under way; the short way has given it before.
      const isSame = () => one.socket.destroyed === other.socket.destroyed && said(one).endsWith(said(other));
      const agree = () =>
        expect.poll(() => isSame() && `${short.bodies}` === `${node.bodies}`, { interval: 3 }).toBe(true);
      const closed = Promise.all(lines.map((line) => line.closed));
      // Some wait for more, and are not closed.
      await Promise.race([closed, agree().then(() => new Promise((resolve) => setTimeout(resolve, 25)))]);
      await agree();
      for (const { socket } of lines) socket.destroy();
      await closed;
    }),
    { numRuns: 150 },
  );
});

describe('on one connection', () => {
  it('several requests at once are answered in their order', async () => {
    const [short, node] = await both();
    const requests = [plain('one'), plain('stream two'), plain('', { path: '/api/v1/embeddings' }), plain('bytes')];
    for (const count of [2, 3, 4]) {
      const together = requests.slice(0, count).join('') + LAST;
      expect(await answersTo(short, [together])).toBe(await answersTo(node, [together]));
    }
    expect(short.bodies).toEqual(node.bodies);
    expect(short.requestsOfNode()).toBe(3);
  });

  it('much that waits for an answer is answered, and nothing of it is lost', async () => {
    const way = await open();
    const line = await openLine(way.url);
    const bodies = Array.from({ length: 60 }, (_, index) => `${index}:${'y'.repeat(10_000)}`);
    line.socket.write(bodies.map((body) => plain(body)).join(''));
    await line.until(bodies.at(-1) as string);
    expect(way.bodies).toEqual(bodies);
    line.socket.destroy();
  });

  it('many requests with bodies of many sizes, in any parts, are answered as node:http answers them', async () => {
    const [short, node] = await both();
    const request = fc.record({
      body: fc.oneof(
        fc.string({ unit: 'binary', maxLength: 300 }),
        fc.constantFrom('', 'stream', 'bytes', 'stream bytes'),
        fc.integer({ min: 1, max: 70_000 }).map((size) => 'z'.repeat(size)),
      ),
      path: fc.constantFrom(HOT_PATH, '/api/v1/completions', '/v1/embeddings'),
      lines: fc.subarray(['Authorization: Bearer a', 'accept: */*', 'X-WAYBILL-TAGS: t=1', 'connection: Keep-Alive']),
    });
    const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 6 }), cuts, async (requests, places) => {
        for (const way of [short, node]) way.bodies.length = 0;
        const whole = Buffer.from(requests.map(({ body, ...rest }) => plain(body, rest)).join('') + LAST);
        const at = [0, ...places.map((place) => Math.floor(place * whole.length)), whole.length].sort((a, b) => a - b);
        const parts = at.slice(1).map((end, index) => whole.subarray(at[index], end));
        expect(await answersTo(short, parts)).toBe(await answersTo(node, parts));
        expect(short.bodies).toEqual(node.bodies);
      }),
      { numRuns: 60 },
    );
  });

  it('plain and odd requests in any order, cut anywhere, are answered as node:http answers them', async () => {
    const [short, node] = await both();
    const chunked = plain()
      .replace('Content-Length: 5', 'Transfer-Encoding: chunked')
      .replace('hello', '5\r\nhello\r\n3;a=b\r\nyou\r\n0\r\nT: 1\r\n\r\n');
    const request = fc.oneof(
      fc.constantFrom(plain('one'), plain(''), plain('stream'), plain('bytes'), plain('hëllo')),
      fc.integer({ min: 1, max: 90_000 }).map((size) => plain('z'.repeat(size))),
      fc.integer({ min: 1, max: 90_000 }).map((size) => plain('z'.repeat(BODY_LIMIT + size))),
      fc.constantFrom(
        ...[chunked, 'GET /x HTTP/1.1\r\nHost: here\r\n\r\n', `\r\n${plain('after a blank line')}`],
        ...[plain('elsewhere', { path: '/v1/models' }), plain('q', { path: `${HOT_PATH}?a=b` })],
        ...['Origin: http://there', 'X: é', `a: ${'b'.repeat(9_000)}`].map((line) => plain('odd', { lines: [line] })),
      ),
    );
    // A client that sends more than a megabyte behind a request is ended here, unless the answer is quicker.
    const most = (all: readonly string[]) => all.slice(1).join('').length < 1_000_000;
    const several = fc.array(request, { minLength: 2, maxLength: 6 }).filter(most);
    const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(several, cuts, async (requests, places) => {
        for (const way of [short, node]) way.bodies.length = 0;
        const whole = Buffer.from(requests.join('') + LAST);
        const at = [0, ...places.map((place) => Math.floor(place * whole.length)), whole.length].sort((a, b) => a - b);
        const parts = at.slice(1).map((end, index) => whole.subarray(at[index], end));
        expect(await answersTo(short, parts)).toBe(await answersTo(node, parts));
        expect(short.bodies).toEqual(node.bodies);
      }),
      { numRuns: 60 },
    );
    expect(short.requestsOfNode()).toBeLessThan(node.requestsOfNode());
  });

  it('a request follows one that was refused, whose body is let run dry', async () => {
    const [short, node] = await both();
    const tooLarge = plain('x'.repeat(BODY_LIMIT + 1));
    const parts = [tooLarge.slice(0, 500), tooLarge.slice(500, 100_000), tooLarge.slice(100_000), plain('after'), LAST];
    const answer = await answersTo(short, parts);
    expect(answer).toBe(await answersTo(node, parts));
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain(' after');
    expect(short.bodies).toEqual(['after']);
  });
});

describe('a client that leaves', () => {
  it('in the middle of its body ends its request', async () => {
    const way = await open();
    const line = await openLine(way.url);
    line.socket.write(plain('x'.repeat(1_000)).slice(0, 500));
    await expect.poll(() => connections(way)).toBe(1);
    line.socket.destroy();
    await expect.poll(way.closed).toBe(1);
    expect(way.bodies).toEqual([]);
  });

  it.each([
    ['closes', (line: Line) => line.socket.destroy()],
    ['resets', (line: Line) => line.socket.resetAndDestroy()],
    ['sends no more', (line: Line) => line.socket.end()],
  ])('or %s before its answer ended is noticed, with other requests waiting too', async (_what, leave) => {
    for (const handle of [endless, restless]) {
      for (const isShort of [true, false]) {
        const way = await open({ isShort, handle });
        for (const count of [1, 2, 4]) {
          const before = way.begun();
          const line = await openLine(way.url);
          line.socket.write(plain().repeat(count));
          await line.until('a part');
          if (!isShort) await expect.poll(() => way.begun() - before).toBe(count);
          leave(line);
          await line.closed;
          await expect.poll(() => connections(way)).toBe(0);
          await expect.poll(() => way.begun() - way.closed()).toBe(0);
        }
      }
    }
  });

  it.each([
    ['closes', (line: Line) => line.socket.destroy()],
    ['resets', (line: Line) => line.socket.resetAndDestroy()],
  ])('or %s with much sent behind its request is noticed', async (_what, leave) => {
    const way = await open({ handle: endless });
    for (const size of [10_000, 100_000, 700_000]) {
      const line = await openLine(way.url);
      line.socket.write(plain() + plain('x'.repeat(size)));
      await line.until('a part');
      await expect.poll(() => line.socket.writableLength).toBe(0);
      leave(line);
      await expect.poll(() => way.begun() - way.closed()).toBe(0);
    }
    expect(way.begun()).toBe(3);
  });

  it('or sends without end behind its request is ended', async () => {
    const way = await open({ handle: endless });
    const line = await openLine(way.url);
    line.socket.write(plain() + plain('x'.repeat(8_000_000)));
    await line.closed;
    expect([way.begun(), way.closed()]).toEqual([1, 1]);
    expect(line.received()).toContain('a part');
  });

  it.each([
    ['closes', (line: Line) => line.socket.destroy()],
    ['resets', (line: Line) => line.socket.resetAndDestroy()],
  ])('or %s while its answer is written has nothing else begun', async (_what, leave) => {
    const SIZE = 30_000_000;
    const handle = async (exchange: Exchange) => {
      await exchange.readBody(BODY_LIMIT);
      exchange.answer(200, [], Buffer.alloc(SIZE));
    };
    const way = await open({ handle });
    const line = await openLine(way.url);
    line.socket.once('data', () => line.socket.pause()).write(plain().repeat(3));
    await once(line.socket, 'pause');
    leave(line);
    await expect.poll(() => connections(way)).toBe(0);
    expect([way.begun(), way.closed()]).toEqual([1, 1]);
  });

  it('and reads slowly is waited for', async () => {
    const PARTS = 400;
    let written = 0;
    const way = await open({
      async handle(exchange) {
        await exchange.readBody(BODY_LIMIT);
        exchange.begin(200, []);
        for (; written < PARTS && exchange.isOpen; written += 1) {
          if (!exchange.write(Buffer.alloc(100_000))) await exchange.drained();
        }
        exchange.end();
      },
    });
    const { socket } = await openLine(way.url);
    let end = '';
    socket.pause().on('data', (part) => {
      end = part.subarray(-7).toString();
    });
    socket.write(plain());
    // Until the system takes no more.
    let last = -1;
    const isHeldUp = () => {
      const isSame = written > 0 && written === last;
      last = written;
      return isSame;
    };
    await expect.poll(isHeldUp, { interval: 100 }).toBe(true);
    expect(written).toBeLessThan(PARTS);
    socket.resume();
    await expect.poll(() => end).toBe('\r\n0\r\n\r\n');
    expect(written).toBe(PARTS);
    socket.destroy();
  });
});

/** Writes a part, and no more. */
async function endless(exchange: Exchange): Promise<void> {
  await exchange.readBody(BODY_LIMIT);
  exchange.begin(200, []);
  exchange.write('a part');
}

/** Writes as long as there is somebody to write to. */
async function restless(exchange: Exchange): Promise<void> {
  await exchange.readBody(BODY_LIMIT);
  exchange.begin(200, []);
  while (exchange.isOpen) {
    if (!exchange.write('a part'.repeat(4_000))) await exchange.drained();
    await new Promise(setImmediate);
  }
}

function connections({ server }: Way): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
  });
}

describe('time', () => {
  const SOON = { requestMs: 300, keepAliveMs: 1_000, takeMs: 60_000, lookMs: 20 };

  it.each([
    ['sends nothing', ''],
    ['sends half a body', plain().slice(0, -2)],
  ])('is up for a client that %s: 408', async (_what, sent) => {
    const way = await open({ times: SOON });
    const line = await openLine(way.url);
    line.socket.write(sent);
    await line.closed;
    expect(line.received()).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\nconnection: close\r\n/);
    expect(way.bodies).toEqual([]);
    expect(way.closed()).toBe(sent === '' ? 0 : 1);
  });

  it('is up for half a head too, where Node looks', async () => {
    const way = await open({ times: SOON });
    const line = await openLine(way.url);
    line.socket.write(plain().slice(0, 30));
    await line.closed;
    expect(line.received()).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\nconnection: close\r\n/);
  });

  it('is up for a connection that brings no other request', async () => {
    const way = await open({ times: { ...SOON, keepAliveMs: 200 } });
    const line = await openLine(way.url);
    line.socket.write(plain());
    await line.until(' hello');
    const answeredAt = Date.now();
    await line.closed;
    expect(Date.now() - answeredAt).toBeGreaterThanOrEqual(180);
    expect(line.received()).not.toContain('408');
  });

  it('is not up for an answer, nor for a connection that is used', async () => {
    const way = await open({ times: SOON, handle: (exchange) => answerAfter(exchange, 700) });
    const line = await openLine(way.url);
    for (const body of ['one', 'two']) {
      line.socket.write(plain(body));
      await line.until(`after ${body}`);
    }
    line.socket.destroy();
  });
});

describe.each([
  ['the short way', true],
  ['node:http', false],
])('time to take an answer, %s,', (_way, isShort) => {
  const TAKE_MS = 400;
  const SIZE = 24_000_000;
  const times = { requestMs: 60_000, keepAliveMs: 60_000, takeMs: TAKE_MS, lookMs: 20 };
  const large = async (exchange: Exchange) => {
    await exchange.readBody(BODY_LIMIT);
    exchange.answer(200, [], Buffer.alloc(SIZE));
  };

  it.each([
    ['whole', large, ''],
    ['whole, and that the client has said is its last', large, 'end'],
    ['in parts', restless, ''],
  ])('is up for one %s', async (_what, handle, isLast) => {
    const way = await open({ isShort, times, handle });
    const { socket } = await openLine(way.url);
    socket.pause().write(plain());
    if (isLast !== '') socket.end();
    await expect.poll(() => way.begun()).toBe(1);
    await expect.poll(() => connections(way), { timeout: 4_000 }).toBe(0);
    await expect.poll(() => way.closed()).toBe(1);
    socket.destroy();
  });

  it('is not up for one that is taken slowly', async () => {
    const way = await open({ isShort, times, handle: large });
    const { socket } = await openLine(way.url);
    let bytes = 0;
    socket.on('data', (part) => {
      bytes += part.length;
      socket.pause();
      setTimeout(() => socket.resume(), 3);
    });
    const sentAt = Date.now();
    socket.write(plain());
    await expect.poll(() => bytes, { timeout: 15_000 }).toBeGreaterThan(SIZE);
    expect(Date.now() - sentAt).toBeGreaterThan(2 * TAKE_MS);
    socket.destroy();
  });

  it('is not up while nothing is there to take', async () => {
    const way = await open({
      ...{ isShort, times },
      async handle(exchange) {
        await exchange.readBody(BODY_LIMIT);
        exchange.begin(200, []);
        exchange.write(Buffer.alloc(100_000));
        await new Promise((resolve) => setTimeout(resolve, 3 * TAKE_MS));
        exchange.write('the rest');
        exchange.end();
      },
    });
    const line = await openLine(way.url);
    for (let count = 1; count <= 2; count += 1) {
      line.socket.write(plain());
      await expect.poll(() => line.received().split('the rest').length - 1, { timeout: 4_000 }).toBe(count);
    }
    line.socket.destroy();
  });
});

async function answerAfter(exchange: Exchange, ms: number): Promise<void> {
  const text = `after ${await exchange.readBody(BODY_LIMIT)}`;
  await new Promise((resolve) => setTimeout(resolve, ms));
  exchange.answer(200, [], text);
}

describe('a server that closes', () => {
  it('closes connections between requests, and lets an answer end', async () => {
    let finish = () => {};
    const way = await open({
      async handle(exchange) {
        const body = await exchange.readBody(BODY_LIMIT);
        exchange.begin(200, []);
        exchange.write(`begun ${body}`);
        if (body.toString() === 'long') await new Promise<void>((resolve) => (finish = resolve));
        exchange.end();
      },
    });
    const [idle, busy] = [await openLine(way.url), await openLine(way.url)];
    idle.socket.write(plain('short'));
    await idle.until('\r\n0\r\n\r\n');
    busy.socket.write(plain('long'));
    await busy.until('begun long');
    const closed = new Promise((resolve) => way.server.close(resolve));
    await idle.closed;
    finish();
    await busy.until('\r\n0\r\n\r\n');
    busy.socket.destroy();
    await closed;
  });
});
