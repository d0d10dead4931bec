import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { UpstreamClient, UpstreamResponse } from '../../../src/domain/upstream.js';
import { BLOCK_BYTES, BlockPool, LentBlocks } from '../../../src/upstream/block-pool.js';
import { createUpstreamClient } from '../../../src/upstream/client.js';
import { FakeClock } from '../../support/fake-clock.js';
import { aCall, OK, type RawUpstream, startRawUpstream, whole } from '../../support/raw-upstream.js';
import { until } from '../../support/until.js';

describe('a pool of blocks', () => {
  it('lends a block that was given back, once, however often it is given back', () => {
    const pool = new BlockPool();
    const one = new LentBlocks(pool);
    const [first, second] = [one.next(), one.next()];
    one.giveBack();
    one.giveBack();
    const other = new LentBlocks(pool);
    const third = new LentBlocks(pool);
    const again = [other.next(), third.next(), other.next(), third.next()];
    expect(new Set(again).size).toBe(4);
    expect(again.slice(0, 2)).toEqual([second, first]);
  });

  it('lends nothing that was not given back', () => {
    const pool = new BlockPool();
    const one = new LentBlocks(pool);
    const block = one.next();
    expect(new LentBlocks(pool).next()).not.toBe(block);
    expect(block.length).toBe(BLOCK_BYTES);
  });

  it('keeps so many of them, and no more', () => {
    const pool = new BlockPool();
    const many = new LentBlocks(pool);
    const lent = new Set(Array.from({ length: 200 }, () => many.next()));
    many.giveBack();
    const next = new LentBlocks(pool);
    const again = Array.from({ length: 200 }, () => next.next());
    expect(again.filter((block) => lent.has(block)).length).toBe(128);
  });
});

const BODY_BYTES = 600_000;

let upstream: RawUpstream;
let client: UpstreamClient;

beforeEach(async () => {
  upstream = await startRawUpstream(({ socket }, _request, index) => socket.write(whole(bodyOf(index)), 'latin1'));
  client = createUpstreamClient({ clock: new FakeClock() });
});
afterEach(async () => {
  await client.close();
  await upstream.close();
});

function bodyOf(index: number): string {
  return String.fromCharCode(97 + index).repeat(BODY_BYTES);
}

async function begun(): Promise<UpstreamResponse> {
  const result = await client.send(aCall(upstream.url));
  if (!result.ok) throw new Error(result.failure.message);
  return result.response;
}

/** An answer, what it is made of, and the memory of its blocks. */
async function read(): Promise<{ response: UpstreamResponse; text: () => string; memory: Set<ArrayBufferLike> }> {
  const response = await begun();
  const parts = await response.readAll(BODY_BYTES);
  const blocks = parts.filter((part) => part.buffer.byteLength === BLOCK_BYTES);
  return {
    response,
    text: () => Buffer.concat(parts).toString('latin1'),
    memory: new Set(blocks.map(({ buffer }) => buffer)),
  };
}

describe('a large answer', () => {
  it('is read to what one before it was read to, once that is recycled', async () => {
    const first = await read();
    expect(first.text()).toBe(bodyOf(0));
    expect(first.memory.size).toBeGreaterThan(1);
    first.response.recycle();
    const second = await read();
    expect(second.text()).toBe(bodyOf(1));
    expect(second.memory).toEqual(first.memory);
  });

  it('is left alone by others as long as it is not', async () => {
    const first = await read();
    const others = await Promise.all([read(), read(), read()]);
    for (const { response } of others) response.recycle();
    const more = await Promise.all([read(), read(), read(), read()]);
    const own = more.map(({ text }) => text()).sort();
    expect(own).toEqual([bodyOf(4), bodyOf(5), bodyOf(6), bodyOf(7)]);
    expect(first.text()).toBe(bodyOf(0));
  });

  it('is shared by no two that come at once after it was recycled twice', async () => {
    const first = await read();
    first.response.recycle();
    first.response.recycle();
    const [one, other] = await Promise.all([read(), read()]);
    expect([one.text(), other.text()].sort()).toEqual([bodyOf(1), bodyOf(2)]);
  });

  it('keeps its memory to itself while it comes, and when it breaks off, whoever recycles it', async () => {
    upstream.setScript(({ socket }) =>
      socket.write(`${OK}content-length: ${BODY_BYTES}\r\n\r\n${'x'.repeat(BLOCK_BYTES)}`),
    );
    const slow = await begun();
    const parts: Buffer[] = [];
    const ended = slow.pipe((part) => parts.push(part) > 0).catch((error: unknown) => error);
    const size = () => parts.reduce((sum, part) => sum + part.length, 0);
    await until('its beginning', () => size() === BLOCK_BYTES);
    slow.recycle();
    upstream.setScript(({ socket }, _request, index) => socket.write(whole(bodyOf(index)), 'latin1'));
    const other = await read();
    upstream.connections[0]?.socket.destroy();
    expect(await ended).toBeInstanceOf(Error);
    slow.recycle();
    const last = await read();
    const memory = new Set(parts.map(({ buffer }) => buffer));
    for (const used of [...other.memory, ...last.memory]) expect(memory.has(used)).toBe(false);
    expect(Buffer.concat(parts).toString('latin1')).toBe('x'.repeat(BLOCK_BYTES));
  });
});
