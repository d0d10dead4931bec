import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { CLIENT_KEY, type Daemon } from '../support/daemon.js';
import { answer, chatBody, chunk, IMPATIENT, provider, startRouter, stream } from '../support/failing-providers.js';
import { openLine, postHead } from '../support/raw-http.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** A stop loses nothing: what can end ends, what cannot is cut and recorded, and the exit code says that all is well. */

let daemon: Daemon;
let upstream: ScriptedUpstream;

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
});
afterEach(async () => {
  await daemon.stop();
  upstream.requests.length = 0;
});
afterAll(() => upstream?.close());

async function start(grace: string): Promise<void> {
  daemon = await startRouter([provider('a', upstream.url)], { server: { shutdown_grace: grace } });
}

interface Row {
  outcome: string;
  cost_nano_usd: number | null;
  usage_source: string | null;
  output: number | null;
}

/** What the ledger's file holds, now that no process has it open. */
function rowsOf(table: 'requests' | 'attempts'): Row[] {
  const db = new Database(daemon.ledgerFile, { readonly: true });
  try {
    const order = table === 'requests' ? 'id' : 'request_id, attempt';
    return db.prepare(`SELECT * FROM ${table} ORDER BY ${order}`).all() as Row[];
  } finally {
    db.close();
  }
}

const attempts = () => rowsOf('attempts');
const outcomes = () => rowsOf('requests').map((row) => row.outcome);

const cleanExit = { code: 0, signal: null };
const slowStream = () => stream({ chunkDelayMs: 60 });
/** Says a word, and never ends. */
const endless = () => ({ sse: [chunk({ role: 'assistant', content: 'one two three four' })], hang: true });

async function openStream(): Promise<{ text: Promise<string>; response: Response }> {
  const asked = upstream.requests.length;
  const response = await daemon.post('/v1/chat/completions', chatBody({ stream: true }));
  await upstream.waitForRequests(asked + 1);
  return { response, text: response.text() };
}

it('lets a stream that runs end within the grace, records it, and exits 0', async () => {
  await start('10s');
  upstream.setScript([slowStream()]);
  const { text } = await openStream();
  daemon.kill('SIGTERM');
  const whole = await text;
  expect(whole).toContain('"three"');
  expect(whole.endsWith('data: [DONE]\n\n')).toBe(true);
  expect(await daemon.waitForExit()).toEqual(cleanExit);
  // The ledger was closed, not just left.
  expect(existsSync(`${daemon.ledgerFile}-wal`)).toBe(false);
  expect(outcomes()).toEqual(['ok']);
  expect(attempts()).toMatchObject([{ outcome: 'ok', cost_nano_usd: 20_000 }]);
});

it('lets whole answers, large ones too, reach their clients within the grace', async () => {
  await start('10s');
  const large = 'x'.repeat(8 * 1024 * 1024);
  upstream.setScript((_request, index) => ({ ...answer(index === 0 ? large : 'small'), delayMs: 150 }));
  const asked = [0, 1, 2, 3].map(() => daemon.post('/v1/chat/completions', chatBody()));
  await upstream.waitForRequests(4);
  daemon.kill('SIGTERM');
  const texts = await Promise.all(asked.map(async (response) => (await response).text()));
  expect(texts.map((text) => JSON.parse(text).choices[0].message.content.length).sort()).toEqual([
    5,
    5,
    5,
    large.length,
  ]);
  expect(await daemon.waitForExit()).toEqual(cleanExit);
  expect(outcomes()).toEqual(['ok', 'ok', 'ok', 'ok']);
});

it('gives an error that comes within the grace to its client', async () => {
  await start('10s');
  upstream.setScript([{ status: 400, body: { error: { message: 'no such thing' } }, delayMs: 150 }]);
  const asked = daemon.post('/v1/chat/completions', chatBody());
  await upstream.waitForRequests(1);
  daemon.kill('SIGTERM');
  const response = await asked;
  expect(response.status).toBe(400);
  expect(await response.text()).toContain('no such thing');
  expect(await daemon.waitForExit()).toEqual(cleanExit);
  expect(outcomes()).toEqual(['failed']);
});

it('cuts a stream that outlasts the grace with an error and no [DONE], and records what was seen as a lower bound', async () => {
  await start('200ms');
  upstream.setScript([endless()]);
  const { text } = await openStream();
  const stoppedAt = Date.now();
  daemon.kill('SIGTERM');
  const events = (await text).trimEnd().split('\n\n');
  expect(Date.now() - stoppedAt).toBeGreaterThanOrEqual(190);
  expect(events.join()).not.toContain('[DONE]');
  expect(JSON.parse(events.at(-1)?.replace(/^data: /, '') ?? '')).toMatchObject({
    error: { type: 'server_error', code: 'shutting_down' },
  });
  expect(await daemon.waitForExit()).toEqual(cleanExit);
  expect(Date.now() - stoppedAt).toBeLessThan(4_000);
  expect(upstream.requests[0]?.aborted).toBe(true);
  expect(outcomes()).toEqual(['interrupted']);
  const [row] = attempts();
  expect(row).toMatchObject({ outcome: 'interrupted', usage_source: 'lower-bound' });
  expect(row?.output).toBeGreaterThan(0);
  expect(row?.cost_nano_usd).toBeGreaterThan(0);
});

it('cuts a request that was not answered yet, and records its input as a lower bound', async () => {
  await start('200ms');
  upstream.setScript([{ hang: true }]);
  const asked = daemon.post('/v1/chat/completions', chatBody());
  await upstream.waitForRequests(1);
  daemon.kill('SIGTERM');
  const response = await asked;
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({ error: { code: 'shutting_down' } });
  expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(await daemon.waitForExit()).toEqual(cleanExit);
  expect(outcomes()).toEqual(['interrupted']);
  expect(attempts()).toMatchObject([{ outcome: 'interrupted', usage_source: 'lower-bound', output: null }]);
});

it('is hastened by a second signal', async () => {
  await start('60s');
  upstream.setScript([endless()]);
  const { text } = await openStream();
  daemon.kill('SIGTERM');
  // The first signal is seen once nothing new is accepted.
  await expect.poll(isAccepting).toBe(false);
  const hastenedAt = Date.now();
  daemon.kill('SIGTERM');
  expect(await text).toContain('shutting_down');
  expect(await daemon.waitForExit()).toEqual(cleanExit);
  expect(Date.now() - hastenedAt).toBeLessThan(3_000);
  expect(outcomes()).toEqual(['interrupted']);
});

it.each([
  ['when its grace is over', '200ms', 1],
  ['at a second signal', '60s', 2],
])('cuts clients in the middle of their bodies %s, and answers them 503', async (_when, grace, signals) => {
  await start(grace);
  const length = ['content-length: 1000'];
  const form = ['content-type: multipart/form-data; boundary=b', ...length];
  const begun = [
    `${postHead('/v1/chat/completions', CLIENT_KEY, length)}{"model":`,
    // Read by node:http.
    `${postHead('/v1/chat/completions', CLIENT_KEY, ['origin: http://there', ...length])}{"model":`,
    `${postHead('/v1/audio/speech', CLIENT_KEY, length)}{"model":`,
    `${postHead('/v1/audio/transcriptions', CLIENT_KEY, form).replace('content-type: application/json\r\n', '')}--b\r\n`,
  ];
  const lines = await Promise.all(
    begun.map(async (text) => {
      const line = await openLine(daemon.url);
      line.socket.write(text);
      return line;
    }),
  );
  // A connection that came after the others: once it is answered, they have been read.
  const last = await openLine(daemon.url);
  last.socket.write('GET /health/live HTTP/1.1\r\nhost: waybill\r\n\r\n');
  await last.until(' 200 OK');
  last.socket.destroy();
  const stoppedAt = Date.now();
  daemon.kill('SIGTERM');
  await expect.poll(isAccepting).toBe(false);
  if (signals === 2) daemon.kill('SIGTERM');
  expect(await daemon.waitForExit()).toEqual(cleanExit);
  expect(Date.now() - stoppedAt).toBeLessThan(3_000);
  await Promise.all(lines.map((line) => line.closed));
  for (const line of lines) {
    expect(line.received()).toMatch(/^HTTP\/1\.1 503 /);
    expect(line.received()).toContain('"code":"shutting_down"');
    expect(line.received()).toMatch(/\r\nconnection: close\r\n/i);
  }
  expect(outcomes()).toEqual([]);
});

async function isAccepting(): Promise<boolean> {
  const line = await openLine(daemon.url).catch(() => null);
  line?.socket.destroy();
  await line?.closed;
  return line !== null;
}

it('refuses what comes on open connections with 503 and closes them; readiness says 503 meanwhile', async () => {
  await start('10s');
  upstream.setScript([slowStream()]);
  const [lateChat, lateReady] = [await openLine(daemon.url), await openLine(daemon.url)];
  const { text } = await openStream();
  daemon.kill('SIGTERM');
  await expect.poll(isAccepting).toBe(false);
  const body = JSON.stringify(chatBody());
  lateChat.socket.write(`${postHead('/v1/chat/completions', CLIENT_KEY, [`content-length: ${body.length}`])}${body}`);
  lateReady.socket.write('GET /health/ready HTTP/1.1\r\nhost: waybill\r\n\r\n');
  await Promise.all([lateChat.closed, lateReady.closed]);
  expect(lateChat.received()).toMatch(/^HTTP\/1\.1 503 /);
  expect(lateChat.received()).toContain('"code":"shutting_down"');
  expect(lateChat.received()).toMatch(/\r\nconnection: close\r\n/i);
  expect(lateChat.received()).toMatch(/\r\nretry-after: \d+\r\n/i);
  expect(lateReady.received()).toMatch(/^HTTP\/1\.1 503 /);
  expect((await text).endsWith('data: [DONE]\n\n')).toBe(true);
  expect(await daemon.waitForExit()).toEqual(cleanExit);
  // What was refused was not sent, and the stream alone has a row.
  expect(upstream.requests).toHaveLength(1);
  expect(outcomes()).toEqual(['ok']);
});

it('leaves nothing in flight, whatever was under way: waiting, streaming, retrying, queueing', async () => {
  daemon = await startRouter(
    [
      provider('a', upstream.url, { limits: { concurrency: 2 } }),
      provider('b', upstream.url, { models: [{ id: 'failing' }] }),
    ],
    {
      server: { shutdown_grace: '150ms' },
      policy: { ...IMPATIENT, retry: { ...IMPATIENT.retry, interval: '30s', max_interval: '30s', max_wait: '60s' } },
    },
  );
  upstream.setScript((request) =>
    request.body.includes('failing')
      ? { status: 500, body: '{}' }
      : request.body.includes('stream')
        ? endless()
        : { hang: true },
  );
  const asked = [
    daemon.post('/v1/chat/completions', chatBody({ stream: true })),
    daemon.post('/v1/chat/completions', chatBody()),
  ];
  await upstream.waitForRequests(2);
  asked.push(
    daemon.post('/v1/chat/completions', chatBody()),
    daemon.post('/v1/chat/completions', chatBody({ model: 'failing' })),
  );
  await upstream.waitForRequests(3);
  daemon.kill('SIGTERM');
  const texts = await Promise.all(asked.map(async (response) => (await response).text()));
  for (const text of texts) expect(text).toContain('shutting_down');
  expect(await daemon.waitForExit()).toEqual(cleanExit);
  expect(outcomes().filter((outcome) => outcome === 'in_flight')).toEqual([]);
  expect(attempts().filter(({ outcome }) => outcome === 'in_flight')).toEqual([]);
});

it('stops at once when nothing is under way, however many connections are kept alive', async () => {
  await start('30s');
  upstream.setScript([answer()]);
  const lines = await Promise.all([1, 2, 3].map(() => openLine(daemon.url)));
  const stoppedAt = Date.now();
  daemon.kill('SIGINT');
  expect(await daemon.waitForExit()).toEqual(cleanExit);
  expect(Date.now() - stoppedAt).toBeLessThan(2_000);
  await Promise.all(lines.map((line) => line.closed));
});
