import { assert, asyncProperty, constantFrom, array as listOf, nat, pre, record } from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { UpstreamClient } from '../../../src/domain/upstream.js';
import { createUpstreamClient } from '../../../src/upstream/client.js';
import { Deadlines } from '../../../src/upstream/deadlines.js';
import { Exchange } from '../../../src/upstream/exchange.js';
import { UndiciWay } from '../../../src/upstream/undici-way.js';
import { FakeClock } from '../../support/fake-clock.js';
import { aCall, OK, type RawUpstream, startRawUpstream, whole } from '../../support/raw-upstream.js';

/** What our own connections read, beside what undici reads of the same bytes. */

let upstream: RawUpstream;
let client: UpstreamClient;
let undici: UndiciWay;

beforeAll(async () => {
  upstream = await startRawUpstream(() => {});
  client = createUpstreamClient({ clock: new FakeClock() });
  undici = new UndiciWay(upstream.url, 5_000);
});
afterAll(async () => {
  await client.close();
  await undici.destroy();
  await upstream.close();
});

/** Null for anything but a whole answer. */
type Read = { status: number; body: string } | null;

async function readByUs(): Promise<Read> {
  const result = await client.send(aCall(upstream.url));
  // What an error's body says is none of the comparison's.
  if (!result.ok) return null;
  try {
    const parts = await result.response.readAll(1_000_000);
    return { status: result.response.status, body: Buffer.concat(parts).toString('latin1') };
  } catch {
    return null;
  }
}

async function readByUndici(): Promise<Read> {
  const call = aCall(upstream.url);
  const exchange = await new Promise<Exchange>((resolve) => {
    const made: Exchange = new Exchange(call, new Deadlines(), () => resolve(made));
    undici.dispatch('/v1/x', call, made);
  });
  const { status } = exchange;
  if (exchange.error !== null && status === 0) return null;
  try {
    return { status, body: Buffer.concat((await exchange.collect(1_000_000)) ?? []).toString('latin1') };
  } catch {
    return null;
  }
}

/** Every answer has a connection of its own, so that nothing of one is taken for the next. */
function says(text: string): void {
  upstream.setScript(({ socket }) => socket.end(text, 'latin1'));
}

const chunks = `${OK}transfer-encoding: chunked\r\n\r\n`;
const GOOD = [
  whole('hi', 'x-request-id: 1\r\n'),
  'HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi',
  `${OK}connection: close\r\n\r\nuntil the end`,
  `HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${whole('hi')}`,
  `${chunks}2\r\nhi\r\n0\r\n\r\n`,
  `${chunks}2;a=b;c="d e"\r\nhi\r\nA\r\n0123456789\r\n0;x\r\nx-t: 1\r\n\r\n`,
];

describe('an answer', () => {
  it.each(GOOD.map((text) => [JSON.stringify(text.slice(0, 60)), text]))(
    'that is good is read as undici does: %s',
    async (_name, text) => {
      says(text);
      const ours = await readByUs();
      expect(ours).not.toBeNull();
      expect(ours).toEqual(await readByUndici());
    },
  );

  it('that is spoilt anywhere is never read where undici does not, nor as anything else', async () => {
    const spoil = record({
      at: nat(200),
      how: constantFrom('replace', 'insert', 'remove'),
      by: constantFrom(
        '\r',
        '\n',
        '\r\n',
        ' ',
        '\t',
        '\0',
        '\x7f',
        '\xff',
        ':',
        ';',
        ',',
        '0',
        '1',
        '2',
        'a',
        '"',
        '(',
        '-',
      ),
    });
    await assert(
      asyncProperty(constantFrom(...GOOD), listOf(spoil, { minLength: 1, maxLength: 2 }), async (good, spoils) => {
        let text = good;
        for (const { at, how, by } of spoils) {
          const place = at % text.length;
          text = text.slice(0, place) + (how === 'remove' ? '' : by) + text.slice(how === 'insert' ? place : place + 1);
        }
        // Of these two ours knows better: they have no body, and what is early is not the answer.
        pre(!/^HTTP\/1\.[01] (204|304|100)/.test(text.trimStart()));
        says(text);
        const ours = await readByUs();
        if (ours !== null) expect(ours).toEqual(await readByUndici());
      }),
      { numRuns: 400 },
    );
  });
});
