import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Line, openLine } from '../support/raw-http.js';
import { HOT_PATH, openWay, type Way } from '../support/two-ways.js';

/** What is read of connections that share a buffer stays apart, and a Node that has no such reads is read as ever. */

const ways: Way[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  await Promise.all(ways.splice(0).map((way) => way.close()));
});

const CONNECTIONS = [0, 1, 2, 3, 4];
const NEVER_READ_ALIKE = (index: number, bytes: number) => `${String.fromCharCode(97 + index).repeat(bytes)}|${index}`;

async function open(isShared: boolean): Promise<{ way: Way; sockets: Socket[] }> {
  if (!isShared) vi.spyOn(Object, 'getOwnPropertySymbols').mockReturnValue([]);
  const way = await openWay({ isShort: true });
  vi.restoreAllMocks();
  ways.push(way);
  const sockets: Socket[] = [];
  way.server.on('connection', (socket) => sockets.push(socket));
  return { way, sockets };
}

function request(body: string, lines = ''): string {
  return `POST ${HOT_PATH} HTTP/1.1\r\nHost: here\r\n${lines}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** Writes to all connections in turns, a part of each at a time, every part read by itself. */
async function writeInTurns(lines: readonly Line[], texts: readonly string[], partBytes: number): Promise<void> {
  const longest = Math.max(...texts.map((text) => text.length));
  for (let at = 0; at < longest; at += partBytes) {
    for (const [index, line] of lines.entries()) line.socket.write((texts[index] as string).slice(at, at + partBytes));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe.each([
  ['into one buffer', true],
  ['as ever, by a Node that does not show how', false],
])('read %s,', (_how, isShared) => {
  it('an accepted socket is', async () => {
    const { way, sockets } = await open(isShared);
    const line = await openLine(way.url);
    line.socket.write(request('hello'));
    await line.until('hello');
    expect(sockets.map((socket) => socket.listenerCount('data'))).toEqual([isShared ? 0 : 1]);
    line.socket.destroy();
  });

  it.each([
    ['bodies in parts', 200, ''],
    ['bodies of several reads', 70_000, ''],
    ['heads in parts', 30, ''],
    ['what Node answers', 200, 'Expect: 100-continue\r\n'],
  ])('%s stay apart', async (_what, partBytes, more) => {
    const { way } = await open(isShared);
    const lines = await Promise.all(CONNECTIONS.map(() => openLine(way.url)));
    const bodies = CONNECTIONS.map((index) => NEVER_READ_ALIKE(index, partBytes > 1_000 ? 200_000 : 700));
    await writeInTurns(
      lines,
      bodies.map((body) => request(body, more)),
      partBytes,
    );
    for (const [index, line] of lines.entries()) expect(await line.until(`|${index}`)).toContain(bodies[index]);
    for (const line of lines) line.socket.destroy();
  });

  it('requests that wait for the one before stay apart', async () => {
    const { way } = await open(isShared);
    const lines = await Promise.all(CONNECTIONS.map(() => openLine(way.url)));
    const bodies = CONNECTIONS.map((index) => NEVER_READ_ALIKE(index, 900));
    // An answer that takes a few turns, and what is to wait for it, in one read or in two.
    const first = (index: number) =>
      request(`stream${index}`) + (index % 2 === 0 ? request(bodies[index] as string) : '');
    for (const [index, line] of lines.entries()) line.socket.write(first(index));
    for (const line of lines) await line.until('first');
    for (const [index, line] of lines.entries())
      if (index % 2 === 1) line.socket.write(request(bodies[index] as string));
    for (const [index, line] of lines.entries()) expect(await line.until(`|${index}`)).toContain(bodies[index]);
    for (const line of lines) line.socket.destroy();
  });

  it('a connection that Node gives away has all that comes on it, and holds little that nobody reads', async () => {
    const { way } = await open(isShared);
    const given: Socket[] = [];
    way.server.on('upgrade', (_request: IncomingMessage, socket: Socket) => {
      given.push(socket);
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n');
    });
    const lines = await Promise.all(CONNECTIONS.map(() => openLine(way.url)));
    const texts = CONNECTIONS.map((index) => NEVER_READ_ALIKE(index, 1_000_000));
    for (const [index, line] of lines.entries()) {
      line.socket.write(request('hello'));
      await line.until('hello');
      line.socket.write('GET /up HTTP/1.1\r\nHost: here\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n');
      await line.until('Switching Protocols\r\n');
      line.socket.end(texts[index] as string);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(given.every((socket) => socket.readableLength < 200_000)).toBe(true);
    for (const socket of given) {
      const parts: Buffer[] = [];
      socket.on('data', (part: Buffer) => parts.push(part)).on('end', () => socket.end(Buffer.concat(parts)));
    }
    await Promise.all(lines.map((line) => line.closed));
    for (const [index, line] of lines.entries()) {
      expect(line.received().endsWith(`\r\n\r\n${texts[index]}`)).toBe(true);
    }
  });
});
