import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_KEY, type Daemon } from '../support/daemon.js';
import { IMPATIENT, provider, startRouter } from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';
import { until } from '../support/until.js';

/**
 * What large answers are read to is used again once they are written. Each answer here is another from its first byte to
 * its last: one that is written over while somebody still has to get it, or keeps it, shows.
 */

const NUMBERS = 6_000;
const VECTORS = 12;
/** More than the system takes for a client that does not read. */
const MANY_VECTORS = 160;

let daemon: Daemon;
let upstream: ScriptedUpstream;
let asked = 0;

beforeAll(async () => {
  upstream = await startUpstream(({ body: request }) => {
    const body = answerTo(JSON.parse(request).input as string);
    // Only a length that is told makes an answer be read to blocks.
    return { body, headers: { 'content-length': String(body.length) } };
  });
  const models = [{ id: 'm', tasks: ['embedding'] }];
  daemon = await startRouter([provider('a', upstream.url, { models })], {
    policy: { ...IMPATIENT, cache: { enabled: true, ttl_seconds: 3_600 } },
  });
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

/** More than a megabyte of one number. */
function dataOf(input: string): string {
  const embedding = Array.from({ length: NUMBERS }, () => `0.${input}00${input}`).join(',');
  const item = (_: unknown, at: number) => `{"object":"embedding","index":${at},"embedding":[${embedding}]}`;
  const items = Array.from({ length: input.startsWith('9') ? MANY_VECTORS : VECTORS }, item);
  return `{"object":"list","data":[${items.join(',')}],"model":"m",`;
}

function answerTo(input: string): string {
  return `${dataOf(input)}"usage":{"prompt_tokens":8,"total_tokens":8}}`;
}

/** A text that nobody has sent before. */
function fresh(): string {
  asked += 1;
  return String(100_000 + asked);
}

/** One whose answer is larger. */
function freshLarge(): string {
  return fresh().replace('1', '9');
}

function isAnswerTo(input: string, body: string): boolean {
  const data = dataOf(input);
  return body.startsWith(data) && /^"usage":\{"prompt_tokens":8,[^{}]*\}\}$/.test(body.slice(data.length));
}

async function ask(input: string, headers: Record<string, string> = {}): Promise<boolean> {
  const response = await daemon.post('/v1/embeddings', { model: 'm', input }, headers);
  expect(response.status).toBe(200);
  return isAnswerTo(input, await response.text());
}

function isAsked(input: string): boolean {
  return upstream.requests.some(({ body }) => body.includes(input));
}

/** So many other answers, several at once: what is free to be written over is. */
async function others(count = 24): Promise<void> {
  const lane = async () => {
    for (let done = 0; done < count; done += 6) expect(await ask(fresh(), { 'cache-control': 'no-store' })).toBe(true);
  };
  await Promise.all(Array.from({ length: 6 }, lane));
}

/** A client that reads when it wants to. */
function askSlowly(input: string, header = ''): { socket: Socket; parts: string[] } {
  const body = JSON.stringify({ model: 'm', input });
  const socket = connect({ port: Number(new URL(daemon.url).port), host: '127.0.0.1' });
  socket.pause();
  const parts: string[] = [];
  socket.on('data', (part: Buffer) => parts.push(part.toString('latin1')));
  socket.on('error', () => {});
  socket.write(
    `POST /v1/embeddings HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${CLIENT_KEY}\r\ncache-control: no-store\r\n${header}` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  return { socket, parts };
}

describe('large answers that come at once', () => {
  it.each([
    ['by the short way', {}],
    ['by the way of node:http', { origin: 'https://example.com' }],
  ])('are each client’s own, %s', async (_name, headers) => {
    const inputs = Array.from({ length: 60 }, fresh);
    const lane = async () => {
      for (let input = inputs.pop(); input !== undefined; input = inputs.pop()) {
        expect(await ask(input, { 'cache-control': 'no-store', ...headers })).toBe(true);
      }
    };
    await Promise.all(Array.from({ length: 12 }, lane));
  });

  it.each([
    ['by the short way', ''],
    ['by the way of node:http', 'origin: https://example.com\r\n'],
  ])('are whole for clients that take them later than others, %s', async (_name, header) => {
    const inputs = Array.from({ length: 4 }, freshLarge);
    const slow = inputs.map((input) => askSlowly(input, header));
    await until('their calls', () => inputs.every(isAsked));
    await others();
    for (const { socket } of slow) socket.resume();
    await others();
    for (const [at, { socket, parts }] of slow.entries()) {
      await until('the end of an answer', () => parts.at(-1)?.endsWith('}}') === true);
      const whole = parts.join('');
      expect(isAnswerTo(inputs[at] as string, whole.slice(whole.indexOf('\r\n\r\n') + 4))).toBe(true);
      socket.destroy();
    }
  });

  it('are not touched by clients that leave', async () => {
    for (let round = 0; round < 3; round += 1) {
      const inputs = Array.from({ length: 4 }, freshLarge);
      const leaving = inputs.map((input) => askSlowly(input));
      const lasting = others();
      await until('their calls', () => inputs.every(isAsked));
      for (const [at, { socket, parts }] of leaving.entries()) {
        // Some in the middle of their answer, some before they have taken anything.
        if (at % 2 === 0) {
          socket.resume();
          await until('a beginning', () => parts.length > 0);
        }
        socket.destroy();
      }
      await lasting;
    }
  });
});

describe('a large answer that is given again', () => {
  it('from the cache is what it was, and so for those that waited for it', async () => {
    const input = fresh();
    expect(await Promise.all([ask(input), ask(input), ask(input)])).toEqual([true, true, true]);
    await others();
    expect(await ask(input)).toBe(true);
    expect(upstream.requests.filter(({ body }) => body.includes(input))).toHaveLength(1);
  });

  it('for its idempotency key is what it was, and so for those that waited for it', async () => {
    const input = fresh();
    const headers = { 'idempotency-key': `key-${input}`, 'cache-control': 'no-store' };
    expect(await Promise.all([ask(input, headers), ask(input, headers), ask(input, headers)])).toEqual([
      true,
      true,
      true,
    ]);
    await others();
    expect(await ask(input, headers)).toBe(true);
    expect(upstream.requests.filter(({ body }) => body.includes(input))).toHaveLength(1);
  });
});
