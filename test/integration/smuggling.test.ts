import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { CLIENT_KEY, type Daemon } from '../support/daemon.js';
import { answer, chatBody, chunk, provider, startRouter } from '../support/failing-providers.js';
import { openLine, postHead } from '../support/raw-http.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** Bytes that another reader could take for another number of requests: the provider is asked once at the most. */

const CHAT = '/v1/chat/completions';

let daemon: Daemon;
let upstream: ScriptedUpstream;

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
  daemon = await startRouter([provider('a', upstream.url)]);
});
afterEach(() => {
  upstream.requests.length = 0;
  upstream.setScript([answer()]);
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

const BODY = JSON.stringify(chatBody());
const request = (headers: readonly string[], body = BODY) => postHead(CHAT, CLIENT_KEY, headers) + body;
const INNER = request([`content-length: ${BODY.length}`, 'connection: close']);
const length = (bytes: number) => `content-length: ${bytes}`;
const chunked = (body: string) => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;

it.each([
  ['a length before chunks', request([length(4), 'transfer-encoding: chunked'], `0\r\n\r\n${INNER}`)],
  ['a length after chunks', request(['transfer-encoding: chunked', length(4)], `0\r\n\r\n${INNER}`)],
  ['chunks by a name that few know', request([length(BODY.length), 'transfer-encoding: xchunked'], BODY + INNER)],
  ['chunks after a tab', request([length(BODY.length), 'transfer-encoding:\tchunked'], BODY + INNER)],
  ['chunks with a space before the colon', request([length(BODY.length), 'transfer-encoding : chunked'], BODY + INNER)],
  ['two lengths', request([length(BODY.length), length(BODY.length + INNER.length)], BODY + INNER)],
  ['two lengths in one', request([`content-length: ${BODY.length}, ${BODY.length}`], BODY + INNER)],
  ['a length with a sign', request([`content-length: +${BODY.length}`], BODY + INNER)],
  ['a length with a space in it', request([`content-length: ${BODY.length} 0`], BODY + INNER)],
  ['a length in the next line', request([`content-length:\r\n ${BODY.length}`], BODY + INNER)],
  ['lines that end with LF', request([length(BODY.length)], BODY + INNER).replaceAll('\r\n', '\n')],
  ['a length behind a lone LF', request([`x: y\ncontent-length: ${BODY.length}`], BODY + INNER)],
  ['a length behind a lone CR', request([`x: y\rcontent-length: ${BODY.length}`], BODY + INNER)],
  ['a NUL in a name', request([`content-length\0: ${BODY.length}`], BODY + INNER)],
])('%s', async (_what, bytes) => {
  const line = await openLine(daemon.url);
  line.socket.write(bytes, 'latin1');
  await line.closed;
  expect(line.received()).toMatch(/^HTTP\/1\.1 400 /);
  expect(upstream.requests).toHaveLength(0);
});

it('a whole request within a body is a body', async () => {
  const line = await openLine(daemon.url);
  const content = JSON.stringify(chatBody({ messages: [{ role: 'user', content: INNER }] }));
  line.socket.write(request([length(content.length)], content) + request([length(BODY.length), 'connection: close']));
  await line.closed;
  expect(line.received().match(/HTTP\/1\.1 200 /g)).toHaveLength(2);
  expect(upstream.requests.map(({ body }) => body.includes('POST /v1'))).toEqual([true, false]);
});

it('chunks alone are read as such', async () => {
  const line = await openLine(daemon.url);
  line.socket.write(request(['transfer-encoding: chunked', 'connection: close'], chunked(BODY)));
  await line.closed;
  expect(line.received()).toMatch(/^HTTP\/1\.1 200 /);
  expect(upstream.requests).toHaveLength(1);
});

it('a client that leaves within its body, or sends no more within a stream, leaves nothing under way', async () => {
  upstream.setScript([{ sse: [chunk({ role: 'assistant', content: 'one two' })], hang: true }]);
  const half = await openLine(daemon.url);
  half.socket.write(request([length(BODY.length + 1)]));
  const streaming = await openLine(daemon.url);
  const body = JSON.stringify(chatBody({ stream: true }));
  streaming.socket.write(request([length(body.length)], body));
  await streaming.until('one two');
  half.socket.destroy();
  streaming.socket.end();
  await streaming.closed;
  await upstream.requests[0]?.closed;
  expect(upstream.requests.map(({ aborted }) => aborted)).toEqual([true]);
  const rows = () => daemon.admin<{ requests: Array<{ outcome: string }> }>('/requests?limit=1');
  await expect.poll(async () => (await rows()).requests[0]?.outcome).toBe('cancelled');
  daemon.kill('SIGTERM');
  const askedAt = Date.now();
  await daemon.waitForExit();
  expect(Date.now() - askedAt).toBeLessThan(3_000);
});
