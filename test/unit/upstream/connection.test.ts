import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lifeline } from '../../../src/domain/lifeline.js';
import type { UpstreamClient, UpstreamResponse } from '../../../src/domain/upstream.js';
import { BlockPool } from '../../../src/upstream/block-pool.js';
import { createUpstreamClient } from '../../../src/upstream/client.js';
import { Deadlines } from '../../../src/upstream/deadlines.js';
import { Exchange } from '../../../src/upstream/exchange.js';
import { Origin } from '../../../src/upstream/origin.js';
import { WriteTurns } from '../../../src/upstream/write-turns.js';
import { FakeClock } from '../../support/fake-clock.js';
import {
  aCall,
  OK,
  type RawConnection,
  type RawScript,
  type RawUpstream,
  startRawUpstream,
  textOf,
  whole,
} from '../../support/raw-upstream.js';
import { until } from '../../support/until.js';

let upstream: RawUpstream;
let client: UpstreamClient;

beforeEach(async () => {
  upstream = await startRawUpstream(says(whole('hi')));
  client = createUpstreamClient({ clock: new FakeClock() });
});
afterEach(async () => {
  await client.close();
  await upstream.close();
});

/** Answers every request with these bytes. */
function says(text: string, { ends = false } = {}): RawScript {
  return ({ socket }) => {
    socket.write(text, 'latin1');
    if (ends) socket.end();
  };
}

function ask(overrides: Parameters<typeof aCall>[1] = {}): Promise<string> {
  return textOf(client, aCall(upstream.url, overrides));
}

/** An answer whose head is there. */
async function begun(overrides: Parameters<typeof aCall>[1] = {}): Promise<UpstreamResponse> {
  const result = await client.send(aCall(upstream.url, overrides));
  if (!result.ok) throw new Error(result.failure.message);
  return result.response;
}

function connection(index: number): RawConnection {
  return upstream.connections[index] as RawConnection;
}

describe('a connection', () => {
  it('carries one call after the other, and a second one what comes meanwhile', async () => {
    for (let round = 0; round < 3; round += 1) expect(await ask()).toBe('hi');
    expect(upstream.connections).toHaveLength(1);
    expect(await Promise.all([ask(), ask(), ask()])).toEqual(['hi', 'hi', 'hi']);
    expect(upstream.connections).toHaveLength(3);
    expect(connection(0).requests.length + connection(1).requests.length + connection(2).requests.length).toBe(6);
  });

  it('that was used last is used first', async () => {
    await Promise.all([ask(), ask()]);
    const before = upstream.connections.map(({ requests }) => requests.length);
    for (let round = 0; round < 3; round += 1) {
      // One that became free in this turn of the loop is not the first choice: its end would not have been seen yet.
      await nextTurn();
      await ask();
    }
    const after = upstream.connections.map(({ requests }) => requests.length);
    expect(after.map((count, index) => count - (before[index] ?? 0)).sort()).toEqual([0, 3]);
  });

  it.each([
    ['the server says close', whole('hi', 'connection: close\r\n')],
    ['it is one of HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi'],
    ['the server keeps it for no longer than two seconds', whole('hi', 'keep-alive: timeout=2\r\n')],
    ['bytes follow the answer', `${whole('hi')}HTTP`],
    ['a body follows one that has none', 'HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nhi'],
  ])('is not kept when %s', async (_name, text) => {
    upstream.setScript(says(text));
    await ask();
    await ask();
    expect(upstream.connections).toHaveLength(2);
    await connection(0).closed;
  });

  it('is not kept when the server answers before it has read the request', async () => {
    const early = createServer((socket) => {
      socket.on('error', () => {});
      socket.pause();
      socket.write(whole('no need'));
      opened.push(socket);
    });
    const opened: Socket[] = [];
    await new Promise<void>((resolve) => early.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(early.address() as AddressInfo).port}`;
    const payload = { kind: 'json' as const, body: 'x'.repeat(32 * 1024 * 1024) };
    expect(await textOf(client, aCall(url, { payload }))).toBe('no need');
    expect(await textOf(client, aCall(url))).toBe('no need');
    expect(opened).toHaveLength(2);
    early.close();
    for (const socket of opened) socket.destroy();
  });

  it('is kept when the server says how long, until two seconds before that', async () => {
    upstream.setScript(says(whole('hi', 'keep-alive: timeout=3, max=100\r\n')));
    const began = performance.now();
    await ask();
    await ask();
    expect(upstream.connections).toHaveLength(1);
    await connection(0).closed;
    expect(performance.now() - began).toBeGreaterThan(990);
    expect(performance.now() - began).toBeLessThan(4_000);
  });

  it('that gets bytes nobody asked for is dropped', async () => {
    await ask();
    connection(0).socket.write(whole('poison'));
    await connection(0).closed;
    expect(await ask()).toBe('hi');
    expect(upstream.connections).toHaveLength(2);
  });

  it.each<[string, (connection: RawConnection) => void]>([
    ['closes', ({ socket }) => socket.end()],
    ['resets', ({ socket }) => socket.resetAndDestroy()],
  ])('that the server %s while it is idle costs no call', async (_name, end) => {
    for (let round = 0; round < 5; round += 1) {
      expect(await ask()).toBe('hi');
      end(connection(round));
      await connection(round).closed;
    }
  });

  it('that the server closes after every answer, without a word, costs no call', async () => {
    upstream.setScript(says(whole('hi'), { ends: true }));
    for (let round = 0; round < 200; round += 1) expect(await ask()).toBe('hi');
    expect(upstream.connections).toHaveLength(200);
    for (const { requests } of upstream.connections) expect(requests).toHaveLength(1);
  });

  it('that breaks once a request is on its way fails the call, which is not sent again', async () => {
    await ask();
    upstream.setScript(({ socket }) => socket.destroy());
    expect(await client.send(aCall(upstream.url))).toMatchObject({ ok: false, failure: { kind: 'reset', sent: true } });
    expect(upstream.connections).toHaveLength(1);
    expect(connection(0).requests).toHaveLength(2);
  });

  it('tells that the request goes out when it does, and not before', async () => {
    let sent = 0;
    const limits = { sent: () => (sent += 1) };
    await ask({ limits });
    await ask({ limits });
    expect(sent).toBe(2);
    await upstream.close();
    expect(await client.send(aCall(upstream.url, { limits }))).toMatchObject({ ok: false });
    expect(sent).toBe(2);
  });
});

describe('a connection that cannot be made', () => {
  it('is refused: nothing was sent', async () => {
    await upstream.close();
    expect(await client.send(aCall(upstream.url))).toMatchObject({
      ok: false,
      failure: { kind: 'connect', code: 'ECONNREFUSED', sent: false },
    });
  });

  it('leads to a host that is none: nothing was sent', async () => {
    const result = await client.send(aCall('http://nobody.invalid'));
    expect(result).toMatchObject({ ok: false, failure: { kind: 'connect', sent: false } });
  });

  it('takes too long, by TLS too: nothing was sent', async () => {
    const call = aCall(upstream.url.replace('http:', 'https:'), { connectMs: 100 });
    expect(await client.send(call)).toMatchObject({
      ok: false,
      failure: { kind: 'connect', code: 'UND_ERR_CONNECT_TIMEOUT', sent: false },
    });
    await connection(0).closed;
  });

  it('breaks within the handshake: nothing was sent', async () => {
    const breaking = await startRawUpstream(() => {}, { scheme: 'https' });
    const sending = client.send(aCall(breaking.url));
    await until('a connection', () => breaking.connections.length === 1);
    breaking.connections[0]?.socket.end();
    expect(await sending).toMatchObject({ ok: false, failure: { kind: 'connect', sent: false } });
    await breaking.close();
  });
});

describe('a call of which nothing was sent', () => {
  const https = () => upstream.url.replace('http:', 'https:');
  let sent: number;
  const limits = { sent: () => (sent += 1) };
  beforeEach(() => {
    sent = 0;
  });

  it('says so when its time is over before it has connected', async () => {
    expect(await client.send(aCall(https(), { firstByteMs: 100, limits }))).toMatchObject({
      ok: false,
      failure: { kind: 'timeout', code: 'UND_ERR_HEADERS_TIMEOUT', sent: false },
    });
    expect(sent).toBe(0);
  });

  it('says so when its time is over while undici connects for its body', async () => {
    const call = aCall(https(), { firstByteMs: 100, payload: upload(), limits });
    expect(await client.send(call)).toMatchObject({ ok: false, failure: { kind: 'timeout', sent: false } });
    expect(sent).toBe(0);
  });

  it('says so when the client closes while it connects', async () => {
    const sending = client.send(aCall(https(), { limits }));
    await until('a connection', () => upstream.connections.length === 1);
    await client.close();
    expect(await sending).toMatchObject({ ok: false, failure: { code: 'UND_ERR_DESTROYED', sent: false } });
    expect(sent).toBe(0);
  });

  it('says so when the client closes before it is written to a kept connection', async () => {
    await ask();
    const sending = client.send(aCall(upstream.url, { limits }));
    await client.close();
    expect(await sending).toMatchObject({ ok: false, failure: { code: 'UND_ERR_DESTROYED', sent: false } });
    expect(sent).toBe(0);
    expect(upstream.requests).toHaveLength(1);
  });

  it('says so when the client closes while undici is loaded for its body', async () => {
    const sending = client.send(aCall(upstream.url, { payload: upload(), limits }));
    await client.close();
    expect(await sending).toMatchObject({ ok: false, failure: { sent: false } });
    expect(sent).toBe(0);
    expect(upstream.requests).toHaveLength(0);
  });
});

/** A body that is made as it is sent. */
function upload() {
  return { kind: 'stream' as const, contentType: 'text/plain', body: oneByte };
}

async function* oneByte(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('x');
}

describe('a fault of ours', () => {
  const fault = new Error('a fault of ours');
  const faulty = () => {
    throw fault;
  };
  const failed = { ok: false, failure: { message: fault.message } };

  it('as one request goes out fails its call, and lets the others due with it go out', async () => {
    await Promise.all([ask(), ask(), ask()]);
    await nextTurn();
    const send = (limits: { sent(): void }) => client.send(aCall(upstream.url, { limits }));
    const sending = [send({ sent: () => {} }), send({ sent: faulty }), send({ sent: () => {} })];
    expect(await Promise.all(sending)).toMatchObject([{ ok: true }, failed, { ok: true }]);
    expect(upstream.connections).toHaveLength(3);
    expect(upstream.requests).toHaveLength(5);
  });

  it('as a new connection is there fails its call', async () => {
    expect(await client.send(aCall(upstream.url, { limits: { sent: faulty } }))).toMatchObject(failed);
    await connection(0).closed;
    expect(upstream.requests).toHaveLength(0);
  });

  it('as an answer begins fails its call, and ends its connection', async () => {
    const clock = new FakeClock();
    const broken = createUpstreamClient({ clock: Object.assign(clock, { now: faulty }) });
    // What a limit says of time is read by the clock.
    upstream.setScript(says(whole('hi', 'x-ratelimit-remaining-tokens: 1\r\nx-ratelimit-reset-tokens: 1s\r\n')));
    expect(await broken.send(aCall(upstream.url))).toMatchObject(failed);
    await connection(0).closed;
    await broken.close();
  });

  it('of whoever is told that an answer begins ends no more than the connection', async () => {
    const parts = { readBuffer: Buffer.alloc(1024), blocks: new BlockPool(), turns: new WriteTurns() };
    const origin = new Origin(upstream.url, 5_000, parts);
    const call = aCall(upstream.url);
    const exchange = new Exchange(call, new Deadlines(), faulty);
    origin.dispatch(origin.to('/'), call, exchange);
    await until('its end', () => exchange.isOver);
    expect(exchange.error).toBe(fault);
    await connection(0).closed;
    await origin.destroy();
  });
});

describe('an answer that breaks off', () => {
  const chunks = `${OK}transfer-encoding: chunked\r\n\r\n`;

  it.each<[string, string]>([
    ['before its first byte', ''],
    ['in its status', 'HTT'],
    ['in its head', `${OK}content-le`],
    ['after an early one', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ])('%s is a reset, and was sent', async (_name, text) => {
    upstream.setScript(says(text, { ends: true }));
    expect(await client.send(aCall(upstream.url))).toMatchObject({
      ok: false,
      failure: { kind: 'reset', code: 'UND_ERR_SOCKET', message: 'other side closed (UND_ERR_SOCKET)', sent: true },
    });
  });

  it.each<[string, string]>([
    ['in its body', `${OK}content-length: 5\r\n\r\nhi`],
    ['in a body before the close it announced', `${OK}connection: close\r\ncontent-length: 5\r\n\r\nhi`],
    ['in a chunk', `${chunks}5\r\nhi`],
    ['between chunks', `${chunks}2\r\nhi\r\n`],
    ['in its trailers', `${chunks}2\r\nhi\r\n0\r\nx: y\r\n`],
  ])('%s is a reset, after what came', async (_name, text) => {
    upstream.setScript(says(text, { ends: true }));
    const response = await begun();
    expect(String(await response.next())).toBe('hi');
    await expect(response.next()).rejects.toMatchObject({ failure: { kind: 'reset', code: 'UND_ERR_SOCKET' } });
  });

  it('by a reset is one, even where the body goes on until the end', async () => {
    upstream.setScript(says(`${OK}\r\nhi`));
    const response = await begun();
    expect(String(await response.next())).toBe('hi');
    const broken = expect(response.next()).rejects.toMatchObject({ failure: { kind: 'reset', sent: true } });
    connection(0).socket.resetAndDestroy();
    await broken;
  });

  it('in its body is not read as the whole of it', async () => {
    upstream.setScript(says(`${OK}content-length: 5\r\n\r\nhi`, { ends: true }));
    const response = await begun();
    await expect(response.readAll(100)).rejects.toMatchObject({ failure: { kind: 'reset' } });
  });
});

describe('an answer', () => {
  it('in single bytes is read', async () => {
    const text = `HTTP/1.1 103 Early\r\n\r\n${OK}x: y\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nx: y\r\n\r\n`;
    upstream.setScript(async ({ socket }) => {
      for (const byte of text) await new Promise<void>((resolve) => socket.write(byte, () => setImmediate(resolve)));
    });
    expect(await ask()).toBe('hi');
    expect(await ask()).toBe('hi');
    expect(upstream.connections).toHaveLength(1);
  });

  it('goes on until the connection ends where it says no length', async () => {
    upstream.setScript(async ({ socket }) => {
      socket.write(`${OK}\r\nuntil `);
      setImmediate(() => socket.end('the end'));
    });
    expect(await ask()).toBe('until the end');
  });

  it('of megabytes is read whole, with a length and in chunks', async () => {
    const body = 'abcdefghij'.repeat(300_000);
    upstream.setScript(says(whole(body)));
    expect((await ask()) === body).toBe(true);
    const parts = body.match(/.{1,70000}/g) ?? [];
    const chunks = parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('');
    upstream.setScript(says(`${OK}transfer-encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`));
    expect((await ask()) === body).toBe(true);
    upstream.setScript(says(whole('small')));
    expect(await ask()).toBe('small');
    expect(upstream.connections).toHaveLength(1);
  });

  it.each<[string, string, string]>([
    ['that is no HTTP', 'HPE_INVALID_CONSTANT', 'SSH-2.0-OpenSSH_8.9\r\n'],
    ['with two lengths', 'HPE_UNEXPECTED_CONTENT_LENGTH', `${OK}content-length: 2\r\ncontent-length: 3\r\n\r\nhi!`],
    ['whose head has no end', 'UND_ERR_HEADERS_OVERFLOW', `${OK}x: ${'a'.repeat(1_000_000)}`],
  ])('%s is malformed, and ends its connection', async (_name, code, text) => {
    upstream.setScript(says(text));
    expect(await client.send(aCall(upstream.url))).toMatchObject({
      ok: false,
      failure: { kind: 'malformed', code, sent: true },
    });
    await connection(0).closed;
  });

  it('that never comes, after early ones without end, is malformed', async () => {
    const early = 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n'.repeat(20);
    upstream.setScript(async ({ socket, closed }) => {
      while (!socket.destroyed) {
        const drained = new Promise<void>((resolve) => socket.once('drain', resolve));
        if (!socket.write(early)) await Promise.race([drained, closed]);
      }
    });
    expect(await client.send(aCall(upstream.url))).toMatchObject({
      ok: false,
      failure: { kind: 'malformed', code: 'UND_ERR_HEADERS_OVERFLOW', sent: true },
    });
    await connection(0).closed;
  });

  it('may follow others on its connection whose early ones were many', async () => {
    upstream.setScript(says(`${'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(400)}${whole('hi')}`));
    for (let round = 0; round < 4; round += 1) expect(await ask()).toBe('hi');
    expect(upstream.connections).toHaveLength(1);
  });

  it('that becomes malformed hands over what was none', async () => {
    upstream.setScript(says(`${OK}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\nno size\r\n`));
    const response = await begun();
    const taken: string[] = [];
    const piped = response.pipe((part) => {
      taken.push(String(part));
      return true;
    });
    await expect(piped).rejects.toMatchObject({ failure: { kind: 'malformed', code: 'HPE_INVALID_CHUNK_SIZE' } });
    expect(taken.join('')).toBe('hi');
    await connection(0).closed;
  });

  it('that changes the protocol is none', async () => {
    upstream.setScript(says('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'));
    expect(await client.send(aCall(upstream.url))).toMatchObject({ ok: false, failure: { kind: 'reset', sent: true } });
  });
});

describe('deadlines', () => {
  it('end a head that comes byte by byte', async () => {
    upstream.setScript(async ({ socket }) => {
      for (const byte of `${OK}x: ${'a'.repeat(1_000)}`) {
        if (socket.destroyed) return;
        await new Promise<void>((resolve) => socket.write(byte, () => setTimeout(resolve, 5)));
      }
    });
    const began = performance.now();
    expect(await client.send(aCall(upstream.url, { firstByteMs: 200 }))).toMatchObject({
      ok: false,
      failure: { kind: 'timeout', code: 'UND_ERR_HEADERS_TIMEOUT', sent: true },
    });
    expect(performance.now() - began).toBeGreaterThanOrEqual(195);
    await connection(0).closed;
  });

  it('let an answer come byte by byte, as long as every wait ends in time, and end it when one does not', async () => {
    upstream.setScript(async ({ socket }) => {
      socket.write(`${OK}content-length: 100\r\n\r\n`);
      for (let sent = 0; sent < 10; sent += 1) {
        await new Promise<void>((resolve) => setTimeout(resolve, 40));
        socket.write('x');
      }
    });
    const response = await begun({ firstByteMs: 200, idleMs: 200 });
    let size = 0;
    const piped = response.pipe((part) => {
      size += part.length;
      return true;
    });
    await expect(piped).rejects.toMatchObject({ failure: { kind: 'timeout', code: 'UND_ERR_BODY_TIMEOUT' } });
    expect(size).toBe(10);
    await connection(0).closed;
  });
});

describe('the end of a request', () => {
  const reason = new Error('the client left');

  it('before it is sent opens no connection', async () => {
    const life = new Lifeline();
    life.end(reason);
    await expect(client.send(aCall(upstream.url, { life }))).rejects.toBe(reason);
    expect(upstream.connections).toHaveLength(0);
  });

  it('while it connects closes the connection', async () => {
    const life = new Lifeline();
    const sending = client.send(aCall(upstream.url.replace('http:', 'https:'), { life }));
    await until('a connection', () => upstream.connections.length === 1);
    life.end(reason);
    await expect(sending).rejects.toBe(reason);
    await connection(0).closed;
  });

  it('between its call and its writing on a kept connection sends nothing', async () => {
    await ask();
    const life = new Lifeline();
    const sending = client.send(aCall(upstream.url, { life }));
    life.end(reason);
    await expect(sending).rejects.toBe(reason);
    await connection(0).closed;
    expect(connection(0).requests).toHaveLength(1);
    expect(await ask()).toBe('hi');
  });

  it('while undici is loaded for its body opens no connection, and leaves the body as it is', async () => {
    const life = new Lifeline();
    let begun = 0;
    const body = () => {
      begun += 1;
      return oneByte();
    };
    const sending = client.send(aCall(upstream.url, { life, payload: { ...upload(), body } }));
    life.end(reason);
    await expect(sending).rejects.toBe(reason);
    // It takes the same way, later.
    expect(await ask({ payload: upload() })).toBe('hi');
    expect(begun).toBe(0);
    expect(upstream.connections).toHaveLength(1);
  });

  it('while it waits for an answer closes the connection', async () => {
    upstream.setScript(() => {});
    const life = new Lifeline();
    const sending = client.send(aCall(upstream.url, { life }));
    await until('a request', () => upstream.connections[0]?.requests.length === 1);
    life.end(reason);
    await expect(sending).rejects.toBe(reason);
    await connection(0).closed;
  });

  it('while its answer streams closes the connection', async () => {
    upstream.setScript(says(`${OK}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n`));
    const life = new Lifeline();
    const response = await begun({ life });
    expect(String(await response.next())).toBe('hi');
    const waiting = response.next();
    life.end(reason);
    await expect(waiting).rejects.toBe(reason);
    await connection(0).closed;
  });

  it('by a reader that has enough closes the connection, also from within what it takes', async () => {
    upstream.setScript(says(`${OK}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n`));
    const response = await begun();
    let parts = 0;
    await response.pipe(() => {
      parts += 1;
      response.abort();
      return false;
    });
    expect(parts).toBe(1);
    await connection(0).closed;
  });
});

describe('a reader that is slow', () => {
  const BLOCK = Buffer.alloc(64 * 1024, 'x');
  const TOTAL = 64 * 1024 * 1024;
  let written: number;

  function pours(head: string, tail: string): RawScript {
    written = 0;
    return async ({ socket }) => {
      socket.write(`${OK}${head}\r\n`);
      for (; written < TOTAL && !socket.destroyed; written += BLOCK.length) {
        if (!socket.write(BLOCK)) await once(socket, 'drain');
      }
      socket.write(tail);
    };
  }

  it('stops the provider, and gets everything in the end', async () => {
    upstream.setScript(pours(`content-length: ${TOTAL}\r\n`, ''));
    const response = await begun();
    await untilItStops(() => written);
    expect(written).toBeLessThan(TOTAL);
    let size = 0;
    await response.pipe((part) => {
      size += part.length;
      return true;
    });
    expect(size).toBe(TOTAL);
  });

  it('leaves a connection that is read again', async () => {
    upstream.setScript(pours(`transfer-encoding: chunked\r\n\r\n${TOTAL.toString(16)}`, '\r\n0\r\n\r\n'));
    const response = await begun();
    await untilItStops(() => written);
    expect(written).toBeLessThan(TOTAL);
    const parts = await response.readAll(TOTAL);
    expect(parts.reduce((sum, part) => sum + part.length, 0)).toBe(TOTAL);
    upstream.setScript(says(whole('hi')));
    expect(await ask()).toBe('hi');
    expect(upstream.connections).toHaveLength(1);
  });
});

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Waits until so much has gone out, and no more does. */
async function untilItStops(written: () => number): Promise<void> {
  let before = 0;
  await until('the provider stops', async () => {
    const isSame = written() === before && before > 0;
    before = written();
    await new Promise((resolve) => setTimeout(resolve, 100));
    return isSame;
  });
}

describe('closing', () => {
  it('ends everything at once, and says so', async () => {
    await ask();
    upstream.setScript(() => {});
    const sending = client.send(aCall(upstream.url));
    const other = client.send(aCall(upstream.url));
    await until('both', () => upstream.connections.filter(({ requests }) => requests.length > 0).length === 2);
    await client.close();
    for (const result of [await sending, await other]) {
      expect(result).toMatchObject({ ok: false, failure: { kind: 'reset', code: 'UND_ERR_DESTROYED' } });
    }
    for (const { closed } of upstream.connections) await closed;
  });

  it('what no configuration uses sends what was about to go out on it', async () => {
    await ask();
    const sending = ask();
    client.closeUnused(() => false);
    expect(await sending).toBe('hi');
    await connection(0).closed;
    expect(upstream.requests).toHaveLength(2);
  });

  it('what no configuration uses closes idle connections at once', async () => {
    await Promise.all([ask(), ask()]);
    client.closeUnused(() => false);
    for (const { closed } of upstream.connections) await closed;
    expect(await ask()).toBe('hi');
  });
});
