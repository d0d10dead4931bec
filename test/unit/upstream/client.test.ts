import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lifeline } from '../../../src/domain/lifeline.js';
import {
  UpstreamBrokenError,
  type UpstreamCall,
  type UpstreamClient,
  type UpstreamResult,
} from '../../../src/domain/upstream.js';
import { createUpstreamClient } from '../../../src/upstream/client.js';
import { FakeClock } from '../../support/fake-clock.js';
import { type ScriptedUpstream, startUpstream, type UpstreamStep } from '../../support/scripted-upstream.js';

let upstream: ScriptedUpstream;
let client: UpstreamClient;

beforeAll(async () => {
  upstream = await startUpstream([{}]);
  client = createUpstreamClient({ clock: new FakeClock() });
});
afterAll(async () => {
  await client.close();
  await upstream.close();
});

function send(step: UpstreamStep, url = upstream.url): Promise<UpstreamResult> {
  upstream.setScript([step]);
  return client.send(call(url));
}

function call(url = upstream.url): UpstreamCall {
  return {
    route: { method: 'POST', url: `${url}/v1/x` },
    headers: {},
    payload: { kind: 'json', body: '{}' },
    connectMs: 1_000,
    firstByteMs: 5_000,
    idleMs: 5_000,
    limits: { sent: () => {} },
    life: new Lifeline(),
    secrets: [],
  };
}

describe('an address', () => {
  it('may have its query right after the host', async () => {
    upstream.setScript([{ body: 'here' }]);
    const result = await client.send({ ...call(), route: { method: 'GET', url: `${upstream.url}?a=b` } });
    expect(result.ok).toBe(true);
    expect(upstream.requests.at(-1)?.path).toBe('/?a=b');
  });

  it.each(['http:// /x', 'ftp://localhost/x', 'nowhere'])('%j is a failed call, and no fault of ours', async (url) => {
    const result = await client.send({ ...call(), route: { method: 'GET', url } });
    expect(result).toMatchObject({ ok: false, failure: { kind: 'connect', sent: false } });
  });
});

const PACKERS = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync };
const MEGABYTE = 1024 * 1024;

describe('a packed answer', () => {
  it.each(Object.entries(PACKERS))('in %s is unpacked up to the bound, and malformed beyond it', async (name, pack) => {
    const step = { headers: { 'content-encoding': name }, rawBytes: pack(Buffer.alloc(MEGABYTE, 'a')) };
    const fits = await send(step);
    expect(fits.ok && Buffer.concat(await fits.response.readAll(MEGABYTE)).length).toBe(MEGABYTE);
    const beyond = await send(step);
    const error = beyond.ok
      ? await Promise.resolve(beyond.response.readAll(MEGABYTE - 1)).catch((reason: unknown) => reason)
      : null;
    expect(error).toBeInstanceOf(UpstreamBrokenError);
    expect((error as UpstreamBrokenError).failure).toMatchObject({
      kind: 'malformed',
      message: `the provider's answer is larger than ${MEGABYTE - 1} bytes`,
    });
  });
});

describe('an error', () => {
  it('that unpacks beyond its bound is still that error', async () => {
    const rawBytes = gzipSync(Buffer.alloc(64 * MEGABYTE, 'a'));
    const before = process.memoryUsage().arrayBuffers;
    const result = await send({ status: 500, headers: { 'content-encoding': 'gzip' }, rawBytes });
    expect(result).toMatchObject({
      ok: false,
      report: null,
      failure: { kind: 'status', status: 500, message: 'the provider answered 500 and said no more' },
    });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * MEGABYTE);
  });

  it('says what it says, packed or with a wrong name for its packing', async () => {
    const headers = { 'content-encoding': 'gzip' };
    const body = '{"error":{"message":"bad luck"}}';
    for (const rawBytes of [gzipSync(body), body]) {
      expect(await send({ status: 500, headers, rawBytes })).toMatchObject({ failure: { message: 'bad luck' } });
    }
  });

  it.each([
    ['{"error":{"message":"x"},"usage":{"prompt_tokens":10,"completion_tokens":5}}', { input: 10, output: 5 }],
    ['{"error":{"message":"x"},"usage":{"prompt_tokens":10}}', { input: 10, output: null }],
  ])('reports the usage in its body: %s', async (body, counts) => {
    expect(await send({ status: 500, body })).toMatchObject({ ok: false, report: { counts } });
  });

  it.each(['{"error":{"message":"x"}}', '{"usage":null}', '{"usage":{}}', '["usage"]', '"usage" cut', 'null "usage"'])(
    'reports nothing where its body has none: %s',
    async (body) => {
      expect(await send({ status: 500, body })).toMatchObject({ ok: false, report: null });
    },
  );

  it('reports nothing when there was no answer', async () => {
    expect(await send({ cutAfterBytes: 0 })).toMatchObject({ ok: false, report: null, failure: { kind: 'reset' } });
  });
});

describe('a redirect', () => {
  it('is not followed, and no answer', async () => {
    const result = await send({ status: 307, headers: { location: `${upstream.url}/other` } });
    expect(result).toMatchObject({ ok: false, failure: { kind: 'malformed', status: 307 } });
    expect(upstream.requests.at(-1)?.path).toBe('/v1/x');
  });
});

describe('connections that no configuration uses', () => {
  it('are closed once what runs on them has ended, and open again where they are wanted', async () => {
    const other = await startUpstream([{ body: 'start', hang: true }]);
    const result = await send({}, other.url);
    const response = result.ok ? result.response : null;
    expect(String(await response?.next())).toBe('start');
    const ports: number[] = [];
    client.closeUnused((origin, connectMs) => {
      ports.push(Number(new URL(origin).port), connectMs);
      return origin === upstream.url;
    });
    expect(ports).toContain(other.port);
    expect(ports).toContain(1_000);
    expect(other.requests[0]?.aborted).toBe(false);
    other.setScript([{ body: 'again' }]);
    const again = await send({}, other.url);
    expect(again.ok && Buffer.concat(await again.response.readAll(100)).toString()).toBe('again');
    response?.abort();
    await other.requests[0]?.closed;
    expect(other.requests[0]?.aborted).toBe(true);
    expect(await send({ body: 'here' })).toMatchObject({ ok: true });
    await other.close();
  });
});

describe('a body that is made as it is sent', () => {
  function stream(body: () => AsyncIterable<Uint8Array>, firstByteMs: number, life = new Lifeline()) {
    const result = client.send({
      route: { method: 'POST', url: `${upstream.url}/v1/x` },
      headers: {},
      payload: { kind: 'stream', body, contentType: 'text/plain' },
      connectMs: 1_000,
      firstByteMs,
      idleMs: 5_000,
      life,
      secrets: [],
      limits: { sent: () => {} },
    });
    return { result, life };
  }

  it('is not late while its own next part is', async () => {
    upstream.setScript([{ body: 'ok' }]);
    const { result } = stream(async function* () {
      yield Buffer.from('one ');
      // Longer than the provider may take.
      await new Promise((resolve) => setTimeout(resolve, 250));
      yield Buffer.from('two');
    }, 100);
    expect((await result).ok).toBe(true);
    expect(upstream.requests.at(-1)?.body).toBe('one two');
  });

  it('leaves the provider its time once it is complete', async () => {
    upstream.setScript([{ hang: true }]);
    const { result } = stream(async function* () {
      yield Buffer.from('one');
    }, 100);
    expect(await result).toMatchObject({ ok: false, failure: { kind: 'timeout', sent: true } });
  });

  it('that fails ends the request with its own reason', async () => {
    upstream.setScript([{ body: 'ok' }]);
    const reason = new Error('the form broke off');
    const { result, life } = stream(async function* () {
      yield Buffer.from('one');
      throw reason;
    }, 5_000);
    await expect(result).rejects.toBe(reason);
    expect(life.reason).toBe(reason);
  });

  it('is let go when the provider refuses it early', async () => {
    let isLetGo = false;
    upstream.setScript([{ status: 401, body: { error: 'no' } }]);
    const { result, life } = stream(async function* () {
      try {
        for (let part = 0; part < 50; part += 1) yield Buffer.alloc(1024, 'a');
      } finally {
        isLetGo = true;
      }
    }, 5_000);
    expect(await result).toMatchObject({ ok: false, failure: { status: 401 } });
    await expect.poll(() => isLetGo).toBe(true);
    expect(life.isEnded).toBe(false);
  });
});
