import { createUpstreamClient } from '../../../src/upstream/client.js';
import { FakeClock } from '../../support/fake-clock.js';
import { aCall } from '../../support/raw-upstream.js';

/** Asks the URLs it is told, one after the other, and says what came of each: a process that trusts what it is told to. */

const client = createUpstreamClient({ clock: new FakeClock() });
const told: object[] = [];
for (const url of process.argv.slice(2)) {
  const result = await client.send(aCall(url));
  if (!result.ok) {
    const { kind, code, sent } = result.failure;
    told.push({ kind, code, sent });
  } else {
    const parts = await result.response.readAll(10_000_000);
    told.push({ status: result.response.status, bytes: parts.reduce((sum, part) => sum + part.length, 0) });
  }
}
await client.close();
process.stdout.write(JSON.stringify(told));
