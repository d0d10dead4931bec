import dns, { type LookupAddress } from 'node:dns';
import { createInterface } from 'node:readline';
import type { UpstreamResponse, UpstreamResult } from '../../../src/domain/upstream.js';
import { createUpstreamClient } from '../../../src/upstream/client.js';
import { FakeClock } from '../../support/fake-clock.js';
import { aCall } from '../../support/raw-upstream.js';

/**
 * A process that trusts what it is told to. It does what its arguments say, one after the other, and says what came of
 * each URL it asked: `URL`, `begin URL` and later `rest` for an answer that is not read at once, `go` for a line of its input to wait for.
 */

const ADDRESSES: LookupAddress[] = [
  { address: '::1', family: 6 },
  { address: '127.0.0.1', family: 4 },
];
const lookup = dns.lookup;
// Names below `test` have two addresses, whatever this machine knows.
Object.assign(dns, {
  lookup: (host: string, options: object, callback: (error: null, addresses: LookupAddress[]) => void) => {
    if (host.endsWith('.test')) process.nextTick(callback, null, ADDRESSES);
    else lookup(host, options, callback as never);
  },
});

const client = createUpstreamClient({ clock: new FakeClock() });
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const told: object[] = [];
let held: UpstreamResponse | null = null;

async function readAll({ response }: Extract<UpstreamResult, { ok: true }>): Promise<object> {
  const parts = await response.readAll(10_000_000);
  return { status: response.status, bytes: parts.reduce((sum, part) => sum + part.length, 0) };
}

async function pipeAll(response: UpstreamResponse): Promise<object> {
  let bytes = 0;
  await response.pipe((part) => {
    bytes += part.length;
    return true;
  });
  return { status: response.status, bytes };
}

for (const step of process.argv.slice(2)) {
  if (step === 'go') await lines.next();
  else if (step === 'rest' && held !== null) told.push(await pipeAll(held));
  else {
    const result = await client.send(aCall(step.replace('begin ', '')));
    if (!result.ok) {
      const { kind, code, sent } = result.failure;
      told.push({ kind, code, sent });
    } else if (step.startsWith('begin ')) held = result.response;
    else told.push(await readAll(result));
  }
}
await client.close();
process.stdin.destroy();
process.stdout.write(JSON.stringify(told));
