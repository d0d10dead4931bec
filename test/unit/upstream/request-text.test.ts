import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { HeaderFields, Payload } from '../../../src/domain/provider.js';
import type { UpstreamCall, UpstreamClient } from '../../../src/domain/upstream.js';
import { createUpstreamClient } from '../../../src/upstream/client.js';
import { Deadlines } from '../../../src/upstream/deadlines.js';
import { Exchange } from '../../../src/upstream/exchange.js';
import { RequestTexts } from '../../../src/upstream/request-text.js';
import { UndiciWay } from '../../../src/upstream/undici-way.js';
import { FakeClock } from '../../support/fake-clock.js';
import { isInHeap } from '../../support/heap.js';
import { aCall, type RawUpstream, startRawUpstream, textOf, whole } from '../../support/raw-upstream.js';

/** What goes out on a connection of ours, beside what undici sends for the same call. */

let upstream: RawUpstream;
let client: UpstreamClient;

beforeAll(async () => {
  upstream = await startRawUpstream(({ socket }) => socket.write(whole('hi')));
  client = createUpstreamClient({ clock: new FakeClock() });
});
beforeEach(() => {
  upstream.requests.length = 0;
});
afterAll(async () => {
  await client.close();
  await upstream.close();
});

async function sentByUndici(call: UpstreamCall, path: string): Promise<string> {
  const undici = new UndiciWay(upstream.url, 1_000);
  await new Promise<void>((resolve) => undici.dispatch(path, call, new Exchange(call, new Deadlines(), resolve)));
  await undici.destroy();
  return upstream.requests.at(-1) ?? '';
}

const json = (body: string): Payload => ({ kind: 'json', body });
const bytes = (body: Uint8Array): Payload => ({ kind: 'bytes', body, contentType: 'audio/wav' });
const HEADERS: HeaderFields = {
  'content-type': 'application/json',
  accept: 'text/event-stream',
  Authorization: 'Bearer key',
  'X-Latin': 'caf\xe9\t!',
  'x-empty': '',
  'x-amz-date': '20260115T120000Z',
};

describe('a request', () => {
  it.each<[string, 'GET' | 'POST', Payload | null]>([
    ['of JSON', 'POST', json('{"a":"b"}')],
    ['of JSON beyond ASCII', 'POST', json('{"a":"é 漢 😀"}')],
    ['of JSON in latin1', 'POST', json('{"a":"é"}')],
    ['of much JSON', 'POST', json(`{"a":"${'b'.repeat(200_000)}"}`)],
    ['of much JSON beyond ASCII', 'POST', json(`{"a":"${'漢é'.repeat(50_000)}"}`)],
    ['of half a character', 'POST', json('{"a":"\ud83d"}')],
    ['of bytes', 'POST', bytes(Buffer.from([0, 1, 13, 10, 254, 255]))],
    ['of a part of some bytes', 'POST', bytes(new Uint8Array(Buffer.from('0123456789')).subarray(2, 5))],
    ['of no bytes', 'POST', bytes(new Uint8Array())],
    ['of no text', 'POST', json('')],
    ['without a body', 'POST', null],
    ['that only asks', 'GET', null],
  ])('%s is, byte for byte, the one undici sends', async (_name, method, payload) => {
    const call = aCall(upstream.url, {
      route: { method, url: `${upstream.url}/v1/x?a=%20b&c=\xe9` },
      headers: HEADERS,
      payload,
    });
    expect(await textOf(client, call)).toBe('hi');
    const ours = upstream.requests.at(-1) ?? '';
    const theirs = await sentByUndici(call, '/v1/x?a=%20b&c=\xe9');
    // A long text would be printed whole.
    expect(ours.slice(0, 1_000)).toBe(theirs.slice(0, 1_000));
    expect(ours === theirs).toBe(true);
    expect(ours).toContain(`host: ${upstream.url.slice('http://'.length)}\r\nconnection: keep-alive\r\n`);
  });

  it.each<[string, HeaderFields]>([
    ['a line end in a value', { x: 'a\r\nb: c' }],
    ['a line feed in a value', { x: 'a\nb' }],
    ['a null in a value', { x: 'a\0b' }],
    ['a character beyond latin1 in a value', { x: '漢' }],
    ['a line end in a name', { 'x\r\ny': 'a' }],
    ['a space in a name', { 'x y': 'a' }],
    ['a transfer coding', { 'transfer-encoding': 'chunked' }],
    ['a length that is not the body’s', { 'content-length': '99' }],
  ])('with %s is a failed call, and nothing of it is sent', async (_name, headers) => {
    const result = await client.send(aCall(upstream.url, { headers }));
    expect(result.ok).toBe(false);
    expect(upstream.requests).toEqual([]);
  });

  it.each<[string, HeaderFields, string]>([
    ['a host', { host: 'other.test' }, 'host: other.test\r\n'],
    ['that its connection is closed', { Connection: 'close' }, 'connection: close\r\n'],
    ['its own length', { 'content-length': '2' }, 'content-length: 2\r\n'],
  ])('that says %s goes out as it says', async (_name, headers, expected) => {
    expect(await textOf(client, aCall(upstream.url, { headers }))).toBe('hi');
    const sent = upstream.requests.at(-1) ?? '';
    expect(sent).toContain(expected);
    expect(sent.match(/\r\n(?:host|connection|content-length): /gi)).toHaveLength(3);
  });
});

describe('the text of a request', () => {
  const texts = new RequestTexts('/x', 'h');
  const plain = { method: 'POST' as const, headers: {}, body: null };

  it('leaves to undici what is not plain', () => {
    expect(texts.of({ ...plain, headers: { Host: 'x' } })).toBeNull();
    expect(texts.of({ ...plain, headers: { Expect: '100-continue' } })).toBeNull();
    expect(texts.of({ ...plain, method: 'GET', body: 'x' })).toBeNull();
    expect(texts.of({ ...plain, headers: { x: undefined as unknown as string } })).toBeNull();
  });

  it('says no length for a request that only asks, and 0 for one that could have had a body', () => {
    expect(texts.of({ ...plain, method: 'GET' })?.head).toBe(
      'GET /x HTTP/1.1\r\nhost: h\r\nconnection: keep-alive\r\n\r\n',
    );
    expect(texts.of(plain)?.head).toContain('content-length: 0\r\n\r\n');
  });

  it('of a call with a key of the client is not kept', async () => {
    const kept = new RequestTexts('/kept', 'h');
    const bearer = () => ['a client', 'own key', String(process.pid)].join("'s-");
    const head = () => kept.of({ ...plain, headers: { authorization: bearer() }, isBrought: true })?.head;
    const isSent = head()?.includes(bearer());
    expect(isSent).toBe(true);
    // What a pattern looked at last is kept until it looks at something else.
    texts.of({ ...plain, headers: { another: 'one' } });
    expect(await isInHeap(bearer)).toBe(false);
    expect(kept.path).toBe('/kept');
  });

  it('has the headers of its own call, whatever the one before had', () => {
    const calls: Array<Parameters<RequestTexts['of']>[0]> = [
      plain,
      { ...plain, headers: { a: '1', b: '2' } },
      { ...plain, headers: { a: '1', b: '2' }, body: 'longer' },
      { ...plain, headers: { a: '1', b: '4' } },
      { ...plain, headers: { a: '1' } },
      { ...plain, headers: { a: '1', b: '2', c: '3' } },
      { ...plain, headers: { a: '1', b: '4' } },
      { ...plain, headers: { b: '4', a: '1' } },
      { ...plain, headers: { a: '1', b: '4\n' } },
      { ...plain, headers: { a: '1', b: '4\n' } },
      { ...plain, headers: { b: '4', a: '1' } },
      { ...plain, method: 'GET', headers: { b: '4', a: '1' } },
      { ...plain, headers: { b: '4', a: '1' } },
      { ...plain, headers: { b: '4', Host: '1' } },
      { ...plain, headers: { b: '4', a: undefined as unknown as string } },
      { ...plain, headers: { b: '4', 'a ': '1' } },
      { ...plain, headers: { b: '4', a: '\xe9' } },
      { ...plain, headers: { a: '\xe9', b: '4' } },
      { ...plain, headers: { a: '\xe9', b: '4\r\nx: y' } },
      { ...plain, headers: { a: '\xe9', c: '4' } },
      { ...plain, headers: { a: '\xe9', 'transfer-encoding': 'chunked' } },
    ];
    const alone = calls.map((call) => new RequestTexts('/x', 'h').of(call));
    expect(calls.map((call) => texts.of(call))).toEqual(alone);
    expect(alone.filter((text) => text === null)).toHaveLength(7);
  });
});
